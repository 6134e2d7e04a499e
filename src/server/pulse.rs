//! Whether every thread that answers still comes round: each beats in its own runtime, and the supervisor hears of it only
//! while all do. Knows counters and clocks.

use super::Stage;
use super::shared::Shared;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The beats of every thread, where anybody asks for them.
pub struct Pulse {
    beats: Vec<AtomicU64>,
    /// Between two beats: a quarter of what the supervisor allows, so that one that comes late is no alarm.
    period: Option<Duration>,
}

impl Pulse {
    /// For so many threads, and what the supervisor allows between two signs of life.
    #[must_use]
    pub fn new(threads: usize, allowed: Option<Duration>) -> Pulse {
        Pulse { beats: (0..threads).map(|_| AtomicU64::new(0)).collect(), period: allowed.map(|allowed| allowed / 4) }
    }

    /// Beats for one thread, as long as its runtime comes round.
    pub async fn beat(&self, thread: usize) {
        let (Some(period), Some(beats)) = (self.period, self.beats.get(thread)) else { return };
        loop {
            beats.fetch_add(1, Relaxed);
            tokio::time::sleep(period).await;
        }
    }

    fn now(&self) -> Vec<u64> {
        self.beats.iter().map(|beats| beats.load(Relaxed)).collect()
    }
}

/// Tells the supervisor now and then, while every thread has beaten since it was told last.
pub(super) async fn feel(pulse: Arc<Pulse>, shared: Arc<Shared>) {
    let Some(period) = pulse.period else { return };
    let mut before = vec![0; pulse.beats.len()];
    loop {
        // First of all, so that a service manager knows by then which process it hears.
        tokio::time::sleep(period).await;
        let now = pulse.now();
        if now.iter().zip(&before).all(|(now, then)| now > then) {
            (shared.supervisor.tell)(Stage::Alive);
            before = now;
        }
    }
}
