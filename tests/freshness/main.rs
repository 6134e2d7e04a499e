//! The promise of fresh answers, attacked from outside: a real daemon, real files, writers that do their worst.
//! Every answer is held against a linear scan that shares no code with the daemon.
//!
//! The breakers run longer by `LINEKEEP_STEPS=100000`, the trials of `appends` by `LINEKEEP_TRIALS=10000`, long writes are
//! longer by `LINEKEEP_MIB=1024`; a failure prints its seed, and `LINEKEEP_SEED` takes it again.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod appends;
mod asker;
mod breaker;
mod chance;
mod doubt;
mod guards;
mod noticed;
mod overlap;
mod place;
mod precision;
mod steps;
mod truth;

/// A number from the environment, for the long forms.
fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// Waits until something has come true; for what the daemon does by itself, where no record tells of it.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + support::daemon::PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < until, "never came true: {what}");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}
