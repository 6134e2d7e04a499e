//! The set-ups that linekeep cannot be configured into, built by hand. Each test shows first that the obvious rule would let
//! somebody in as alice who has not alice's key, and then that the evidence rule, asked about the very same handshake, says nobody.

use crate::door::{After, Door, Outcome};
use crate::forger::{BINDER_LABELS, offer_victim_and_ticket};
use crate::house::{ALICE_KEY, House, WRONG_KEY};
use crate::peers::{Got, Offer, dial, offer};
use crate::sessions::collecting;
use linekeep::cipher_policy::{CIPHERS_CERTIFICATE, SUITES_PSK};
use linekeep::identity::{Evidence, Keyring};
use linekeep::secret::Secret;
use linekeep::tls::evidence::{Claim, judge};
use linekeep::tls::{Asks, DecoyKeys, Facts, NoEvidence, certificate, psk};
use openssl::ssl::{SslContextBuilder, SslMethod, SslOptions, SslVersion};
use rstest::rstest;
use std::path::Path;
use std::sync::{Arc, Mutex};

const TLS12: SslVersion = SslVersion::TLS1_2;
const TLS13: SslVersion = SslVersion::TLS1_3;
const SHA384: &str = "TLS_AES_256_GCM_SHA384";

/// A server with a certificate loaded and otherwise as OpenSSL has it.
fn with_certificate(house: &House) -> SslContextBuilder {
    let mut context = SslContextBuilder::new(SslMethod::tls_server()).unwrap();
    context.set_certificate(&house.server.certificate).unwrap();
    context.set_private_key(&house.server.key).unwrap();
    context
}

fn accept_keys(context: &mut SslContextBuilder) {
    let keyring = Keyring::parse(format!("alice:{ALICE_KEY}").as_bytes(), Path::new("keyring")).unwrap();
    psk::accept_keys(context, keyring, DecoyKeys::draw().unwrap()).unwrap();
}

fn demand_certificates(context: &mut SslContextBuilder, house: &House) {
    context.cert_store_mut().add_cert(house.ca.certificate.clone()).unwrap();
    certificate::demand(context, true).unwrap();
}

/// The obvious rule: the callback was asked for alice, and the handshake is finished.
fn naive_callback_rule(facts: &Facts) -> bool {
    facts.claim.as_ref().is_some_and(|claim| claim.known)
}

fn raw(door: &Door) -> (Facts, Result<Evidence, NoEvidence>) {
    match door.outcome() {
        Outcome::Raw { facts, ruled, .. } => (facts, ruled),
        other => panic!("the trap is set: the handshake finishes; not {other:?}"),
    }
}

#[rstest]
#[case::certificate_loaded_and_a_client_of_sha384(None, ALICE_KEY, Some(SHA384))]
#[case::sha384_first_and_a_wrong_key(Some("TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"), WRONG_KEY, None)]
fn trap_psk_dropped_without_a_word(
    #[case] server_suites: Option<&str>,
    #[case] key: &'static str,
    #[case] client_suites: Option<&'static str>,
) {
    let mut context = with_certificate(&House::new());
    context.set_options(SslOptions::CIPHER_SERVER_PREFERENCE);
    if let Some(suites) = server_suites {
        context.set_ciphersuites(suites).unwrap();
    }
    accept_keys(&mut context);
    let door = Door::raw(context.build(), Asks::Psk, After::Tell);
    let intruder = Offer { psk: Some((b"alice", key)), suites: client_suites, ..offer(TLS13) };
    assert_eq!(intruder.dial(door.address), Got::line("served"));
    let (facts, ruled) = raw(&door);
    assert!(naive_callback_rule(&facts));
    assert_eq!(ruled, Err(NoEvidence::PskNotUsed));
    assert!(judge(Asks::Either, &facts).is_err());
}

/// With a certificate loaded, somebody with nothing finishes the handshake of a PSK listener.
#[rstest]
fn trap_certificate_loaded_and_a_client_with_nothing(#[values(TLS12, TLS13)] version: SslVersion) {
    let mut context = with_certificate(&House::new());
    accept_keys(&mut context);
    let door = Door::raw(context.build(), Asks::Psk, After::Tell);
    assert_eq!(offer(version).dial(door.address), Got::line("served"));
    assert_eq!(raw(&door).1, Err(NoEvidence::NoPsk));
}

/// The same context knows alice when alice is really there: the rule does not just say no.
#[test]
fn the_rule_sees_alice_where_her_key_was_used() {
    let mut context = with_certificate(&House::new());
    context.set_ciphersuites(SUITES_PSK).unwrap();
    accept_keys(&mut context);
    let door = Door::raw(context.build(), Asks::Psk, After::Tell);
    let alice = Offer { psk: Some((b"alice", ALICE_KEY)), ..offer(TLS13) };
    assert_eq!(alice.dial(door.address), Got::line("served"));
    assert_eq!(raw(&door).1, Ok(Evidence::Psk { identity: "alice".to_owned() }));
}

/// With tickets on, a session is resumed with no certificate and no key. OpenSSL still shows the certificate of old, verified.
#[rstest]
fn trap_tickets_let_a_certificate_live_on(#[values(TLS12, TLS13)] version: SslVersion) {
    let house = House::new();
    let mut context = with_certificate(&house);
    context.set_session_id_context(b"linekeep").unwrap();
    demand_certificates(&mut context, &house);
    let door = Door::raw(context.build(), Asks::Certificate, After::Tell);
    let carol = house.ca.issue_client("carol.example");
    let (client, sessions) = collecting(&Offer { certificate: Some(&carol), ..offer(version) });
    assert_eq!(dial(&client, None, door.address), Got::line("served"));
    assert!(matches!(raw(&door).1, Ok(Evidence::Certificate(_))));

    let session = sessions.lock().unwrap().pop().unwrap();
    let without_anything = offer(version).context().build();
    assert_eq!(dial(&without_anything, Some(&session), door.address), Got::line("served"));
    let (facts, ruled) = raw(&door);
    assert!(facts.certificate.is_some() && facts.verified, "the obvious rule for certificates lets it in");
    assert_eq!(ruled, Err(NoEvidence::Resumed));
}

/// An `either` listener with tickets on, SHA-384 allowed and no decoy keys, as one would write it at first.
/// The callback notes an identity that it knows.
fn careless_either(house: &House) -> (Door, Arc<Mutex<Option<Claim>>>) {
    let mut context = with_certificate(house);
    context.set_session_id_context(b"linekeep").unwrap();
    context.set_ciphersuites("TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256").unwrap();
    demand_certificates(&mut context, house);
    let noted = Arc::new(Mutex::new(None));
    let note = Arc::clone(&noted);
    context.set_psk_server_callback(move |_, identity, out| {
        if identity != Some(b"alice") {
            return Ok(0);
        }
        *note.lock().unwrap() = Some(Claim { identity: b"alice".to_vec(), known: true });
        let key = Secret::from_hex(ALICE_KEY).unwrap();
        out[..key.len()].copy_from_slice(key.expose());
        Ok(key.len())
    });
    (Door::raw(context.build(), Asks::Either, After::Tell), noted)
}

/// The worst one: carol has a certificate and takes alice's identity without her key. She names alice first, with noise for a
/// binder, and her own ticket second. With SHA-384 OpenSSL passes over alice after asking the callback, and resumes the
/// ticket: "session reused, and the callback knew alice".
#[test]
fn trap_a_ticket_passes_for_somebody_elses_key() {
    let house = House::new();
    let (door, noted) = careless_either(&house);
    let carol = house.ca.issue_client("carol.example");
    let (client, sessions) = collecting(&Offer { certificate: Some(&carol), suites: Some(SHA384), ..offer(TLS13) });
    assert_eq!(dial(&client, None, door.address), Got::line("served"));
    assert!(matches!(raw(&door).1, Ok(Evidence::Certificate(_))));
    assert_eq!(*noted.lock().unwrap(), None);

    let session = sessions.lock().unwrap().pop().unwrap();
    let finished = BINDER_LABELS.iter().find_map(|label| {
        let reply = offer_victim_and_ticket(door.address, b"alice", &session, label);
        match door.outcome() {
            Outcome::Raw { facts, .. } => Some((facts, reply)),
            _ => None,
        }
    });
    let (mut facts, reply) = finished.expect("the trap is set: the forged handshake finishes");
    assert_eq!(reply.as_deref(), Some(&b"served\n"[..]));
    facts.claim = noted.lock().unwrap().clone();
    assert!(facts.resumed && naive_callback_rule(&facts), "the obvious rule takes carol for alice");
    assert_eq!(judge(Asks::Psk, &facts), Err(NoEvidence::PskNotUsed));
    assert_eq!(judge(Asks::Either, &facts), Err(NoEvidence::Resumed));
}

/// The same forgery at the real door, with a ticket that a careless server gave out: no handshake at all.
#[test]
fn the_forger_stays_out_of_the_real_door() {
    let house = House::new();
    let (careless, _) = careless_either(&house);
    let carol = house.ca.issue_client("carol.example");
    let (client, sessions) = collecting(&Offer { certificate: Some(&carol), suites: Some(SHA384), ..offer(TLS13) });
    assert_eq!(dial(&client, None, careless.address), Got::line("served"));
    let session = sessions.lock().unwrap().pop().unwrap();
    for asks in [Asks::Psk, Asks::Certificate, Asks::Either] {
        let door = Door::of(&house.acceptor(asks));
        for label in BINDER_LABELS {
            assert_eq!(offer_victim_and_ticket(door.address, b"alice", &session, label), None);
            assert!(matches!(door.outcome(), Outcome::Out(_)));
        }
    }
}

/// Without a session id context, OpenSSL itself fails every TLS 1.3 PSK where certificates are asked for. Nobody comes in;
/// that alice has to come in is why it is set.
#[test]
fn trap_no_session_id_context_fails_closed() {
    const INTERNAL_ERROR: i32 = 80;
    let house = House::new();
    let mut context = with_certificate(&house);
    context.set_ciphersuites(SUITES_PSK).unwrap();
    accept_keys(&mut context);
    demand_certificates(&mut context, &house);
    let door = Door::raw(context.build(), Asks::Either, After::Tell);
    let alice = Offer { psk: Some((b"alice", ALICE_KEY)), ..offer(TLS13) };
    assert_eq!(alice.dial(door.address), Got::Alert(INTERNAL_ERROR));
    assert!(matches!(door.outcome(), Outcome::RawFailed));
}

/// With the PSK suite last, a TLS 1.2 client that brings its key is asked for a certificate. Nobody comes in.
#[test]
fn trap_psk_suite_last_refuses_alice() {
    let house = House::new();
    let mut context = with_certificate(&house);
    context.set_options(SslOptions::CIPHER_SERVER_PREFERENCE);
    context.set_cipher_list(&format!("{CIPHERS_CERTIFICATE}:ECDHE-PSK-CHACHA20-POLY1305")).unwrap();
    context.set_session_id_context(b"linekeep").unwrap();
    accept_keys(&mut context);
    demand_certificates(&mut context, &house);
    let door = Door::raw(context.build(), Asks::Either, After::Tell);
    let alice = Offer { psk: Some((b"alice", ALICE_KEY)), ..offer(TLS12) };
    assert_eq!(alice.dial(door.address), Got::Alert(40));
    assert!(matches!(door.outcome(), Outcome::RawFailed));
}
