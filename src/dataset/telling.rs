//! Records of what became of a list, and the words for them.

use super::Fault;
use super::choice::{Choice, Way};
use super::counting::Counts;
use super::generation::Generation;
use super::list::{Common, Core, Standing};
use super::load::Loaded;
use crate::config::{Dataset, Freshness, Search, Writer};
use crate::event::Event;
use std::sync::Arc;
use std::time::Duration;

/// How old a list may be.
pub(super) fn limit(dataset: &Dataset) -> Duration {
    dataset.guards.max_age.unwrap_or_default()
}

/// That a list is older than it may be, and by how much where that is known.
pub(super) fn too_old(dataset: &Dataset, age: Option<Duration>) -> String {
    let short = |time: Duration| humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
    let written = age.map_or("longer".into(), short);
    format!("its oldest file was written {written} ago, and max-age is {}", short(limit(dataset)))
}

/// A record and a count for each fault of a list that was not taken.
pub(super) fn tell_faults(core: &Core, faults: &[Fault]) {
    let standing = core.standing.load();
    let in_service = match &standing.generation {
        Some(generation) if core.dataset.freshness != Freshness::OnQuery => format!("generation {}", generation.number),
        _ => "none".into(),
    };
    for fault in faults {
        let (list, fault) = (Arc::clone(&core.dataset.name), format!("{}: {}", fault.path.display(), fault.why));
        core.common.teller.tell(Event::ListRefused { list, fault, in_service: in_service.clone() });
    }
}

/// What stands once this was loaded. Where an index is to be fresh at every query and nobody can vouch for it, none stands.
pub(super) fn entered(dataset: &Dataset, common: &Common, loaded: Loaded, number: u64) -> Standing {
    let Loaded { index, counts, sight, watch, cursors, took, .. } = loaded;
    let mut standing = Standing { number, sight, cursors, counts, ..Standing::nothing(dataset) };
    standing.watch = watch.map(Arc::new);
    if standing.watch.is_some() || dataset.writer == Writer::Appends || dataset.freshness != Freshness::OnQuery {
        standing.generation = Some(Generation::new(number, index, took, &common.memory));
    } else {
        let reason = "the kernel grants no more watches on files (fs.inotify.max_user_instances, max_user_watches)";
        standing.choice = Choice { way: Way::Scan, reason: reason.into() };
    }
    standing
}

/// The record of what stands since just now.
pub(super) fn tell_loaded(core: &Core) {
    let standing = core.standing.load();
    let generation = standing.generation.as_ref();
    let Counts { lines, longest, empty, comments, too_long, .. } = standing.counts;
    core.common.teller.tell(Event::ListLoaded {
        list: Arc::clone(&core.dataset.name),
        generation: standing.number,
        files: standing.sight.distinct().len(),
        lines,
        distinct: generation.map_or(0, |generation| generation.distinct()),
        longest,
        skipped_empty: empty,
        skipped_comment: comments,
        skipped_long: too_long,
        bytes: standing.sight.bytes(),
        milliseconds: generation.map_or(0, |generation| generation.took.as_millis()),
        memory: generation.map_or(0, |generation| generation.bytes()),
    });
}

/// That a list is scanned although an index was wished for.
pub(super) fn tell_scan(core: &Core) {
    let choice = core.standing.load().choice.clone();
    if choice.way == Way::Scan && core.dataset.search != Search::Scan {
        let (list, search) = (Arc::clone(&core.dataset.name), choice.way.word());
        core.common.teller.tell(Event::ListSearch { list, search, reason: choice.reason });
    }
}
