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
    /// Turns true once, when the server stops.
    pub stopping: watch::Receiver<bool>,
    /// When the server began.
    pub since: Instant,
}

impl Shared {
    /// Returns when the server stops.
    pub async fn stopped(&self) {
        // An error means that whoever would say "stop" is gone, which is a stop as well.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }
}
