//! A list's keeper: the one thread that changes what stands for it. For `on-change` it looks at the files every now and
//! then; for `on-query` it looks when somebody asks, answers all who wait by one look, and has a new index built meanwhile.

use super::Fault;
use super::choice::{Choice, Facts, Way};
use super::fault::Kind;
use super::guard::{self, Candidate};
use super::list::{Core, Refused, Standing};
use super::load::{Job, Loaded};
use super::locate::Sight;
use super::telling::{entered, limit, tell_faults, tell_loaded, too_old};
use crate::config::{Freshness, Search, Writer};
use crate::event::Event;
use crate::protocol::Reason;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How often an `on-change` list is looked at. Twice unchanged in its new state, it is read: noticed within a second.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Looks that a file which keeps changing is waited for.
const MOST_LOOKS: u32 = 3;

/// A content that was refused is read again after so long, in case it was being written without a trace.
const READ_BAD_AGAIN: Duration = Duration::from_secs(300);

/// How long to wait after reading failed for too many changes, at first and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A keeper at work.
pub(super) struct Keeper {
    pub(super) core: Arc<Core>,
    pub(super) facts: Facts,
    pub(super) changed_at: Instant,
    pub(super) batches_at_change: u64,
    /// What was last seen to have changed.
    pub(super) seen: Option<Sight>,
    /// What was last scanned, and its number.
    pub(super) content: Option<(Sight, u64)>,
    pub(super) building: bool,
    /// Batches asked when the last index was begun: for nobody none is built.
    pub(super) batches_at_build: u64,
    /// No index can be had, for want of memory or of watches: until `build_again_at` the list is scanned, whatever would pay.
    pub(super) scan_only: bool,
    /// Not before then, after building failed.
    pub(super) build_again_at: Instant,
    back_off: Duration,
    /// When an `appends` list was last read from its beginning, and whether it grew since.
    read_whole_at: Instant,
    grew: bool,
    /// Whether it was said that the list is too old.
    told_old: bool,
}

/// Starts the keeper of a list, where it needs one.
pub(super) fn start(core: &Arc<Core>) -> std::io::Result<()> {
    let dataset = &core.dataset;
    if dataset.freshness == Freshness::OnReload && dataset.guards.max_age.is_none() {
        return Ok(());
    }
    let keeper = Keeper::new(Arc::clone(core));
    let name = "keeper".to_owned();
    std::thread::Builder::new().name(name).spawn(move || keeper.keep()).map(drop)
}

impl Keeper {
    pub(super) fn new(core: Arc<Core>) -> Keeper {
        let mut facts = Facts::default();
        facts.build = core.standing.load().generation.as_ref().map(|generation| generation.took);
        let now = Instant::now();
        let grew = core.standing.load().generation.as_ref().is_some_and(|generation| generation.has_tail());
        let scan_only = core.dataset.search != Search::Scan && core.standing.load().choice.way == Way::Scan;
        Keeper {
            core,
            facts,
            changed_at: now,
            batches_at_change: 0,
            seen: None,
            content: None,
            building: false,
            batches_at_build: 0,
            scan_only,
            build_again_at: if scan_only { now + READ_BAD_AGAIN } else { now },
            back_off: BACK_OFF.0,
            read_whole_at: now,
            // What a keeper before this one read on was not yet looked over.
            grew,
            told_old: false,
        }
    }

    /// Until the list is no longer in service.
    fn keep(mut self) {
        let mut looks = 0;
        loop {
            let (asks, built) = {
                let mut desk = self.core.wait(LOOK_EVERY);
                if desk.closing && desk.asks.is_empty() {
                    return;
                }
                (std::mem::take(&mut desk.asks), desk.built.take())
            };
            if let Some(built) = built {
                self.building = false;
                self.enter_or_refuse(built);
            }
            if !asks.is_empty() {
                self.serve(asks);
            }
            self.tell_age();
            match self.core.dataset.freshness {
                Freshness::OnReload => {}
                Freshness::OnChange => self.look_around(&mut looks),
                Freshness::OnQuery => self.build_if_it_pays(),
            }
        }
    }

    /// One look at the files of an `on-change` list.
    fn look_around(&mut self, looks: &mut u32) {
        let standing = self.core.standing.load_full();
        let (world, paths) = (&*self.core.common.world, &self.core.dataset.paths);
        if standing.generation.is_some() && self.core.is_vouched_for(&standing) && standing.sight.holds(world, paths) {
            (*looks, self.seen) = (0, None);
            if self.is_mended(&standing) {
                self.restored();
            }
            self.read_again_in_time();
            return;
        }
        if self.building || Instant::now() < self.build_again_at {
            return;
        }
        let sight = Sight::look(world, paths);
        if standing.refused.as_ref().is_some_and(|refused| refused.sight == sight && refused.is_recent(READ_BAD_AGAIN))
        {
            return;
        }
        if self.core.dataset.writer == Writer::Appends && self.catch_up(&sight) {
            return;
        }
        *looks += 1;
        // A file that is still being written is given a moment to be finished.
        if self.seen.as_ref() != Some(&sight) && *looks < MOST_LOOKS {
            self.seen = Some(sight);
            return;
        }
        (*looks, self.seen) = (0, None);
        if !sight.faults.is_empty() {
            let faults: Vec<_> =
                sight.faults.iter().map(|(path, why)| Fault::new(&self.core.dataset, path, why)).collect();
            self.refuse(&faults, Some(sight));
            return;
        }
        self.build();
    }

    /// Reads on where files of an `appends` list have grown. `false` when they did anything else.
    pub(super) fn catch_up(&mut self, sight: &Sight) -> bool {
        let core = Arc::clone(&self.core);
        let standing = core.standing.load_full();
        let Some(generation) = standing.generation.clone() else { return false };
        if !sight.grew_from(standing.sight.files.iter()) {
            return false;
        }
        match super::tail::read_on(&core, &generation, &standing, sight) {
            Ok(Some((cursors, counts))) => {
                self.grew = true;
                core.common.metrics.list_catch_ups.add(1);
                let refused = self.guarded(counts.lines, sight.bytes());
                core.stand(|standing| {
                    (standing.cursors, standing.counts) = (cursors, counts);
                    standing.sight = sight.clone();
                });
                match refused {
                    Some(why) => self.refuse(&[Fault::guard(&core.dataset, why)], Some(sight.clone())),
                    None if standing.fault.is_some() => self.restored(),
                    None => {}
                }
                true
            }
            Ok(None) => false,
            // Whoever reads everything now meets the fault again, if there is one.
            Err(_) => false,
        }
    }

    /// An `appends` list that grew is read from its beginning now and then: whether its writers keep their word, and
    /// to put what came behind into the index.
    pub(super) fn read_again_in_time(&mut self) {
        let core = &self.core;
        if core.dataset.writer != Writer::Appends || self.building || !self.grew || Instant::now() < self.build_again_at
        {
            return;
        }
        let long = core.standing.load().generation.as_ref().is_some_and(|generation| generation.tail_is_long());
        if long || self.read_whole_at.elapsed() >= core.dataset.recheck {
            self.build();
        }
    }

    /// Has everything read by another thread, which brings it to the desk.
    pub(super) fn build(&mut self) {
        let core = Arc::clone(&self.core);
        let earlier = core.standing.load().cursors.clone();
        let work = move || {
            let (turn, room) = core.common.memory.build();
            let job = Job {
                world: &*core.common.world,
                dataset: &core.dataset,
                fingerprinter: &core.common.fingerprinter,
                room,
                earlier: &earlier,
            };
            let built = job.load();
            drop(turn);
            core.bring(built);
        };
        // Without a thread we try again later.
        self.building = std::thread::Builder::new().name("build".into()).spawn(work).is_ok();
        self.batches_at_build = self.core.batches.load(Relaxed);
        self.read_whole_at = Instant::now();
        self.grew = false;
    }

    /// What the builder brought goes into service, or a fault is told and what was there stays.
    pub(super) fn enter_or_refuse(&mut self, built: Result<Loaded, Vec<Fault>>) {
        let core = Arc::clone(&self.core);
        let loaded = match built {
            Ok(loaded) => loaded,
            Err(faults) => return self.build_failed(&faults),
        };
        if let Some(path) = &loaded.broken {
            let (list, path) = (Arc::clone(&core.dataset.name), path.display().to_string());
            core.common.teller.tell(Event::ListWordBroken { list, path });
        }
        if let Some(why) = self.refusal(&loaded) {
            return self.refuse(&[Fault::guard(&core.dataset, why)], Some(loaded.sight));
        }
        self.facts.build = Some(loaded.took);
        (self.back_off, self.seen) = (BACK_OFF.0, None);
        // The same content that scans told of already keeps its number.
        let known = self.content.take().filter(|(sight, _)| *sight == loaded.sight).map(|(_, number)| number);
        let number = known.unwrap_or_else(|| core.next_number());
        let mut standing = entered(&core.dataset, &core.common, loaded, number);
        if standing.generation.is_some() {
            // The next change may speak against an index; this one is there.
            let asked = core.batches.load(Relaxed) - self.batches_at_change;
            let choice = self.facts.choose(&core.dataset, (self.changed_at.elapsed(), asked));
            standing.choice = if choice.way == Way::Index {
                choice
            } else {
                Choice { way: Way::Index, reason: "the index is there already; the next change decides anew".into() }
            };
        } else {
            self.scan_only = true;
            self.build_again_at = Instant::now() + READ_BAD_AGAIN;
        }
        core.stand(|now| *now = standing);
        tell_loaded(&core);
    }

    fn build_failed(&mut self, faults: &[Fault]) {
        self.build_again_at = Instant::now() + self.back_off;
        self.back_off = (self.back_off * 2).min(BACK_OFF.1);
        let full = faults.iter().any(|fault| fault.kind == Kind::Full);
        if self.core.dataset.freshness == Freshness::OnQuery {
            // Reading for each query still answers; only memory is worth a word.
            if let Some(fault) = faults.iter().find(|fault| fault.kind == Kind::Full) {
                let reason = fault.why.clone();
                let list = Arc::clone(&self.core.dataset.name);
                self.core.common.teller.tell(Event::ListSearch {
                    list,
                    search: Way::Scan.word(),
                    reason: reason.clone(),
                });
                self.take(Choice { way: Way::Scan, reason });
                self.scan_only = true;
                self.build_again_at = Instant::now() + READ_BAD_AGAIN;
            }
            return;
        }
        let sight = Sight::look(&*self.core.common.world, &self.core.dataset.paths);
        self.refuse(faults, full.then_some(sight));
    }

    fn refusal(&self, loaded: &Loaded) -> Option<String> {
        let core = &self.core;
        if let Some(why) = self.guarded(loaded.counts.lines, loaded.sight.bytes()) {
            return Some(why);
        }
        // Older than it may be, in place of one that is not: that is no progress.
        let age = core.age(&loaded.sight)?;
        let standing = core.standing.load();
        let better = standing.generation.is_some() && !core.is_old(&standing.sight);
        better.then(|| too_old(&core.dataset, Some(age)))
    }

    pub(super) fn guarded(&self, lines: u64, bytes: u64) -> Option<String> {
        let standing = self.core.standing.load();
        let before = (standing.number > 0).then_some(standing.counts.lines);
        guard::broken(&self.core.dataset.guards, &Candidate { lines, bytes, before })
    }

    /// Tells faults, once as long as they stay the same.
    pub(super) fn refuse(&mut self, faults: &[Fault], sight: Option<Sight>) {
        let core = &self.core;
        let Some(first) = faults.first().cloned() else { return };
        if core.standing.load().fault.as_ref() != Some(&first) {
            tell_faults(core, faults);
        }
        let refused = sight.map(|sight| Refused { sight, at: Instant::now() });
        core.stand(|standing| (standing.fault, standing.refused) = (Some(first), refused));
    }

    pub(super) fn unavailable<T>(&mut self, faults: &[Fault], sight: Option<Sight>) -> Result<T, Reason> {
        self.refuse(faults, sight);
        Err(Reason::ListUnavailable)
    }

    /// Whether a fault is over although nothing was read anew: the files are again those of the generation in service, and
    /// it breaks no guard.
    pub(super) fn is_mended(&self, standing: &Standing) -> bool {
        let candidate = Candidate { lines: standing.counts.lines, bytes: standing.sight.bytes(), before: None };
        standing.fault.is_some() && guard::broken(&self.core.dataset.guards, &candidate).is_none()
    }

    pub(super) fn restored(&self) {
        let (core, list) = (&self.core, Arc::clone(&self.core.dataset.name));
        core.common.teller.tell(Event::ListRestored { list });
        core.stand(|standing| (standing.fault, standing.refused) = (None, None));
    }

    /// Says once when the list has become older than it may be.
    fn tell_age(&mut self) {
        let core = &self.core;
        let standing = core.standing.load();
        let age = if standing.number > 0 { core.age(&standing.sight) } else { None };
        if age.is_some() != self.told_old {
            self.told_old = age.is_some();
            let list = Arc::clone(&core.dataset.name);
            core.common.teller.tell(match age {
                Some(age) => {
                    Event::ListStale { list, age_seconds: age.as_secs(), limit_seconds: limit(&core.dataset).as_secs() }
                }
                None => Event::ListRestored { list },
            });
        }
    }
}
