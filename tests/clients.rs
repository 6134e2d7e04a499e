//! What a client may, at the wire of a real daemon: from where, until when, how fast, on how many connections.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use openssl::ssl::SslStream;
use rstest::rstest;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use support::daemon::{Daemon, Folder, PATIENCE, field};
use support::peers::{self, Shows, Version};
use support::pki::{Authority, Leafing, Use};

const ALICE: &str = "aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11";
const BOB: &str = "bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22";

fn sections(listener: &str, alice: &str) -> String {
    format!(
        r#"
[[listener]]
name = "either"
address = "127.0.0.1:0"
mode = "either"
keyring = "keyring"
certificate = "server.pem"
private-key = "server.key"
client-ca = "ca.pem"
allow = ["127.0.0.0/8"]
{listener}
[[client]]
name = "alice"
psk-identities = ["alice"]
{alice}
[[dataset]]
name = "words"
paths = "words.txt"
"#
    )
}

struct House {
    daemon: Daemon,
    authority: Authority,
    address: SocketAddr,
}

fn house(listener: &str, alice: &str) -> House {
    let folder = Folder::new();
    let authority = Authority::new("linekeep test CA");
    authority.write(folder.path(), "ca");
    authority.issue_server().write(folder.path(), "server");
    folder.write("keyring", format!("alice:{ALICE}\nbob:{BOB}\n"));
    folder.write("words.txt", "known\n");
    let mut daemon = Daemon::start(folder, &sections(listener, alice));
    let address = daemon.address("either");
    House { daemon, authority, address }
}

impl House {
    fn ask(&self, shows: &Shows) -> Result<String, String> {
        peers::ask(self.address, Version::V13, shows, "known")
    }

    fn certificate(&self, name: &str, leafing: &Leafing<'_>) -> (PathBuf, PathBuf) {
        self.authority.issue(name, leafing).write(self.daemon.folder.path(), name)
    }

    fn reload(&self, alice: &str) {
        self.daemon.folder.configure(&sections("", alice));
        let output = self.daemon.ctl(&["reload"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

fn alice() -> Shows {
    Shows::psk("alice", ALICE)
}

fn open(address: SocketAddr, shows: &Shows) -> BufReader<SslStream<TcpStream>> {
    let stream = peers::connect(address, Version::V13, shows).unwrap();
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

fn ask_on(stream: &mut BufReader<SslStream<TcpStream>>, query: &str) -> Option<String> {
    stream.get_mut().write_all(format!("{query}\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_line(&mut answer).ok().filter(|bytes| *bytes > 0)?;
    Some(answer.trim_end().to_owned())
}

#[rstest]
#[case::from_here("networks = [\"127.0.0.1\"]", None)]
#[case::from_elsewhere("networks = [\"127.0.0.2\"]", Some("network"))]
#[case::switched_off("enabled = false", Some("disabled"))]
#[case::over("expires = 2020-01-01", Some("expired"))]
#[case::not_yet("not-before = 2999-01-01T00:00:00Z", Some("not-yet-valid"))]
#[case::in_time("not-before = \"2020-01-01\"\nexpires = 2999-12-31T23:59:59+01:00", None)]
fn nobody_unknown_a_client_comes_from_where_and_when_it_may(#[case] keys: &str, #[case] denied: Option<&str>) {
    let mut house = house("", keys);
    let answer = house.ask(&alice());
    match denied {
        None => assert_eq!(answer.as_deref(), Ok("STRING EXISTS")),
        Some(reason) => {
            assert!(answer.is_err(), "{answer:?}");
            house.daemon.wait_for(&format!("event=client-denied evidence=psk:alice reason={reason}"));
        }
    }
}

#[rstest]
#[case::refused("", false)]
#[case::allowed("unlisted = \"allow\"", true)]
fn nobody_unknown_a_key_that_no_client_lists_is_refused_unless_the_listener_says_otherwise(
    #[case] listener: &str,
    #[case] comes_in: bool,
) {
    let mut house = house(listener, "");
    assert_eq!(house.ask(&Shows::psk("bob", BOB)).is_ok(), comes_in);
    let record = house.daemon.wait_for("evidence=psk:bob");
    assert_eq!(record.contains("event=client-admitted"), comes_in, "{record}");
    assert_eq!(record.contains("reason=not-listed"), !comes_in, "{record}");
}

/// Over its rate a client gets errors, each at its place, and lives on; other clients notice nothing.
#[test]
fn bounded_over_its_rate_a_client_is_refused_query_by_query_and_lives() {
    let mut house = house("unlisted = \"allow\"", "queries-per-second = 1\nburst = 10");
    let mut stream = open(house.address, &alice());
    stream.get_mut().write_all("known\n\n".repeat(100).as_bytes()).unwrap();
    let mut answers = Vec::new();
    for _ in 0..200 {
        let mut answer = String::new();
        stream.read_line(&mut answer).unwrap();
        answers.push(answer.trim_end().to_owned());
    }
    let (queries, invalid): (Vec<_>, Vec<_>) = answers.iter().enumerate().partition(|(place, _)| place % 2 == 0);
    assert!(invalid.iter().all(|(_, answer)| **answer == "ERROR: invalid query"), "each answer at its place");
    let granted = queries.iter().take_while(|(_, answer)| **answer == "STRING EXISTS").count();
    assert!((10..20).contains(&granted), "{granted}");
    assert!(queries[10..].iter().filter(|(_, answer)| **answer == "ERROR: rate limited").count() > 80);
    let told = house.daemon.wait_for("event=rate-limited client=alice");
    assert!(field(&told, "refused").parse::<u64>().unwrap() > 0);
    assert_eq!(
        house.ask(&Shows::psk("bob", BOB)).as_deref(),
        Ok("STRING EXISTS"),
        "another client has a rate of its own"
    );

    let until = std::time::Instant::now() + PATIENCE;
    let mut again = ask_on(&mut stream, "known");
    while again.as_deref() == Some("ERROR: rate limited") && std::time::Instant::now() < until {
        again = ask_on(&mut stream, "known");
    }
    assert_eq!(again.as_deref(), Some("STRING EXISTS"), "the connection lives, and time brings new queries");
    house.reload("");
    for _ in 0..50 {
        assert_eq!(
            ask_on(&mut stream, "known").as_deref(),
            Some("STRING EXISTS"),
            "without a limit there is none, at once"
        );
    }
    let status = house.daemon.status();
    assert_eq!(status["clients"][0]["connections"], 1);
    assert!(status["clients"][0]["rate_limited"].as_u64().unwrap() > 80, "{status}");
}

#[test]
fn bounded_a_client_has_its_own_number_of_connections() {
    let mut house = house("unlisted = \"allow\"", "max-connections = 2");
    let mut first = open(house.address, &alice());
    let mut second = open(house.address, &alice());
    assert_eq!(ask_on(&mut first, "known").as_deref(), Some("STRING EXISTS"));
    assert_eq!(ask_on(&mut second, "known").as_deref(), Some("STRING EXISTS"));
    assert!(house.ask(&alice()).is_err());
    house.daemon.wait_for("event=client-denied evidence=psk:alice reason=max-connections");
    assert_eq!(house.ask(&Shows::psk("bob", BOB)).as_deref(), Ok("STRING EXISTS"), "others have theirs");
    house.reload("max-connections = 1");
    assert_eq!(ask_on(&mut second, "known").as_deref(), Some("STRING EXISTS"), "who is there may stay");
    drop((first, second));
    let until = std::time::Instant::now() + PATIENCE;
    while house.ask(&alice()).is_err() {
        assert!(std::time::Instant::now() < until, "a place given back is free");
    }
}

#[rstest]
#[case::switched_off("enabled = false", "no-longer-permitted")]
#[case::from_elsewhere("networks = [\"192.0.2.0/24\"]", "no-longer-permitted")]
#[case::over("expires = 2020-01-01", "expired")]
fn all_or_nothing_a_reload_ends_the_sessions_of_whom_it_refuses_and_no_others(
    #[case] keys: &str,
    #[case] reason: &str,
) {
    let mut house = house("unlisted = \"allow\"", "");
    house.daemon.forget();
    let mut leaving = open(house.address, &alice());
    assert_eq!(ask_on(&mut leaving, "known").as_deref(), Some("STRING EXISTS"));
    let mut staying = open(house.address, &Shows::psk("bob", BOB));
    assert_eq!(ask_on(&mut staying, "known").as_deref(), Some("STRING EXISTS"));
    let file = house.daemon.folder.configure(&sections("unlisted = \"allow\"", keys));
    assert!(file.exists() && house.daemon.ctl(&["reload"]).status.success());
    assert_eq!(leaving.read(&mut [0; 16]).unwrap_or(0), 0);
    house.daemon.wait_for(&format!("event=session-ended client=alice reason={reason}"));
    assert_eq!(ask_on(&mut staying, "known").as_deref(), Some("STRING EXISTS"));
}

/// The moment comes by itself; nobody reloads.
#[test]
fn nobody_unknown_a_session_ends_at_its_clients_last_moment() {
    let end = SystemTime::now() + Duration::from_secs(3);
    let expires = format!("expires = \"{}\"", humantime::format_rfc3339_seconds(end));
    let mut house = house("", &expires);
    assert!(house.daemon.wait_for("event=warning client alice expires").contains("in 0 whole days"));
    let mut stream = open(house.address, &alice());
    assert_eq!(ask_on(&mut stream, "known").as_deref(), Some("STRING EXISTS"));
    assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0);
    let early = end.duration_since(SystemTime::now()).unwrap_or_default();
    assert!(early <= Duration::from_secs(1), "not before the second that stands in the file: {early:?}");
    house.daemon.wait_for("event=session-ended client=alice reason=expired");
    assert!(house.ask(&alice()).is_err());
    assert_eq!(house.daemon.counter("sessions_ended_expired_total"), 1);
}

#[rstest]
#[case::of_clients(Use::Client, true, true)]
#[case::of_nothing(Use::Unsaid, false, true)]
#[case::of_servers(Use::Server, false, false)]
fn nobody_unknown_a_certificate_says_that_it_is_for_clients_unless_nobody_asks(
    #[case] usage: Use,
    #[case] when_asked: bool,
    #[case] when_not: bool,
) {
    let house = house("unlisted = \"allow\"", "");
    let carol = house.certificate("carol.example", &Leafing { usage, dns: &["carol.example"], ..Leafing::default() });
    assert_eq!(house.ask(&Shows::certificate(&carol)).is_ok(), when_asked);
    house.daemon.folder.configure(&sections("unlisted = \"allow\"\nrequire-client-eku = false", ""));
    assert!(house.daemon.ctl(&["reload"]).status.success());
    assert_eq!(house.ask(&Shows::certificate(&carol)).is_ok(), when_not);
}

#[test]
fn a_common_name_is_a_client_where_the_configuration_says_so() {
    let mut house = house("", "certificates = [\"cn:carol of accounts\"]");
    let carol = house.certificate("carol of accounts", &Leafing::default());
    assert_eq!(house.ask(&Shows::certificate(&carol)).as_deref(), Ok("STRING EXISTS"));
    assert_eq!(field(&house.daemon.wait_for("event=client-admitted"), "client"), "alice");
    let dora = house.certificate("dora of accounts", &Leafing::default());
    assert!(house.ask(&Shows::certificate(&dora)).is_err());
}

#[test]
fn what_nobody_can_prove_and_what_lets_nobody_in_is_warned_about() {
    let mut house = house("", "certificates = []");
    house.daemon.wait_for("event=warning no [[client]] lists bob");
    house.daemon.folder.configure(&sections("", "").replace("[\"alice\"]", "[\"alice\", \"alcie\"]"));
    let output = house.daemon.ctl(&["reload"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("client alice: no keyring has a key of its psk identity alcie"), "{said}");
}

/// The same proof, listed under another name: rate, counts and rights are those of the new name, on the open connection.
#[test]
fn bounded_a_session_whose_proof_becomes_another_client_has_that_ones_rate_and_count() {
    let house = house("", "");
    let mut stream = open(house.address, &alice());
    assert_eq!(ask_on(&mut stream, "known").as_deref(), Some("STRING EXISTS"));
    let renamed = sections("", "queries-per-second = 1\nburst = 1").replace("name = \"alice\"", "name = \"alicia\"");
    house.daemon.folder.configure(&renamed);
    assert!(house.daemon.ctl(&["reload"]).status.success());
    assert_eq!(ask_on(&mut stream, "known").as_deref(), Some("STRING EXISTS"));
    let status = house.daemon.status();
    assert_eq!(status["clients"][0]["name"], "alicia");
    assert_eq!(status["clients"][0]["connections"], 1, "{status}");
    assert_eq!(status["clients"][0]["queries"], 1, "{status}");
}

#[test]
fn networks_that_no_listener_lets_in_are_warned_about() {
    let mut house = house("", "networks = [\"192.0.2.0/24\", \"2001:db8::/32\"]");
    house.daemon.wait_for("event=warning client alice: no listener's `allow` lets anybody of its networks");
}

/// The record names the alert that the peer got (RFC 8446 section 6).
#[rstest]
fn one_decision_one_record_a_failed_handshake_has_its_alert(#[values(Version::V12, Version::V13)] version: Version) {
    let mut house = house("", "");
    let rogue =
        Authority::new("linekeep test CA").issue_client("alice.example").write(house.daemon.folder.path(), "rogue");
    for shows in [Shows::psk("alice", BOB), Shows::psk("mallory", BOB), Shows::certificate(&rogue), Shows::nothing()] {
        house.daemon.forget();
        let words = peers::ask(house.address, version, &shows, "known").unwrap_err();
        let told = house.daemon.wait_for("event=handshake-failed");
        let sent = field(&told, "alert").strip_prefix("sent:").and_then(|number| number.parse().ok());
        assert!(sent.is_some(), "{told}");
        // A TLS 1.3 client may be told by the kernel alone, if the connection is closed before it has read.
        if let Some(heard) = peers::alert(&words) {
            assert_eq!(sent, Some(heard), "{words}: {told}");
        }
    }
}
