//! A server of one acceptor: accepts on loopback, runs the handshake, writes one line and closes.
//! What it saw comes out of a channel; what the peer gets is only the line.

use linekeep::identity::Evidence;
use linekeep::protocol::Form;
use linekeep::tls::evidence::judge;
use linekeep::tls::{Acceptor, Asks, Facts, HandshakeFailure, NoEvidence};
use openssl::ssl::{Ssl, SslContext};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_openssl::SslStream;

/// Bounds every wait of a test that goes wrong; none that goes right comes near it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// What one connection came to.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a few of them, in tests")]
pub enum Outcome {
    /// The real acceptor let somebody in; what came after the greeting, up to the first line's end or the connection's.
    In { tls: &'static str, cipher: &'static str, form: Form, then: Vec<u8> },
    /// The real acceptor let nobody in.
    Out(HandshakeFailure),
    /// A raw context finished its handshake: what OpenSSL says of it, and what the rule says.
    Raw { facts: Facts, ruled: Result<Evidence, NoEvidence>, then: Vec<u8> },
    /// A raw context's handshake failed.
    RawFailed,
}

/// What the server does once somebody is in.
#[derive(Clone, Copy)]
pub enum After {
    /// Write who it is and close.
    Tell,
    /// Write this and close.
    Say(&'static str),
    /// Write who it is, then read until a line or the end.
    Listen,
}

#[derive(Clone)]
enum Kind {
    Real(Acceptor, After),
    Raw(SslContext, Asks, After),
}

pub struct Door {
    pub address: SocketAddr,
    outcomes: mpsc::Receiver<Outcome>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Door {
    pub fn of(acceptor: &Acceptor) -> Door {
        Door::then(acceptor, After::Tell)
    }

    pub fn then(acceptor: &Acceptor, after: After) -> Door {
        Door::open(Kind::Real(acceptor.clone(), after))
    }

    /// A door of a context that the test built: whoever finishes the handshake is served, and the rule only notes what it says.
    pub fn raw(context: SslContext, asks: Asks, after: After) -> Door {
        Door::open(Kind::Raw(context, asks, after))
    }

    /// What the next connection came to.
    pub fn outcome(&self) -> Outcome {
        self.outcomes.recv_timeout(DEADLINE).expect("an outcome of the connection")
    }

    fn open(kind: Kind) -> Door {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (outcomes_in, outcomes) = mpsc::channel();
        let (_stop, mut stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let stream = tokio::select! {
                        accepted = listener.accept() => accepted.unwrap().0,
                        _ = &mut stopped => return,
                    };
                    let served = tokio::time::timeout(DEADLINE, serve(&kind, stream)).await;
                    let _ = outcomes_in.send(served.expect("a connection takes no such time"));
                }
            });
        });
        Door { address, outcomes, _stop }
    }
}

async fn serve(kind: &Kind, stream: TcpStream) -> Outcome {
    match kind {
        Kind::Real(acceptor, after) => match acceptor.handshake(stream).await {
            Err(failure) => Outcome::Out(failure),
            Ok(mut inside) => {
                let then = talk(&mut inside.stream, *after, &inside.evidence.to_string()).await;
                Outcome::In { tls: inside.tls, cipher: inside.cipher, form: inside.form, then }
            }
        },
        Kind::Raw(context, asks, after) => {
            let mut stream = SslStream::new(Ssl::new(context).unwrap(), stream).unwrap();
            if Pin::new(&mut stream).accept().await.is_err() {
                return Outcome::RawFailed;
            }
            let facts = Facts::of(stream.ssl(), true);
            let ruled = judge(*asks, &facts);
            let then = talk(&mut stream, *after, "served").await;
            Outcome::Raw { facts, ruled, then }
        }
    }
}

async fn talk(stream: &mut SslStream<TcpStream>, after: After, who: &str) -> Vec<u8> {
    let line = match after {
        After::Say(text) => text.to_owned(),
        After::Tell | After::Listen => format!("{who}\n"),
    };
    let _ = stream.write_all(line.as_bytes()).await;
    let then = match after {
        After::Listen => read_line(stream).await,
        After::Tell | After::Say(_) => Vec::new(),
    };
    let _ = stream.shutdown().await;
    then
}

async fn read_line(stream: &mut SslStream<TcpStream>) -> Vec<u8> {
    let mut line = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        line.push(byte);
        if byte == b'\n' {
            break;
        }
    }
    line
}
