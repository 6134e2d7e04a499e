//! Records of queries: one for each, by digest or plain. Runs on the audit thread: no answering thread computes a digest.

use super::chain::Master;
use crate::event::{Event, Queries};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Days since 1970-01-01, UTC: the epoch of digests.
#[must_use]
pub fn day_number(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / (24 * 3600))
}

/// The query as plain records hold it: text as it is, other bytes escaped.
#[must_use]
pub fn text(query: &[u8]) -> String {
    std::str::from_utf8(query).map_or_else(|_| query.escape_ascii().to_string(), str::to_owned)
}

/// One event a query. Without a key there are no digests, and no records by digest.
pub(super) fn events<'a>(
    queries: &'a Queries,
    time: SystemTime,
    master: Option<&'a Master>,
) -> impl Iterator<Item = Event> + 'a {
    let day = day_number(time);
    queries.each().filter_map(move |(query, answer)| {
        let (connection, source, client) =
            (queries.connection, Arc::clone(&queries.source), Arc::clone(&queries.client));
        if queries.plain {
            let (bytes, query) = (query.len(), text(query));
            return Some(Event::QueryPlain { connection, source, client, answer, bytes, query });
        }
        let digest = master?.digest(day, query);
        Some(Event::QueryDigest { connection, source, client, answer, digest_epoch: day, digest })
    })
}
