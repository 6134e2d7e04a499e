//! Who may come through the door at all, before any cryptography: allowlist, then caps.
//! Lives on the accepting thread alone, so its tables need no locks; permits report back through a channel.

use crate::allowlist::Allowlist;
use crate::config;
use crate::event::Refusal;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An address and port; v4-mapped addresses are IPv4 already.
    Net(SocketAddr),
    /// A process on this machine, by its user.
    Unix {
        /// Its uid.
        uid: u32,
    },
}

impl Source {
    /// A peer's address, with v4-mapped ones as the IPv4 addresses that they are.
    #[must_use]
    pub fn net(peer: SocketAddr) -> Source {
        Source::Net(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
    }

    fn counted_as(self) -> Counted {
        match self {
            Source::Net(peer) => match peer.ip() {
                IpAddr::V4(_) => Counted::Net(peer.ip()),
                // One IPv6 host usually owns a /64 whole (RFC 4291 section 2.5.4).
                IpAddr::V6(address) => {
                    Counted::Net(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))))
                }
            },
            Source::Unix { uid } => Counted::Unix(uid),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Net(peer) => peer.fmt(f),
            Source::Unix { uid } => write!(f, "unix:uid={uid}"),
        }
    }
}

/// What the caps per source count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Net(IpAddr),
    Unix(u32),
}

/// Connections, and how many of them have not yet proved who they are.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    connections: usize,
    handshakes: usize,
}

/// The tables. As large as there are connections, so bounded by `max-connections`.
pub struct Admission {
    all: Count,
    sources: HashMap<Counted, Count>,
    reports: Receiver<Report>,
    report: Sender<Report>,
}

enum Report {
    Identified(Counted),
    Closed(Counted, Stage),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Handshake,
    Identified,
}

/// Proof that admission said yes. Whoever holds it has its place in the counts; dropping it gives the place back.
#[derive(Debug)]
pub struct Permit {
    counted: Counted,
    stage: Stage,
    report: Sender<Report>,
}

impl Permit {
    /// Says that the peer has proved who it is: it no longer counts as a handshake.
    pub fn identified(&mut self) {
        if self.stage == Stage::Handshake {
            self.stage = Stage::Identified;
            let _ = self.report.send(Report::Identified(self.counted));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let _ = self.report.send(Report::Closed(self.counted, self.stage));
    }
}

impl Default for Admission {
    fn default() -> Self {
        let (report, reports) = channel();
        Admission { all: Count::default(), sources: HashMap::new(), reports, report }
    }
}

impl Admission {
    /// Decides about one connection, in the order of the design: allowlist first, then caps.
    /// A UNIX socket has no allowlist: its file mode decided already.
    ///
    /// # Errors
    /// The [`Refusal`] that belongs in the record.
    pub fn admit(&mut self, source: Source, allow: &Allowlist, limits: &config::Server) -> Result<Permit, Refusal> {
        self.hear_reports();
        if let Source::Net(peer) = source {
            if !allow.permits(peer.ip()) {
                return Err(Refusal::Allowlist);
            }
        }
        let counted = source.counted_as();
        let of_source = self.sources.get(&counted).copied().unwrap_or_default();
        if self.all.connections >= limits.max_connections {
            return Err(Refusal::MaxConnections);
        }
        if of_source.connections >= limits.max_connections_per_source {
            return Err(Refusal::MaxConnectionsPerSource);
        }
        if self.all.handshakes >= limits.max_handshakes {
            return Err(Refusal::MaxHandshakes);
        }
        if of_source.handshakes >= limits.max_handshakes_per_source {
            return Err(Refusal::MaxHandshakesPerSource);
        }
        let entry = self.sources.entry(counted).or_default();
        for count in [&mut self.all, entry] {
            count.connections += 1;
            count.handshakes += 1;
        }
        Ok(Permit { counted, stage: Stage::Handshake, report: self.report.clone() })
    }

    fn hear_reports(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            let (counted, closed, identified) = match report {
                Report::Identified(counted) => (counted, 0, 1),
                Report::Closed(counted, Stage::Handshake) => (counted, 1, 1),
                Report::Closed(counted, Stage::Identified) => (counted, 1, 0),
            };
            let entry = self.sources.entry(counted).or_default();
            for count in [&mut self.all, entry] {
                count.connections = count.connections.saturating_sub(closed);
                count.handshakes = count.handshakes.saturating_sub(identified);
            }
            if self.sources.get(&counted).is_some_and(|count| count.connections == 0) {
                self.sources.remove(&counted);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allowlist::parse_range;
    use std::time::Duration;

    fn limits() -> config::Server {
        config::Server {
            threads: 1,
            max_connections: 4,
            max_connections_per_source: 3,
            max_handshakes: 3,
            max_handshakes_per_source: 2,
            backlog: 1,
            handshake_deadline: Duration::ZERO,
            idle_timeout: Duration::ZERO,
            write_deadline: Duration::ZERO,
            drain_deadline: Duration::ZERO,
            max_query_bytes: 1,
            max_index_bytes: 1,
        }
    }

    struct Door {
        admission: Admission,
        allow: Allowlist,
        limits: config::Server,
    }

    impl Door {
        fn new(limits: config::Server) -> Door {
            let ranges = ["192.0.2.0/24", "2001:db8::/32"].map(|range| parse_range(range).unwrap());
            Door { admission: Admission::default(), allow: Allowlist::new(ranges.to_vec()), limits }
        }

        fn knock(&mut self, source: &str) -> Result<Permit, Refusal> {
            let source = Source::net(SocketAddr::new(source.parse().unwrap(), 9));
            self.admission.admit(source, &self.allow, &self.limits)
        }
    }

    #[test]
    fn the_allowlist_comes_before_every_cap() {
        let mut door = Door::new(config::Server { max_connections: 0, ..limits() });
        assert_eq!(door.knock("198.51.100.1").unwrap_err(), Refusal::Allowlist);
        assert_eq!(door.knock("192.0.2.1").unwrap_err(), Refusal::MaxConnections);
    }

    #[test]
    fn bounded_each_cap_holds_and_a_closed_connection_gives_its_place_back() {
        let mut door = Door::new(limits());
        let mut first = door.knock("192.0.2.1").unwrap();
        let mut second = door.knock("::ffff:192.0.2.1").unwrap();
        assert_eq!(door.knock("192.0.2.1").unwrap_err(), Refusal::MaxHandshakesPerSource);
        let third = door.knock("192.0.2.2").unwrap();
        assert_eq!(door.knock("192.0.2.3").unwrap_err(), Refusal::MaxHandshakes);
        first.identified();
        second.identified();
        let fourth = door.knock("192.0.2.1").unwrap();
        assert_eq!(door.knock("192.0.2.9").unwrap_err(), Refusal::MaxConnections);
        drop(third);
        assert_eq!(door.knock("192.0.2.1").unwrap_err(), Refusal::MaxConnectionsPerSource);
        drop((first, second, fourth));
        door.admission.hear_reports();
        assert_eq!(door.admission.all.connections, 0);
        assert!(door.admission.sources.is_empty(), "the table forgets sources that left");
        assert_eq!(door.admission.all.handshakes, 0);
    }

    #[test]
    fn one_ipv6_host_is_one_source_whatever_address_of_its_64_it_takes() {
        let mut door = Door::new(limits());
        let _held = [door.knock("2001:db8::1").unwrap(), door.knock("2001:db8::2").unwrap()];
        assert_eq!(door.knock("2001:db8::3").unwrap_err(), Refusal::MaxHandshakesPerSource);
        assert!(door.knock("2001:db8:0:1::3").is_ok());
    }
}
