//! What a client is told before it connects: where, how protected, how long to wait.
//! Checked while it is told, so that connecting has only the network left to doubt.

use super::credentials::{ClientCertificate, PreSharedKey, TrustedCas};
use crate::cipher_policy::Profile;
use crate::protocol::Form;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The port that is meant when none is said.
pub const DEFAULT_PORT: u16 = 44445;

/// How to reach a server and how to prove both ends to each other.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the server is.
    pub server: Server,
    /// How the connection is protected and who this client is.
    pub protection: Protection,
    /// Local address to connect from, on a host that has several. Not used for a UNIX socket.
    pub source: Option<IpAddr>,
    /// From the first step (name resolution) to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// The longest silence of the server while answers are due. Between two answers, not for all of them together.
    pub reply_timeout: Duration,
    /// TLS versions.
    pub profile: Profile,
    /// The form of the answers. Another than the plain one takes TLS and a server that speaks it; without, there is no connection.
    pub form: Form,
}

impl Options {
    /// Options with both timeouts at 10 seconds, TLS 1.2 and 1.3, and the kernel's choice of source address.
    #[must_use]
    pub fn new(server: Server, protection: Protection) -> Options {
        let timeout = Duration::from_secs(10);
        Options {
            server,
            protection,
            source: None,
            connect_timeout: timeout,
            reply_timeout: timeout,
            profile: Profile::default(),
            form: Form::default(),
        }
    }

    /// The same, with answers that say which lists they come from.
    #[must_use]
    pub fn explain(self) -> Options {
        Options { form: Form::Explained, ..self }
    }
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// A host name or IP address, and a port.
    Tcp {
        /// Name or address, IPv6 without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A UNIX socket on this machine.
    Unix(PathBuf),
}

/// A text that names no server.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{given}` names no server: {fault}; write HOST:PORT, [IPV6]:PORT or unix:/PATH")]
pub struct InvalidServer {
    given: String,
    fault: &'static str,
}

/// `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT` or `unix:/PATH`. Without a port, [`DEFAULT_PORT`].
impl FromStr for Server {
    type Err = InvalidServer;

    fn from_str(given: &str) -> Result<Server, InvalidServer> {
        let fault = |fault| InvalidServer { given: given.escape_debug().to_string(), fault };
        if let Some(path) = given.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(fault("the path of a UNIX socket begins with /"));
            }
            return Ok(Server::Unix(PathBuf::from(path)));
        }
        let (host, port) = match given.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) = bracketed.split_once(']').ok_or_else(|| fault("the bracket is not closed"))?;
                let port = match rest {
                    "" => None,
                    _ => Some(rest.strip_prefix(':').ok_or_else(|| fault("after the bracket only :PORT may stand"))?),
                };
                (host, port)
            }
            None if given.matches(':').count() > 1 => return Err(fault("an IPv6 address stands in brackets")),
            None => given.split_once(':').map_or((given, None), |(host, port)| (host, Some(port))),
        };
        if !is_host_name(host) {
            return Err(fault("the host is empty or holds a character that no host name has"));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(fault("the port is not a number from 1 to 65535")),
                Ok(port) => port,
            },
        };
        Ok(Server::Tcp { host: host.to_owned(), port })
    }
}

impl Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Server::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Server::Tcp { host, port } => write!(f, "{host}:{port}"),
            Server::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How a connection is protected. What cannot go together cannot be said: a pre-shared key proves both
/// ends, so it takes neither CA nor server name.
#[derive(Clone, Debug)]
pub enum Protection {
    /// No TLS. Refused for anything but a UNIX socket or a loopback address.
    Plain,
    /// TLS with a pre-shared key. A server that does not hold the same key is refused.
    Psk(PreSharedKey),
    /// TLS with a server certificate.
    Certificate {
        /// Who may sign the server's certificate.
        trust: TrustedCas,
        /// The name that the server's certificate has to hold; the server's host when `None`.
        name: Option<ServerName>,
        /// Who this client is; `None` where the server asks nobody.
        own: Option<ClientCertificate>,
    },
}

/// The name that a server's certificate has to hold as a subjectAltName (RFC 9525 section 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName(pub(super) Name);

/// Which kind of subjectAltName.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// dNSName.
    Dns(String),
    /// iPAddress.
    Ip(IpAddr),
}

/// A text that no certificate can name.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{}` is neither a host name nor an IP address", .0.escape_debug())]
pub struct InvalidName(String);

/// An IP address where the text is one, a DNS name otherwise.
impl FromStr for ServerName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<ServerName, InvalidName> {
        if let Ok(address) = name.parse() {
            return Ok(ServerName(Name::Ip(address)));
        }
        if is_host_name(name) { Ok(ServerName(Name::Dns(name.to_owned()))) } else { Err(InvalidName(name.to_owned())) }
    }
}

impl Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Name::Dns(name) => f.write_str(name),
            Name::Ip(address) => address.fmt(f),
        }
    }
}

/// Lenient on purpose: what a resolver or a certificate makes of it decides. Only what could confuse them is refused.
fn is_host_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("localhost:44445", "localhost:44445")]
    #[case("localhost", "localhost:44445")]
    #[case("192.0.2.1:1", "192.0.2.1:1")]
    #[case("[::1]:65535", "[::1]:65535")]
    #[case("[2001:db8::1]", "[2001:db8::1]:44445")]
    #[case("unix:/run/linekeep.sock", "unix:/run/linekeep.sock")]
    fn servers_are_read_and_shown(#[case] given: &str, #[case] shown: &str) {
        assert_eq!(given.parse::<Server>().map(|server| server.to_string()), Ok(shown.to_owned()));
    }

    #[rstest]
    #[case("", "host is empty")]
    #[case(":44445", "host is empty")]
    #[case("a b:1", "no host name has")]
    #[case("host/path:1", "no host name has")]
    #[case("host:0", "1 to 65535")]
    #[case("host:65536", "1 to 65535")]
    #[case("host:", "1 to 65535")]
    #[case("::1", "in brackets")]
    #[case("[::1", "not closed")]
    #[case("[::1]44445", "only :PORT")]
    #[case("unix:relative", "begins with /")]
    fn what_names_no_server_is_refused_with_the_fault(#[case] given: &str, #[case] fault: &str) {
        let error = given.parse::<Server>().unwrap_err().to_string();
        assert!(error.contains(fault) && error.contains("HOST:PORT"), "{error}");
    }
}
