//! `[audit]`: the chained trail, what is recorded of queries, and what happens when records cannot be written.

use super::fault::Gathering;
use super::key::{self, DAY, Described, Key, SECOND};
use super::table::Table;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The trail and its rules; `None` writes none.
    pub trail: Option<Trail>,
    /// The file of the master key.
    pub key: Option<PathBuf>,
    /// What is recorded of queries. The only key of the section that a reload may change.
    pub queries: Queries,
    /// What happens when records cannot be written.
    pub on_overflow: OnOverflow,
}

/// Where the trail is and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail {
    /// Its folder.
    pub folder: PathBuf,
    /// A file that would become longer is followed by a new one.
    pub max_file_bytes: u64,
    /// Files older than so many days are removed.
    pub keep_days: u64,
    /// The oldest files are removed while all together are longer.
    pub keep_bytes: u64,
    /// When what was written is forced to the disk.
    pub fsync: Fsync,
    /// How often a checkpoint is told.
    pub checkpoint_interval: Duration,
}

/// What is recorded of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queries {
    /// Nothing, not even how many.
    None,
    /// How many, at a session's end.
    Summary,
    /// A record for each, with a keyed digest of the query.
    Digest,
    /// A record for each, with the query.
    Plain,
}

impl Queries {
    const WORDS: [(&'static str, Queries); 4] = [
        ("none", Queries::None),
        ("summary", Queries::Summary),
        ("digest", Queries::Digest),
        ("plain", Queries::Plain),
    ];

    /// Whether each query has a record.
    #[must_use]
    pub fn each(self) -> bool {
        matches!(self, Queries::Digest | Queries::Plain)
    }
}

/// What happens when records cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOverflow {
    /// They are counted, and the count is recorded. Nothing waits.
    Count,
    /// No answer goes out before its record is in the trail.
    Refuse,
}

/// When what was written is forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// When the kernel likes.
    Never,
    /// So often.
    Interval(Duration),
    /// With every write.
    Always,
}

const TRAIL: Key<PathBuf> = Key {
    name: "trail",
    default: None,
    allowed: "the path of a folder that the daemon may write",
    meaning: "The folder of the chained trail (docs/audit.md). Without it there is none. The trail takes every event, whatever `[log] level` says.",
    read: key::path,
};
const KEY: Key<PathBuf> = Key {
    name: "key",
    default: None,
    allowed: "the path of a file that only the daemon may read, made by `linekeepctl audit key new FILE`",
    meaning: "The master key of the trail and of the digests. Needed with `trail` and with `queries = \"digest\"`.",
    read: key::path,
};
const QUERIES: Key<Queries> = Key {
    name: "queries",
    default: Some("\"summary\""),
    allowed: "\"none\", \"summary\", \"digest\" or \"plain\"",
    meaning: "What is recorded of queries. `none`: nothing; `session-ended` leaves the counts out. `summary`: their number, in \
        `session-ended`. `digest`: one record a query, with a keyed digest by which `linekeepctl audit find` finds it again. \
        `plain`: one record a query, with the query itself. Such records have the weight `info`: without a trail, they need `[log] level = \"info\"`. A reload may change this key.",
    read: |value| key::word(value, &Queries::WORDS),
};
const ON_OVERFLOW: Key<OnOverflow> = Key {
    name: "on-overflow",
    default: Some("\"count\""),
    allowed: "\"count\" or, with `trail`, \"refuse\"",
    meaning: "What happens when records come faster than they can be written, or cannot be written at all. `count`: they are lost, \
        the count is recorded, answers never wait. `refuse`: no answer goes out before its record is in the trail; as long as \
        that cannot be done, queries get `ERROR: server busy`.",
    read: |value| key::word(value, &[("count", OnOverflow::Count), ("refuse", OnOverflow::Refuse)]),
};
const MAX_FILE_BYTES: Key<u64> = Key {
    name: "max-file-bytes",
    default: Some("\"64 MiB\""),
    allowed: "bytes, as a whole number or as \"64 MiB\", from 64 KiB",
    meaning: "A file of the trail that would become longer is followed by a new one. Each UTC day and each start begin a new one as well.",
    read: key::bytes::<{ 64 << 10 }>,
};
const KEEP_DAYS: Key<u64> = Key {
    name: "keep-days",
    default: Some("400"),
    allowed: "a whole number from 1 to 36500",
    meaning: "Files of the trail that were begun more than so many days ago are removed; a record says so.",
    read: key::number::<1, 36_500>,
};
const KEEP_BYTES: Key<u64> = Key {
    name: "keep-bytes",
    default: Some("\"8 GiB\""),
    allowed: "bytes, as a whole number or as \"8 GiB\", at least twice max-file-bytes",
    meaning: "The oldest files of the trail are removed while all together are longer; a record says so.",
    read: key::bytes::<{ 128 << 10 }>,
};
const FSYNC: Key<u8> = Key {
    name: "fsync",
    default: Some("\"interval\""),
    allowed: "\"never\", \"interval\" or \"always\"",
    meaning: "When what was written to the trail is forced to the disk: what a power cut may take.",
    read: |value| key::word(value, &[("never", 0), ("interval", 1), ("always", 2)]),
};
const FSYNC_INTERVAL: Key<Duration> = Key {
    name: "fsync-interval",
    default: Some("\"1s\""),
    allowed: "a time from \"100ms\" to \"24h\"",
    meaning: "With `fsync = \"interval\"`: how often.",
    read: key::deadline,
};
const CHECKPOINT_INTERVAL: Key<Duration> = Key {
    name: "checkpoint-interval",
    default: Some("\"5m\""),
    allowed: "a time from \"1s\" to \"24h\"",
    meaning: "How often a checkpoint of the trail is told to the other places of `[log]`, if something was recorded since. Another is told at stop.",
    read: key::time::<SECOND, DAY>,
};

pub(super) const AUDIT: &[Described] = &[
    TRAIL.described(),
    KEY.described(),
    QUERIES.described(),
    ON_OVERFLOW.described(),
    MAX_FILE_BYTES.described(),
    KEEP_DAYS.described(),
    KEEP_BYTES.described(),
    FSYNC.described(),
    FSYNC_INTERVAL.described(),
    CHECKPOINT_INTERVAL.described(),
];

pub(super) fn audit(table: &Table<'_, '_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<Audit> {
    let trail = table.optional(&TRAIL, faults);
    let key = table.optional(&KEY, faults);
    let queries = table.take(&QUERIES, faults);
    let on_overflow = table.take(&ON_OVERFLOW, faults);
    let max_file_bytes = table.take(&MAX_FILE_BYTES, faults);
    let keep_days = table.value(&KEEP_DAYS, faults);
    let keep_bytes = table.take(&KEEP_BYTES, faults);
    let fsync = table.value(&FSYNC, faults);
    let fsync_interval = table.value(&FSYNC_INTERVAL, faults);
    let checkpoint_interval = table.value(&CHECKPOINT_INTERVAL, faults);
    let (trail_written, key_written) = (table.place_of(&TRAIL), table.place_of(&KEY).is_some());
    let (queries, on_overflow) = (queries?, on_overflow?);
    let needing = match trail_written {
        Some(at) => Some((at, "`trail`")),
        None if queries.value == Queries::Digest => queries.at.map(|at| (at, "`queries = \"digest\"`")),
        None => None,
    };
    if let (Some((at, what)), false) = (needing, key_written) {
        let allowed = format!("with {what}, {}", KEY.allowed);
        faults.absent(at, format!("{} {}", table.section, KEY.name), "nothing", allowed);
    }
    if trail_written.is_none() && on_overflow.value == OnOverflow::Refuse {
        let at = on_overflow.at.unwrap_or(table.at);
        table.fault(at, ON_OVERFLOW.name, "\"refuse\" without `trail`", ON_OVERFLOW.allowed, faults);
    }
    let (max_file_bytes, mut keep_bytes) = (max_file_bytes?, keep_bytes?);
    let least = max_file_bytes.value.saturating_mul(2);
    if keep_bytes.value < least {
        match keep_bytes.at {
            Some(at) => {
                let found = keep_bytes.value.to_string();
                table.fault(at, KEEP_BYTES.name, found, format!("at least twice max-file-bytes = {least}"), faults);
            }
            // A default that no longer fits gives way to what the operator wrote.
            None => keep_bytes.value = least,
        }
    }
    let fsync = match fsync? {
        0 => Fsync::Never,
        1 => Fsync::Interval(fsync_interval?),
        _ => Fsync::Always,
    };
    let (keep_days, checkpoint_interval) = (keep_days?, checkpoint_interval?);
    Some(Audit {
        trail: trail.map(|trail| Trail {
            folder: folder.join(trail.value),
            max_file_bytes: max_file_bytes.value,
            keep_days,
            keep_bytes: keep_bytes.value,
            fsync,
            checkpoint_interval,
        }),
        key: key.map(|key| folder.join(key.value)),
        queries: queries.value,
        on_overflow: on_overflow.value,
    })
}
