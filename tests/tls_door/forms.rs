//! The form of the protocol, agreed on by ALPN at every kind of door: who asks for it gets it, who does not gets what
//! everybody always got, and it opens no door to anybody.

use crate::door::{Door, Outcome};
use crate::house::{ALICE_KEY, House, WRONG_KEY};
use crate::peers::{Got, Offer, connect, offer, read_to_end};
use crate::support::pki::Leaf;
use linekeep::protocol::Form;
use linekeep::tls::Asks;
use openssl::ssl::{Ssl, SslStream, SslVersion};
use rstest::rstest;
use std::process::{Command, Stdio};

const TLS12: SslVersion = SslVersion::TLS1_2;
const TLS13: SslVersion = SslVersion::TLS1_3;

const EXPLAINED: &[u8] = b"\x12linekeep-explain/1";

/// What opens this door.
fn key(asks: Asks, version: SslVersion, carol: &Leaf) -> Offer<'_> {
    let psk = matches!(asks, Asks::Psk | Asks::Either).then_some((&b"alice"[..], ALICE_KEY));
    Offer { psk, certificate: Some(carol), ..offer(version) }
}

/// Connects, offers these protocols, and reads to the end; with that, the protocol that the server chose.
fn dial(offer: &Offer<'_>, protocols: &[u8], door: &Door) -> (Got, Option<Vec<u8>>) {
    let mut context = offer.context();
    context.set_alpn_protos(protocols).unwrap();
    let mut stream = SslStream::new(Ssl::new(&context.build()).unwrap(), connect(door.address)).unwrap();
    let connected = stream.connect();
    let chosen = stream.ssl().selected_alpn_protocol().map(<[u8]>::to_vec);
    match connected {
        Ok(()) => (read_to_end(&mut stream), chosen),
        Err(error) => (crate::peers::ended(&error), chosen),
    }
}

fn form(door: &Door) -> Form {
    match door.outcome() {
        Outcome::In { form, .. } => form,
        other => panic!("not let in: {other:?}"),
    }
}

#[rstest]
fn the_explained_form_is_agreed_on_at_every_door(
    #[values(Asks::Psk, Asks::Certificate, Asks::Either, Asks::Nothing)] asks: Asks,
    #[values(TLS12, TLS13)] version: SslVersion,
    #[values(EXPLAINED, b"\x02h2\x12linekeep-explain/1\x08http/1.1")] protocols: &[u8],
) {
    let house = House::new();
    let carol = house.ca.issue_client("carol.example");
    let door = Door::of(&house.acceptor(asks));
    let who = match asks {
        Asks::Psk | Asks::Either => "psk:alice",
        Asks::Certificate => "certificate:dns:carol.example",
        Asks::Nothing => "unasked",
    };
    let (got, chosen) = dial(&key(asks, version, &carol), protocols, &door);
    assert_eq!((got, chosen.as_deref()), (Got::line(who), Form::Explained.alpn()));
    assert_eq!(form(&door), Form::Explained);
}

#[rstest]
fn whoever_does_not_ask_for_a_form_gets_none(
    #[values(Asks::Psk, Asks::Certificate, Asks::Either, Asks::Nothing)] asks: Asks,
    #[values(TLS12, TLS13)] version: SslVersion,
    #[values(&[], b"\x02h2\x08http/1.1", b"\x12linekeep-explain/2")] protocols: &[u8],
) {
    let house = House::new();
    let carol = house.ca.issue_client("carol.example");
    let door = Door::of(&house.acceptor(asks));
    let (got, chosen) = dial(&key(asks, version, &carol), protocols, &door);
    assert!(matches!(got, Got::Line(_)), "{got:?}");
    assert_eq!((chosen, form(&door)), (None, Form::Plain));
}

/// The first key share does not fit, and the server asks for another: both hellos carry the offer.
#[rstest]
fn the_form_holds_after_a_second_client_hello(#[values(Asks::Psk, Asks::Either)] asks: Asks) {
    let house = House::new();
    let door = Door::of(&house.acceptor(asks));
    let mut context = Offer { psk: Some((b"alice", ALICE_KEY)), ..offer(TLS13) }.context();
    context.set_groups_list("P-521:P-384").unwrap();
    context.set_alpn_protos(EXPLAINED).unwrap();
    assert_eq!(crate::peers::dial(&context.build(), None, door.address), Got::line("psk:alice"));
    assert_eq!(form(&door), Form::Explained);
}

/// A stranger who asks for the form is turned away in the same words as one who does not.
#[rstest]
fn nobody_unknown_asking_for_a_form_opens_no_door(
    #[values(Asks::Psk, Asks::Certificate, Asks::Either)] asks: Asks,
    #[values(TLS12, TLS13)] version: SslVersion,
    #[values(None, Some((&b"alice"[..], WRONG_KEY)), Some((&b"mallory"[..], ALICE_KEY)))] psk: Option<(
        &'static [u8],
        &'static str,
    )>,
) {
    let door = Door::of(&House::new().acceptor(asks));
    let stranger = Offer { psk, ..offer(version) };
    let (asking, _) = dial(&stranger, EXPLAINED, &door);
    assert!(matches!(door.outcome(), Outcome::Out(_)));
    assert_eq!(asking, stranger.dial(door.address));
    assert!(asking.alert() > 0);
}

#[rstest]
fn the_openssl_program_agrees_on_it_with_a_key(#[values("-tls1_2", "-tls1_3")] version: &str) {
    let door = Door::of(&House::new().acceptor(Asks::Psk));
    let said = Command::new("openssl")
        .args(["s_client", "-connect", &door.address.to_string(), version, "-alpn", "linekeep-explain/1"])
        .args(["-psk_identity", "alice", "-psk", ALICE_KEY])
        .stdin(Stdio::null())
        .output()
        .expect("the openssl program");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("ALPN protocol: linekeep-explain/1"), "{said}");
    assert_eq!(form(&door), Form::Explained);
}
