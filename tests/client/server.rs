//! A small, correct line server of the tests' own, so that the client is not proved against its own house,
//! and the ways in which a server can be wrong.

use crate::support::pki::{Authority, Leaf};
use linekeep::protocol::{Answer, Decoder, Reason, Request, Text};
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslVerifyMode, SslVersion};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, UnixListener};
use tokio::sync::oneshot;

/// Limit of one query in bytes.
pub const MAX_QUERY_BYTES: usize = 4096;
const SOCKET_BUFFER_BYTES: u32 = 16 * 1024;

/// What the server does once TLS stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers, all answers to a read in one write.
    Correct,
    /// Answers, each byte in a write of its own.
    SingleBytes,
    /// Answers so many requests of the first read and closes.
    CloseAfter(usize),
    /// Reads and says nothing.
    Silent,
    /// Says this to the first read, whatever it was.
    Says(&'static [u8]),
    /// Closes before TLS.
    Slam,
}

/// What the server saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub sources: Vec<SocketAddr>,
    pub requests: u64,
}

/// How a session over TLS ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the client's goodbye.
    Goodbye,
    /// Without.
    Cut,
}

/// What sessions share.
#[derive(Clone)]
struct Shared {
    tls: Option<Arc<SslContext>>,
    behaviour: Behaviour,
    lines: Arc<HashSet<Vec<u8>>>,
    seen: Arc<Mutex<Seen>>,
    ends: mpsc::Sender<End>,
}

/// A running server; it ends when dropped.
pub struct Server {
    pub port: u16,
    /// One for each session over TLS.
    pub ends: mpsc::Receiver<End>,
    seen: Arc<Mutex<Seen>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Where to listen.
pub enum At {
    Loopback,
    Unix(PathBuf),
}

impl Server {
    /// Serves `lines` on loopback.
    pub fn start(tls: Option<SslContextBuilder>, behaviour: Behaviour, lines: &[&str]) -> Server {
        Server::start_at(At::Loopback, tls, behaviour, lines)
    }

    pub fn start_at(at: At, tls: Option<SslContextBuilder>, behaviour: Behaviour, lines: &[&str]) -> Server {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (tell_end, ends) = mpsc::channel();
        let shared = Shared {
            tls: tls.map(|builder| Arc::new(builder.build())),
            behaviour,
            lines: Arc::new(lines.iter().map(|line| line.as_bytes().to_vec()).collect()),
            seen: Arc::clone(&seen),
            ends: tell_end,
        };
        let (stop, stopped) = oneshot::channel();
        let (tell_port, port) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::select! { () = accept(at, shared, tell_port) => {}, _ = stopped => {} }
            });
        });
        Server { port: port.recv().unwrap(), ends, seen, stop: Some(stop), thread: Some(thread) }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        let _ = self.thread.take().unwrap().join();
    }
}

async fn accept(at: At, shared: Shared, tell_port: mpsc::Sender<u16>) {
    match at {
        At::Loopback => {
            let socket = TcpSocket::new_v4().unwrap();
            // Small, so that back-pressure is felt after a few lines.
            socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES).unwrap();
            socket.set_send_buffer_size(SOCKET_BUFFER_BYTES).unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let listener = socket.listen(64).unwrap();
            tell_port.send(listener.local_addr().unwrap().port()).unwrap();
            loop {
                let (socket, source) = listener.accept().await.unwrap();
                shared.seen.lock().unwrap().sources.push(source);
                tokio::spawn(connection(socket, shared.clone()));
            }
        }
        At::Unix(path) => {
            let listener = UnixListener::bind(path).unwrap();
            tell_port.send(0).unwrap();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(connection(socket, shared.clone()));
            }
        }
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin>(socket: S, shared: Shared) {
    if shared.behaviour == Behaviour::Slam {
        return;
    }
    let Some(tls) = &shared.tls else {
        let mut socket = socket;
        return session(&mut socket, &shared).await;
    };
    let mut stream = tokio_openssl::SslStream::new(Ssl::new(tls).unwrap(), socket).unwrap();
    if Pin::new(&mut stream).accept().await.is_ok() {
        session(&mut stream, &shared).await;
        // A read gives 0 bytes in either case; only OpenSSL's own code tells a goodbye from a connection cut off.
        let ended = Pin::new(&mut stream).peek(&mut [0]).await;
        let goodbye = ended.is_err_and(|error| error.code() == ErrorCode::ZERO_RETURN);
        // Nobody listens in most tests.
        let _ = shared.ends.send(if goodbye { End::Goodbye } else { End::Cut });
    }
}

async fn session<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, shared: &Shared) {
    let Shared { behaviour, lines, seen, .. } = shared;
    let behaviour = *behaviour;
    let mut decoder = Decoder::new(MAX_QUERY_BYTES, Text::Utf8);
    let mut answers = Vec::new();
    loop {
        match stream.read(decoder.space()).await {
            Ok(bytes @ 1..) => decoder.filled(bytes),
            _ => return,
        }
        if let Behaviour::Says(text) = behaviour {
            let _ = stream.write_all(text).await;
            let _ = stream.shutdown().await;
            return;
        }
        let mut too_long = false;
        let limit = if let Behaviour::CloseAfter(requests) = behaviour { requests } else { usize::MAX };
        let mut requests = 0;
        for request in decoder.requests().take(limit) {
            requests += 1;
            let answer = match request {
                Request::Query(line) if lines.contains(line) => Answer::Exists,
                Request::Query(_) => Answer::NotFound,
                Request::Invalid(_) => Answer::Error(Reason::InvalidQuery),
                Request::TooLong => Answer::Error(Reason::QueryTooLong),
            };
            too_long = request == Request::TooLong;
            answer.encode(&mut answers);
        }
        decoder.discard_answered();
        seen.lock().unwrap().requests += requests;
        match behaviour {
            Behaviour::Silent => {}
            Behaviour::SingleBytes => {
                for byte in &answers {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                }
            }
            _ => {
                if stream.write_all(&answers).await.is_err() {
                    return;
                }
            }
        }
        answers.clear();
        if matches!(behaviour, Behaviour::CloseAfter(_)) || too_long {
            let _ = stream.shutdown().await;
            // Drained, so that a reset does not overtake the last answer.
            let mut rest = [0; 4096];
            while matches!(stream.read(&mut rest).await, Ok(1..)) {}
            return;
        }
    }
}

/// A TLS version, for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    V12,
    V13,
}

fn context(version: Tls) -> SslContextBuilder {
    let mut builder = SslContext::builder(SslMethod::tls_server()).unwrap();
    let version = match version {
        Tls::V12 => SslVersion::TLS1_2,
        Tls::V13 => SslVersion::TLS1_3,
    };
    builder.set_min_proto_version(Some(version)).unwrap();
    builder.set_max_proto_version(Some(version)).unwrap();
    builder.set_options(SslOptions::NO_TICKET);
    builder.set_num_tickets(0).unwrap();
    builder
}

/// A server that knows one key and has no certificate.
pub fn psk(version: Tls, identity: &'static str, key: [u8; 32]) -> SslContextBuilder {
    let mut builder = context(version);
    builder.set_cipher_list("ECDHE-PSK-CHACHA20-POLY1305").unwrap();
    builder.set_ciphersuites("TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256").unwrap();
    builder.set_psk_server_callback(move |_, offered, out| {
        if offered != Some(identity.as_bytes()) {
            return Ok(0);
        }
        out[..key.len()].copy_from_slice(&key);
        Ok(key.len())
    });
    builder
}

/// A server that shows `leaf`, and asks for a certificate of `clients` where given.
pub fn certificate(version: Tls, leaf: &Leaf, clients: Option<&Authority>) -> SslContextBuilder {
    let mut builder = context(version);
    builder.set_certificate(&leaf.certificate).unwrap();
    builder.set_private_key(&leaf.key).unwrap();
    if let Some(authority) = clients {
        builder.cert_store_mut().add_cert(authority.certificate.clone()).unwrap();
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    builder
}
