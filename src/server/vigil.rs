//! The vigil: looks now and then at what changes or ends while nobody acts. Certificates and CRLs that run out are warned about
//! once a day, a renewed file is announced, a clock that jumps is told. Changes nothing itself: that is a reload's right.

use super::shared::Shared;
use crate::event::Event;
use crate::tls::Paper;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(2);

/// A clock that is off by less is being slewed, or the process waited for its turn.
const JUMP: Duration = Duration::from_secs(2);

/// Looks until the server ends.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut vigil = Vigil::new(shared);
    loop {
        tokio::time::sleep(PERIOD).await;
        // Files may lie where reading takes its time; the accepting thread has none for that.
        let looked = tokio::task::spawn_blocking(move || {
            vigil.look();
            vigil
        });
        let Ok(after) = looked.await else { return };
        vigil = after;
    }
}

struct Vigil {
    shared: Arc<Shared>,
    epoch: u64,
    clock: (Instant, SystemTime),
    /// What was told already; a warning counts its days, so tomorrow it is another.
    told: HashSet<String>,
    /// Of each file, what it was when it was last announced.
    announced: HashMap<PathBuf, Paper>,
    /// Of each file, its stamp when it was last read: a CRL may be long, and most looks find nothing new.
    seen: HashMap<PathBuf, Stamp>,
}

/// Inode, length, and ctime in seconds and nanoseconds.
type Stamp = (u64, u64, i64, i64);

impl Vigil {
    fn new(shared: Arc<Shared>) -> Vigil {
        let state = shared.state.load_full();
        let told = state.warnings(SystemTime::now()).into_iter().collect();
        let clock = (Instant::now(), SystemTime::now());
        Vigil { shared, epoch: state.epoch, clock, told, announced: HashMap::new(), seen: HashMap::new() }
    }

    fn look(&mut self) {
        let (instant, now) = (Instant::now(), SystemTime::now());
        if let Some(seconds) = jump(self.clock, (instant, now)) {
            self.shared.teller.tell(Event::ClockJumped { seconds });
            self.shared.clock_jumped();
        }
        self.clock = (instant, now);
        let state = self.shared.state.load_full();
        let warnings = state.warnings(now);
        if state.epoch == self.epoch {
            for about in warnings.iter().filter(|about| !self.told.contains(*about)) {
                self.shared.teller.tell(Event::Warned { about: about.clone() });
            }
        }
        if state.epoch != self.epoch {
            self.seen.clear();
        }
        // What a reload found, it has told.
        self.told = warnings.into_iter().collect();
        self.epoch = state.epoch;
        if let Err(about) = self.shared.uses.save(false) {
            if self.told.insert(about.clone()) {
                self.shared.teller.tell(Event::Warned { about });
            }
        }
        for paper in state.papers() {
            self.compare(paper, now);
        }
    }

    /// Compares a paper in service with its file. A file that is gone or broken is left to the next reload to tell.
    fn compare(&mut self, in_service: &Paper, now: SystemTime) {
        // What is no plain file now, such as a pipe, might not be read to an end.
        let Some(file) = std::fs::metadata(in_service.path()).ok().filter(std::fs::Metadata::is_file) else { return };
        let stamp = (file.ino(), file.len(), file.ctime(), file.ctime_nsec());
        if self.seen.get(in_service.path()) == Some(&stamp) {
            return;
        }
        let Ok(found) = Paper::read(in_service.path()) else { return };
        self.seen.insert(in_service.path().to_owned(), stamp);
        if found.same_as(in_service) {
            self.announced.remove(found.path());
            return;
        }
        let before = self.announced.insert(found.path().to_owned(), found.clone());
        if !before.is_some_and(|before| before.same_as(&found)) {
            let days_left = found.days_left(now).map_or("unknown".to_owned(), |days| days.to_string());
            self.shared.teller.tell(Event::PaperRenewed { path: found.path().display().to_string(), days_left });
        }
    }
}

/// By how many seconds the clock went ahead of the time that passed, if it jumped; negative when it was set back.
fn jump(before: (Instant, SystemTime), after: (Instant, SystemTime)) -> Option<i64> {
    let expected = before.1.checked_add(after.0.saturating_duration_since(before.0))?;
    let (off, sign) = match after.1.duration_since(expected) {
        Ok(ahead) => (ahead, 1),
        Err(behind) => (behind.duration(), -1),
    };
    (off >= JUMP).then(|| i64::try_from(off.as_secs()).map_or(i64::MAX, |seconds| seconds * sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::as_expected(5_000, None)]
    #[case::slewed(5_900, None)]
    #[case::set_ahead(3_605_000, Some(3600))]
    #[case::set_back(-3_595_000, Some(-3600))]
    #[case::asleep(65_000, Some(60))]
    fn a_clock_that_jumps_is_noticed(#[case] wall_milliseconds: i64, #[case] expected: Option<i64>) {
        let (instant, wall) = (Instant::now(), SystemTime::now());
        let moved = Duration::from_millis(wall_milliseconds.unsigned_abs());
        let later = if wall_milliseconds < 0 { wall - moved } else { wall + moved };
        assert_eq!(jump((instant, wall), (instant + Duration::from_secs(5), later)), expected);
    }
}
