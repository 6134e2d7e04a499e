//! What a PROXY protocol header says (`HAProxy`'s "The PROXY protocol", versions 1 and 2), and how many bytes of it are still to
//! come: whoever reads never takes a byte that is behind it. Pure; whom to believe is `server/`'s business.

use ::proxy_header::{ParseConfig, ProxyHeader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Both versions can be told apart, and from everything else, by so many bytes.
pub const FIRST_BYTES: usize = 12;

/// The longest header that is read, in bytes. Version 1 has at most 107 (section 2.1). Version 2 may have 64 KiB; the
/// addresses and the usual extensions fit into 536 (section 2.2), a proxy that sends a client's certificate needs more.
pub const MAX_BYTES: usize = 4096;

const VERSION_2: [u8; FIRST_BYTES] = *b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_1: &[u8] = b"PROXY ";
const MAX_VERSION_1_BYTES: usize = 107;

/// Signature, version and command, family and protocol, length.
const VERSION_2_FIXED_BYTES: usize = 16;

/// What the bytes so far come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// So many more bytes belong to the header for certain; there may be others behind them.
    Needs(usize),
    /// The whole header: this is the client at the proxy's other side.
    Client(SocketAddr),
    /// The whole header: the proxy speaks for itself, as balancers do to see whether a server is alive.
    Itself,
    /// No header, or none that can be understood; in words for the record.
    Malformed(&'static str),
}

/// Whether the first bytes of a connection, where TLS is spoken, are a PROXY header. Five are enough, and some versions of OpenSSL
/// read no more before they give up: none of the signatures begins like a TLS record.
#[must_use]
pub fn begins(first: &[u8]) -> bool {
    const ENOUGH: usize = 5;
    let is = |signature: &[u8]| first.len() >= ENOUGH && first.iter().zip(signature).all(|(one, other)| one == other);
    is(&VERSION_2) || is(VERSION_1)
}

/// Whether these bytes begin with a whole header: for where a first line may well begin like one and be none.
#[must_use]
pub fn leads(bytes: &[u8]) -> bool {
    let line = bytes.iter().take(MAX_VERSION_1_BYTES).position(|byte| *byte == b'\n').map(|end| &bytes[..=end]);
    let is_version_1 = |line: &[u8]| line.ends_with(b"\r\n") && matches!(hear(line), Heard::Client(_) | Heard::Itself);
    bytes.starts_with(&VERSION_2) || line.is_some_and(is_version_1)
}

/// Understands the bytes of a header so far. Has to be called with all of them each time, and with no byte more than it
/// asked for.
#[must_use]
pub fn hear(bytes: &[u8]) -> Heard {
    if bytes.len() < FIRST_BYTES {
        return Heard::Needs(FIRST_BYTES - bytes.len());
    }
    if bytes.starts_with(&VERSION_2) {
        hear_version_2(bytes)
    } else if bytes.starts_with(VERSION_1) {
        hear_version_1(bytes)
    } else {
        Heard::Malformed("no PROXY header")
    }
}

fn hear_version_1(bytes: &[u8]) -> Heard {
    // Its end is a line's end, so nobody knows how many bytes are to come.
    if !bytes.ends_with(b"\n") {
        let full = bytes.len() >= MAX_VERSION_1_BYTES;
        return if full { Heard::Malformed("PROXY header of version 1 without an end") } else { Heard::Needs(1) };
    }
    if bytes.starts_with(b"PROXY UNKNOWN") {
        return Heard::Itself;
    }
    understand(bytes)
}

fn hear_version_2(bytes: &[u8]) -> Heard {
    let Some(fixed) = bytes.first_chunk::<VERSION_2_FIXED_BYTES>() else {
        return Heard::Needs(VERSION_2_FIXED_BYTES - bytes.len());
    };
    let whole = VERSION_2_FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if whole > MAX_BYTES {
        return Heard::Malformed("PROXY header of version 2 is too long");
    }
    match whole - bytes.len().min(whole) {
        // The command LOCAL (section 2.2): whatever addresses follow are to be passed over.
        0 if fixed[12] == 0x20 => Heard::Itself,
        0 => understand(bytes),
        more => Heard::Needs(more),
    }
}

fn understand(bytes: &[u8]) -> Heard {
    match ProxyHeader::parse(bytes, ParseConfig::default()) {
        Ok((_, taken)) if taken != bytes.len() => {
            Heard::Malformed("bytes behind the PROXY header were taken for a part of it")
        }
        Ok((header, _)) => match header.proxied_address() {
            Some(address) if address.protocol == ::proxy_header::Protocol::Stream => client(address.source),
            Some(_) => Heard::Malformed("PROXY header for datagrams"),
            None => Heard::Malformed("PROXY header without an internet address"),
        },
        Err(_) => Heard::Malformed("malformed PROXY header"),
    }
}

/// Nobody comes from everywhere or from a group: an allowlist that has such an address in a wide range did not mean it.
fn client(source: SocketAddr) -> Heard {
    let address = source.ip().to_canonical();
    if address.is_unspecified() || address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Heard::Malformed("PROXY header with an address that is no host's")
    } else {
        Heard::Client(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&VERSION_2[..], &[command, family], &length, rest].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0x1f, 0x90, 0x01, 0xbb];

    fn six() -> Vec<u8> {
        let source: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
        [&source.octets()[..], &[0; 16], &[0, 80, 1, 187]].concat()
    }

    /// Feeds as a reader does: what is asked for, no more. Returns what came of it and how many bytes were taken.
    fn read(mut bytes: &[u8]) -> (Heard, usize) {
        let mut taken = Vec::new();
        loop {
            match hear(&taken) {
                Heard::Needs(more) if more <= bytes.len() => {
                    assert!(more > 0 && taken.len() + more <= MAX_BYTES);
                    taken.extend_from_slice(&bytes[..more]);
                    bytes = &bytes[more..];
                }
                heard => return (heard, taken.len()),
            }
        }
    }

    #[rstest]
    #[case::tcp4(b"PROXY TCP4 192.0.2.1 198.51.100.1 8080 443\r\n".to_vec(), Heard::Client("192.0.2.1:8080".parse().unwrap()))]
    #[case::tcp6(b"PROXY TCP6 2001:db8::1 ::1 80 443\r\n".to_vec(), Heard::Client("[2001:db8::1]:80".parse().unwrap()))]
    #[case::unknown(b"PROXY UNKNOWN\r\n".to_vec(), Heard::Itself)]
    #[case::unknown_with_more(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), Heard::Itself)]
    #[case::second_over_tcp4(version_2(0x21, 0x11, &FOUR), Heard::Client("192.0.2.1:8080".parse().unwrap()))]
    #[case::second_over_tcp6(version_2(0x21, 0x21, &six()), Heard::Client("[2001:db8::1]:80".parse().unwrap()))]
    #[case::local(version_2(0x20, 0x00, b""), Heard::Itself)]
    #[case::local_with_addresses(version_2(0x20, 0x11, &FOUR), Heard::Itself)]
    #[case::local_of_no_family(version_2(0x20, 0xff, b"x"), Heard::Itself)]
    #[case::no_family(version_2(0x21, 0x00, b""), Heard::Malformed("PROXY header without an internet address"))]
    #[case::unix(version_2(0x21, 0x31, &[0; 216]), Heard::Malformed("PROXY header without an internet address"))]
    #[case::datagrams(version_2(0x21, 0x12, &FOUR), Heard::Malformed("PROXY header for datagrams"))]
    #[case::addresses_cut(version_2(0x21, 0x11, &FOUR[..11]), Heard::Malformed("malformed PROXY header"))]
    #[case::version_3(version_2(0x31, 0x11, &FOUR), Heard::Malformed("malformed PROXY header"))]
    #[case::too_long(version_2(0x21, 0x11, &[0; 4081]), Heard::Malformed("PROXY header of version 2 is too long"))]
    #[case::wrong_family(b"PROXY TCP4 2001:db8::1 ::1 80 443\r\n".to_vec(), Heard::Malformed("malformed PROXY header"))]
    #[case::from_everywhere(b"PROXY TCP4 0.0.0.0 198.51.100.1 80 443\r\n".to_vec(), Heard::Malformed("PROXY header with an address that is no host's"))]
    #[case::from_everywhere_as_mapped(b"PROXY TCP6 ::ffff:0.0.0.0 ::1 80 443\r\n".to_vec(), Heard::Malformed("PROXY header with an address that is no host's"))]
    #[case::from_a_group(b"PROXY TCP6 ff02::1 ::1 80 443\r\n".to_vec(), Heard::Malformed("PROXY header with an address that is no host's"))]
    #[case::from_all_on_the_link(b"PROXY TCP4 255.255.255.255 198.51.100.1 80 443\r\n".to_vec(), Heard::Malformed("PROXY header with an address that is no host's"))]
    #[case::from_port_0(b"PROXY TCP4 192.0.2.1 198.51.100.1 0 443\r\n".to_vec(), Heard::Client("192.0.2.1:0".parse().unwrap()))]
    #[case::no_carriage_return(b"PROXY TCP4 192.0.2.1 198.51.100.1 8080 443\n".to_vec(), Heard::Malformed("malformed PROXY header"))]
    #[case::endless([&b"PROXY TCP4 "[..], &[b'1'; 200]].concat(), Heard::Malformed("PROXY header of version 1 without an end"))]
    #[case::tls(vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0], Heard::Malformed("no PROXY header"))]
    fn a_header_says_who_or_nothing(#[case] header: Vec<u8>, #[case] expected: Heard) {
        assert_eq!(read(&header).0, expected);
    }

    #[rstest]
    #[case(b"PROXY", true)]
    #[case(b"PROXY TCP4 1", true)]
    #[case(b"PROXYTCP4", false)]
    #[case(b"\r\n\r\n\0", true)]
    #[case(&VERSION_2, true)]
    #[case(b"\r\n\r\n\0\r\nQUIT\r", false)]
    #[case(b"PROX", false)]
    #[case(b"\x16\x03\x01\x02\0", false)]
    fn a_header_is_known_by_its_first_bytes(#[case] first: &[u8], #[case] known: bool) {
        assert_eq!(begins(first), known);
    }

    #[rstest]
    #[case::a_header(b"PROXY TCP4 192.0.2.1 198.51.100.1 80 443\r\nknown\n", true)]
    #[case::a_check(b"PROXY UNKNOWN\r\n", true)]
    #[case::the_second(b"\r\n\r\n\0\r\nQUIT\n\x21", true)]
    #[case::a_line_of_a_list(b"PROXY TCP4 192.0.2.1 198.51.100.1 80 443\n", false)]
    #[case::another(b"PROXY error 502\r\n", false)]
    #[case::cut(b"PROXY TCP4 192.0.2.1", false)]
    #[case::behind_a_query(b"known\nPROXY UNKNOWN\r\n", false)]
    #[case::nothing(b"", false)]
    fn exact_only_a_whole_header_is_no_query(#[case] bytes: &[u8], #[case] expected: bool) {
        assert_eq!(leads(bytes), expected);
    }

    #[test]
    fn extensions_are_passed_over() {
        let rest = [&FOUR[..], &[0x04, 0, 3, 1, 2, 3]].concat();
        let header = version_2(0x21, 0x11, &rest);
        assert_eq!(read(&header), (Heard::Client("192.0.2.1:8080".parse().unwrap()), header.len()));
    }

    proptest! {
        #[test]
        fn bounded_not_a_byte_behind_the_header_is_taken(
            header in prop_oneof![
                Just(b"PROXY TCP4 192.0.2.1 198.51.100.1 8080 443\r\n".to_vec()), Just(b"PROXY UNKNOWN\r\n".to_vec()),
                Just(version_2(0x21, 0x11, &FOUR)), Just(version_2(0x20, 0, b"")), Just(version_2(0x21, 0x21, &six()))],
            behind in prop::collection::vec(any::<u8>(), 0..100)) {
            let whole = [&header[..], &behind].concat();
            let (heard, taken) = read(&whole);
            prop_assert!(matches!(heard, Heard::Client(_) | Heard::Itself));
            prop_assert_eq!(taken, header.len());
        }

        #[test]
        fn bounded_any_bytes_are_heard_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..6000), second: bool) {
            let bytes = if second { [&VERSION_2[..], &bytes].concat() } else { [VERSION_1, &bytes].concat() };
            let (_, taken) = read(&bytes);
            prop_assert!(taken <= MAX_BYTES);
        }
    }
}
