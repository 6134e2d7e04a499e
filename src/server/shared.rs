//! What every thread of the server sees: the generation in service, the counters, where events are told, whether we stop.

use super::state::State;
use crate::event::Teller;
use crate::metrics::Metrics;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

/// Shared by all threads; everything in it is changed in one step or counted atomically.
pub struct Shared {
    /// The generation in service.
    pub state: ArcSwap<State>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Where events are told.
    pub teller: Teller,
    /// What sessions that wait for their peers are woken for.
    pub calls: watch::Sender<Call>,
    /// When the server began.
    pub since: Instant,
}

/// What concerns every session at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The server stops.
    pub stopping: bool,
    /// The generation in service.
    pub epoch: u64,
}

impl Shared {
    /// Puts a new generation into service, and calls on every session to follow.
    pub fn enter(&self, state: State) {
        let epoch = state.epoch;
        self.state.store(Arc::new(state));
        self.calls.send_modify(|call| call.epoch = epoch);
    }

    /// Calls on everybody to stop.
    pub fn stop(&self) {
        self.calls.send_modify(|call| call.stopping = true);
    }

    /// Returns when the server stops.
    pub async fn stopped(&self) {
        // The sender is here, so there is no error to wait for.
        let _ = self.calls.subscribe().wait_for(|call| call.stopping).await;
    }
}
