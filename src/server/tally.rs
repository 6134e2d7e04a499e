//! What one turn's requests came to, on its way into the counters.

use crate::metrics::Metrics;
use crate::protocol::{Answer, Invalid, Reason, Request};

/// Counts of one turn.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) exists: u64,
    not_found: u64,
    errors: u64,
    /// Of `errors`.
    pub(super) limited: u64,
    empty: u64,
    nul: u64,
    not_utf8: u64,
    too_long: u64,
}

impl Tally {
    /// The same requests, each answered with an error.
    pub(super) fn all_errors(&self) -> Tally {
        Tally { requests: self.requests, errors: self.requests, ..Tally::default() }
    }

    pub(super) fn count(&mut self, request: Request<'_>, answer: Answer) {
        self.requests += 1;
        let counter = match (request, answer) {
            (Request::Invalid(Invalid::Empty), _) => &mut self.empty,
            (Request::Invalid(Invalid::Nul), _) => &mut self.nul,
            (Request::Invalid(Invalid::NotUtf8), _) => &mut self.not_utf8,
            (Request::TooLong, _) => &mut self.too_long,
            (_, Answer::Exists) => &mut self.exists,
            (_, Answer::NotFound) => &mut self.not_found,
            (_, Answer::Error(reason)) => {
                self.limited += u64::from(reason == Reason::RateLimited);
                &mut self.errors
            }
        };
        *counter += 1;
    }

    /// Requests that were queries.
    pub(super) fn queries(&self) -> u64 {
        self.exists + self.not_found + self.errors
    }

    /// Requests that were none.
    pub(super) fn invalid(&self) -> u64 {
        self.empty + self.nul + self.not_utf8 + self.too_long
    }

    pub(super) fn add_to(&self, metrics: &Metrics) {
        for (counter, amount) in [
            (&metrics.queries, self.queries()),
            (&metrics.found, self.exists),
            (&metrics.not_found, self.not_found),
            (&metrics.query_errors, self.errors),
            (&metrics.rate_limited, self.limited),
            (&metrics.invalid_empty, self.empty),
            (&metrics.invalid_nul, self.nul),
            (&metrics.invalid_utf8, self.not_utf8),
            (&metrics.too_long, self.too_long),
        ] {
            if amount > 0 {
                counter.add(amount);
            }
        }
    }
}
