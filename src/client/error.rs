//! What can go wrong between a client and its server, each with what was seen and what to look at.
//! Nothing that a peer wrote is shown unescaped.

use super::refusal::Refusal;
use openssl::error::ErrorStack;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Why there is no answer. An answer that says `ERROR: ...` is none of these: it is an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host has no address.
    #[error("cannot find the address of {host}: {source}")]
    Resolve {
        /// The host name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address of the server took the connection.
    #[error("cannot connect to {server}: {tried}")]
    Connect {
        /// The server.
        server: String,
        /// Every address tried, with what it said.
        tried: String,
        /// What the last one said.
        source: io::Error,
    },
    /// The source address and the server's addresses are not of one family.
    #[error("cannot connect to {server} from {from}: the server has no address of that family")]
    SourceFamily {
        /// The server.
        server: String,
        /// The address to connect from.
        from: IpAddr,
    },
    /// The connection was not ready in time.
    #[error("{server} was not ready within {}: {step} took too long", humantime::format_duration(*.after))]
    ConnectTimeout {
        /// The server.
        server: String,
        /// What was under way.
        step: &'static str,
        /// The timeout.
        after: Duration,
    },
    /// A connection without TLS would have left this machine.
    #[error(
        "{server} is {address}, and a connection without TLS does not leave this machine: anybody on the way could write the answers"
    )]
    PlainBeyondLoopback {
        /// The server.
        server: String,
        /// Its address.
        address: SocketAddr,
    },
    /// The explained form was asked for without TLS, which alone can agree on it.
    #[error(
        "{server} would be asked without TLS, and only in a TLS handshake can answers with the names of lists be agreed on: ask a listener with TLS, by key or certificate"
    )]
    ExplainWithoutTls {
        /// The server.
        server: String,
    },
    /// The explained form was asked for, and the server did not agree to it.
    #[error(
        "{server} does not answer with the names of lists (in the TLS handshake it did not choose that form): an older version does not know it; ask without"
    )]
    NotExplained {
        /// The server.
        server: String,
    },
    /// Explained answers were wanted of a connection that was not made for them.
    #[error("this connection brings answers without the names of lists: connect with `Options::explain`")]
    PlainConnection,
    /// A certificate cannot be checked without the name that it has to hold.
    #[error("{server} has no host name to compare its certificate with: give a server name")]
    NoServerName {
        /// The server.
        server: String,
    },
    /// OpenSSL would not take the settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] ErrorStack),
    /// The handshake ended without a verdict on anybody.
    #[error("no TLS with {server}: {reason}")]
    Handshake {
        /// The server.
        server: String,
        /// What was seen, and what to look at.
        reason: String,
    },
    /// The server refused with a TLS alert, in the handshake or (TLS 1.3) at the first read.
    #[error("refused by {server}: {refusal}")]
    Refused {
        /// The server.
        server: String,
        /// The alert and what to check.
        refusal: Refusal,
    },
    /// The server's certificate leads to no trusted CA, or is not valid.
    #[error("{server} is not trusted: {reason} ({certificate})")]
    NotTrusted {
        /// The server.
        server: String,
        /// What OpenSSL's verification found.
        reason: String,
        /// The certificate at fault, escaped.
        certificate: String,
    },
    /// The server's certificate is good and for somebody else.
    #[error("{server} showed a certificate that is not for `{expected}` but for {found}")]
    WrongName {
        /// The server.
        server: String,
        /// The name that was looked for.
        expected: String,
        /// The names in the certificate, escaped.
        found: String,
    },
    /// The server did not prove that it holds the pre-shared key.
    #[error(
        "{server} answered with a certificate instead of proving that it knows the key of `{identity}`: the listener takes no keys, or does not know this identity"
    )]
    KeyNotProved {
        /// The server.
        server: String,
        /// The identity offered.
        identity: String,
    },
    /// A line cannot be sent.
    #[error(transparent)]
    InvalidLine(#[from] InvalidLine),
    /// The server closed although answers were due.
    #[error("{server} closed the connection after {answered} answers, before the next one{}", if *.answered == 0 { ": is this client permitted there?" } else { "" })]
    Closed {
        /// The server.
        server: String,
        /// Answers that did arrive in this call.
        answered: u64,
    },
    /// The connection broke.
    #[error("the connection to {server} broke after {answered} answers: {source}")]
    Lost {
        /// The server.
        server: String,
        /// Answers that did arrive in this call.
        answered: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The server said nothing while answers were due.
    #[error("{server} said nothing for {} while an answer was due, after {answered} answers", humantime::format_duration(*.after))]
    Silent {
        /// The server.
        server: String,
        /// Answers that did arrive in this call.
        answered: u64,
        /// The timeout.
        after: Duration,
    },
    /// The server said something that is not of the line protocol.
    #[error("{server} said `{quoted}`, which is no answer of the line protocol: is it linekeep?")]
    NotAnAnswer {
        /// The server.
        server: String,
        /// What it said, escaped and cut to a few words.
        quoted: String,
    },
    /// The server answered what nobody had asked.
    #[error("{server} said `{quoted}` although every request had been answered")]
    Unasked {
        /// The server.
        server: String,
        /// What it said.
        quoted: String,
    },
    /// The server's limit is below this line's length; it closed, and what followed is not answered.
    #[error(
        "line {line} is longer than {server} allows; it ended the connection there, and nothing after that line is answered"
    )]
    LineTooLong {
        /// The server.
        server: String,
        /// The line's number in this call, from 1.
        line: u64,
    },
    /// An earlier call failed or was dropped half-way, so answers could no longer be told apart.
    #[error("this connection cannot be used any more: an earlier look-up did not end; connect anew")]
    Spent,
    /// The source of lines failed.
    #[error("cannot read the lines: {0}")]
    Source(#[source] io::Error),
    /// The sink of answers failed.
    #[error("cannot hand on the answers: {0}")]
    Sink(#[source] io::Error),
}

/// Why a line cannot be a request. Checked before a byte of it is sent.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidLine {
    /// No byte at all.
    #[error("an empty line cannot be looked up")]
    Empty,
    /// It holds LF, which would make two requests of it.
    #[error("the line holds a line feed at byte {at}; look up its parts one by one")]
    LineFeed {
        /// Offset in bytes, from 0.
        at: usize,
    },
    /// It holds NUL, which no list line holds.
    #[error("the line holds a NUL at byte {at}")]
    Nul {
        /// Offset in bytes, from 0.
        at: usize,
    },
}

impl InvalidLine {
    /// Whether `line` can be a request.
    ///
    /// # Errors
    /// Says why it cannot.
    pub fn check(line: &[u8]) -> Result<(), InvalidLine> {
        if line.is_empty() {
            return Err(InvalidLine::Empty);
        }
        match memchr::memchr2(b'\n', 0, line) {
            None => Ok(()),
            Some(at) if line.get(at) == Some(&0) => Err(InvalidLine::Nul { at }),
            Some(at) => Err(InvalidLine::LineFeed { at }),
        }
    }
}
