//! The part of a keeper that answers: queries of an `on-query` list that came after its files changed. One look serves all
//! who wait; it began after each of them came.

use super::choice::{Choice, Way};
use super::counting::Counts;
use super::keeper::Keeper;
use super::list::{Ask, REFUSED_FOR};
use super::load::{self, RESCANS};
use super::locate::Sight;
use super::telling::too_old;
use super::{Fault, guard, scan};
use crate::config::Writer;
use crate::event::Event;
use crate::protocol::Reason;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

impl Keeper {
    /// Answers all who wait by one look at the files, which begins now.
    pub(super) fn serve(&mut self, asks: Vec<Ask>) {
        let mut wanted: Vec<&[u8]> = asks.iter().flat_map(|ask| &ask.queries).map(Vec::as_slice).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let answer = self.answer(&wanted);
        let has = |query: &Vec<u8>, all: &[bool]| {
            wanted.binary_search(&query.as_slice()).is_ok_and(|place| all.get(place) == Some(&true))
        };
        let reply_to = |ask: &Ask| match &answer {
            Ok((number, all)) => Ok((*number, ask.queries.iter().map(|query| has(query, all)).collect())),
            Err(reason) => Err(*reason),
        };
        let replies: Vec<_> = asks.iter().map(reply_to).collect();
        for (ask, reply) in asks.into_iter().zip(replies) {
            // Whoever asked may be gone.
            let _ = ask.reply.send(reply);
        }
    }

    fn answer(&mut self, wanted: &[&[u8]]) -> Result<(u64, Vec<bool>), Reason> {
        let core = Arc::clone(&self.core);
        let world = &*core.common.world;
        for _ in 0..=RESCANS {
            let sight = match load::look(world, &core.dataset) {
                Ok(sight) => sight,
                Err(faults) => return self.unavailable(&faults, None),
            };
            let standing = core.standing.load_full();
            if standing.refused.as_ref().is_some_and(|refused| refused.sight == sight && refused.is_recent(REFUSED_FOR))
            {
                return Err(Reason::ListUnavailable);
            }
            if core.is_old(&sight) {
                // Without its age, so that it stays one and the same fault.
                let why = too_old(&core.dataset, None);
                return self.unavailable(&[Fault::guard(&core.dataset, why)], Some(sight));
            }
            let good = standing.generation.is_some() && standing.refused.is_none();
            let indexed = good && standing.sight == sight && core.is_vouched_for(&standing);
            if indexed || core.dataset.writer == Writer::Appends && self.catch_up(&sight) {
                let standing = core.standing.load_full();
                if standing.refused.is_some() {
                    return Err(Reason::ListUnavailable);
                }
                if standing.fault.is_some() {
                    self.restored();
                }
                let Some(generation) = &standing.generation else { continue };
                let fingerprints: Vec<_> = wanted.iter().map(|query| core.fingerprint(query)).collect();
                let mut found = vec![false; wanted.len()];
                generation.look_up(&fingerprints, &mut found);
                return Ok((generation.number, found));
            }
            self.note_change(&sight);
            let files = match load::open_all(world, &core.dataset, &sight) {
                Ok(Some(files)) => files,
                Ok(None) => continue,
                Err(faults) => return self.unavailable(&faults, None),
            };
            if let Some(why) = guard::too_large(&core.dataset.guards, sight.bytes()) {
                return self.unavailable(&[Fault::guard(&core.dataset, why)], Some(sight));
            }
            let guards = &core.dataset.guards;
            let counted = guards.min_lines > 1 || guards.max_lines.is_some() || guards.max_shrink_percent.is_some();
            let begun = Instant::now();
            core.common.metrics.list_scans.add(1);
            let scanned = match scan::scan(&files, &core.dataset, wanted, counted) {
                Ok(scanned) => scanned,
                Err((file, error)) => {
                    let path = sight.distinct().get(file).map(|seen| seen.path.clone()).unwrap_or_default();
                    return self.unavailable(&[Fault::new(&core.dataset, &path, &error)], None);
                }
            };
            if !sight.holds(world, &core.dataset.paths) {
                continue;
            }
            self.facts.scan = Some(begun.elapsed());
            if let Some(why) = self.guarded(scanned.counts.lines, sight.bytes()) {
                return self.unavailable(&[Fault::guard(&core.dataset, why)], Some(sight));
            }
            return Ok((self.scanned(sight, &scanned.counts, counted), scanned.found));
        }
        self.unavailable(&[Fault::changing(&core.dataset)], None)
    }

    /// Notes that this content was scanned and found good. Returns its number.
    fn scanned(&mut self, sight: Sight, counts: &Counts, counted: bool) -> u64 {
        let core = Arc::clone(&self.core);
        let standing = core.standing.load();
        if standing.fault.is_some() {
            self.restored();
        }
        let known = self.content.as_ref().filter(|(known, _)| *known == sight).map(|(_, number)| *number);
        let number = match known {
            Some(number) => number,
            None if standing.sight == sight => standing.number,
            None => {
                let generation = core.next_number();
                let (list, files) = (Arc::clone(&core.dataset.name), sight.distinct().len());
                core.common.teller.tell(Event::ListChanged { list, generation, files, bytes: sight.bytes() });
                generation
            }
        };
        self.content = Some((sight.clone(), number));
        if standing.generation.is_none() {
            core.stand(|standing| {
                (standing.number, standing.sight) = (number, sight);
                if counted {
                    standing.counts = *counts;
                }
            });
        }
        number
    }

    pub(super) fn note_change(&mut self, sight: &Sight) {
        if self.seen.as_ref() == Some(sight) || self.core.standing.load().sight == *sight {
            return;
        }
        let batches = self.core.batches.load(Relaxed);
        self.facts.changed(self.changed_at.elapsed(), batches - self.batches_at_change);
        (self.changed_at, self.batches_at_change) = (Instant::now(), batches);
        self.seen = Some(sight.clone());
        self.choose();
    }

    /// Chooses between scan and index by what is known now, and says so when that is another than before.
    fn choose(&mut self) -> Way {
        if self.scan_only && Instant::now() < self.build_again_at {
            return Way::Scan;
        }
        self.scan_only = false;
        let core = &self.core;
        let since = (self.changed_at.elapsed(), core.batches.load(Relaxed) - self.batches_at_change);
        let choice = self.facts.choose(&core.dataset, since);
        let way = choice.way;
        let before = core.standing.load().choice.clone();
        if before.way != way {
            let (list, reason) = (Arc::clone(&core.dataset.name), choice.reason.clone());
            core.common.teller.tell(Event::ListSearch { list, search: way.word(), reason });
            self.take(choice);
        }
        way
    }

    pub(super) fn take(&self, choice: Choice) {
        self.core.stand(|standing| {
            if choice.way == Way::Scan {
                // The memory of an index that nobody keeps true.
                (standing.generation, standing.watch) = (None, None);
            }
            standing.choice = choice;
        });
    }

    /// Has an index built for what is there now, if there is none and it pays.
    pub(super) fn build_if_it_pays(&mut self) {
        let core = Arc::clone(&self.core);
        let standing = core.standing.load_full();
        let seen_nothing_else = self.seen.as_ref().is_none_or(|seen| *seen == standing.sight);
        let true_now = standing.generation.is_some() && seen_nothing_else && core.is_vouched_for(&standing);
        if true_now {
            if self.is_mended(&standing) && standing.sight.holds(&*core.common.world, &core.dataset.paths) {
                self.restored();
            }
            self.read_again_in_time();
            return;
        }
        let unasked = core.batches.load(Relaxed) == self.batches_at_build;
        let waits = unasked || self.building || Instant::now() < self.build_again_at;
        if waits || standing.refused.is_some() || self.choose() == Way::Scan {
            return;
        }
        self.build();
    }
}
