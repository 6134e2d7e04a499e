//! Which source addresses may speak to a listener at all: CIDR ranges, decided before a byte of TLS.
//! Knows addresses only; where the ranges come from is the configuration's business.

use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;

/// A set of address ranges. Empty means nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowlist(Vec<IpNet>);

/// Why a text is no address range.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadRange {
    /// Neither an address nor `address/prefix`.
    #[error("not an address or an address range like 192.0.2.0/24 or 2001:db8::/32")]
    Syntax,
    /// Bits are set behind the prefix: it is not clear which range was meant.
    #[error("bits behind the prefix are set; the range that holds this address is {0}")]
    HostBits(IpNet),
    /// A range of v4-mapped addresses (`::ffff:a.b.c.d`): such peers are IPv4 here, write the IPv4 range.
    #[error("v4-mapped ranges are written as IPv4, since such peers are counted as IPv4")]
    Mapped,
}

impl Allowlist {
    /// A list of these ranges.
    #[must_use]
    pub fn new(ranges: Vec<IpNet>) -> Allowlist {
        Allowlist(ranges)
    }

    /// Whether `source` lies in a range. A v4-mapped IPv6 address (RFC 4291 section 2.5.5.2) counts as its IPv4 address.
    #[must_use]
    pub fn permits(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.0.iter().any(|range| range.contains(&source))
    }

    /// The ranges, as they were given.
    #[must_use]
    pub fn ranges(&self) -> &[IpNet] {
        &self.0
    }
}

/// The ranges, parted by commas.
impl fmt::Display for Allowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, range) in self.0.iter().enumerate() {
            write!(f, "{}{range}", if position > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

/// Reads one range: `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`. A single address is a range of one.
///
/// # Errors
/// [`BadRange`], when the text is no range or its meaning is in doubt.
pub fn parse_range(text: &str) -> Result<IpNet, BadRange> {
    let range = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| BadRange::Syntax)?,
    };
    if matches!(range.addr(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        return Err(BadRange::Mapped);
    }
    if range.addr() != range.network() {
        return Err(BadRange::HostBits(range.trunc()));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn list(ranges: &[&str]) -> Allowlist {
        Allowlist::new(ranges.iter().map(|range| parse_range(range).unwrap()).collect())
    }

    #[rstest]
    #[case("192.0.2.1", true)]
    #[case("192.0.2.255", true)]
    #[case("192.0.3.0", false)]
    #[case("198.51.100.7", true)]
    #[case("198.51.100.8", false)]
    #[case("::ffff:192.0.2.9", true)]
    #[case("::ffff:192.0.3.9", false)]
    #[case("2001:db8::1", true)]
    #[case("2001:db9::1", false)]
    #[case("::1", false)]
    fn nobody_unknown_by_address(#[case] source: &str, #[case] permitted: bool) {
        let allowed = list(&["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"]);
        assert_eq!(allowed.permits(source.parse().unwrap()), permitted);
    }

    #[test]
    fn an_empty_list_permits_nobody() {
        assert!(!Allowlist::default().permits("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn all_of_ipv6_lets_no_ipv4_in() {
        let allowed = list(&["::/0"]);
        assert!(allowed.permits("2001:db8::1".parse().unwrap()));
        assert!(!allowed.permits("::ffff:192.0.2.1".parse().unwrap()));
    }

    #[rstest]
    #[case("192.0.2.7/24", BadRange::HostBits("192.0.2.0/24".parse().unwrap()))]
    #[case("192.0.2.0/33", BadRange::Syntax)]
    #[case("192.0.2", BadRange::Syntax)]
    #[case("", BadRange::Syntax)]
    #[case("example.org", BadRange::Syntax)]
    #[case("::ffff:192.0.2.0/120", BadRange::Mapped)]
    fn doubtful_ranges_are_refused(#[case] text: &str, #[case] fault: BadRange) {
        assert_eq!(parse_range(text), Err(fault));
    }

    proptest::proptest! {
        #[test]
        fn range_parser_never_panics(text in "\\PC{0,60}") {
            let _ = parse_range(&text);
        }

        #[test]
        fn agrees_with_arithmetic(address: u32, network: u32, prefix in 0u8..=32) {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            let range = parse_range(&format!("{}/{prefix}", std::net::Ipv4Addr::from(network & mask))).unwrap();
            let permitted = Allowlist::new(vec![range]).permits(IpAddr::V4(address.into()));
            proptest::prop_assert_eq!(permitted, address & mask == network & mask);
        }
    }
}
