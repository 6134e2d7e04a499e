//! What each client does, over all its connections and across reloads: how many connections it has, how fast it asks, what was
//! refused. Knows names, counts and times; who a client is was settled before. Every thread may ask.

use crate::config::Rate;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Accounts kept at most for clients without a connection. Only listeners with `unlisted = "allow"` can bring so many names.
const IDLE_ACCOUNTS: usize = 10_000;

/// A client over its rate is told of at most so often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

const SECOND: u64 = 1_000_000_000;

/// The accounts of all clients, by name.
#[derive(Debug)]
pub struct Accounts {
    begun: Instant,
    by_name: Mutex<HashMap<Arc<str>, Arc<Account>>>,
}

/// One client's account. All times are nanoseconds since the accounts began.
#[derive(Debug, Default)]
pub struct Account {
    connections: AtomicUsize,
    /// When the bucket would be full again: the generic cell rate algorithm's theoretical arrival time
    /// (ITU-T I.371, Annex A), which is one number and needs no timer.
    full_at: AtomicU64,
    /// The rate that `full_at` was reckoned by.
    paced_by: AtomicU64,
    queries: AtomicU64,
    limited: AtomicU64,
    /// Of `limited`, how many were told.
    told: AtomicU64,
    told_at: AtomicU64,
    /// Seconds since 1970; 0 for never.
    last_seen: AtomicU64,
}

/// A connection's place in its client's account; dropping it gives the place back.
#[derive(Debug)]
pub struct Place(Arc<Account>);

/// An account, for status.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Connections now.
    pub connections: usize,
    /// Queries since the start.
    pub queries: u64,
    /// Of these, how many were answered `ERROR: rate limited`.
    pub rate_limited: u64,
    /// When it last came or asked, in seconds since 1970.
    pub last_seen: Option<u64>,
}

impl Default for Accounts {
    fn default() -> Self {
        Accounts { begun: Instant::now(), by_name: Mutex::default() }
    }
}

impl Accounts {
    /// A place for one more connection of this client, unless it has `most` already.
    pub fn enter(&self, name: &Arc<str>, most: Option<usize>) -> Option<Place> {
        let account = self.account(name);
        let most = most.unwrap_or(usize::MAX);
        let taken = account.connections.fetch_update(Relaxed, Relaxed, |now| (now < most).then_some(now + 1));
        account.seen();
        taken.is_ok().then(|| Place(account))
    }

    /// How many of `asked` queries this client may have answered now, by its rate.
    pub fn grant(&self, place: &Place, rate: Option<Rate>, asked: usize) -> usize {
        let granted = rate.map_or(asked, |rate| place.0.take(rate, asked, self.now()));
        place.0.seen();
        place.0.queries.fetch_add(asked as u64, Relaxed);
        if granted < asked {
            place.0.limited.fetch_add((asked - granted) as u64, Relaxed);
        }
        granted
    }

    /// How many refusals by rate are to be told now: the first at once, later ones together. `None` when none are.
    pub fn to_tell(&self, place: &Place) -> Option<u64> {
        let (account, now) = (&place.0, self.now());
        let limited = account.limited.load(Relaxed);
        let last = account.told_at.load(Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= duration_nanoseconds(TOLD_EVERY);
        // Only one thread wins the right to tell.
        if !due || account.told_at.compare_exchange(last, now.max(1), Relaxed, Relaxed).is_err() {
            return None;
        }
        let told = account.told.swap(limited, Relaxed);
        Some(limited.saturating_sub(told)).filter(|count| *count > 0)
    }

    /// The figures of a client; of one that never came, zeros.
    #[must_use]
    pub fn figures(&self, name: &str) -> Figures {
        let accounts = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.get(name).map_or_else(Figures::default, |account| account.figures())
    }

    fn account(&self, name: &Arc<str>) -> Arc<Account> {
        let mut accounts = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= IDLE_ACCOUNTS && !accounts.contains_key(name) {
            accounts.retain(|_, account| account.connections.load(Relaxed) > 0);
        }
        Arc::clone(accounts.entry(Arc::clone(name)).or_default())
    }

    fn now(&self) -> u64 {
        duration_nanoseconds(self.begun.elapsed())
    }
}

impl Account {
    /// Takes up to `asked` from the bucket and returns how many it gave.
    fn take(&self, rate: Rate, asked: usize, now: u64) -> usize {
        // Rounded up: in doubt a query later, never one more than the rate allows.
        let each = SECOND.div_ceil(rate.per_second.max(1)).max(1);
        let limit = now.saturating_add(each.saturating_mul(rate.burst));
        // Another rate since the last time, by a reload: what was owed at the old pace must not shut the client out for
        // hours at the new one. Its bucket is empty at worst. Both numbers are below 2^32 by the configuration's limits.
        let pace = (rate.per_second << 32) | rate.burst;
        if self.paced_by.load(Relaxed) != pace && self.paced_by.swap(pace, Relaxed) != pace {
            self.full_at.fetch_min(limit, Relaxed);
        }
        let mut given = 0;
        let _ = self.full_at.fetch_update(Relaxed, Relaxed, |full_at| {
            let begin = full_at.max(now);
            let room = limit.saturating_sub(begin) / each;
            given = asked.min(usize::try_from(room).unwrap_or(usize::MAX));
            Some(begin.saturating_add(each.saturating_mul(given as u64)))
        });
        given
    }

    fn seen(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.last_seen.store(now, Relaxed);
    }

    fn figures(&self) -> Figures {
        Figures {
            connections: self.connections.load(Relaxed),
            queries: self.queries.load(Relaxed),
            rate_limited: self.limited.load(Relaxed),
            last_seen: Some(self.last_seen.load(Relaxed)).filter(|at| *at > 0),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
        self.0.seen();
    }
}

fn duration_nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounded_a_client_has_so_many_connections_and_no_more() {
        let (accounts, name) = (Accounts::default(), Arc::from("alice"));
        let first = accounts.enter(&name, Some(2)).unwrap();
        let _second = accounts.enter(&name, Some(2)).unwrap();
        assert!(accounts.enter(&name, Some(2)).is_none());
        assert!(accounts.enter(&"bob".into(), Some(2)).is_some());
        drop(first);
        assert!(accounts.enter(&name, Some(2)).is_some(), "a place given back is free");
        assert_eq!(accounts.figures("alice").connections, 1, "a refused one takes none");
    }

    #[test]
    fn bounded_a_burst_and_then_the_rate() {
        let (account, rate) = (Account::default(), Rate { per_second: 10, burst: 5 });
        assert_eq!(account.take(rate, 8, 0), 5);
        assert_eq!(account.take(rate, 1, SECOND / 20), 0, "the next comes after a tenth of a second");
        assert_eq!(account.take(rate, 3, SECOND / 10), 1);
        assert_eq!(account.take(rate, 100, 60 * SECOND), 5, "what is not used does not gather beyond the burst");
    }

    #[test]
    fn bounded_a_million_names_leave_a_bounded_table() {
        let accounts = Accounts::default();
        let _held = accounts.enter(&"held".into(), None).unwrap();
        for number in 0..50_000 {
            drop(accounts.enter(&number.to_string().into(), None));
        }
        assert!(accounts.by_name.lock().unwrap().len() <= IDLE_ACCOUNTS);
        assert_eq!(accounts.figures("held").connections, 1, "who is there is not forgotten");
    }

    #[test]
    fn bounded_another_rate_holds_at_once_and_owes_nothing_of_the_old_one() {
        let account = Account::default();
        let (slow, fast) = (Rate { per_second: 1, burst: 10_000 }, Rate { per_second: 1_000, burst: 100 });
        assert_eq!(account.take(slow, 20_000, 0), 10_000);
        assert_eq!(account.take(fast, 1_000, 0), 0, "a new rate is no new bucket");
        assert_eq!(account.take(fast, 1_000, SECOND / 100), 10, "and what it brings comes at its own pace");
        assert_eq!(
            account.take(slow, 20_000, SECOND / 100),
            9_999,
            "a larger bucket is as full as the time owed leaves it"
        );
    }

    #[test]
    fn bounded_threads_together_get_no_more_than_one_would() {
        let (accounts, name) = (Accounts::default(), Arc::from("alice"));
        let rate = Rate { per_second: 1, burst: 10_000 };
        let begun = Instant::now();
        let granted: usize = std::thread::scope(|scope| {
            let asking = (0..4).map(|_| {
                scope.spawn(|| {
                    let place = accounts.enter(&name, None).unwrap();
                    (0..5_000).map(|_| accounts.grant(&place, Some(rate), 1)).sum::<usize>()
                })
            });
            asking.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let most = 10_000 + usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
        assert!((10_000..=most).contains(&granted), "{granted}");
        let figures = accounts.figures("alice");
        assert_eq!((figures.queries, figures.rate_limited), (20_000, 20_000 - granted as u64));
    }

    proptest! {
        /// In any stretch of time, never more than the burst and what the rate brings meanwhile; and never less, if asked for.
        #[test]
        fn bounded_never_more_than_burst_and_rate(
            per_second in 1u64..5_000, burst in 1u64..500, steps in prop::collection::vec((0u64..SECOND, 0usize..200), 1..50)) {
            let (account, rate) = (Account::default(), Rate { per_second, burst });
            let mut given = Vec::new();
            let mut now = 0;
            for (pause, asked) in steps {
                now += pause;
                let granted = account.take(rate, asked, now);
                prop_assert!(granted <= asked);
                given.push((now, granted as u64, asked as u64));
            }
            for first in 0..given.len() {
                let stretch = &given[first..];
                let sum: u64 = stretch.iter().map(|(_, granted, _)| granted).sum();
                let time = stretch.last().unwrap().0 - stretch[0].0;
                prop_assert!(sum <= burst + 1 + u64::try_from(u128::from(time) * u128::from(per_second) / u128::from(SECOND)).unwrap());
            }
            prop_assert_eq!(given[0].1, given[0].2.min(burst), "a full bucket gives all it has");
        }
    }
}
