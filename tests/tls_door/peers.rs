//! The clients: one that offers just what a test says, by the openssl crate; and two programs.

use crate::door::DEADLINE;
use crate::support::pki::Leaf;
use linekeep::secret::Secret;
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslSession, SslStream, SslVerifyMode, SslVersion};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a client brings.
#[derive(Clone)]
pub struct Offer<'a> {
    pub version: SslVersion,
    pub psk: Option<(&'static [u8], &'static str)>,
    pub certificate: Option<&'a Leaf>,
    /// TLS 1.3 suites, or TLS 1.2 ciphers; `None` is what OpenSSL offers by itself.
    pub suites: Option<&'static str>,
}

pub fn offer(version: SslVersion) -> Offer<'static> {
    Offer { version, psk: None, certificate: None, suites: None }
}

/// What a client got. TLS 1.3 tells a client of its refusal only when it reads.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    /// The server's line.
    Line(String),
    /// A fatal alert of this number (RFC 8446 section 6).
    Alert(i32),
    /// The connection ended without a line and without an alert.
    Closed,
    /// The client itself gave up, for this reason.
    GaveUp(String),
}

impl Got {
    pub fn line(text: &str) -> Got {
        Got::Line(format!("{text}\n"))
    }

    pub fn alert(&self) -> i32 {
        match self {
            Got::Alert(number) => *number,
            other => panic!("no alert but {other:?}"),
        }
    }
}

impl Offer<'_> {
    /// A client context that offers this and checks nothing of the server: the server is what is on trial.
    pub fn context(&self) -> SslContextBuilder {
        let mut context = SslContextBuilder::new(SslMethod::tls_client()).unwrap();
        context.set_verify(SslVerifyMode::NONE);
        if self.version == SslVersion::TLS1 || self.version == SslVersion::TLS1_1 {
            context.set_security_level(0);
        }
        context.set_min_proto_version(Some(self.version)).unwrap();
        context.set_max_proto_version(Some(self.version)).unwrap();
        match self.suites {
            Some(suites) if self.version == SslVersion::TLS1_3 => context.set_ciphersuites(suites).unwrap(),
            Some(ciphers) => context.set_cipher_list(ciphers).unwrap(),
            None => {}
        }
        if let Some(leaf) = self.certificate {
            context.set_certificate(&leaf.certificate).unwrap();
            context.set_private_key(&leaf.key).unwrap();
        }
        if let Some((identity, key)) = self.psk {
            let key = Secret::from_hex(key).unwrap();
            context.set_psk_client_callback(move |_, _, identity_out, key_out| {
                identity_out[..identity.len()].copy_from_slice(identity);
                identity_out[identity.len()] = 0;
                key_out[..key.len()].copy_from_slice(key.expose());
                Ok(key.len())
            });
        }
        context
    }

    /// Connects and reads to the end.
    pub fn dial(&self, address: SocketAddr) -> Got {
        dial(&self.context().build(), None, address)
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Connects with a context, perhaps resuming a session, and reads to the end.
pub fn dial(context: &SslContext, session: Option<&SslSession>, address: SocketAddr) -> Got {
    let mut ssl = openssl::ssl::Ssl::new(context).unwrap();
    if let Some(session) = session {
        let session = SslSession::from_der(&session.to_der().unwrap()).unwrap();
        // SAFETY: the call wants a session of no other context; one read from its bytes belongs to none.
        #[allow(unsafe_code)]
        unsafe {
            ssl.set_session(&session).unwrap();
        }
    }
    let mut stream = SslStream::new(ssl, connect(address)).unwrap();
    if let Err(error) = stream.connect() {
        return ended(&error);
    }
    read_to_end(&mut stream)
}

pub fn read_to_end<S: Read + std::io::Write>(stream: &mut SslStream<S>) -> Got {
    let mut line = Vec::new();
    let mut piece = [0; 512];
    loop {
        match stream.ssl_read(&mut piece) {
            Ok(bytes) => line.extend_from_slice(&piece[..bytes]),
            Err(_) if !line.is_empty() => return Got::Line(String::from_utf8(line).unwrap()),
            Err(error) => return ended(&error),
        }
    }
}

/// OpenSSL numbers the reason of a received alert 1000 above the alert.
pub fn ended(error: &openssl::ssl::Error) -> Got {
    match error.ssl_error().and_then(|stack| stack.errors().first()) {
        Some(first) if (1000..1256).contains(&first.reason_code()) => Got::Alert(first.reason_code() - 1000),
        Some(first) if first.reason().is_some_and(|reason| reason.contains("unexpected eof")) => Got::Closed,
        Some(first) => Got::GaveUp(first.reason().unwrap_or("?").to_owned()),
        None => Got::Closed,
    }
}

/// `openssl s_client`, quiet: otherwise lines that begin with Q, R, k, K or B are commands to it.
pub fn s_client(address: SocketAddr, arguments: &[&str]) -> Got {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-quiet"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the openssl program");
    heard(&output)
}

/// Python's ssl with a client certificate; `version` is TLSv1_2 or TLSv1_3.
pub fn python(address: SocketAddr, version: &str, certificate: Option<(&Path, &Path)>) -> Got {
    const SCRIPT: &str = r#"
import socket, ssl, sys
port, version, files = int(sys.argv[1]), getattr(ssl.TLSVersion, sys.argv[2]), sys.argv[3:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.minimum_version = context.maximum_version = version
if files:
    context.load_cert_chain(*files)
try:
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20)) as stream:
        sys.stdout.write(stream.recv(4096).decode())
except (ssl.SSLError, OSError) as error:
    sys.stderr.write(f"python: {error}")
"#;
    let mut command = Command::new("python3");
    command.args(["-c", SCRIPT, &address.port().to_string(), version]);
    if let Some((certificate, key)) = certificate {
        command.args([certificate, key]);
    }
    heard(&command.output().expect("python3"))
}

fn heard(output: &Output) -> Got {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !said.is_empty() {
        return Got::Line(said);
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    // Python names alerts, s_client numbers them.
    let numbered = errors.split("SSL alert number ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let named =
        [("HANDSHAKE_FAILURE", 40), ("CERTIFICATE_REQUIRED", 116), ("UNKNOWN_CA", 48), ("CERTIFICATE_EXPIRED", 45)];
    match numbered {
        Some(number) => Got::Alert(number.parse().unwrap()),
        None => match named.iter().find(|(name, _)| errors.to_uppercase().contains(&format!("ALERT_{name}"))) {
            Some((_, number)) => Got::Alert(*number),
            None if errors.contains("eof") || errors.is_empty() => Got::Closed,
            None => Got::GaveUp(errors),
        },
    }
}
