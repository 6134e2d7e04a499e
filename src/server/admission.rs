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

    /// As what caps and penalties count it.
    #[must_use]
    pub fn counted_as(self) -> Counted {
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

/// What caps and penalties per source count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// An IPv4 address, or the first of an IPv6 /64.
    Net(IpAddr),
    /// A local user.
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
    proxies: HashMap<IpAddr, usize>,
    reports: Receiver<Report>,
    report: Sender<Report>,
    /// Draws a number below 100, for early refusal.
    draw: fn() -> u8,
}

enum Report {
    Identified(Counted),
    Closed { source: Option<(Counted, Stage)>, proxy: Option<IpAddr> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Handshake,
    Identified,
}

/// Proof that admission said yes. Whoever holds it has its place in the counts; dropping it gives the place back.
#[derive(Debug)]
pub struct Permit {
    /// `None` while a proxy has yet to say whom it speaks for.
    source: Option<(Counted, Stage)>,
    proxy: Option<IpAddr>,
    report: Sender<Report>,
}

impl Permit {
    /// Says that the peer has proved who it is: it no longer counts as a handshake.
    pub fn identified(&mut self) {
        if let Some((counted, stage @ Stage::Handshake)) = &mut self.source {
            *stage = Stage::Identified;
            let _ = self.report.send(Report::Identified(*counted));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let _ = self.report.send(Report::Closed { source: self.source, proxy: self.proxy });
    }
}

impl Default for Admission {
    fn default() -> Self {
        let (report, reports) = channel();
        let (sources, proxies) = (HashMap::new(), HashMap::new());
        Admission { all: Count::default(), sources, proxies, reports, report, draw: drawn }
    }
}

fn drawn() -> u8 {
    let mut byte = [0];
    // Without a random number nobody is refused by chance; the caps hold as ever.
    openssl::rand::rand_bytes(&mut byte).map_or(99, |()| u8::try_from(u16::from(byte[0]) * 100 / 256).unwrap_or(99))
}

impl Admission {
    /// Decides about one connection, in the order of the design: allowlist first, then penalties, then caps.
    /// A UNIX socket has no allowlist: its file mode decided already.
    ///
    /// # Errors
    /// The [`Refusal`] that belongs in the record.
    pub fn admit(&mut self, source: Source, rules: &Rules<'_>) -> Result<Permit, Refusal> {
        self.hear_reports();
        let counted = self.judge(source, rules)?;
        if self.all.connections >= rules.limits.max_connections {
            return Err(Refusal::MaxConnections);
        }
        self.judge_caps(counted, rules.limits)?;
        self.all.connections += 1;
        self.count(counted);
        Ok(Permit { source: Some((counted, Stage::Handshake)), proxy: None, report: self.report.clone() })
    }

    /// Gives a trusted proxy a place for a connection whose header is yet to come. It has caps of its own: those per source are
    /// for whomever it speaks for.
    ///
    /// # Errors
    /// The [`Refusal`] that belongs in the record.
    pub fn admit_proxy(&mut self, proxy: IpAddr, limits: &config::Server) -> Result<Permit, Refusal> {
        self.hear_reports();
        if self.all.connections >= limits.max_connections {
            return Err(Refusal::MaxConnections);
        }
        let of_proxy = self.proxies.entry(proxy).or_default();
        if *of_proxy >= limits.max_connections_per_proxy {
            return Err(Refusal::MaxConnectionsPerProxy);
        }
        *of_proxy += 1;
        self.all.connections += 1;
        Ok(Permit { source: None, proxy: Some(proxy), report: self.report.clone() })
    }

    /// Decides about the client that a proxy speaks for, as [`Admission::admit`] does about one that comes by itself.
    ///
    /// # Errors
    /// The [`Refusal`] that belongs in the record.
    pub fn admit_behind(&mut self, mut permit: Permit, source: Source, rules: &Rules<'_>) -> Result<Permit, Refusal> {
        self.hear_reports();
        let counted = self.judge(source, rules)?;
        self.judge_caps(counted, rules.limits)?;
        self.count(counted);
        permit.source = Some((counted, Stage::Handshake));
        Ok(permit)
    }

    fn judge(&self, source: Source, rules: &Rules<'_>) -> Result<Counted, Refusal> {
        if let Source::Net(peer) = source {
            if !rules.allow.permits(peer.ip()) {
                return Err(Refusal::Allowlist);
            }
        }
        if (rules.penalised)(source) { Err(Refusal::Penalty) } else { Ok(source.counted_as()) }
    }

    fn judge_caps(&self, counted: Counted, limits: &config::Server) -> Result<(), Refusal> {
        let of_source = self.sources.get(&counted).copied().unwrap_or_default();
        if of_source.connections >= limits.max_connections_per_source {
            return Err(Refusal::MaxConnectionsPerSource);
        }
        if self.all.handshakes >= limits.max_handshakes {
            return Err(Refusal::MaxHandshakes);
        }
        if of_source.handshakes >= limits.max_handshakes_per_source {
            return Err(Refusal::MaxHandshakesPerSource);
        }
        let chance = early_chance(self.all.handshakes, limits);
        if chance > 0 && usize::from((self.draw)()) < chance { Err(Refusal::Early) } else { Ok(()) }
    }

    fn count(&mut self, counted: Counted) {
        let of_source = self.sources.entry(counted).or_default();
        of_source.connections += 1;
        of_source.handshakes += 1;
        self.all.handshakes += 1;
    }

    fn hear_reports(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            match report {
                Report::Identified(counted) => self.take(counted, 0, 1),
                Report::Closed { source, proxy } => {
                    self.all.connections = self.all.connections.saturating_sub(1);
                    match source {
                        Some((counted, Stage::Handshake)) => self.take(counted, 1, 1),
                        Some((counted, Stage::Identified)) => self.take(counted, 1, 0),
                        None => {}
                    }
                    if let Some(proxy) = proxy {
                        let left = self.proxies.get(&proxy).map_or(0, |count| count.saturating_sub(1));
                        if left == 0 {
                            self.proxies.remove(&proxy)
                        } else {
                            self.proxies.insert(proxy, left)
                        };
                    }
                }
            }
        }
    }

    /// Takes from a source's counts, and from the handshakes of all.
    fn take(&mut self, counted: Counted, connections: usize, handshakes: usize) {
        self.all.handshakes = self.all.handshakes.saturating_sub(handshakes);
        let of_source = self.sources.entry(counted).or_default();
        of_source.connections = of_source.connections.saturating_sub(connections);
        of_source.handshakes = of_source.handshakes.saturating_sub(handshakes);
        if of_source.connections == 0 {
            self.sources.remove(&counted);
        }
    }
}

/// What holds for one connection.
pub struct Rules<'a> {
    /// Whose addresses may come.
    pub allow: &'a Allowlist,
    /// Caps.
    pub limits: &'a config::Server,
    /// Whether a source is turned away for what it did before.
    pub penalised: &'a dyn Fn(Source) -> bool,
}

/// How many of a hundred connections are refused early: none below the beginning, then from the chance there to all at the cap,
/// in a straight line, as sshd's `MaxStartups` does.
fn early_chance(handshakes: usize, limits: &config::Server) -> usize {
    let full = limits.max_handshakes;
    let begin = full * usize::from(limits.early_refusal_from) / 100;
    if handshakes < begin || begin >= full {
        return 0;
    }
    let chance = usize::from(limits.early_refusal_chance);
    chance + (100 - chance.min(100)) * (handshakes - begin) / (full - begin)
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
            max_connections_per_proxy: 2,
            early_refusal_from: 100,
            early_refusal_chance: 30,
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
            let rules = Rules { allow: &self.allow, limits: &self.limits, penalised: &|_| false };
            self.admission.admit(from(source), &rules)
        }

        fn knock_behind(&mut self, permit: Permit, source: &str) -> Result<Permit, Refusal> {
            let rules = Rules { allow: &self.allow, limits: &self.limits, penalised: &|_| false };
            self.admission.admit_behind(permit, from(source), &rules)
        }
    }

    fn from(source: &str) -> Source {
        Source::net(SocketAddr::new(source.parse().unwrap(), 9))
    }

    const PROXY: &str = "203.0.113.9";

    #[test]
    fn bounded_a_proxy_has_caps_of_its_own_and_its_clients_have_theirs() {
        let mut door = Door::new(config::Server { max_connections_per_proxy: 3, ..limits() });
        let proxy = PROXY.parse().unwrap();
        let mut places: Vec<_> = (0..3).map(|_| door.admission.admit_proxy(proxy, &door.limits).unwrap()).collect();
        assert_eq!(door.admission.admit_proxy(proxy, &door.limits).unwrap_err(), Refusal::MaxConnectionsPerProxy);
        let first = door.knock_behind(places.pop().unwrap(), "192.0.2.1").unwrap();
        let second = door.knock_behind(places.pop().unwrap(), "192.0.2.1").unwrap();
        assert_eq!(door.knock("192.0.2.1").unwrap_err(), Refusal::MaxHandshakesPerSource, "however it comes");
        let refused = door.knock_behind(places.pop().unwrap(), "198.51.100.1").unwrap_err();
        assert_eq!(refused, Refusal::Allowlist, "the client's address counts, not the proxy's");
        drop((first, second));
        door.admission.hear_reports();
        assert!(door.admission.proxies.is_empty() && door.admission.sources.is_empty());
        assert_eq!((door.admission.all.connections, door.admission.all.handshakes), (0, 0));
    }

    #[test]
    fn a_penalty_comes_after_the_allowlist_and_before_every_cap() {
        let mut door = Door::new(config::Server { max_connections: 0, ..limits() });
        let rules = Rules { allow: &door.allow, limits: &door.limits, penalised: &|_| true };
        assert_eq!(door.admission.admit(from("198.51.100.1"), &rules).unwrap_err(), Refusal::Allowlist);
        assert_eq!(door.admission.admit(from("192.0.2.1"), &rules).unwrap_err(), Refusal::Penalty);
    }

    #[rstest::rstest]
    #[case::none_yet(0, 0)]
    #[case::below(49, 0)]
    #[case::at_the_beginning(50, 30)]
    #[case::half_way(75, 65)]
    #[case::at_the_cap(100, 100)]
    fn bounded_early_refusal_grows_in_a_straight_line(#[case] handshakes: usize, #[case] percent: usize) {
        let limits = config::Server { max_handshakes: 100, early_refusal_from: 50, ..limits() };
        assert_eq!(early_chance(handshakes, &limits), percent);
        assert_eq!(early_chance(handshakes, &config::Server { early_refusal_from: 100, ..limits }), 0, "switched off");
    }

    #[test]
    fn bounded_early_refusal_is_by_chance_and_below_the_cap() {
        let mut door = Door::new(config::Server { max_handshakes: 4, early_refusal_from: 50, ..limits() });
        let _held = [door.knock("192.0.2.1").unwrap(), door.knock("192.0.2.2").unwrap()];
        door.admission.draw = || 29;
        assert_eq!(door.knock("192.0.2.3").unwrap_err(), Refusal::Early);
        door.admission.draw = || 30;
        assert!(door.knock("192.0.2.3").is_ok());
        assert!((0..1000).all(|_| drawn() < 100));
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
