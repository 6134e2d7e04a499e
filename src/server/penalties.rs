//! Penalties per source: who fails to log in, or keeps a handshake waiting, is turned away for a while, before any cryptography.
//! The rules are those of sshd's `PerSourcePenalties` (sshd_config(5), OpenSSH 9.8). Knows sources and times; hears of offences
//! from whoever saw them.

use crate::config;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Sources that are remembered at most. Whoever has the least left gives way: a flood of sources frees some, it locks nobody out.
const SOURCES: usize = 65_536;

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// Showed an identity or a certificate, and proved nothing or too little.
    FailedLogin,
    /// Began, and went or broke without showing any.
    NoLogin,
    /// Was not ready by the handshake deadline.
    SlowHandshake,
}

/// Who has how long to wait. `S` is a source, as it is counted.
#[derive(Debug)]
pub struct Penalties<S> {
    sources: HashMap<S, Penalty>,
}

#[derive(Clone, Copy, Debug)]
struct Penalty {
    until: Instant,
    /// Once what has gathered reaches the threshold it holds until it is over, however little is left of it.
    enforced: bool,
}

impl<S> Default for Penalties<S> {
    fn default() -> Self {
        Penalties { sources: HashMap::new() }
    }
}

impl<S: Copy + Eq + Hash> Penalties<S> {
    /// Adds to a source's penalty. Returns how long it is turned away, if that begins with this offence.
    pub fn add(&mut self, source: S, offence: Offence, rules: &config::Penalties, now: Instant) -> Option<Duration> {
        if !rules.enabled {
            return None;
        }
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
            self.make_room(now);
        }
        let penalty = self.sources.entry(source).or_insert(Penalty { until: now, enforced: false });
        if penalty.until <= now {
            *penalty = Penalty { until: now, enforced: false };
        }
        let cost = match offence {
            Offence::FailedLogin => rules.failed_login,
            Offence::NoLogin => rules.no_login,
            Offence::SlowHandshake => rules.slow_handshake,
        };
        let left = (penalty.until.saturating_duration_since(now) + cost).min(rules.longest);
        penalty.until = now + left;
        let begins = !penalty.enforced && left >= rules.enforce_from;
        penalty.enforced |= begins;
        begins.then_some(left)
    }

    /// Whether a source is turned away now.
    pub fn holds(&self, source: S, rules: &config::Penalties, now: Instant) -> bool {
        rules.enabled && self.sources.get(&source).is_some_and(|penalty| penalty.enforced && penalty.until > now)
    }

    /// The sources that are turned away now.
    pub fn held<'a>(&'a self, rules: &'a config::Penalties, now: Instant) -> impl Iterator<Item = S> + 'a {
        self.sources.keys().copied().filter(move |source| self.holds(*source, rules, now))
    }

    /// Forgets those whose time is over and, if that is not enough, the quarter with the least left: so the work for one
    /// offence stays small on average.
    fn make_room(&mut self, now: Instant) {
        self.sources.retain(|_, penalty| penalty.until > now);
        if self.sources.len() >= SOURCES {
            let mut ends: Vec<Instant> = self.sources.values().map(|penalty| penalty.until).collect();
            let (_, bound, _) = ends.select_nth_unstable(SOURCES / 4);
            let bound = *bound;
            self.sources.retain(|_, penalty| penalty.until > bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> config::Penalties {
        config::Penalties {
            enabled: true,
            failed_login: Duration::from_secs(5),
            no_login: Duration::from_secs(1),
            slow_handshake: Duration::from_secs(10),
            enforce_from: Duration::from_secs(15),
            longest: Duration::from_secs(600),
            exempt: crate::allowlist::Allowlist::default(),
        }
    }

    #[test]
    fn bounded_a_third_failed_login_in_a_row_is_one_too_many() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        assert_eq!(penalties.add(1, Offence::FailedLogin, &rules(), now), None);
        assert_eq!(penalties.add(1, Offence::FailedLogin, &rules(), now), None);
        assert!(!penalties.holds(1, &rules(), now));
        let begun = penalties.add(1, Offence::FailedLogin, &rules(), now);
        assert_eq!(begun, Some(Duration::from_secs(15)), "told once, when it begins");
        assert!(penalties.holds(1, &rules(), now + Duration::from_secs(14)), "held to its end");
        assert!(!penalties.holds(1, &rules(), now + Duration::from_secs(15)));
        assert!(!penalties.holds(2, &rules(), now), "a neighbour has nothing to do with it");
        assert_eq!(penalties.add(1, Offence::FailedLogin, &rules(), now), None, "told once");
        assert_eq!(penalties.held(&rules(), now).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_was_long_ago_is_forgiven() {
        let (mut penalties, mut now) = (Penalties::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(penalties.add(1, Offence::FailedLogin, &rules(), now), None);
            now += Duration::from_secs(6);
            assert!(!penalties.holds(1, &rules(), now));
        }
    }

    #[test]
    fn bounded_no_penalty_is_longer_than_the_longest() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        for _ in 0..1000 {
            penalties.add(1, Offence::SlowHandshake, &rules(), now);
        }
        assert!(penalties.holds(1, &rules(), now + Duration::from_secs(599)));
        assert!(!penalties.holds(1, &rules(), now + Duration::from_secs(600)));
    }

    #[test]
    fn bounded_a_flood_of_sources_takes_no_more_memory_and_keeps_the_worst() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        for _ in 0..100 {
            penalties.add(u32::MAX, Offence::FailedLogin, &rules(), now);
        }
        for source in 0..300_000 {
            penalties.add(source, Offence::NoLogin, &rules(), now);
        }
        assert!(penalties.sources.len() <= SOURCES);
        assert!(penalties.holds(u32::MAX, &rules(), now));
    }

    #[test]
    fn switched_off_means_off_at_once() {
        let (mut penalties, now) = (Penalties::default(), Instant::now());
        for _ in 0..10 {
            penalties.add(1, Offence::FailedLogin, &rules(), now);
        }
        let off = config::Penalties { enabled: false, ..rules() };
        assert!(penalties.holds(1, &rules(), now) && !penalties.holds(1, &off, now));
        assert_eq!(penalties.add(2, Offence::FailedLogin, &off, now), None);
    }

    proptest! {
        /// Against the rule as it is said: seconds add up, run out, and count from the threshold on until they are gone.
        #[test]
        fn penalties_are_what_the_rule_says(steps in prop::collection::vec((0u64..20, 0u8..3), 1..60)) {
            let (mut penalties, begin) = (Penalties::default(), Instant::now());
            let (mut at, mut left, mut enforced) = (0, 0u64, false);
            for (pause, kind) in steps {
                at += pause;
                left = left.saturating_sub(pause);
                enforced &= left > 0;
                let (offence, cost) =
                    [(Offence::FailedLogin, 5), (Offence::NoLogin, 1), (Offence::SlowHandshake, 10)][usize::from(kind)];
                left = (left + cost).min(600);
                let begins = !enforced && left >= 15;
                enforced |= begins;
                let now = begin + Duration::from_secs(at);
                let told = penalties.add(0, offence, &rules(), now);
                prop_assert_eq!(told, begins.then_some(Duration::from_secs(left)));
                prop_assert_eq!(penalties.holds(0, &rules(), now), enforced);
            }
        }
    }
}
