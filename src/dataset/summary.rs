//! What status says of a list.

use super::list::Core;
use super::telling::too_old;
use crate::config::{Freshness, Stale};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// One list, as it is now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// `good`, `stale` (older than `max-age`) or `unavailable`, as far as is known without looking at the files.
    pub state: String,
    /// When its files are looked at.
    pub freshness: String,
    /// Its content's number: 1 at the first load, one more each time it was taken anew; 0 before.
    pub generation: u64,
    /// Files that it was read from.
    pub files: usize,
    /// Bytes of these.
    pub bytes: u64,
    /// Lines of the list.
    pub lines: u64,
    /// Different ones among them.
    pub distinct: u64,
    /// Bytes of the longest.
    pub longest: u64,
    /// Lines skipped because nothing was left of them.
    pub skipped_empty: u64,
    /// Lines skipped as comments.
    pub skipped_comment: u64,
    /// Lines skipped because no query is as long.
    pub skipped_long: u64,
    /// Memory that its index takes.
    pub memory: u64,
    /// The same for each different line.
    pub bytes_per_line: f64,
    /// How long building the index took.
    pub load_seconds: f64,
    /// When it was read: seconds since 1970; `None` while there is no index.
    pub loaded_at: Option<u64>,
    /// When its oldest file was last written: seconds since 1970.
    pub oldest_file: Option<i64>,
    /// `index` or `scan`.
    pub search: String,
    /// Why.
    pub search_reason: String,
    /// What is wrong with what is there now.
    pub fault: Option<String>,
}

impl Summary {
    pub(super) fn of(core: &Core) -> Summary {
        let standing = core.standing.load();
        let (dataset, counts) = (&core.dataset, &standing.counts);
        let by_query = dataset.freshness == Freshness::OnQuery;
        let good = if by_query { standing.fault.is_none() } else { standing.generation.is_some() };
        let age = core.age(&standing.sight);
        let state = match (good, age) {
            (false, _) => "unavailable",
            (true, Some(_)) if by_query => "unavailable",
            (true, Some(_)) => "stale",
            (true, None) => "good",
        };
        let served = if age.is_some() && dataset.stale == Stale::Serve { "; it answers all the same" } else { "" };
        let old = age.map(|age| format!("{}{served}", too_old(dataset, Some(age))));
        let generation = standing.generation.as_ref();
        let (memory, distinct) = generation.map_or((0, 0), |generation| (generation.bytes(), generation.distinct()));
        Summary {
            name: dataset.name.to_string(),
            state: state.into(),
            freshness: dataset.freshness.word().into(),
            generation: standing.number,
            files: standing.sight.distinct().len(),
            bytes: standing.sight.bytes(),
            lines: counts.lines,
            distinct,
            longest: counts.longest,
            skipped_empty: counts.empty,
            skipped_comment: counts.comments,
            skipped_long: counts.too_long,
            memory,
            bytes_per_line: if distinct == 0 { 0.0 } else { memory as f64 / distinct as f64 },
            load_seconds: generation.map_or(0.0, |generation| generation.took.as_secs_f64()),
            loaded_at: generation.map(|generation| seconds(generation.loaded_at)),
            oldest_file: standing.sight.oldest().map(|(seconds, _)| seconds),
            search: standing.choice.way.word().into(),
            search_reason: if by_query {
                standing.choice.reason.clone()
            } else {
                "files are not read for queries".into()
            },
            fault: standing.fault.as_ref().map(|fault| format!("{}: {}", fault.path.display(), fault.why)).or(old),
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
