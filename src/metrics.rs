//! Counters: what happened, how often. Knows events and nothing of who reads the numbers.
//! A counter's name and meaning stand here and nowhere else.

use crate::event::{Event, Refusal};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Declares every counter once: its field, its name for machines, its meaning for people.
macro_rules! counters {
    ($( $field:ident, $name:literal, $meaning:literal; )*) => {
        /// All counters of the process. Each only grows, but for those whose name does not end in `_total`.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $( #[doc = $meaning] pub $field: Counter, )*
        }

        impl Metrics {
            /// Name, meaning and value of every counter, in a fixed order.
            #[must_use]
            pub fn read(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$( ($name, $meaning, self.$field.value()) ),*]
            }
        }
    };
}

counters! {
    accepted, "connections_accepted_total", "connections that came through the door's limits";
    open, "connections_open", "connections open now";
    refused_allowlist, "refused_allowlist_total", "connections refused: source in no allowed range";
    refused_connections, "refused_max_connections_total", "connections refused: all in use";
    refused_source, "refused_max_connections_per_source_total", "connections refused: too many of this source";
    refused_handshakes, "refused_max_handshakes_total", "connections refused: too many not yet identified";
    refused_source_handshakes, "refused_max_handshakes_per_source_total", "connections refused: too many of this source not yet identified";
    refused_early, "refused_early_total", "connections refused by chance, as many were not yet identified";
    refused_penalty, "refused_penalty_total", "connections refused: the source failed too often before";
    refused_proxy, "refused_max_connections_per_proxy_total", "connections refused: too many of this trusted proxy";
    refused_proxy_header, "refused_proxy_header_total", "connections of trusted proxies that did not say whom they speak for";
    refused_proxy_not_trusted, "refused_proxy_not_trusted_total", "connections that sent a PROXY header and may not";
    proxy_checks, "proxy_checks_total", "connections by which trusted proxies only looked whether the server is alive";
    penalties, "penalties_total", "times that a source began to be refused for its failures";
    handshakes_failed, "handshakes_failed_total", "handshakes without proof of identity, or past their deadline";
    clients_denied, "clients_denied_total", "proven identities that are no client here";
    clients_admitted, "clients_admitted_total", "sessions begun";
    queries, "queries_total", "queries looked up";
    found, "queries_found_total", "queries answered STRING EXISTS";
    not_found, "queries_not_found_total", "queries answered STRING NOT FOUND";
    query_errors, "queries_error_total", "queries answered ERROR for want of a right, a list, or a rate";
    rate_limited, "queries_rate_limited_total", "queries answered ERROR: rate limited";
    invalid_empty, "requests_empty_total", "requests that were empty lines";
    invalid_nul, "requests_nul_total", "requests that held NUL";
    invalid_utf8, "requests_not_utf8_total", "requests that were not UTF-8";
    too_long, "requests_too_long_total", "requests over the length limit";
    bytes_read, "bytes_read_total", "bytes of requests";
    bytes_written, "bytes_written_total", "bytes of answers";
    idle_ended, "sessions_ended_idle_total", "sessions ended: no whole request for the idle time";
    write_ended, "sessions_ended_write_deadline_total", "sessions ended: answers not read for the write deadline";
    expired_ended, "sessions_ended_expired_total", "sessions ended: the time of the client or of its certificate was over";
    accept_errors, "accept_errors_total", "connections that the kernel could not hand over";
    closed_without_descriptor, "closed_without_descriptor_total", "connections closed at once because no descriptor was left";
    reloads, "reloads_total", "reloads that took effect";
    reload_failures, "reload_failures_total", "reloads refused";
    list_loads, "list_loads_total", "generations of lists that went into service";
    list_failures, "list_failures_total", "lists that could not be taken as they were found";
    list_stale, "list_stale_total", "lists that became older than they may be";
    list_words_broken, "list_words_broken_total", "lists whose old bytes changed although their writers only append";
    list_scans, "list_scans_total", "times that files were read to answer queries";
    list_catch_ups, "list_catch_ups_total", "times that files were read on where they had grown";
    records_lost, "records_lost_total", "records that a place they should go to did not take, told as records-lost";
    control_denied, "control_denied_total", "control connections denied";
}

impl Metrics {
    /// Counts what an event says. What has no event (queries, bytes) is counted where it happens.
    pub fn note(&self, event: &Event) {
        match event {
            Event::Refused { reason, .. } => self.refused(*reason).add(1),
            Event::PenaltyBegun { .. } => self.penalties.add(1),
            Event::HandshakeFailed { .. } => self.handshakes_failed.add(1),
            Event::ClientDenied { .. } => self.clients_denied.add(1),
            Event::ClientAdmitted { .. } => self.clients_admitted.add(1),
            Event::SessionEnded { reason, .. } => match reason {
                crate::event::SessionEnd::Idle => self.idle_ended.add(1),
                crate::event::SessionEnd::WriteDeadline => self.write_ended.add(1),
                crate::event::SessionEnd::Expired => self.expired_ended.add(1),
                _ => {}
            },
            Event::Reloaded { .. } => self.reloads.add(1),
            Event::ListLoaded { .. } => self.list_loads.add(1),
            Event::ListRefused { .. } => self.list_failures.add(1),
            Event::ListStale { .. } => self.list_stale.add(1),
            Event::ListWordBroken { .. } => self.list_words_broken.add(1),
            Event::RecordsLost { count, .. } => self.records_lost.add(*count),
            Event::ControlDenied { .. } => self.control_denied.add(1),
            _ => {}
        }
    }

    fn refused(&self, reason: Refusal) -> &Counter {
        match reason {
            Refusal::Allowlist => &self.refused_allowlist,
            Refusal::MaxConnections => &self.refused_connections,
            Refusal::MaxConnectionsPerSource => &self.refused_source,
            Refusal::MaxHandshakes => &self.refused_handshakes,
            Refusal::MaxHandshakesPerSource => &self.refused_source_handshakes,
            Refusal::Early => &self.refused_early,
            Refusal::Penalty => &self.refused_penalty,
            Refusal::MaxConnectionsPerProxy => &self.refused_proxy,
            Refusal::ProxyHeader => &self.refused_proxy_header,
            Refusal::ProxyNotTrusted => &self.refused_proxy_not_trusted,
        }
    }
}

/// One number that any thread may change.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    /// Takes from it; only for counts of what is there now.
    pub fn subtract(&self, amount: u64) {
        self.0.fetch_sub(amount, Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_every_refusal_has_its_own_counter() {
        let metrics = Metrics::default();
        for (reason, word) in Refusal::WORDS {
            let (proxy, detail) = (String::new(), String::new());
            metrics.note(&Event::Refused { listener: "l".into(), source: "s".into(), proxy, reason: *reason, detail });
            let name = format!("refused_{}_total", word.replace('-', "_"));
            let counted: Vec<_> = metrics.read().into_iter().filter(|(counter, ..)| *counter == name).collect();
            assert_eq!(counted.len(), 1, "{name}");
            assert_eq!(counted[0].2, 1, "{name}");
        }
    }
}
