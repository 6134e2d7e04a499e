//! Real TLS peers of other makes: the openssl crate, the `openssl s_client` program, Python's ssl.
//! Each asks one question and returns the answer, or the words in which it was turned away.

use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVerifyMode, SslVersion};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Longer than any answer here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a peer shows.
#[derive(Clone, Default)]
pub struct Shows {
    /// PSK identity and key in hex.
    pub psk: Option<(String, String)>,
    /// Certificate and key file.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl Shows {
    pub fn nothing() -> Shows {
        Shows::default()
    }

    pub fn psk(identity: &str, key: &str) -> Shows {
        Shows { psk: Some((identity.into(), key.into())), certificate: None }
    }

    pub fn certificate(files: &(PathBuf, PathBuf)) -> Shows {
        Shows { psk: None, certificate: Some(files.clone()) }
    }
}

/// TLS versions to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V12,
    V13,
}

impl Version {
    fn openssl(self) -> SslVersion {
        match self {
            Version::V12 => SslVersion::TLS1_2,
            Version::V13 => SslVersion::TLS1_3,
        }
    }
}

/// The openssl crate's client.
pub fn context(version: Version, shows: &Shows) -> SslContext {
    let mut builder = SslContext::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_min_proto_version(Some(version.openssl())).unwrap();
    builder.set_max_proto_version(Some(version.openssl())).unwrap();
    if let Some((identity, key)) = shows.psk.clone() {
        let key: Vec<u8> =
            (0..key.len()).step_by(2).map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap()).collect();
        builder.set_psk_client_callback(move |_, _, identity_out, key_out| {
            identity_out[..identity.len()].copy_from_slice(identity.as_bytes());
            identity_out[identity.len()] = 0;
            key_out[..key.len()].copy_from_slice(&key);
            Ok(key.len())
        });
        builder.set_cipher_list("ECDHE-PSK-CHACHA20-POLY1305:ALL").unwrap();
    }
    if let Some((certificate, key)) = &shows.certificate {
        builder.set_certificate_chain_file(certificate).unwrap();
        builder.set_private_key_file(key, openssl::ssl::SslFiletype::PEM).unwrap();
    }
    builder.build()
}

pub fn connect(address: SocketAddr, version: Version, shows: &Shows) -> Result<SslStream<TcpStream>, String> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    Ssl::new(&context(version, shows)).unwrap().connect(stream).map_err(|error| error.to_string())
}

/// One question by the openssl crate. A TLS 1.3 client learns of its refusal at the first read, so this reads.
pub fn ask(address: SocketAddr, version: Version, shows: &Shows, query: &str) -> Result<String, String> {
    let mut stream = connect(address, version, shows)?;
    writeln!(stream, "{query}").map_err(|error| error.to_string())?;
    let mut answer = String::new();
    let read = BufReader::new(&mut stream).read_line(&mut answer).map_err(|error| error.to_string())?;
    if read == 0 { Err("closed without an answer".into()) } else { Ok(answer.trim_end().into()) }
}

/// One question by the `openssl s_client` program.
pub fn s_client(address: SocketAddr, version: Version, shows: &Shows, query: &str) -> Result<String, String> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-connect", &address.to_string()]);
    command.arg(if version == Version::V12 { "-tls1_2" } else { "-tls1_3" });
    if let Some((identity, key)) = &shows.psk {
        command.args(["-psk_identity", identity, "-psk", key]);
    }
    if let Some((certificate, key)) = &shows.certificate {
        command.arg("-cert").arg(certificate).arg("-key").arg(key);
    }
    one_question(command, query)
}

/// One question by Python's ssl module, which knows certificates (and no PSK before Python 3.13).
pub fn python(address: SocketAddr, version: Version, shows: &Shows, query: &str) -> Result<String, String> {
    let script = "\
import socket, ssl, sys
host, port, version, cert, key = sys.argv[1:6]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
if cert:
    context.load_cert_chain(cert, key)
with context.wrap_socket(socket.create_connection((host, int(port)), 20)) as stream:
    stream.sendall(sys.stdin.readline().encode())
    answer = stream.makefile().readline()
    if not answer:
        sys.exit('closed without an answer')
    print(answer, end='', flush=True)
";
    assert!(shows.psk.is_none(), "Python's ssl shows certificates here");
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(address.ip().to_string()).arg(address.port().to_string());
    command.arg(if version == Version::V12 { "TLSv1_2" } else { "TLSv1_3" });
    let (certificate, key) = shows.certificate.clone().unwrap_or_default();
    command.arg(certificate).arg(key);
    one_question(command, query)
}

/// Runs a client, asks, takes the first line, ends the client.
fn one_question(mut command: Command, query: &str) -> Result<String, String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A client that was refused may be gone already; what it says on standard error tells.
    let _ = writeln!(stdin, "{query}");
    let mut answer = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut answer).unwrap();
    let _ = child.kill();
    let mut words = String::new();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    child.wait().unwrap();
    if answer.is_empty() { Err(words) } else { Ok(answer.trim_end().into()) }
}

/// The alert number that a peer names in its words, as OpenSSL writes it.
pub fn alert(words: &str) -> Option<u32> {
    let start = words.find("SSL alert number ")? + "SSL alert number ".len();
    words[start..].split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// Knocks with an identity that no keyring would hold, over TLS 1.3.
pub fn hostile_identity(address: SocketAddr, identity: &str) {
    let refused = ask(address, Version::V13, &Shows::psk(identity, &"cd".repeat(32)), "known");
    assert!(refused.is_err(), "{refused:?}");
}

/// Reads to the end from a given local address, saying nothing. What came before the end.
pub fn listen_from(source: IpAddr, address: SocketAddr, say: &[u8]) -> Vec<u8> {
    let mut stream = connect_from(source, address);
    let _ = stream.write_all(say);
    let mut came = Vec::new();
    let _ = stream.read_to_end(&mut came);
    came
}

/// Connects from a given local address. The standard library cannot bind before connecting; tokio can.
pub fn connect_from(source: IpAddr, address: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = if source.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() };
        let socket = socket.unwrap();
        socket.bind(SocketAddr::new(source, 0)).unwrap();
        socket.connect(address).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
