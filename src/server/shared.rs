//! What every thread of the server sees: the generation in service, the counters, where events are told, whether we stop.

use super::accounts::Accounts;
use super::admission::{Counted, Source};
use super::penalties::{Offence, Penalties};
use super::state::State;
use super::uses::Uses;
use super::{Stage, Supervisor};
use crate::config;
use crate::event::{Event, Teller};
use crate::metrics::Metrics;
use arc_swap::ArcSwap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Who is told how it goes.
    pub supervisor: Supervisor,
    /// Who is turned away for what they did. Offences are rare and told from every thread, so here a lock is simplest.
    pub penalties: Mutex<Penalties<Counted>>,
    /// What each client does.
    pub accounts: Accounts,
    /// When each key was used.
    pub uses: Uses,
    /// How often the clock has jumped; also in `calls`, but asked for at every turn.
    pub jumps: AtomicU64,
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
    /// How often the clock has jumped: what ends at a moment is to be looked at anew.
    pub jumps: u64,
}

impl Shared {
    /// Puts a new generation into service, and calls on every session to follow.
    pub fn enter(&self, state: State) {
        let epoch = state.epoch;
        self.state.store(Arc::new(state));
        self.calls.send_modify(|call| call.epoch = epoch);
    }

    /// Whether a source is turned away for what it did before. Whoever was made exempt meanwhile is not.
    pub fn is_penalised(&self, source: Source, rules: &config::Penalties) -> bool {
        let Source::Net(peer) = source else { return false };
        !rules.exempt.permits(peer.ip()) && self.penalties().holds(source.counted_as(), rules, Instant::now())
    }

    /// Notes what a source did; told, if it is turned away from now on.
    pub fn offend(&self, source: Source, offence: Offence, listener: usize) {
        let Source::Net(peer) = source else { return };
        let state = self.state.load();
        let rules = &state.config.penalties;
        if rules.exempt.permits(peer.ip()) {
            return;
        }
        let begun = self.penalties().add(source.counted_as(), offence, rules, Instant::now());
        if let Some(length) = begun {
            let (listener, seconds) = (self.listener_name(listener), length.as_secs());
            self.teller.tell(Event::PenaltyBegun { listener, source: peer.ip().to_string(), seconds });
        }
    }

    /// Sources that are turned away now.
    pub fn penalised(&self) -> usize {
        let state = self.state.load();
        let rules = &state.config.penalties;
        let penalties = self.penalties();
        let is_exempt = |source: &Counted| matches!(source, Counted::Net(address) if rules.exempt.permits(*address));
        penalties.held(rules, Instant::now()).filter(|source| !is_exempt(source)).count()
    }

    fn penalties(&self) -> MutexGuard<'_, Penalties<Counted>> {
        // A table that a panic left behind is a table still; panics end the process anyway.
        self.penalties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A listener's name, for records.
    pub fn listener_name(&self, listener: usize) -> Arc<str> {
        Arc::clone(&self.state.load().doors[listener].listener.name)
    }

    /// Calls on every session to look at the clock.
    pub fn clock_jumped(&self) {
        let jumps = self.jumps.fetch_add(1, Relaxed) + 1;
        self.calls.send_modify(|call| call.jumps = jumps);
    }

    /// Tells the supervisor what is served.
    pub fn say_ready(&self) {
        let state = self.state.load();
        let (listeners, lists, lines) = (state.doors.len(), state.lists.len(), state.lists.lines());
        let status = format!("answers: listeners {listeners}, lists {lists}, lines {lines}");
        (self.supervisor.tell)(Stage::Ready(status));
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
