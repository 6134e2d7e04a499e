//! Putting lists into service: at start, and at reload beside those that are in service already.

use super::choice::{Choice, Way};
use super::counting::Counts;
use super::fault::Kind;
use super::guard::{self, Candidate};
use super::list::{Common, Core, List, Refused, Standing};
use super::load::{self, Job, RESCANS};
use super::locate::Sight;
use super::stamp::Kernel;
use super::telling::{entered, tell_faults, tell_loaded, tell_scan, too_old};
use super::{Fault, Lists, keeper, network, reading, scan};
use crate::config::{Dataset, Freshness, Writer};
use crate::event::Event;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Lists ready for service.
pub struct Opened {
    /// All of them.
    pub lists: Lists,
    /// Why some of them could not be read anew: the last good generation stays in service, or the list is in doubt.
    pub faults: Vec<Fault>,
}

/// Opens every list, beside those that were in service before. A list that cannot be read keeps its last good generation,
/// or answers with an error until it can be read; the others do not suffer. Tells a record for each.
///
/// # Errors
/// The faults of lists without which nothing goes: those that are `required` and have no good generation, and those that
/// are new, or read otherwise, in a reload: whoever changed them is there to mend them.
pub fn open(datasets: &[Dataset], common: &Common, before: Option<&Lists>) -> Result<Opened, Vec<Fault>> {
    let mut opening = Vec::new();
    let mut faults = Vec::new();
    let mut fatal = Vec::new();
    for dataset in datasets {
        let old = before.and_then(|before| before.lists.iter().find(|list| list.core.dataset.name == dataset.name));
        let old = old.map(|list| Old {
            dataset: &list.core.dataset,
            standing: list.core.standing.load_full(),
            numbers: Arc::clone(&list.core.numbers),
        });
        let one = open_one(dataset, common, old.as_ref());
        // Read once and good, by whatever way it is searched.
        let good = one.standing.number > 0 || one.standing.fault.is_none();
        let changed_now = before.is_some() && old.as_ref().is_none_or(|old| !old.reads_alike(dataset));
        let stops = !good && (dataset.required || changed_now);
        if stops { &mut fatal } else { &mut faults }.extend(one.faults.iter().cloned());
        opening.push(one);
    }
    if !fatal.is_empty() {
        fatal.extend(faults);
        return Err(fatal);
    }
    let mut lists = Vec::new();
    for One { dataset, standing, faults, numbers, anew } in opening {
        // While the others were read, the list in service may have gone on: nothing that came is taken back.
        let same = |list: &&List| Arc::ptr_eq(&list.core.numbers, &numbers) && list.core.dataset == dataset;
        let newer = before.and_then(|before| before.lists.iter().find(same)).map(|list| list.core.standing.load_full());
        let newer = newer.filter(|newer| !anew && newer.number > standing.number && newer.generation.is_some());
        let standing = newer.map_or(standing, |newer| Standing::clone(&newer));
        let core = Core::new(dataset, common.clone(), standing, numbers);
        // Told only now: while another list keeps all of them from service, none of them is loaded.
        if anew {
            tell_loaded(&core);
        }
        tell_faults(&core, &faults);
        tell_scan(&core);
        lists.push(List { core: Arc::new(core) });
    }
    for list in &lists {
        // Without its keeper a list would never change again, or never answer.
        keeper::start(&list.core).map_err(|error| vec![no_keeper(&list.core.dataset, &error)])?;
    }
    Ok(Opened { lists: Lists::new(lists, common.fingerprinter.clone()), faults })
}

fn no_keeper(dataset: &Dataset, error: &io::Error) -> Fault {
    Fault::new(
        dataset,
        dataset.paths.first().map_or("".as_ref(), |path| path.as_path()),
        &format!("no thread: {error}"),
    )
}

/// A list on its way.
struct One {
    dataset: Dataset,
    standing: Standing,
    faults: Vec<Fault>,
    numbers: Arc<AtomicU64>,
    /// Whether it was read just now.
    anew: bool,
}

/// The list of the same name that is in service.
struct Old<'a> {
    dataset: &'a Dataset,
    standing: Arc<Standing>,
    numbers: Arc<AtomicU64>,
}

impl Old<'_> {
    /// Whether the same files would be read into the same lines.
    fn reads_alike(&self, dataset: &Dataset) -> bool {
        (&self.dataset.paths, self.dataset.normalisation, self.dataset.writer)
            == (&dataset.paths, dataset.normalisation, dataset.writer)
            // What was read under a lesser promise does not prove the greater one.
            && (dataset.freshness != Freshness::OnQuery || self.dataset.freshness == Freshness::OnQuery)
    }
}

fn open_one(dataset: &Dataset, common: &Common, old: Option<&Old<'_>>) -> One {
    let alike = old.filter(|old| old.reads_alike(dataset));
    let numbers = old.map_or_else(Arc::default, |old| Arc::clone(&old.numbers));
    let number = || numbers.fetch_add(1, Relaxed) + 1;
    let before = old.filter(|old| old.standing.number > 0).map(|old| old.standing.counts.lines);
    let scanned = Choice::first(dataset).way == Way::Scan;
    let went_on = alike
        .filter(|old| !scanned && old.standing.generation.is_some() && is_unchanged(dataset, common, &old.standing));
    if let Some(old) = went_on {
        let standing = Standing { fault: None, refused: None, ..Standing::clone(&old.standing) };
        let candidate = Candidate { lines: standing.counts.lines, bytes: standing.sight.bytes(), before: None };
        match guard::broken(&dataset.guards, &candidate) {
            None => return One { dataset: dataset.clone(), standing, faults: Vec::new(), numbers, anew: false },
            Some(why) => return refused(dataset, Some(old), numbers, vec![Fault::guard(dataset, why)]),
        }
    }
    let guarded = |lines, bytes| match guard::broken(&dataset.guards, &Candidate { lines, bytes, before }) {
        None => Ok(()),
        Some(why) => Err(vec![Fault::guard(dataset, why)]),
    };
    let earlier = alike.map_or(&[][..], |old| &old.standing.cursors);
    let read = if scanned {
        count(dataset, common).and_then(|(sight, counts)| {
            guarded(counts.lines, sight.bytes())?;
            Ok(Standing { number: number(), sight, counts, ..Standing::nothing(dataset) })
        })
    } else {
        let (turn, room) = common.memory.build();
        let job = Job { world: &*common.world, dataset, fingerprinter: &common.fingerprinter, room, earlier };
        let loaded = job.load();
        drop(turn);
        loaded.and_then(|loaded| {
            if let Some(path) = &loaded.broken {
                let (list, path) = (Arc::clone(&dataset.name), path.display().to_string());
                common.teller.tell(Event::ListWordBroken { list, path });
            }
            guarded(loaded.counts.lines, loaded.sight.bytes())?;
            let older = |old: &Old<'_>| too_old_instead(dataset, common, &loaded.sight, &old.standing);
            if let Some(why) = alike.and_then(older) {
                return Err(vec![Fault::guard(dataset, why)]);
            }
            Ok(entered(dataset, common, loaded, number()))
        })
    };
    match read {
        Ok(standing) => One { dataset: dataset.clone(), standing, faults: Vec::new(), numbers, anew: true },
        Err(faults) => refused(dataset, alike, numbers, faults),
    }
}

/// Why older files than `max-age` allows do not take the place of a generation that is not too old.
fn too_old_instead(dataset: &Dataset, common: &Common, sight: &Sight, old: &Standing) -> Option<String> {
    let now = common.world.now();
    let age = guard::too_old(&dataset.guards, sight.oldest(), now)?;
    let better = old.generation.is_some() && guard::too_old(&dataset.guards, old.sight.oldest(), now).is_none();
    better.then(|| too_old(dataset, Some(age)))
}

/// What stands when nothing new could be read.
fn refused(dataset: &Dataset, alike: Option<&Old<'_>>, numbers: Arc<AtomicU64>, faults: Vec<Fault>) -> One {
    let mut standing = match alike {
        Some(old) => Standing::clone(&old.standing),
        None => Standing::nothing(dataset),
    };
    standing.refused = None;
    if dataset.freshness == Freshness::OnQuery && faults.iter().all(|fault| fault.kind == Kind::Full) {
        // There is no memory for an index; reading the files for each query still answers.
        let reason = faults.first().map(|fault| fault.why.clone()).unwrap_or_default();
        let standing = Standing { generation: None, choice: Choice { way: Way::Scan, reason }, ..standing };
        return One { dataset: dataset.clone(), standing, faults: Vec::new(), numbers, anew: false };
    }
    standing.fault = faults.first().cloned();
    if standing.fault.as_ref().is_some_and(|fault| fault.kind == Kind::Content) {
        // Should this be about the very content in service, it is not good either.
        standing.refused = Some(Refused { sight: standing.sight.clone(), at: Instant::now() });
    }
    One { dataset: dataset.clone(), standing, faults, numbers, anew: false }
}

/// Whether the generation in service is true of the files as they are: then they need not be read again.
fn is_unchanged(dataset: &Dataset, common: &Common, standing: &Standing) -> bool {
    let local = |seen: &super::locate::Seen| {
        reading::open(&*common.world, &seen.path).is_ok_and(|(file, _)| network::elsewhere(&file).is_none())
    };
    let heard_nothing = standing.watch.as_ref().is_some_and(|watch| watch.is_silent());
    standing.refused.is_none()
        && (heard_nothing || dataset.writer == Writer::Appends)
        && standing.sight.holds(&*common.world, &dataset.paths)
        && standing.sight.files.iter().all(local)
}

/// Reads a list that has no index once, to know what it holds.
fn count(dataset: &Dataset, common: &Common) -> Result<(Sight, Counts), Vec<Fault>> {
    for _ in 0..=RESCANS {
        let sight = load::look(&*common.world, dataset)?;
        let Some(files) = load::open_all(&*common.world, dataset, &sight)? else { continue };
        let scanned = scan::scan(&files, dataset, &[], true).map_err(|(file, error)| {
            let path = sight.distinct().get(file).map(|seen| seen.path.clone()).unwrap_or_default();
            vec![Fault::new(dataset, &path, &error)]
        })?;
        if sight.holds(&*common.world, &dataset.paths) {
            return Ok((sight, scanned.counts));
        }
    }
    Err(vec![Fault::changing(dataset)])
}

/// Looks whether every file of every list is there and may be read, without reading it.
#[must_use]
pub fn check(datasets: &[Dataset]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for dataset in datasets {
        let sight = Sight::look(&Kernel, &dataset.paths);
        faults.extend(sight.faults.iter().map(|(path, why)| Fault::new(dataset, path, why)));
        faults.extend(load::open_all(&Kernel, dataset, &sight).err().into_iter().flatten());
    }
    faults
}
