//! Every recommended row of the mode matrix: which proof opens which door, in TLS 1.2 and 1.3, and what strangers get.

use crate::door::{Door, Outcome};
use crate::house::{ALICE_KEY, House, WRONG_KEY};
use crate::peers::{Got, Offer, offer, python, s_client};
use linekeep::cipher_policy::Profile;
use linekeep::tls::Asks;
use openssl::ssl::SslVersion;
use rstest::rstest;

const TLS12: SslVersion = SslVersion::TLS1_2;
const TLS13: SslVersion = SslVersion::TLS1_3;

const GOOD: (&[u8], &str) = (b"alice", ALICE_KEY);
const WRONG: (&[u8], &str) = (b"alice", WRONG_KEY);
const UNKNOWN: (&[u8], &str) = (b"mallory", WRONG_KEY);

fn flag(version: SslVersion) -> &'static str {
    if version == TLS12 { "-tls1_2" } else { "-tls1_3" }
}

#[rstest]
fn a_key_of_the_keyring_opens(
    #[values(Asks::Psk, Asks::Either)] asks: Asks,
    #[values(TLS12, TLS13)] version: SslVersion,
) {
    let door = Door::of(&House::new().acceptor(asks));
    assert_eq!(Offer { psk: Some(GOOD), ..offer(version) }.dial(door.address), Got::line("psk:alice"));
    let Outcome::In { tls, cipher, .. } = door.outcome() else { panic!("let in") };
    let expected = if version == TLS12 {
        ("TLSv1.2", "ECDHE-PSK-CHACHA20-POLY1305")
    } else {
        ("TLSv1.3", "TLS_AES_128_GCM_SHA256")
    };
    assert_eq!((tls, cipher), expected);
    let program = s_client(door.address, &[flag(version), "-psk_identity", "alice", "-psk", ALICE_KEY]);
    assert_eq!(program, Got::line("psk:alice"));
}

#[rstest]
fn a_certificate_of_the_ca_opens(
    #[values(Asks::Certificate, Asks::Either)] asks: Asks,
    #[values(TLS12, TLS13)] version: SslVersion,
) {
    let house = House::new();
    let door = Door::of(&house.acceptor(asks));
    let carol = house.ca.issue_client("carol.example");
    let expected = Got::line("certificate:dns:carol.example");
    assert_eq!(Offer { certificate: Some(&carol), ..offer(version) }.dial(door.address), expected);

    let (certificate, key) = carol.write(house.folder.path(), "carol");
    let files = ["-cert", certificate.to_str().unwrap(), "-key", key.to_str().unwrap()];
    assert_eq!(s_client(door.address, &[&[flag(version)], &files[..]].concat()), expected);
    let name = if version == TLS12 { "TLSv1_2" } else { "TLSv1_3" };
    assert_eq!(python(door.address, name, Some((&certificate, &key))), expected);
}

/// A client that guesses identities learns nothing: what it gets is the same whether the identity or the key is wrong.
#[rstest]
fn unknown_identity_and_wrong_key_get_the_same_alert(
    #[values(Asks::Psk, Asks::Either)] asks: Asks,
    #[values(TLS12, TLS13)] version: SslVersion,
) {
    let door = Door::of(&House::new().acceptor(asks));
    let wrong = Offer { psk: Some(WRONG), ..offer(version) }.dial(door.address);
    let Outcome::Out(failure) = door.outcome() else { panic!("kept out") };
    assert_eq!(failure.identity.as_deref(), Some("psk:alice"));
    assert!(!failure.reason.contains("unknown"), "{failure:?}");

    let unknown = Offer { psk: Some(UNKNOWN), ..offer(version) }.dial(door.address);
    let Outcome::Out(failure) = door.outcome() else { panic!("kept out") };
    assert_eq!(failure.identity.as_deref(), Some("psk:mallory"));
    assert!(failure.reason.starts_with("unknown PSK identity"), "{failure:?}");

    assert!(wrong.alert() > 0);
    assert_eq!(wrong, unknown);
    let program = |identity| s_client(door.address, &[flag(version), "-psk_identity", identity, "-psk", WRONG_KEY]);
    assert_eq!(program("alice"), wrong);
    assert_eq!(program("mallory"), wrong);
}

#[rstest]
#[case::psk_12(Asks::Psk, TLS12, 40)]
#[case::psk_13(Asks::Psk, TLS13, 40)]
#[case::certificate_12(Asks::Certificate, TLS12, 40)]
#[case::certificate_13(Asks::Certificate, TLS13, 116)]
#[case::either_12(Asks::Either, TLS12, 40)]
#[case::either_13(Asks::Either, TLS13, 116)]
fn whoever_brings_nothing_stays_out(#[case] asks: Asks, #[case] version: SslVersion, #[case] alert: i32) {
    let door = Door::of(&House::new().acceptor(asks));
    assert_eq!(offer(version).dial(door.address), Got::Alert(alert));
    assert!(matches!(door.outcome(), Outcome::Out(_)));
    assert_eq!(s_client(door.address, &[flag(version)]), Got::Alert(alert));
    let name = if version == TLS12 { "TLSv1_2" } else { "TLSv1_3" };
    assert_eq!(python(door.address, name, None), Got::Alert(alert));
}

#[rstest]
fn the_other_kind_of_proof_does_not_open(#[values(TLS12, TLS13)] version: SslVersion) {
    let house = House::new();
    let carol = house.ca.issue_client("carol.example");
    let by_key = Door::of(&house.acceptor(Asks::Psk));
    assert_eq!(Offer { certificate: Some(&carol), ..offer(version) }.dial(by_key.address), Got::Alert(40));
    let by_certificate = Door::of(&house.acceptor(Asks::Certificate));
    let got = Offer { psk: Some(GOOD), ..offer(version) }.dial(by_certificate.address);
    assert_eq!(got, Got::Alert(if version == TLS12 { 40 } else { 116 }));
}

#[rstest]
fn with_both_proofs_the_key_decides(#[values(TLS12, TLS13)] version: SslVersion) {
    let house = House::new();
    let carol = house.ca.issue_client("carol.example");
    let door = Door::of(&house.acceptor(Asks::Either));
    let both = |psk| Offer { psk: Some(psk), certificate: Some(&carol), ..offer(version) }.dial(door.address);
    assert_eq!(both(GOOD), Got::line("psk:alice"));
    // The price of decoy keys: a good certificate does not mend a bad key.
    assert_eq!(both(WRONG), both(UNKNOWN));
    assert!(both(WRONG).alert() > 0);
}

/// Callback PSKs are SHA-256 only; a client that cannot do SHA-256 is refused instead of let on without its key.
#[rstest]
#[case(Asks::Psk, 40)]
#[case(Asks::Either, 40)]
fn a_psk_client_limited_to_sha384_stays_out(#[case] asks: Asks, #[case] alert: i32) {
    let door = Door::of(&House::new().acceptor(asks));
    let limited = Offer { psk: Some(GOOD), suites: Some("TLS_AES_256_GCM_SHA384"), ..offer(TLS13) };
    assert_eq!(limited.dial(door.address), Got::Alert(alert));
}

/// The first key share does not fit: the server asks again, the PSK callback runs twice, and the proof still holds.
#[rstest]
#[case(GOOD, true)]
#[case(WRONG, false)]
#[case(UNKNOWN, false)]
fn the_proof_holds_after_a_second_client_hello(
    #[values(Asks::Psk, Asks::Either)] asks: Asks,
    #[case] psk: (&'static [u8], &'static str),
    #[case] opens: bool,
) {
    let door = Door::of(&House::new().acceptor(asks));
    let mut context = Offer { psk: Some(psk), ..offer(TLS13) }.context();
    context.set_groups_list("P-521:P-384").unwrap();
    let got = crate::peers::dial(&context.build(), None, door.address);
    assert_eq!(got == Got::line("psk:alice"), opens, "{got:?}");
}

#[rstest]
fn an_open_listener_asks_nobody(#[values(TLS12, TLS13)] version: SslVersion) {
    let house = House::new();
    let door = Door::of(&house.acceptor(Asks::Nothing));
    assert_eq!(offer(version).dial(door.address), Got::line("unasked"));
    let carol = house.ca.issue_client("carol.example");
    let with_certificate = Offer { certificate: Some(&carol), ..offer(version) };
    assert_eq!(with_certificate.dial(door.address), Got::line("unasked"));
    assert_eq!(s_client(door.address, &[flag(version)]), Got::line("unasked"));
}

#[rstest]
#[case::old(Profile::Intermediate, SslVersion::TLS1_1)]
#[case::older(Profile::Intermediate, SslVersion::TLS1)]
#[case::not_modern(Profile::Modern, TLS12)]
fn versions_below_the_profile_are_refused(
    #[case] profile: Profile,
    #[case] version: SslVersion,
    #[values(Asks::Psk, Asks::Certificate, Asks::Either, Asks::Nothing)] asks: Asks,
) {
    const PROTOCOL_VERSION: i32 = 70;
    let house = House::new();
    let carol = house.ca.issue_client("carol.example");
    let door = Door::of(&house.acceptor_of(profile, asks));
    let everything = Offer { psk: Some(GOOD), certificate: Some(&carol), ..offer(version) };
    assert_eq!(everything.dial(door.address), Got::Alert(PROTOCOL_VERSION));
}

/// The policy is the policy: nothing outside it is agreed on, whatever a client offers.
#[rstest]
#[case("ECDHE-ECDSA-AES128-SHA256")]
#[case("DHE-PSK-AES128-GCM-SHA256")]
#[case("PSK-AES128-GCM-SHA256")]
#[case("RSA-PSK-AES128-GCM-SHA256")]
#[case("ECDHE-PSK-AES128-CBC-SHA256")]
#[case("AES128-GCM-SHA256")]
fn suites_outside_the_policy_are_refused(#[case] suite: &'static str) {
    let house = House::new();
    let carol = house.ca.issue_client("carol.example");
    let door = Door::of(&house.acceptor(Asks::Either));
    let insistent = Offer { psk: Some(GOOD), certificate: Some(&carol), suites: Some(suite), ..offer(TLS12) };
    assert_eq!(insistent.dial(door.address), Got::Alert(40));
}

/// OpenSSL reads an identity up to a NUL. What counts, and what is recorded, is the keyring's identity.
#[test]
fn an_identity_is_recorded_as_the_keyring_has_it() {
    let door = Door::of(&House::new().acceptor(Asks::Psk));
    assert_eq!(Offer { psk: Some(GOOD), ..offer(TLS13) }.dial(door.address), Got::line("psk:alice"));
    for (identity, told) in [(&b"a\nb"[..], "psk:a\nb"), (b"\xff\xfe", "psk:\\xff\\xfe"), (&[b'x'; 200], "")] {
        let identity: &'static [u8] = identity.to_vec().leak();
        let _ = door.outcome();
        let _ = Offer { psk: Some((identity, WRONG_KEY)), ..offer(TLS13) }.dial(door.address);
        let Outcome::Out(failure) = door.outcome() else { panic!("kept out") };
        let claimed = failure.identity.unwrap();
        assert!(claimed.len() <= 128);
        if told.is_empty() {
            assert!(claimed.starts_with("psk:xxxx"));
        } else {
            assert_eq!(claimed, told);
        }
        let _ = Offer { psk: Some(GOOD), ..offer(TLS13) }.dial(door.address);
    }
}
