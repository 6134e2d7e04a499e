//! What can happen, as values. Every room may tell; only `audit/` and `metrics.rs` listen.
//! Knows no log format: an event names its fields, the listener writes them.

use std::fmt::{self, Display};
use std::pin::Pin;
use std::sync::Arc;

/// How much an event matters; the words are syslog's (RFC 5424 section 6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something is broken and stays so until somebody acts.
    Error,
    /// Something was refused or is about to break.
    Warning,
    /// Normal, and worth a record.
    Notice,
    /// Detail.
    Info,
}

impl Severity {
    /// Every severity with its name in the configuration and in records, the gravest first.
    pub const NAMES: &'static [(&'static str, Severity)] = &[
        ("error", Severity::Error),
        ("warning", Severity::Warning),
        ("notice", Severity::Notice),
        ("info", Severity::Info),
    ];

    /// The number in syslog and the journal.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Severity::Error => 3,
            Severity::Warning => 4,
            Severity::Notice => 5,
            Severity::Info => 6,
        }
    }

    /// The name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        Severity::NAMES.iter().find(|(_, severity)| *severity == self).map_or("", |(name, _)| name)
    }
}

/// Why a connection was turned away before TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The source is in no allowed range.
    Allowlist,
    /// All connections in use.
    MaxConnections,
    /// Too many connections of this source.
    MaxConnectionsPerSource,
    /// Too many connections that have not yet proved who they are.
    MaxHandshakes,
    /// The same, of this source.
    MaxHandshakesPerSource,
    /// By chance, as there are many that have not yet proved who they are.
    Early,
    /// The source has failed too often, or kept handshakes waiting.
    Penalty,
    /// Too many connections of this trusted proxy.
    MaxConnectionsPerProxy,
    /// A trusted proxy did not say whom it speaks for.
    ProxyHeader,
    /// Somebody who is no trusted proxy sent a PROXY header.
    ProxyNotTrusted,
}

impl Refusal {
    /// Every refusal with its word in records and metrics.
    pub const WORDS: &'static [(Refusal, &'static str)] = &[
        (Refusal::Allowlist, "allowlist"),
        (Refusal::MaxConnections, "max-connections"),
        (Refusal::MaxConnectionsPerSource, "max-connections-per-source"),
        (Refusal::MaxHandshakes, "max-handshakes"),
        (Refusal::MaxHandshakesPerSource, "max-handshakes-per-source"),
        (Refusal::Early, "early"),
        (Refusal::Penalty, "penalty"),
        (Refusal::MaxConnectionsPerProxy, "max-connections-per-proxy"),
        (Refusal::ProxyHeader, "proxy-header"),
        (Refusal::ProxyNotTrusted, "proxy-not-trusted"),
    ];

    /// The word in records and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        Refusal::WORDS.iter().find(|(refusal, _)| *refusal == self).map_or("", |(_, word)| word)
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The client closed.
    ClosedByClient,
    /// No request for the idle time.
    Idle,
    /// The client did not read its answers for the write deadline.
    WriteDeadline,
    /// A query was too long.
    QueryTooLong,
    /// The connection broke.
    Lost,
    /// The server stops.
    ShuttingDown,
    /// The server stopped before the session had finished.
    CutAtStop,
    /// A reload took the client's right to be here.
    NoLongerPermitted,
    /// The time of the client, or of its certificate, is over.
    Expired,
    /// That the client was let in could not be written where `on-overflow = "refuse"` asks for it.
    Unrecorded,
}

impl SessionEnd {
    /// The word in records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            SessionEnd::ClosedByClient => "closed-by-client",
            SessionEnd::Idle => "idle",
            SessionEnd::WriteDeadline => "write-deadline",
            SessionEnd::QueryTooLong => "query-too-long",
            SessionEnd::Lost => "connection-lost",
            SessionEnd::ShuttingDown => "shutting-down",
            SessionEnd::CutAtStop => "cut-at-stop",
            SessionEnd::NoLongerPermitted => "no-longer-permitted",
            SessionEnd::Expired => "expired",
            SessionEnd::Unrecorded => "record-not-written",
        }
    }
}

/// A kind of event, as the reference tells it.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name in records.
    pub name: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What happened, in words for people.
    pub message: &'static str,
    /// When it is told.
    pub meaning: &'static str,
    /// Its fields, as the code names them.
    pub fields: &'static [&'static str],
}

/// Declares the events once: name in records, severity, message and fields stand in one place.
macro_rules! events {
    ($( $(#[doc = $doc:literal])* $variant:ident = $name:literal, $severity:ident, $message:literal { $( $field:ident: $type:ty ),* $(,)? } )*) => {
        /// What can happen. `connection` numbers the admitted connections of a process and ties its records together.
        /// Fields that a peer or a file chose are plain strings here and escaped by whoever writes them.
        #[derive(Clone, Debug)]
        #[allow(missing_docs)]
        pub enum Event {
            $( $(#[doc = $doc])* $variant { $( $field: $type ),* } ),*
        }

        impl Event {
            /// Every kind of event, for the reference.
            pub const KINDS: &[Kind] = &[
                $( Kind { name: $name, severity: Severity::$severity, message: $message, meaning: concat!($($doc),*), fields: &[$( stringify!($field) ),*] } ),*
            ];

            /// The event's name in records, as `event=`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $( Event::$variant { .. } => $name ),* }
            }

            /// How much it matters.
            #[must_use]
            pub fn severity(&self) -> Severity {
                match self { $( Event::$variant { .. } => Severity::$severity ),* }
            }

            /// What happened, in words for people.
            #[must_use]
            pub fn message(&self) -> &'static str {
                match self { $( Event::$variant { .. } => $message ),* }
            }

            /// Hands every field to `write`, in order; underscores become hyphens in records.
            pub fn fields(&self, mut write: impl FnMut(&'static str, &dyn Display)) {
                match self {
                    $( Event::$variant { $( $field ),* } => { $( write(stringify!($field), $field); )* } ),*
                }
                let _ = &mut write;
            }
        }
    };
}

events! {
    /// The configuration is good and the daemon begins to load.
    Starting = "starting", Notice, "linekeepd starts" { version: &'static str, config: String }
    /// Who the process is, and how much of landlock(7), the kernel's fence around files and ports, there is.
    Confined = "confined", Notice, "rights given up" { user: String, landlock: String }
    /// Every listener accepts; every list was loaded, or what is wrong with it was told.
    Ready = "ready", Notice, "ready to answer" { listeners: usize, lists: usize, lines: u64 }
    /// The daemon is asked to stop.
    Stopping = "stopping", Notice, "stopping" { reason: &'static str, connections: u64 }
    /// The last record of this process.
    Stopped = "stopped", Notice, "stopped" { cut_connections: usize }
    /// A listener accepts connections.
    ListenerUp = "listener-up", Notice, "listening" { listener: Arc<str>, address: String, mode: &'static str }
    /// A listener accepts connections no more.
    ListenerDown = "listener-down", Notice, "listening no more" { listener: Arc<str>, address: String }
    /// A listener asks for no identity.
    ListenerOpen = "listener-open", Warning,
        "this listener asks nobody who they are: whoever is let in may look up as the named client"
        { listener: Arc<str>, client: Arc<str>, allow: String }
    /// A list was read whole, and this generation of it is in service.
    ListLoaded = "list-loaded", Notice, "list loaded"
        { list: Arc<str>, generation: u64, files: usize, lines: u64, distinct: u64, longest: u64, skipped_empty: u64,
          skipped_comment: u64, skipped_long: u64, bytes: u64, milliseconds: u128, memory: u64 }
    /// A list that is searched by reading its files has another content; there is no index of it to report on.
    ListChanged = "list-changed", Info, "new content, searched by reading the files"
        { list: Arc<str>, generation: u64, files: usize, bytes: u64 }
    /// What is there of a list now is not taken into service; `in_service` is what answers instead.
    ListRefused = "list-refused", Error, "list not taken as it is; in-service says what answers"
        { list: Arc<str>, fault: String, in_service: String }
    /// What was wrong with a list is mended.
    ListRestored = "list-restored", Notice, "list is good again" { list: Arc<str> }
    /// A list has become older than it may be.
    ListStale = "list-stale", Error, "list is older than max-age allows" { list: Arc<str>, age_seconds: u64, limit_seconds: u64 }
    /// Old bytes of a list changed whose writers were said to append only.
    ListWordBroken = "list-word-broken", Error, "old bytes changed although writer = \"appends\"; everything was read anew"
        { list: Arc<str>, path: String }
    /// Scan and index took turns.
    ListSearch = "list-search", Info, "list is searched another way from now on" { list: Arc<str>, search: &'static str, reason: String }
    /// A connection was turned away before TLS.
    Refused = "connection-refused", Warning, "connection refused"
        { listener: Arc<str>, source: String, proxy: String, reason: Refusal, detail: String }
    /// A source is turned away from now on, for a while.
    PenaltyBegun = "penalty-begun", Warning, "too many failed logins or slow handshakes: this source is refused for a while"
        { listener: Arc<str>, source: String, seconds: u64 }
    /// No proof of identity came out of the handshake.
    HandshakeFailed = "handshake-failed", Warning, "handshake failed"
        { connection: u64, listener: Arc<str>, source: String, proxy: String, reason: String, alert: String, identity: String }
    /// Somebody proved who they are and is still not let in.
    ClientDenied = "client-denied", Warning, "client denied"
        { connection: u64, listener: Arc<str>, source: String, proxy: String, evidence: String, reason: &'static str }
    /// A client may ask.
    ClientAdmitted = "client-admitted", Notice, "client admitted"
        { connection: u64, listener: Arc<str>, source: String, proxy: String, client: Arc<str>, evidence: String, tls: String,
          cipher: String }
    /// A client asks faster than it may.
    RateLimited = "rate-limited", Warning, "queries refused: the client asks faster than it may"
        { connection: u64, client: Arc<str>, source: String, refused: u64 }
    /// A session is over.
    SessionEnded = "session-ended", Notice, "session ended"
        { connection: u64, listener: Arc<str>, source: String, client: Arc<str>, reason: SessionEnd, queries: Amount, found: Amount,
          limited: Amount, invalid: Amount, bytes_read: u64, bytes_written: u64, seconds: u64 }
    /// New configuration, keys and certificates are in service, and of each list what could be taken.
    Reloaded = "reloaded", Notice, "reloaded"
        { by: String, generation: u64, changes: usize, lists: usize, list_faults: usize, lines: u64, milliseconds: u128 }
    /// One thing that a reload changed; one event each, told after [`Event::Reloaded`].
    ReloadChanged = "reload-changed", Notice, "changed by the reload" { by: String, generation: u64, change: String }
    /// Nothing changed; one event a fault.
    ReloadFailed = "reload-failed", Error, "reload refused; the last good state stays in service" { by: String, fault: String }
    /// A socket could not be accepted.
    AcceptFailed = "accept-failed", Error, "could not accept a connection; trying again" { listener: Arc<str>, error: String }
    /// A certificate or CRL file on the disk is another than the one in service.
    PaperRenewed = "paper-renewed", Notice, "another file lies on the disk; reload to take it into service"
        { path: String, days_left: String }
    /// The system's clock was set, or the machine slept.
    ClockJumped = "clock-jumped", Warning, "the clock jumped; times of records before and after do not compare" { seconds: i64 }
    /// Sockets can be accepted again.
    AcceptRestored = "accept-restored", Notice, "connections are accepted again; closed says how many were turned away meanwhile"
        { listener: Arc<str>, failures: u64, closed: u64 }
    /// Something is well for now and will not stay so.
    Warned = "warning", Warning, "attention" { about: String }
    /// Records were lost before they could be written.
    RecordsLost = "records-lost", Error, "records were lost" { sink: &'static str, count: u64 }
    /// Records of one kind about one source were too many; the counters have them all.
    RecordsSuppressed = "records-suppressed", Warning, "more records of this kind about this source were left out"
        { of: &'static str, source: String, count: u64 }
    /// A record sink does not take records.
    SinkFailed = "sink-failed", Warning, "records cannot be written here for now" { sink: &'static str, error: String }
    /// How far the trail has come, for the places beside it.
    Checkpoint = "checkpoint", Notice, "the trail has come so far" { epoch: u64, count: u64, tag: String, mac: String }
    /// A file of the trail became too old, or all became too much; told before it is removed.
    TrailRemoved = "trail-removed", Notice, "a file of the trail is removed, as keep-days and keep-bytes say"
        { file: u64, day: String, bytes: u64 }
    /// Somebody asked, with the query as a digest.
    QueryDigest = "query", Info, "looked up"
        { connection: u64, source: Arc<str>, client: Arc<str>, answer: &'static str, digest_epoch: u64, digest: String }
    /// Somebody asked, with the query.
    QueryPlain = "query", Info, "looked up"
        { connection: u64, source: Arc<str>, client: Arc<str>, answer: &'static str, bytes: usize, query: String }
    /// Somebody without the right used the control socket.
    ControlDenied = "control-denied", Warning, "control connection denied" { uid: u32 }
}

/// A count that a record may be told to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(pub Option<u64>);

impl Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(amount) => write!(f, "{amount}"),
            None => f.write_str("not-recorded"),
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The queries of one turn of a session, for records of each.
#[derive(Clone, Debug)]
pub struct Queries {
    /// Whose they are.
    pub connection: u64,
    /// Where it comes from.
    pub source: Arc<str>,
    /// Who it is.
    pub client: Arc<str>,
    /// Whether the records hold the queries themselves, not digests.
    pub plain: bool,
    /// All queries, one behind the other.
    pub bytes: Vec<u8>,
    /// Where each ends, and the word of its answer.
    pub ends: Vec<(usize, &'static str)>,
}

impl Queries {
    /// Adds one.
    pub fn add(&mut self, query: &[u8], answer: &'static str) {
        self.bytes.extend_from_slice(query);
        self.ends.push((self.bytes.len(), answer));
    }

    /// Each query with the word of its answer.
    pub fn each(&self) -> impl Iterator<Item = (&[u8], &'static str)> {
        let mut start = 0;
        self.ends.iter().map(move |(end, answer)| {
            let query = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            (query, *answer)
        })
    }
}

/// Tells whether what was told is written where it has to be. Ready at once where nobody has to wait.
pub struct Receipt(Option<Pin<Box<dyn Future<Output = bool> + Send>>>);

impl Receipt {
    /// Nobody has to wait.
    pub const READY: Receipt = Receipt(None);

    /// As this tells.
    pub fn new(written: impl Future<Output = bool> + Send + 'static) -> Receipt {
        Receipt(Some(Box::pin(written)))
    }

    /// Whether nobody has to wait.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.is_none()
    }

    /// Whether it is written, once that is known.
    pub async fn written(self) -> bool {
        match self.0 {
            Some(written) => written.await,
            None => true,
        }
    }
}

/// Who listens to events. Everything here returns at once.
pub trait Listen: Send + Sync {
    /// Hears an event, and says when it is written.
    fn hear(&self, event: Event) -> Receipt;

    /// Hears queries, and says when their records are written.
    fn hear_queries(&self, _: Queries) -> Receipt {
        Receipt::READY
    }

    /// Whether records cannot be written for now, and nothing may be answered without.
    fn refuses(&self) -> bool {
        false
    }
}

impl<F: Fn(Event) + Send + Sync> Listen for F {
    fn hear(&self, event: Event) -> Receipt {
        self(event);
        Receipt::READY
    }
}

/// Where rooms tell events. Cheap to clone; telling never blocks.
#[derive(Clone)]
pub struct Teller(Arc<dyn Listen>);

impl Teller {
    /// A teller that hands every event to `listen`.
    pub fn new(listen: impl Listen + 'static) -> Teller {
        Teller(Arc::new(listen))
    }

    /// Tells what happened.
    pub fn tell(&self, event: Event) {
        drop(self.0.hear(event));
    }

    /// Tells what happened, for whoever has to know that it is written before they go on.
    #[must_use]
    pub fn tell_and_ask(&self, event: Event) -> Receipt {
        self.0.hear(event)
    }

    /// Tells what was asked.
    #[must_use]
    pub fn tell_queries(&self, queries: Queries) -> Receipt {
        self.0.hear_queries(queries)
    }

    /// Whether records cannot be written for now, and nothing may be answered without.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.0.refuses()
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}
