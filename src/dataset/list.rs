//! One list in service: what stands for its files now, the check before an answer, and the desk where queries wait for a
//! look at the files. Its keeper (`keeper.rs`) is the only one who changes what stands.

use super::Fault;
use super::choice::Choice;
use super::counting::Counts;
use super::generation::{Generation, Memory};
use super::guard;
use super::load::{Cursor, Loaded};
use super::locate::Sight;
use super::stamp::World;
use super::watch::Watch;
use crate::config::{Dataset, Freshness, Stale, Writer};
use crate::event::Teller;
use crate::index::{Fingerprint, Fingerprinter};
use crate::metrics::Metrics;
use crate::protocol::Reason;
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What all lists of a process share.
#[derive(Clone)]
pub struct Common {
    /// Makes fingerprints under the process's secret.
    pub fingerprinter: Fingerprinter,
    /// The ceiling over all indexes.
    pub memory: Arc<Memory>,
    /// Where stamps and time come from.
    pub world: Arc<dyn World>,
    /// Where events are told.
    pub teller: Teller,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// A list in service. Dropping it sends its keeper home.
pub(super) struct List {
    pub(super) core: Arc<Core>,
}

/// What the answering threads and the keeper share.
pub(super) struct Core {
    pub(super) dataset: Dataset,
    pub(super) common: Common,
    pub(super) standing: ArcSwap<Standing>,
    desk: Mutex<Desk>,
    bell: Condvar,
    /// The last number that was given to a content of this list, over all reloads.
    pub(super) numbers: Arc<AtomicU64>,
    /// Batches asked, for the choice between scan and index.
    pub(super) batches: AtomicU64,
}

/// What stands for the files. Immutable; each change is a new one.
#[derive(Clone)]
pub(super) struct Standing {
    /// Its number is that of the last content, also of a content that was only scanned.
    pub(super) number: u64,
    /// The last good generation; `None` before the first, and while the list is scanned.
    pub(super) generation: Option<Arc<Generation>>,
    /// What the generation, or the last scan, is true of.
    pub(super) sight: Sight,
    /// What was written to these files since; `None` where nothing is heard.
    pub(super) watch: Option<Arc<Watch>>,
    /// How far each file is read.
    pub(super) cursors: Vec<Cursor>,
    pub(super) counts: Counts,
    /// What is wrong with what is there now.
    pub(super) fault: Option<Fault>,
    /// What was looked at when that fault was found; it is not read again while it stays so.
    pub(super) refused: Option<Refused>,
    pub(super) choice: Choice,
}

/// A content that was found bad.
#[derive(Clone)]
pub(super) struct Refused {
    pub(super) sight: Sight,
    pub(super) at: Instant,
}

impl Refused {
    pub(super) fn is_recent(&self, within: Duration) -> bool {
        self.at.elapsed() < within
    }
}

/// With freshness at every query, a content that was found bad is looked at again after so long: it may have been about to
/// be written when it was read.
pub(super) const REFUSED_FOR: Duration = Duration::from_millis(500);

impl Standing {
    /// Nothing was read yet.
    pub(super) fn nothing(dataset: &Dataset) -> Standing {
        Standing {
            number: 0,
            generation: None,
            sight: Sight::default(),
            watch: None,
            cursors: Vec::new(),
            counts: Counts::default(),
            fault: None,
            refused: None,
            choice: Choice::first(dataset),
        }
    }
}

/// What the check before an answer comes to.
pub(super) enum Check {
    /// This generation answers.
    Good(Arc<Generation>),
    /// Nothing does.
    Doubt(Reason),
    /// Somebody has to look at the files first: see [`Core::ask`].
    Look,
}

/// Queries that wait for a look at the files which begins after they came.
pub(super) struct Ask {
    /// Normalised.
    pub(super) queries: Vec<Vec<u8>>,
    /// In the order of the queries; with the number of the content that it is true of.
    pub(super) reply: oneshot::Sender<Result<(u64, Vec<bool>), Reason>>,
}

#[derive(Default)]
pub(super) struct Desk {
    pub(super) asks: Vec<Ask>,
    /// What the builder brings back.
    pub(super) built: Option<Result<Loaded, Vec<Fault>>>,
    pub(super) closing: bool,
}

impl Core {
    pub(super) fn new(dataset: Dataset, common: Common, standing: Standing, numbers: Arc<AtomicU64>) -> Core {
        Core {
            dataset,
            common,
            standing: ArcSwap::from_pointee(standing),
            desk: Mutex::default(),
            bell: Condvar::new(),
            numbers,
            batches: AtomicU64::new(0),
        }
    }

    /// Whether the generation in service may answer queries that are here already.
    pub(super) fn check(&self) -> Check {
        let standing = self.standing.load();
        if self.dataset.freshness != Freshness::OnQuery {
            return match &standing.generation {
                None => Check::Doubt(Reason::ListUnavailable),
                Some(_) if self.dataset.stale == Stale::Error && self.is_old(&standing.sight) => {
                    Check::Doubt(Reason::ListStale)
                }
                Some(generation) => Check::Good(Arc::clone(generation)),
            };
        }
        self.batches.fetch_add(1, Relaxed);
        let (world, paths) = (&*self.common.world, &self.dataset.paths);
        match (&standing.generation, &standing.refused) {
            // Nothing that stands for files which are refused may answer, and they need no second look.
            (_, Some(refused)) if refused.is_recent(REFUSED_FOR) && refused.sight.holds(world, paths) => {
                Check::Doubt(Reason::ListUnavailable)
            }
            // To look everywhere takes too long for a thread that answers others too.
            _ if standing.sight.is_scattered() => Check::Look,
            (Some(generation), None) if self.is_vouched_for(&standing) && standing.sight.holds(world, paths) => {
                if self.is_old(&standing.sight) {
                    return Check::Doubt(Reason::ListUnavailable);
                }
                Check::Good(Arc::clone(generation))
            }
            _ => Check::Look,
        }
    }

    /// Whether stamps may be believed: no write ended since. Where nothing can be heard, they are believed unless the promise
    /// is freshness at every query.
    pub(super) fn is_vouched_for(&self, standing: &Standing) -> bool {
        match &standing.watch {
            _ if self.dataset.writer == Writer::Appends => true,
            Some(watch) => watch.is_silent(),
            None => self.dataset.freshness != Freshness::OnQuery,
        }
    }

    /// Whether the files are older than `max-age` allows.
    pub(super) fn is_old(&self, sight: &Sight) -> bool {
        self.age(sight).is_some()
    }

    /// How old the oldest file is, if that is too old.
    pub(super) fn age(&self, sight: &Sight) -> Option<Duration> {
        let guards = &self.dataset.guards;
        guards.max_age.and_then(|_| guard::too_old(guards, sight.oldest(), self.common.world.now()))
    }

    /// Hands normalised queries to the keeper, who looks at the files after this moment.
    pub(super) fn ask(&self, queries: Vec<Vec<u8>>) -> oneshot::Receiver<Result<(u64, Vec<bool>), Reason>> {
        let (reply, answer) = oneshot::channel();
        let mut desk = self.desk();
        desk.asks.push(Ask { queries, reply });
        self.bell.notify_one();
        answer
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the builder brought, for the keeper.
    pub(super) fn bring(&self, built: Result<Loaded, Vec<Fault>>) {
        self.desk().built = Some(built);
        self.bell.notify_one();
    }

    /// Waits until something lies on the desk, or the time is over.
    pub(super) fn wait(&self, at_most: Duration) -> MutexGuard<'_, Desk> {
        let idle = |desk: &mut Desk| desk.asks.is_empty() && desk.built.is_none() && !desk.closing;
        let waited = self.bell.wait_timeout_while(self.desk(), at_most, idle);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The number of a content that was never seen before.
    pub(super) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed) + 1
    }

    /// Changes what stands.
    pub(super) fn stand(&self, change: impl FnOnce(&mut Standing)) {
        let mut standing = Standing::clone(&self.standing.load());
        change(&mut standing);
        self.standing.store(Arc::new(standing));
    }

    pub(super) fn fingerprint(&self, query: &[u8]) -> Fingerprint {
        self.common.fingerprinter.fingerprint(query)
    }
}

impl Drop for List {
    fn drop(&mut self) {
        self.core.desk().closing = true;
        self.core.bell.notify_all();
    }
}
