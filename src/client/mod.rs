//! The client's end of the wire: connect, ask, read answers. For `linekeep`, tests and other programs.
//! Knows the line protocol and TLS; knows no command line, no terminal and nothing of the daemon.
//!
//! One line, with a pre-shared key:
//!
//! ```no_run
//! use linekeep::client::{Client, Options, PreSharedKey, Protection};
//! use linekeep::protocol::Answer;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let key = PreSharedKey::from_file("/etc/linekeep/siem.key".as_ref(), Some("siem"))?;
//! let mut client = Client::connect(&Options::new("lists.example:44445".parse()?, Protection::Psk(key))).await?;
//! match client.lookup(b"d41d8cd98f00b204e9800998ecf8427e").await? {
//!     Answer::Exists => println!("known"),
//!     Answer::NotFound => println!("unknown"),
//!     Answer::Error(reason) => println!("cannot be said: {}", reason.word()),
//! }
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Both ends with certificates:
//!
//! ```no_run
//! use linekeep::client::{Client, ClientCertificate, Options, Protection, TrustedCas};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let protection = Protection::Certificate {
//!     trust: TrustedCas::from_file("ca.pem".as_ref())?,
//!     name: None, // the host below
//!     own: Some(ClientCertificate::from_files("siem.pem".as_ref(), "siem.key".as_ref())?),
//! };
//! let mut client = Client::connect(&Options::new("lists.example:44445".parse()?, protection)).await?;
//! let answers = client.lookup_batch(&["first line", "second line"]).await?;
//! assert_eq!(answers.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! A file of any length, in bounded memory:
//!
//! ```no_run
//! # async fn example(client: &mut linekeep::client::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use linekeep::protocol::Answer;
//! let lines: &[u8] = b"one\ntwo\nthree\n"; // any AsyncRead: a file, a socket, standard input
//! let mut found = 0u64;
//! let asked = client
//!     .stream(lines, |_line: &[u8], answer: Answer| {
//!         found += u64::from(answer == Answer::Exists);
//!         Ok(())
//!     })
//!     .await?;
//! println!("{found} of {asked} found");
//! # Ok(())
//! # }
//! ```
//!
//! Which lists have a line, and in which generation:
//!
//! ```no_run
//! # async fn example(options: linekeep::client::Options) -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = linekeep::client::Client::connect(&options.explain()).await?;
//! for list in client.lookup_explained(b"192.0.2.7").await?.lists() {
//!     println!("in {}, generation {}", list.name(), list.generation());
//! }
//! # Ok(())
//! # }
//! ```

mod connect;
mod credentials;
mod error;
mod escaped;
mod exchange;
mod handshake;
mod options;
mod refusal;
mod window;

pub use credentials::{
    ClientCertificate, CredentialError, MAX_IDENTITY_BYTES, MAX_KEY_BYTES, MIN_KEY_BYTES, PreSharedKey, TrustedCas,
};
pub use error::{Error, InvalidLine};
pub use escaped::Escaped;
pub use exchange::Sink;
pub use handshake::Handshake;
pub use options::{DEFAULT_PORT, InvalidName, InvalidServer, Options, Protection, Server, ServerName};
pub use refusal::Refusal;

use crate::protocol::{Answer, Explained, Form};
use connect::Wire;
use exchange::{Buffers, Exchange, Peer, Progress, Reply, Unexplained};
use refusal::Claim;
use std::marker::PhantomData;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

/// How long [`Client::close`] waits for its goodbye to leave.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to a server that has proved who it is.
///
/// In TLS 1.3 the server's verdict on *this client* comes only with its first answer: a client that connects may still be refused there.
pub struct Client {
    wire: Wire,
    buffers: Buffers,
    peer: Peer,
    handshake: Option<Handshake>,
    reply_timeout: Duration,
    /// Taken away while an exchange runs and given back when it ends well: a dropped future leaves it false.
    usable: bool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.peer.server).field("handshake", &self.handshake).finish()
    }
}

impl Client {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// When the server cannot be reached in time or does not prove to be the one that `options` describe.
    pub async fn connect(options: &Options) -> Result<Client, Error> {
        let deadline = Instant::now() + options.connect_timeout;
        let socket = timeout_at(deadline, connect::connect(options, deadline))
            .await
            .map_err(|_| too_late(options, "connecting"))??;
        let (wire, handshake) = timeout_at(deadline, handshake::secure(socket, options))
            .await
            .map_err(|_| too_late(options, "the TLS handshake"))??;
        let claim = match &options.protection {
            Protection::Psk(_) => Claim::Key,
            Protection::Certificate { own: Some(_), .. } => Claim::Certificate,
            Protection::Certificate { own: None, .. } | Protection::Plain => Claim::Nobody,
        };
        Ok(Client {
            wire,
            buffers: Buffers::new(options.form),
            peer: Peer { server: options.server.to_string(), claim },
            handshake,
            reply_timeout: options.reply_timeout,
            usable: true,
        })
    }

    /// What was agreed on; `None` without TLS.
    #[must_use]
    pub fn handshake(&self) -> Option<&Handshake> {
        self.handshake.as_ref()
    }

    /// Looks one line up. [`Answer::Error`] is an answer, not an error.
    ///
    /// # Errors
    /// When the line cannot be sent, or no answer comes. Dropping the future spends the connection, as an error does.
    pub async fn lookup(&mut self, line: &[u8]) -> Result<Answer, Error> {
        let answers = self.lookup_batch(&[line]).await?;
        self.only(answers)
    }

    /// As [`Client::lookup`], with the lists that have the line; or, with a no, all those that were asked.
    ///
    /// # Errors
    /// As [`Client::lookup`]; and where the connection was made without [`Options::explain`].
    pub async fn lookup_explained(&mut self, line: &[u8]) -> Result<Explained, Error> {
        let answers = self.lookup_batch_explained(&[line]).await?;
        self.only(answers)
    }

    fn only<A>(&self, answers: Vec<A>) -> Result<A, Error> {
        let closed = || Error::Closed { server: self.peer.server.clone(), answered: 0 };
        answers.into_iter().next().ok_or_else(closed)
    }

    /// Looks many lines up, pipelined; one answer for each, in order.
    /// A line that is too long for the server is answered so, and ends the connection: lines after it fail the call.
    ///
    /// # Errors
    /// As [`Client::lookup`]. Nothing is sent when one of the lines cannot be.
    pub async fn lookup_batch<L: AsRef<[u8]>>(&mut self, lines: &[L]) -> Result<Vec<Answer>, Error> {
        let requests = requests(lines)?;
        let mut answers = Vec::with_capacity(lines.len());
        let keep = |_: &[u8], answer: Answer| {
            answers.push(answer);
            Ok(())
        };
        let asked = self.stream(requests.as_slice(), keep).await;
        whole(asked, answers, lines.len())
    }

    /// As [`Client::lookup_batch`], with the lists.
    ///
    /// # Errors
    /// As [`Client::lookup_explained`].
    pub async fn lookup_batch_explained<L: AsRef<[u8]>>(&mut self, lines: &[L]) -> Result<Vec<Explained>, Error> {
        let requests = requests(lines)?;
        let mut answers = Vec::with_capacity(lines.len());
        let keep = |_: &[u8], answer: Explained| {
            answers.push(answer);
            Ok(())
        };
        let asked = self.stream_explained(requests.as_slice(), keep).await;
        whole(asked, answers, lines.len())
    }

    /// Looks up every line that `source` yields, and hands each with its answer to `sink`, in order, while the
    /// source is still being read. Memory stays the same for any number of lines. Returns the number of lines.
    ///
    /// Lines end with LF; the last may come without. Whatever stands between is sent as it is, the empty line included.
    ///
    /// # Errors
    /// When the source or the sink fails, or answers stay out. What the sink was given before is valid.
    pub async fn stream<S: AsyncRead + Unpin, K: Sink>(&mut self, source: S, sink: K) -> Result<u64, Error> {
        match self.form() {
            Form::Plain => self.exchange::<S, K, Answer>(source, sink).await,
            Form::Explained => self.exchange(source, Unexplained(sink)).await,
        }
    }

    /// As [`Client::stream`], with the lists.
    ///
    /// # Errors
    /// As [`Client::stream`]; and where the connection was made without [`Options::explain`].
    pub async fn stream_explained<S, K>(&mut self, source: S, sink: K) -> Result<u64, Error>
    where
        S: AsyncRead + Unpin,
        K: Sink<Explained>,
    {
        match self.form() {
            Form::Plain => Err(Error::PlainConnection),
            Form::Explained => self.exchange(source, sink).await,
        }
    }

    fn form(&self) -> Form {
        self.handshake.as_ref().map_or(Form::Plain, |agreed| agreed.form)
    }

    /// Takes replies of the form that the connection has.
    async fn exchange<S, K, A>(&mut self, source: S, sink: K) -> Result<u64, Error>
    where
        S: AsyncRead + Unpin,
        K: Sink<A>,
        A: Reply,
    {
        if !std::mem::replace(&mut self.usable, false) {
            return Err(Error::Spent);
        }
        let exchange = Exchange {
            wire: &mut self.wire,
            buffers: &mut self.buffers,
            peer: &self.peer,
            reply_timeout: self.reply_timeout,
            source,
            sink,
            progress: Progress::default(),
            replies: PhantomData,
        };
        let progress = exchange.run().await?;
        self.usable = !progress.cut;
        Ok(progress.answered)
    }

    /// Says goodbye, so that the server need not take the end for a broken connection. Waits a second at most.
    pub async fn close(mut self) {
        // A peer that is gone already needs no goodbye.
        let _ = timeout(CLOSE_TIMEOUT, self.wire.shutdown()).await;
    }
}

/// All lines as one piece, or why one of them cannot be sent.
fn requests<L: AsRef<[u8]>>(lines: &[L]) -> Result<Vec<u8>, InvalidLine> {
    let mut requests = Vec::with_capacity(lines.iter().map(|line| line.as_ref().len() + 1).sum());
    for line in lines {
        InvalidLine::check(line.as_ref())?;
        requests.extend_from_slice(line.as_ref());
        requests.push(b'\n');
    }
    Ok(requests)
}

/// The answers, if they are all. That the last line was too long is one of them.
fn whole<A>(asked: Result<u64, Error>, answers: Vec<A>, lines: usize) -> Result<Vec<A>, Error> {
    match asked {
        Err(Error::LineTooLong { .. }) if answers.len() == lines => {}
        asked => _ = asked?,
    }
    Ok(answers)
}

fn too_late(options: &Options, step: &'static str) -> Error {
    Error::ConnectTimeout { server: options.server.to_string(), step, after: options.connect_timeout }
}
