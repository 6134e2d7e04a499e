//! What an observer of the wire can measure: the lengths of records. Read from the raw TCP bytes.

use crate::door::{After, Door};
use crate::house::{ALICE_KEY, House};
use crate::peers::{Offer, connect, offer, read_to_end};
use crate::support::tap::Tap;
use linekeep::identity::Keyring;
use linekeep::tls::{Asks, DecoyKeys, psk};
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslStream, SslVersion};
use rstest::rstest;
use std::net::SocketAddr;
use std::path::Path;

const FOUND: &str = "STRING EXISTS\n";
const NOT_FOUND: &str = "STRING NOT FOUND\n";

/// Lengths of the server's records in order, headers included (RFC 8446 section 5.1).
fn record_lengths(client: &SslContext, address: SocketAddr, reply: &str) -> Vec<usize> {
    let mut stream = SslStream::new(Ssl::new(client).unwrap(), Tap::on(connect(address))).unwrap();
    stream.connect().unwrap();
    assert_eq!(read_to_end(&mut stream), crate::peers::Got::Line(reply.to_owned()));
    stream.get_ref().record_lengths()
}

fn reply_length(lengths: &[usize]) -> usize {
    // The last record is the closing alert.
    lengths[lengths.len() - 2]
}

#[rstest]
fn a_reply_has_one_length_whatever_it_says(
    #[values(Asks::Psk, Asks::Certificate, Asks::Either, Asks::Nothing)] asks: Asks,
) {
    let house = House::new();
    let carol = house.ca.issue_client("carol.example");
    let psk = matches!(asks, Asks::Psk | Asks::Either).then_some((&b"alice"[..], ALICE_KEY));
    let client = Offer { psk, certificate: Some(&carol), ..offer(SslVersion::TLS1_3) }.context().build();
    let lengths = [FOUND, NOT_FOUND].map(|reply| {
        let door = Door::then(&house.acceptor(asks), After::Say(reply));
        reply_length(&record_lengths(&client, door.address, reply))
    });
    assert_eq!(lengths[0], lengths[1]);
}

/// The measurement sees a difference where there is one: the same server without padding.
#[test]
fn without_padding_the_length_tells_the_answer() {
    let client = Offer { psk: Some((b"alice", ALICE_KEY)), ..offer(SslVersion::TLS1_3) }.context().build();
    let lengths = [FOUND, NOT_FOUND].map(|reply| {
        let keyring = Keyring::parse(format!("alice:{ALICE_KEY}").as_bytes(), Path::new("keyring")).unwrap();
        let mut context = SslContextBuilder::new(SslMethod::tls_server()).unwrap();
        psk::accept_keys(&mut context, keyring, DecoyKeys::draw().unwrap()).unwrap();
        let door = Door::raw(context.build(), Asks::Psk, After::Say(reply));
        reply_length(&record_lengths(&client, door.address, reply))
    });
    assert_eq!(lengths[1] - lengths[0], NOT_FOUND.len() - FOUND.len());
}
