//! What the configuration means. Everything here is already checked: whoever holds a [`Config`] need not doubt it.
//! The way from what was typed to what is meant, with every fault on it, is `config/`'s other rooms.

mod audit;
mod client;
mod dataset;
mod fault;
mod forward;
mod key;
mod listener;
mod parse;
mod penalties;
mod places;
mod records;
mod reference;
mod sections;
mod table;

pub use audit::{Audit, Fsync, OnOverflow, Queries, Trail};
pub use fault::{Fault, Faults};
pub use parse::{load, parse};
pub use places::Places;
pub use records::{Forward, ForwardFormat, ForwardTo, Local, Log};
pub use reference::reference;
pub use sections::DEFAULT_CONTROL_SOCKET;

use crate::allowlist::Allowlist;
use crate::cipher_policy::Profile;
use crate::normalise::Normalisation;
use crate::protocol::Text;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Where the configuration is when nobody says.
pub const DEFAULT_FILE: &str = "/etc/linekeep/linekeep.toml";

/// Files of one list at most: with [`Freshness::OnQuery`] each is looked at for every batch of queries.
pub const MAX_FILES: usize = 4096;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[penalties]`
    pub penalties: Penalties,
    /// `[log]`
    pub log: Log,
    /// `[[forward]]`, names distinct.
    pub forwards: Vec<Forward>,
    /// `[audit]`
    pub audit: Audit,
    /// `[control]`; `None` when switched off.
    pub control: Option<Control>,
    /// `[[listener]]`, at least one, names distinct.
    pub listeners: Vec<Listener>,
    /// `[[dataset]]`, at least one, names distinct.
    pub datasets: Vec<Dataset>,
    /// `[[client]]`, names distinct; no identity or certificate name stands in two clients.
    pub clients: Vec<Client>,
}

/// `[server]`: limits that hold for all listeners together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Threads that answer; 0 in the file means one for each core, and is already resolved here.
    pub threads: usize,
    /// Connections in all.
    pub max_connections: usize,
    /// Connections of one source (IPv4 address, or IPv6 /64).
    pub max_connections_per_source: usize,
    /// Connections in all that have not yet proved who they are.
    pub max_handshakes: usize,
    /// The same, of one source.
    pub max_handshakes_per_source: usize,
    /// Connections of one trusted proxy.
    pub max_connections_per_proxy: usize,
    /// From how many percent of `max_handshakes` on some are refused by chance.
    pub early_refusal_from: u8,
    /// How many percent of them there; it grows to all of them at `max_handshakes`.
    pub early_refusal_chance: u8,
    /// The kernel's queue of connections not yet accepted (listen(2)).
    pub backlog: u32,
    /// From accept to identified.
    pub handshake_deadline: Duration,
    /// Without a whole request.
    pub idle_timeout: Duration,
    /// Without progress while answers wait to be written.
    pub write_deadline: Duration,
    /// At stop: how long sessions may take to end.
    pub drain_deadline: Duration,
    /// Of one query, without its LF.
    pub max_query_bytes: usize,
    /// Where the daemon keeps what should outlive it.
    pub state_folder: Option<PathBuf>,
    /// Memory ceiling: bytes that the indexes of all lists may take, old and new generation together.
    pub max_index_bytes: u64,
}

/// `[penalties]`: what failed logins and slow handshakes cost a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Penalties {
    /// Whether there are any.
    pub enabled: bool,
    /// For an identity or certificate that proves nothing.
    pub failed_login: Duration,
    /// For a connection that shows none.
    pub no_login: Duration,
    /// For a handshake that is not done by its deadline.
    pub slow_handshake: Duration,
    /// From how much on a source is turned away.
    pub enforce_from: Duration,
    /// More never gathers.
    pub longest: Duration,
    /// Who gets none.
    pub exempt: Allowlist,
}

/// `[control]`: the socket of `linekeepctl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The socket file.
    pub socket: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Its group, by name or number; `None` keeps the daemon's own.
    pub group: Option<String>,
}

/// `[[listener]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in records.
    pub name: Arc<str>,
    /// Where it listens.
    pub bind: Bind,
    /// Who may connect at all. Not asked for on a UNIX socket, whose file mode decides.
    pub allow: Allowlist,
    /// Who speaks for others: connections from here begin with a PROXY header.
    pub trusted_proxies: Allowlist,
    /// How it protects and identifies.
    pub protection: Protection,
    /// What to do with a proven identity that no `[[client]]` names.
    pub unlisted: Unlisted,
    /// Which bytes queries may hold.
    pub text: Text,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// An address and port; port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// A UNIX socket with these permission bits.
    Unix {
        /// The socket file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// How a listener protects and identifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// No TLS: loopback or a UNIX socket only. Everybody there is this client.
    Plain {
        /// Who everybody is.
        client: Arc<str>,
    },
    /// TLS.
    Tls {
        /// TLS versions.
        profile: Profile,
        /// What proves who a client is.
        mode: Mode,
    },
}

impl Protection {
    /// The mode's name in the configuration and in records.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Protection::Plain { .. } => "plain",
            Protection::Tls { mode, .. } => match mode {
                Mode::Psk { .. } => "psk",
                Mode::Certificate { .. } => "certificate",
                Mode::Either { .. } => "either",
                Mode::None { .. } => "none",
            },
        }
    }
}

/// What proves who a client is. Each mode holds just the files that it may load: a PSK listener cannot have a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A key of the keyring.
    Psk {
        /// Keyring file.
        keyring: PathBuf,
    },
    /// A client certificate.
    Certificate {
        /// What the server shows.
        server: ServerCertificate,
        /// Who signs clients.
        trust: ClientTrust,
    },
    /// One of the two.
    Either {
        /// Keyring file.
        keyring: PathBuf,
        /// What the server shows.
        server: ServerCertificate,
        /// Who signs clients.
        trust: ClientTrust,
    },
    /// Nothing: everybody in the allowlist is this client.
    None {
        /// What the server shows.
        server: ServerCertificate,
        /// Who everybody is.
        client: Arc<str>,
    },
}

/// What the server shows to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// PEM chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// PEM private key.
    pub private_key: PathBuf,
}

/// Who signs clients and who of them is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTrust {
    /// PEM file of CA certificates.
    pub client_ca: PathBuf,
    /// PEM file of CRLs, of every CA in a client's chain; `None` checks no revocation.
    pub crl: Option<PathBuf>,
    /// Whether a client's certificate has to say that it is for clients (extended key usage).
    pub require_client_eku: bool,
}

/// What to do with a proven identity that no `[[client]]` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlisted {
    /// Refuse it.
    Refuse,
    /// It is a client of its own name and may ask every list.
    Allow,
}

/// `[[dataset]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Its name.
    pub name: Arc<str>,
    /// Files, folders and globs, absolute. A folder stands for the plain files right inside it whose names do not begin with a dot.
    pub paths: Vec<PathBuf>,
    /// What makes two spellings one line.
    pub normalisation: Normalisation,
    /// When its files are looked at.
    pub freshness: Freshness,
    /// What its writers do to its files.
    pub writer: Writer,
    /// How it is searched.
    pub search: Search,
    /// What a generation has to be to go into service.
    pub guards: Guards,
    /// What is answered from a generation that has become older than `guards.max_age`.
    pub stale: Stale,
    /// Whether the daemon starts only with a good generation of it.
    pub required: bool,
    /// With [`Writer::Appends`]: how often what was read before is read again, to see whether the word was kept.
    pub recheck: Duration,
}

/// When a list's files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// At start and at reload.
    OnReload,
    /// Also whenever they change, which is noticed within a second.
    OnChange,
    /// At every batch of queries: the answer is true of the files at a moment between query and answer.
    OnQuery,
}

impl Freshness {
    /// The word in the configuration and in status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Freshness::OnReload => "on-reload",
            Freshness::OnChange => "on-change",
            Freshness::OnQuery => "on-query",
        }
    }
}

/// What a list's writers do to its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Anything.
    Any,
    /// They only add whole lines at the end; bytes once written never change.
    Appends,
}

/// How a list is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// As the facts suggest.
    Auto,
    /// By an index in memory.
    Index,
    /// By reading the files for every batch of queries; takes no memory. With [`Freshness::OnQuery`] alone.
    Scan,
}

/// What a generation has to be to go into service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    /// Lines at least.
    pub min_lines: u64,
    /// Lines at most.
    pub max_lines: Option<u64>,
    /// Bytes of all files at most.
    pub max_bytes: Option<u64>,
    /// How many percent of the lines of the generation in service may be gone.
    pub max_shrink_percent: Option<u8>,
    /// How old the oldest of its files may be: now minus its mtime.
    pub max_age: Option<Duration>,
}

/// What is answered from a generation that has become too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// `ERROR: list stale`.
    Error,
    /// What it says, with a warning in the records.
    Serve,
}

/// `[[client]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name in records.
    pub name: Arc<str>,
    /// PSK identities that are this client.
    pub psk_identities: Vec<String>,
    /// Certificates that are this client.
    pub certificates: Vec<CertificateName>,
    /// The datasets that it may ask; `None` means every one.
    pub datasets: Option<Vec<Arc<str>>>,
    /// Where it may come from; `None` means anywhere that the listener lets in.
    pub networks: Option<Allowlist>,
    /// How fast it may ask, over all its connections.
    pub rate: Option<Rate>,
    /// Its connections at a time.
    pub max_connections: Option<usize>,
    /// It may not come before.
    pub not_before: Option<SystemTime>,
    /// From then on it may not be here.
    pub expires: Option<SystemTime>,
    /// Whether it may come at all.
    pub enabled: bool,
}

/// Queries over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_second: u64,
    /// At once, after a pause.
    pub burst: u64,
}

/// How a certificate is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// `dns:NAME`, a subjectAltName of type dNSName, lower case.
    Dns(String),
    /// `uri:URI`, a subjectAltName of type uniformResourceIdentifier.
    Uri(String),
    /// `sha256:HEX`, the SHA-256 of the certificate's DER.
    Sha256([u8; 32]),
    /// `cn:NAME`, the subject's only common name. Not unique by any rule (RFC 6125 section 2.3), so only where it is asked for.
    Cn(String),
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateName::Dns(name) => write!(f, "dns:{name}"),
            CertificateName::Uri(uri) => write!(f, "uri:{uri}"),
            CertificateName::Cn(name) => write!(f, "cn:{name}"),
            CertificateName::Sha256(digest) => {
                f.write_str("sha256:")?;
                digest.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}
