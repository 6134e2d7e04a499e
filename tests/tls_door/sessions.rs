//! Tickets, resumption and renegotiation are off. Each test has a twin in which they are on, so that it is known to see them.

use crate::door::{After, Door, Outcome};
use crate::house::{ALICE_KEY, House};
use crate::peers::{Got, Offer, dial, offer};
use linekeep::tls::Asks;
use openssl::ssl::{SslContext, SslContextBuilder, SslMethod, SslOptions, SslSession, SslSessionCacheMode, SslVersion};
use rstest::rstest;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// A client that keeps every session it is given.
pub fn collecting(offer: &Offer<'_>) -> (SslContext, Arc<Mutex<Vec<SslSession>>>) {
    let sessions = Arc::new(Mutex::new(Vec::new()));
    let mut context = offer.context();
    context.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
    let kept = Arc::clone(&sessions);
    context.set_new_session_callback(move |_, session| kept.lock().unwrap().push(session));
    (context.build(), sessions)
}

/// An open listener's context as OpenSSL has it by itself: tickets and cache on.
fn with_tickets(house: &House) -> SslContext {
    let mut context = SslContextBuilder::new(SslMethod::tls_server()).unwrap();
    context.set_certificate(&house.server.certificate).unwrap();
    context.set_private_key(&house.server.key).unwrap();
    context.build()
}

#[rstest]
fn no_session_is_ever_handed_out(
    #[values(Asks::Psk, Asks::Certificate, Asks::Either, Asks::Nothing)] asks: Asks,
    #[values(SslVersion::TLS1_2, SslVersion::TLS1_3)] version: SslVersion,
) {
    let house = House::new();
    let carol = house.ca.issue_client("carol.example");
    let psk = (asks == Asks::Psk).then_some((&b"alice"[..], ALICE_KEY));
    let (client, sessions) = collecting(&Offer { psk, certificate: Some(&carol), ..offer(version) });
    let door = Door::of(&house.acceptor(asks));
    assert!(matches!(dial(&client, None, door.address), Got::Line(_)));
    assert_eq!(sessions.lock().unwrap().len(), 0);
}

#[rstest]
fn a_session_would_have_been_seen(#[values(SslVersion::TLS1_2, SslVersion::TLS1_3)] version: SslVersion) {
    let (client, sessions) = collecting(&offer(version));
    let door = Door::raw(with_tickets(&House::new()), Asks::Nothing, After::Tell);
    assert_eq!(dial(&client, None, door.address), Got::line("served"));
    assert!(!sessions.lock().unwrap().is_empty());
}

/// A session that a server with tickets gave out, under the very same certificate, buys nothing at the real door:
/// without its certificate the client stays out.
#[rstest]
#[case(SslVersion::TLS1_2, 40)]
#[case(SslVersion::TLS1_3, 116)]
fn a_session_of_elsewhere_is_not_resumed(#[case] version: SslVersion, #[case] alert: i32) {
    let house = House::new();
    let (client, sessions) = collecting(&offer(version));
    let elsewhere = Door::raw(with_tickets(&house), Asks::Nothing, After::Tell);
    assert_eq!(dial(&client, None, elsewhere.address), Got::line("served"));
    let session = sessions.lock().unwrap().pop().unwrap();
    let door = Door::of(&house.acceptor(Asks::Certificate));
    assert_eq!(dial(&client, Some(&session), door.address), Got::Alert(alert));
}

/// In TLS 1.2 the client holds a session after every handshake, ticket or not. It is worth nothing.
#[test]
fn the_session_of_a_finished_handshake_is_not_resumed() {
    let house = House::new();
    let door = Door::of(&house.acceptor(Asks::Certificate));
    let carol = house.ca.issue_client("carol.example");
    let proven = Offer { certificate: Some(&carol), ..offer(SslVersion::TLS1_2) }.context().build();
    let ssl = openssl::ssl::Ssl::new(&proven).unwrap();
    let mut stream = openssl::ssl::SslStream::new(ssl, crate::peers::connect(door.address)).unwrap();
    stream.connect().unwrap();
    let session = stream.ssl().session().unwrap().to_owned();
    assert!(session.id().is_empty());
    let without = offer(SslVersion::TLS1_2).context().build();
    assert_eq!(dial(&without, Some(&session), door.address), Got::Alert(40));
}

/// `R` to s_client starts a renegotiation; it says so on its standard error. Then a line is sent, which arrives only if the
/// server went along. Both wait for the greeting, which would otherwise fall into the middle of the renegotiation.
fn renegotiate(address: SocketAddr, greeting: &str, arguments: &[&str]) {
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-tls1_2"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    // Both are held to the end: with one of them closed s_client would die of it.
    let mut stdout = BufReader::new(client.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut stderr = BufReader::new(client.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(stdout.any(|line| line == greeting), "s_client was greeted");
    stdin.write_all(b"R\n").unwrap();
    assert!(stderr.any(|line| line == "RENEGOTIATING"), "s_client began to renegotiate");
    let _ = stdin.write_all(b"still here\n");
    drop(stdin);
    client.wait().unwrap();
}

fn sent_after_renegotiation(door: &Door, greeting: &str, arguments: &[&str]) -> Vec<u8> {
    renegotiate(door.address, greeting, arguments);
    match door.outcome() {
        Outcome::In { then, .. } | Outcome::Raw { then, .. } => then,
        other => panic!("let in first, not {other:?}"),
    }
}

#[test]
fn renegotiation_is_refused() {
    let house = House::new();
    let listening = |asks| Door::then(&house.acceptor(asks), After::Listen);
    let by_key = ["-psk_identity", "alice", "-psk", ALICE_KEY];
    assert_eq!(sent_after_renegotiation(&listening(Asks::Psk), "psk:alice", &by_key), b"");
    assert_eq!(sent_after_renegotiation(&listening(Asks::Nothing), "unasked", &[]), b"");
}

#[test]
fn a_renegotiation_would_have_been_seen() {
    /// `SSL_OP_ALLOW_CLIENT_RENEGOTIATION` of OpenSSL 3, which the openssl crate does not name.
    const ALLOW: u64 = 1 << 8;
    let house = House::new();
    let mut context = SslContextBuilder::new(SslMethod::tls_server()).unwrap();
    context.set_certificate(&house.server.certificate).unwrap();
    context.set_private_key(&house.server.key).unwrap();
    context.set_options(SslOptions::from_bits_retain(ALLOW));
    let door = Door::raw(context.build(), Asks::Nothing, After::Listen);
    assert_eq!(sent_after_renegotiation(&door, "served", &[]), b"still here\n");
}
