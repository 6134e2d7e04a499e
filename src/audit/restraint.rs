//! How much a stranger can make us write: so many records of a kind about a source, then a count. Bounded; the counters of
//! `metrics.rs` miss nothing of it. Knows records and times.

use crate::audit::Record;
use crate::event::Event;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// What somebody can cause without having proved anything.
const RESTRAINED: [&str; 4] = ["connection-refused", "handshake-failed", "client-denied", "penalty-begun"];

/// Records of one kind about one source in one stretch.
const MOST: u64 = 10;

/// How long a stretch is.
const STRETCH: Duration = Duration::from_secs(10);

/// Sources and kinds that are told apart at a time; all others share one place a kind.
const PLACES: usize = 4096;

/// Who was told of how often.
#[derive(Debug, Default)]
pub(super) struct Restraint {
    places: HashMap<(&'static str, String), Stretch>,
}

#[derive(Debug)]
struct Stretch {
    since: Instant,
    told: u64,
    left_out: u64,
}

impl Restraint {
    /// Whether this record is to be written.
    pub(super) fn permits(&mut self, record: &Record, now: Instant) -> bool {
        if !RESTRAINED.contains(&record.event) {
            return true;
        }
        let mut place = (record.event, source(record));
        if self.places.len() >= PLACES && !self.places.contains_key(&place) {
            place.1 = "others".to_owned();
        }
        let stretch = self.places.entry(place).or_insert(Stretch { since: now, told: 0, left_out: 0 });
        if stretch.told < MOST {
            stretch.told += 1;
            true
        } else {
            stretch.left_out += 1;
            false
        }
    }

    /// What was left out in the stretches that are over; all of them at the end.
    pub(super) fn over(&mut self, now: Instant, at_end: bool) -> Vec<Event> {
        let mut news = Vec::new();
        self.places.retain(|(of, source), stretch| {
            let over = at_end || now.saturating_duration_since(stretch.since) >= STRETCH;
            if over && stretch.left_out > 0 {
                news.push(Event::RecordsSuppressed { of, source: source.clone(), count: stretch.left_out });
            }
            !over
        });
        news
    }
}

/// The address without its port if it has one, an IPv6 one by its /64: who has one address there has them all.
fn source(record: &Record) -> String {
    let told = record.fields.iter().find(|(name, _)| name == "source").map_or("", |(_, value)| value.as_str());
    match told.parse::<SocketAddr>().map(|peer| peer.ip()).or_else(|_| told.parse::<IpAddr>()) {
        Ok(IpAddr::V6(address)) => format!("{}/64", Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        Ok(address) => address.to_string(),
        Err(_) => told.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Refusal;
    use std::time::SystemTime;

    fn refused(source: &str) -> Record {
        let (proxy, detail) = ("none".to_owned(), String::new());
        let event =
            Event::Refused { listener: "l".into(), source: source.into(), proxy, reason: Refusal::Allowlist, detail };
        Record::new(&event, SystemTime::UNIX_EPOCH)
    }

    fn counts(news: &[Event]) -> Vec<(String, u64)> {
        let mut counts: Vec<_> = news
            .iter()
            .map(|event| match event {
                Event::RecordsSuppressed { source, count, .. } => (source.clone(), *count),
                other => panic!("{other:?}"),
            })
            .collect();
        counts.sort();
        counts
    }

    #[test]
    fn bounded_a_source_is_told_of_so_often_and_then_counted() {
        let (mut restraint, now) = (Restraint::default(), Instant::now());
        let written = (0..100).filter(|port| restraint.permits(&refused(&format!("192.0.2.1:{port}")), now)).count();
        assert_eq!(written, 10);
        assert!(restraint.permits(&refused("192.0.2.2:1"), now), "a neighbour has its own");
        assert!(restraint.over(now + Duration::from_secs(9), false).is_empty());
        let news = restraint.over(now + Duration::from_secs(10), false);
        assert_eq!(counts(&news), [("192.0.2.1".to_owned(), 90)]);
        assert!(restraint.permits(&refused("192.0.2.1:1"), now + Duration::from_secs(10)), "a new stretch begins");
    }

    #[test]
    fn bounded_one_ipv6_host_is_one_source() {
        let (mut restraint, now) = (Restraint::default(), Instant::now());
        let written =
            (1..100).filter(|host| restraint.permits(&refused(&format!("[2001:db8::{host}]:1")), now)).count();
        assert_eq!(written, 10);
        assert_eq!(counts(&restraint.over(now, true)), [("2001:db8::/64".to_owned(), 89)]);
    }

    #[test]
    fn bounded_penalties_of_one_ipv6_host_are_one_source() {
        let (mut restraint, now) = (Restraint::default(), Instant::now());
        let penalty = |host: u32| {
            let event = Event::PenaltyBegun { listener: "l".into(), source: format!("2001:db8::{host:x}"), seconds: 5 };
            Record::new(&event, SystemTime::UNIX_EPOCH)
        };
        assert_eq!((1..100).filter(|host| restraint.permits(&penalty(*host), now)).count(), 10);
        assert_eq!(counts(&restraint.over(now, true)), [("2001:db8::/64".to_owned(), 89)]);
    }

    #[test]
    fn bounded_a_flood_of_sources_shares_one_place() {
        let (mut restraint, now) = (Restraint::default(), Instant::now());
        let written = (0..100_000u32)
            .filter(|host| restraint.permits(&refused(&format!("{}:1", std::net::Ipv4Addr::from(*host))), now))
            .count();
        assert_eq!(written as u64, PLACES as u64 + MOST);
        assert!(restraint.places.len() <= PLACES + 1);
        let left_out: u64 = counts(&restraint.over(now, true)).iter().map(|(_, count)| count).sum();
        assert_eq!(left_out + written as u64, 100_000, "nothing is lost from the count");
    }

    #[test]
    fn what_the_administrator_waits_for_is_never_left_out() {
        let (mut restraint, now) = (Restraint::default(), Instant::now());
        let record = Record::new(&Event::Stopped { cut_connections: 0 }, SystemTime::UNIX_EPOCH);
        assert!((0..1000).all(|_| restraint.permits(&record, now)));
    }
}
