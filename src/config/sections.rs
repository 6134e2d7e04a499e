//! The sections that stand once: `[server]`, `[log]`, `[control]`. Their keys are defined here and nowhere else.

use super::fault::Gathering;
use super::key::{self, Described, Key};
use super::table::Table;
use super::{Control, Local, Log, Server};
use crate::event::Severity;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CONNECTIONS: &str = "a whole number from 1 to 1000000";
const TIME: &str = "a time from \"100ms\" to \"24h\", such as \"10s\" or \"1m 30s\"";

const THREADS: Key<u64> = Key {
    name: "threads",
    default: Some("0"),
    allowed: "a whole number from 0 to 256",
    meaning: "Threads that answer. 0 means one for each core.",
    read: key::number::<0, 256>,
};
const MAX_CONNECTIONS: Key<u64> = Key {
    name: "max-connections",
    default: Some("1024"),
    allowed: CONNECTIONS,
    meaning: "Connections open at a time, over all listeners. One more is closed at once.",
    read: key::number::<1, 1_000_000>,
};
const MAX_CONNECTIONS_PER_SOURCE: Key<u64> = Key {
    name: "max-connections-per-source",
    default: Some("64"),
    allowed: "a whole number from 1 to max-connections",
    meaning: "Of these, at most so many from one source: one IPv4 address, one IPv6 /64, or one local user on a UNIX socket.",
    read: key::number::<1, 1_000_000>,
};
const MAX_HANDSHAKES: Key<u64> = Key {
    name: "max-handshakes",
    default: Some("100"),
    allowed: "a whole number from 1 to max-connections",
    meaning: "Connections at a time that have not yet proved who they are.",
    read: key::number::<1, 1_000_000>,
};
const MAX_HANDSHAKES_PER_SOURCE: Key<u64> = Key {
    name: "max-handshakes-per-source",
    default: Some("16"),
    allowed: "a whole number from 1 to max-handshakes",
    meaning: "Of these, at most so many from one source.",
    read: key::number::<1, 1_000_000>,
};
const MAX_CONNECTIONS_PER_PROXY: Key<u64> = Key {
    name: "max-connections-per-proxy",
    default: Some("1024"),
    allowed: "a whole number from 1 to max-connections",
    meaning: "Connections of one trusted proxy at a time, whomever it speaks for. The caps per source count whom it speaks for.",
    read: key::number::<1, 1_000_000>,
};
const EARLY_REFUSAL_FROM: Key<u64> = Key {
    name: "early-refusal-from",
    default: Some("50"),
    allowed: "a percentage from 1 to 100; 100 refuses nobody early",
    meaning: "From how much of max-handshakes on new connections are refused by chance (as sshd's `MaxStartups`): a flood then \
        cannot keep everybody else out for certain.",
    read: key::number::<1, 100>,
};
const EARLY_REFUSAL_CHANCE: Key<u64> = Key {
    name: "early-refusal-chance",
    default: Some("30"),
    allowed: "a percentage from 0 to 100",
    meaning: "How many of them are refused at that point. The chance grows to all at max-handshakes.",
    read: key::number::<0, 100>,
};
const BACKLOG: Key<u64> = Key {
    name: "backlog",
    default: Some("512"),
    allowed: "a whole number from 1 to 65535",
    meaning: "The kernel's queue of connections that wait to be accepted, for each listener (listen(2)).",
    read: key::number::<1, 65_535>,
};
const HANDSHAKE_DEADLINE: Key<Duration> = Key {
    name: "handshake-deadline",
    default: Some("\"10s\""),
    allowed: TIME,
    meaning: "From the accepted connection to the proven client.",
    read: key::deadline,
};
const IDLE_TIMEOUT: Key<Duration> = Key {
    name: "idle-timeout",
    default: Some("\"60s\""),
    allowed: TIME,
    meaning: "A session without a whole request for so long is ended. Single bytes do not count.",
    read: key::deadline,
};
const WRITE_DEADLINE: Key<Duration> = Key {
    name: "write-deadline",
    default: Some("\"10s\""),
    allowed: TIME,
    meaning: "A client that takes none of its answers for so long is cut.",
    read: key::deadline,
};
const DRAIN_DEADLINE: Key<Duration> = Key {
    name: "drain-deadline",
    default: Some("\"5s\""),
    allowed: TIME,
    meaning: "At stop: how long sessions may take to finish what was read. Then they are cut.",
    read: key::deadline,
};
const MAX_QUERY_BYTES: Key<u64> = Key {
    name: "max-query-bytes",
    default: Some("4096"),
    allowed: "a whole number from 1 to 65536",
    meaning: "The longest query, without its line end. A longer one is answered with an error and ends the connection.",
    read: key::number::<1, 65_536>,
};
const MAX_INDEX_BYTES: Key<u64> = Key {
    name: "max-index-bytes",
    default: Some("\"4 GiB\""),
    allowed: "bytes, as a whole number or as \"512 MiB\", from 1 MiB to 1024 TiB",
    meaning: "The memory ceiling: what the indexes of all lists may take together, old and new ones included. A line takes 12 bytes \
        (16 in lists below some 120,000 lines), however long it is; one that was appended since its index was built, 40. While one \
        list is read, each of its lines takes 16 bytes besides. A load that would take more is refused: the last good generation \
        stays, or, with `freshness = \"on-query\"`, the files are searched instead.",
    read: key::bytes::<{ 1 << 20 }>,
};

const STATE_FOLDER: Key<PathBuf> = Key {
    name: "state-folder",
    default: None,
    allowed: "the path of a folder that the daemon's user may write in",
    meaning: "Where the daemon keeps what should outlive it: when each key was first and last used. Without this key it forgets that at stop.",
    read: key::path,
};

pub(super) const SERVER: &[Described] = &[
    THREADS.described(),
    MAX_CONNECTIONS.described(),
    MAX_CONNECTIONS_PER_SOURCE.described(),
    MAX_HANDSHAKES.described(),
    MAX_HANDSHAKES_PER_SOURCE.described(),
    MAX_CONNECTIONS_PER_PROXY.described(),
    EARLY_REFUSAL_FROM.described(),
    EARLY_REFUSAL_CHANCE.described(),
    BACKLOG.described(),
    HANDSHAKE_DEADLINE.described(),
    IDLE_TIMEOUT.described(),
    WRITE_DEADLINE.described(),
    DRAIN_DEADLINE.described(),
    MAX_QUERY_BYTES.described(),
    MAX_INDEX_BYTES.described(),
    STATE_FOLDER.described(),
];

pub(super) fn server(table: &Table<'_, '_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<Server> {
    let mut count = |key| table.take::<u64>(key, faults).map(|taken| (to_usize(taken.value), taken.at));
    let threads = count(&THREADS);
    let connections = count(&MAX_CONNECTIONS);
    let per_source = count(&MAX_CONNECTIONS_PER_SOURCE);
    let handshakes = count(&MAX_HANDSHAKES);
    let handshakes_per_source = count(&MAX_HANDSHAKES_PER_SOURCE);
    let per_proxy = count(&MAX_CONNECTIONS_PER_PROXY);
    let query = count(&MAX_QUERY_BYTES);
    let early_refusal_from = table.value(&EARLY_REFUSAL_FROM, faults);
    let early_refusal_chance = table.value(&EARLY_REFUSAL_CHANCE, faults);
    let mut time = |key| table.value::<Duration>(key, faults);
    let handshake_deadline = time(&HANDSHAKE_DEADLINE);
    let idle_timeout = time(&IDLE_TIMEOUT);
    let write_deadline = time(&WRITE_DEADLINE);
    let drain_deadline = time(&DRAIN_DEADLINE);
    let backlog = table.value(&BACKLOG, faults);
    let max_index_bytes = table.value(&MAX_INDEX_BYTES, faults);
    let state_folder = table.optional(&STATE_FOLDER, faults);
    for (small, small_key, large, large_key) in [
        (per_source, &MAX_CONNECTIONS_PER_SOURCE, connections, &MAX_CONNECTIONS),
        (per_proxy, &MAX_CONNECTIONS_PER_PROXY, connections, &MAX_CONNECTIONS),
        (handshakes, &MAX_HANDSHAKES, connections, &MAX_CONNECTIONS),
        (handshakes_per_source, &MAX_HANDSHAKES_PER_SOURCE, handshakes, &MAX_HANDSHAKES),
    ] {
        let (Some((small, at)), Some((large, large_at))) = (small, large) else { continue };
        // A default that no longer fits gives way to what the operator wrote.
        if small > large && at.is_some() {
            let place = at.or(large_at).unwrap_or(table.at);
            table.fault(
                place,
                small_key.name,
                small.to_string(),
                format!("at most {} = {large}", large_key.name),
                faults,
            );
        }
    }
    let fit = |small: (usize, Option<usize>), large: (usize, Option<usize>)| small.0.min(large.0);
    let handshakes = (fit(handshakes?, connections?), None);
    Some(Server {
        threads: match threads?.0 {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        },
        max_connections: connections?.0,
        max_connections_per_source: fit(per_source?, connections?),
        max_handshakes: handshakes.0,
        max_handshakes_per_source: fit(handshakes_per_source?, handshakes),
        max_connections_per_proxy: fit(per_proxy?, connections?),
        early_refusal_from: u8::try_from(early_refusal_from?).unwrap_or(100),
        early_refusal_chance: u8::try_from(early_refusal_chance?).unwrap_or(0),
        backlog: u32::try_from(backlog?).unwrap_or(u32::MAX),
        handshake_deadline: handshake_deadline?,
        idle_timeout: idle_timeout?,
        write_deadline: write_deadline?,
        drain_deadline: drain_deadline?,
        max_query_bytes: query?.0,
        max_index_bytes: max_index_bytes?,
        state_folder: state_folder.map(|path| folder.join(path.value)),
    })
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const LEVEL: Key<Severity> = Key {
    name: "level",
    default: Some("\"notice\""),
    allowed: "\"error\", \"warning\", \"notice\" or \"info\"",
    meaning: "Events of lesser weight are not told.",
    read: |value| key::word(value, Severity::NAMES),
};
const STDERR: Key<Option<bool>> = Key {
    name: "stderr",
    default: Some("\"auto\""),
    allowed: "\"auto\", true or false",
    meaning: "Tell events on standard error. `auto` does, unless systemd hands it to the journal and the local daemon has them already.",
    read: |value| match value.as_str() {
        Some("auto") => Ok(None),
        _ => key::boolean(value).map(Some),
    },
};
const LOCAL: Key<Local> = Key {
    name: "local",
    default: Some("\"auto\""),
    allowed: "\"auto\", \"journal\", \"syslog\" or \"none\"",
    meaning: "The one local daemon that takes events, so that each record is there once: journald with its fields by name, or syslog, facility \
        AUTHPRIV. `auto` is journald where its socket is at start, which hands them on to a syslog beside it, as far as that \
        keeps up: journald waits for none; else syslog.",
    read: |value| {
        let words =
            [("auto", Local::Auto), ("journal", Local::Journal), ("syslog", Local::Syslog), ("none", Local::None)];
        key::word(value, &words)
    },
};
const JOURNAL_SOCKET: Key<PathBuf> = Key {
    name: "journal-socket",
    default: Some("\"/run/systemd/journal/socket\""),
    allowed: "the path of a datagram socket",
    meaning: "Where journald listens for entries with fields.",
    read: key::path,
};
const SYSLOG_SOCKET: Key<PathBuf> = Key {
    name: "syslog-socket",
    default: Some("\"/dev/log\""),
    allowed: "the path of a datagram socket",
    meaning: "Where the local syslog listens.",
    read: key::path,
};

pub(super) const LOG: &[Described] =
    &[LEVEL.described(), STDERR.described(), LOCAL.described(), JOURNAL_SOCKET.described(), SYSLOG_SOCKET.described()];

pub(super) fn log(table: &Table<'_, '_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<Log> {
    let level = table.value(&LEVEL, faults);
    let stderr = table.value(&STDERR, faults);
    let local = table.value(&LOCAL, faults);
    let journal_socket = table.value(&JOURNAL_SOCKET, faults);
    let syslog_socket = table.value(&SYSLOG_SOCKET, faults);
    Some(Log {
        level: level?,
        stderr: stderr?,
        local: local?,
        journal_socket: folder.join(journal_socket?),
        syslog_socket: folder.join(syslog_socket?),
    })
}

const ENABLED: Key<bool> = Key {
    name: "enabled",
    default: Some("true"),
    allowed: "true or false",
    meaning: "Whether there is a control socket for `linekeepctl`.",
    read: key::boolean,
};
const SOCKET: Key<PathBuf> = Key {
    name: "socket",
    default: Some("\"/run/linekeep/control.sock\""),
    allowed: "a path",
    meaning: "The control socket. Root and the daemon's own user may use it, others as its group and mode allow.",
    read: key::path,
};
const MODE: Key<u32> = Key {
    name: "mode",
    default: Some("\"0660\""),
    allowed: "permission bits such as \"0660\": read and write for the owner, nothing for others",
    meaning: "The control socket's permission bits.",
    read: key::mode,
};
const GROUP: Key<String> = Key {
    name: "group",
    default: None,
    allowed: "a group's name or number",
    meaning: "The control socket's group; without it, the daemon's own.",
    read: key::name,
};

pub(super) const CONTROL: &[Described] =
    &[ENABLED.described(), SOCKET.described(), MODE.described(), GROUP.described()];

/// `Some(None)`: switched off.
#[allow(clippy::option_option, reason = "outside: whether it could be read; inside: whether there is one")]
pub(super) fn control(table: &Table<'_, '_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<Option<Control>> {
    let enabled = table.value(&ENABLED, faults);
    let socket = table.take(&SOCKET, faults);
    let socket = socket.and_then(|socket| table.socket_path(&SOCKET, socket.at, folder.join(socket.value), faults));
    let mode = table.value(&MODE, faults);
    let group = table.optional(&GROUP, faults).map(|group| group.value);
    let control = Control { socket: socket?, mode: mode?, group };
    Some(enabled?.then_some(control))
}

/// Where the control socket is when nobody says.
pub const DEFAULT_CONTROL_SOCKET: &str = "/run/linekeep/control.sock";
