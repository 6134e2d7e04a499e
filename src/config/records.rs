//! What the sections about records mean: where they are told, forwarded and kept.

use crate::event::Severity;
use std::fmt;
use std::path::PathBuf;

/// `[log]`: where events are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Events of lesser weight are not told.
    pub level: Severity,
    /// Whether they are told on standard error; `None` for where that is no second time.
    pub stderr: Option<bool>,
    /// The one local daemon that takes them.
    pub local: Local,
    /// journald's native socket.
    pub journal_socket: PathBuf,
    /// The local syslog's datagram socket.
    pub syslog_socket: PathBuf,
}

/// The local daemon that takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// journald where it is, else syslog.
    Auto,
    /// journald.
    Journal,
    /// syslog.
    Syslog,
    /// Nobody.
    None,
}

/// `[[forward]]`: where records go beside the local log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Its name in records.
    pub name: String,
    /// Who takes them.
    pub to: ForwardTo,
    /// In which form.
    pub format: ForwardFormat,
}

/// Who takes forwarded records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardTo {
    /// `HOST:PORT`, over TCP.
    Tcp(String),
    /// A UNIX socket, of datagrams or of a stream.
    Unix(PathBuf),
}

impl fmt::Display for ForwardTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardTo::Tcp(peer) => write!(f, "tcp:{peer}"),
            ForwardTo::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Forms of forwarded records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardFormat {
    /// Syslog with structured data (RFC 5424).
    Rfc5424,
    /// JSON, a line each, with the names of the Elastic Common Schema.
    Ecs,
}
