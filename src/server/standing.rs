//! How a session's client stands: who it is, until when, and whether a reload or a jump of the clock changes that.
//! Knows generations and clocks; what the client asks is `session.rs`'s business.

use super::accounts::Place;
use super::shared::{Call, Shared};
use super::state::{Presented, State};
use crate::event::{Event, SessionEnd};
use crate::identity::Client;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;
use tokio::time::Instant;

/// A client that was let in, and what that rests on.
pub(super) struct Standing {
    pub(super) client: Client,
    /// What it showed, to be judged again.
    pub(super) presented: Presented,
    /// Its place among the connections of its client.
    place: Place,
    /// The generation that judged it last. The generation itself is not held while waiting for the peer:
    /// an idle session must not keep an old one in memory.
    epoch: u64,
    /// How often the clock had jumped by then.
    jumps: u64,
    /// When its time is over; `None` for never.
    ends: Option<Instant>,
}

impl Standing {
    /// Of somebody whom the generation `epoch` let in. If a newer one came since, the client is judged anew before its first answer.
    pub(super) fn new(client: Client, presented: Presented, place: Place, epoch: u64, shared: &Shared) -> Standing {
        let jumps = shared.jumps.load(Relaxed);
        let ends = ends(&client, &presented, &shared.state.load());
        Standing { client, presented, place, epoch, jumps, ends }
    }

    /// Whether a call concerns this session.
    pub(super) fn is_called(&self) -> impl Fn(&Call) -> bool + use<> {
        let (epoch, jumps) = (self.epoch, self.jumps);
        move |call| call.stopping || call.epoch != epoch || call.jumps != jumps
    }

    /// Judges the client anew if there is a reason to, by what it once showed. Returns whether there was one: its rights
    /// may be others then.
    ///
    /// # Errors
    /// That its time here is over, and why.
    pub(super) fn follow(&mut self, state: &State, shared: &Shared) -> Result<bool, SessionEnd> {
        self.on_time()?;
        let jumps = shared.jumps.load(Relaxed);
        if (state.epoch, jumps) == (self.epoch, self.jumps) {
            return Ok(false);
        }
        let client = state.admit(&self.presented, SystemTime::now()).map_err(|why| match why {
            "expired" | "proof-has-expired" => SessionEnd::Expired,
            _ => SessionEnd::NoLongerPermitted,
        })?;
        if client.name() != self.client.name() {
            // The same proof is another client now: rate and counts follow the name. Who is here already is not turned away.
            if let Some(place) = shared.accounts.enter(client.name(), None) {
                self.place = place;
            }
        }
        self.client = client;
        self.ends = ends(&self.client, &self.presented, state);
        (self.epoch, self.jumps) = (state.epoch, jumps);
        Ok(true)
    }

    /// # Errors
    /// That its time is over.
    pub(super) fn on_time(&self) -> Result<(), SessionEnd> {
        match self.ends {
            Some(end) if end <= Instant::now() => Err(SessionEnd::Expired),
            _ => Ok(()),
        }
    }

    /// The sooner of a moment and the end of its time.
    pub(super) fn until(&self, moment: Instant) -> Instant {
        self.ends.map_or(moment, |end| end.min(moment))
    }

    /// How many of so many queries may be answered now.
    pub(super) fn grant(&self, shared: &Shared, asked: usize) -> usize {
        shared.accounts.grant(&self.place, self.client.rate(), asked)
    }

    /// Tells that queries were refused by rate, now and then.
    pub(super) fn tell_limited(&self, shared: &Shared, connection: u64) {
        if let Some(refused) = shared.accounts.to_tell(&self.place) {
            let (client, source) = (self.client.name().clone(), self.presented.source.to_string());
            shared.teller.tell(Event::RateLimited { connection, client, source, refused });
        }
    }
}

/// When the time of a client or of its proof is over, on the clock that only goes ahead.
fn ends(client: &Client, presented: &Presented, state: &State) -> Option<Instant> {
    let end = client.expires().into_iter().chain(state.proof_ends(presented)).min()?;
    Instant::now().checked_add(end.duration_since(SystemTime::now()).unwrap_or_default())
}
