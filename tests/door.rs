//! The door of a real daemon: allowlist before TLS, caps, deadline, every mode against real peers, rights per client.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use rstest::rstest;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use support::daemon::{Daemon, Folder, field};
use support::peers::{self, Shows, Version, alert};
use support::pki::{Authority, Leafing, Use};

const ALICE: &str = "aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11";
const BOB: &str = "bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22";
const WRONG: &str = "cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33";

/// A daemon with one listener of every mode and one client certificate of each kind.
struct House {
    daemon: Daemon,
    alice: (PathBuf, PathBuf),
    rogue: (PathBuf, PathBuf),
    unlisted: (PathBuf, PathBuf),
}

const LISTENERS: &str = r#"
[[listener]]
name = "psk"
address = "127.0.0.1:0"
mode = "psk"
keyring = "keyring"
allow = ["127.0.0.1"]
[[listener]]
name = "certificate"
address = "127.0.0.1:0"
mode = "certificate"
certificate = "server.pem"
private-key = "server.key"
client-ca = "ca.pem"
allow = ["127.0.0.1"]
[[listener]]
name = "either"
address = "127.0.0.1:0"
mode = "either"
keyring = "keyring"
certificate = "server.pem"
private-key = "server.key"
client-ca = "ca.pem"
allow = ["127.0.0.1"]
[[listener]]
name = "none"
address = "127.0.0.1:0"
mode = "none"
client = "everybody"
certificate = "server.pem"
private-key = "server.key"
allow = ["127.0.0.1"]
"#;

const LISTS: &str = r#"
[[dataset]]
name = "first"
paths = "first.txt"
[[dataset]]
name = "second"
paths = "second.txt"
[[client]]
name = "alice"
psk-identities = ["alice"]
certificates = ["dns:alice.example"]
"#;

fn furnish() -> (Folder, [(PathBuf, PathBuf); 3]) {
    let folder = Folder::new();
    let authority = Authority::new("linekeep test CA");
    authority.write(folder.path(), "ca");
    authority.issue_server().write(folder.path(), "server");
    let alice = authority.issue_client("alice.example").write(folder.path(), "alice");
    let rogue = Authority::new("linekeep test CA").issue_client("alice.example").write(folder.path(), "rogue");
    let unlisted = authority.issue_client("carol.example").write(folder.path(), "carol");
    folder.write("keyring", format!("alice:{ALICE}\nbob:{BOB}\n"));
    folder.write("first.txt", "known\n");
    folder.write("second.txt", "other\n");
    (folder, [alice, rogue, unlisted])
}

fn house() -> House {
    let (folder, [alice, rogue, unlisted]) = furnish();
    House { daemon: Daemon::start(folder, &format!("{LISTENERS}{LISTS}")), alice, rogue, unlisted }
}

type Ask = fn(SocketAddr, Version, &Shows, &str) -> Result<String, String>;

#[rstest]
fn every_recommended_mode_answers_real_peers(
    #[values(Version::V12, Version::V13)] version: Version,
    #[values(("openssl crate", peers::ask as Ask), ("s_client", peers::s_client as Ask))] peer: (&str, Ask),
) {
    let mut house = house();
    let (name, ask) = peer;
    let psk = Shows::psk("alice", ALICE);
    let certificate = Shows::certificate(&house.alice);
    for (listener, shows) in [
        ("psk", &psk),
        ("certificate", &certificate),
        ("either", &psk),
        ("either", &certificate),
        ("none", &Shows::nothing()),
    ] {
        let address = house.daemon.address(listener);
        let answer = ask(address, version, shows, "known");
        assert_eq!(answer.as_deref(), Ok("STRING EXISTS"), "{name} at {listener}");
        assert_eq!(ask(address, version, shows, "absent").as_deref(), Ok("STRING NOT FOUND"), "{name} at {listener}");
        let admitted = house.daemon.wait_for(&format!("event=client-admitted listener={listener} "));
        let client = if listener == "none" { "everybody" } else { "alice" };
        assert_eq!(field(&admitted, "client"), client);
        assert_eq!(field(&admitted, "tls"), if version == Version::V12 { "TLSv1.2" } else { "TLSv1.3" });
        house.daemon.wait_for(&format!("event=session-ended listener={listener} client={client} queries=1"));
    }
}

#[rstest]
fn every_recommended_mode_answers_python(#[values(Version::V12, Version::V13)] version: Version) {
    let mut house = house();
    let alice = Shows::certificate(&house.alice);
    for (listener, shows) in [("certificate", &alice), ("either", &alice), ("none", &Shows::nothing())] {
        let address = house.daemon.address(listener);
        assert_eq!(peers::python(address, version, shows, "known").as_deref(), Ok("STRING EXISTS"), "{listener}");
    }
    for (listener, shows) in [("certificate", Shows::nothing()), ("certificate", Shows::certificate(&house.rogue))] {
        let refused = peers::python(house.daemon.address(listener), version, &shows, "known");
        assert!(refused.is_err(), "{listener}: {refused:?}");
    }
}

#[rstest]
fn nobody_unknown_no_stranger_gets_a_byte_of_answer(#[values(Version::V12, Version::V13)] version: Version) {
    let mut house = house();
    let strangers = [
        ("nothing", Shows::nothing()),
        ("unknown identity", Shows::psk("mallory", ALICE)),
        ("wrong key", Shows::psk("alice", WRONG)),
        ("another's key", Shows::psk("alice", BOB)),
        ("rogue CA", Shows::certificate(&house.rogue)),
    ];
    for listener in ["psk", "certificate", "either"] {
        let address = house.daemon.address(listener);
        for (stranger, shows) in &strangers {
            for ask in [peers::ask as Ask, peers::s_client as Ask] {
                let refused = ask(address, version, shows, "known");
                assert!(refused.is_err(), "{stranger} at {listener}: {refused:?}");
            }
        }
    }
    house.daemon.wait_for("event=handshake-failed listener=psk identity=psk:mallory");
    house.daemon.wait_for("event=handshake-failed listener=psk identity=psk:alice");
    assert_eq!(house.daemon.counter("queries_total"), 0);
    assert_eq!(house.daemon.counter("clients_admitted_total"), 0);
}

#[rstest]
fn nobody_unknown_an_unknown_identity_and_a_wrong_key_look_the_same(
    #[values(Version::V12, Version::V13)] version: Version,
    #[values("psk", "either")] listener: &str,
) {
    let mut house = house();
    let address = house.daemon.address(listener);
    let [unknown, wrong] = [("mallory", ALICE), ("alice", WRONG)].map(|(identity, key)| {
        alert(&peers::s_client(address, version, &Shows::psk(identity, key), "known").unwrap_err())
    });
    assert!(unknown.is_some());
    assert_eq!(unknown, wrong);
}

#[test]
fn nobody_unknown_a_proven_identity_that_no_client_has_is_denied() {
    let mut house = house();
    let psk = house.daemon.address("psk");
    assert!(peers::ask(psk, Version::V13, &Shows::psk("bob", BOB), "known").is_err());
    let denied = house.daemon.wait_for("event=client-denied listener=psk");
    assert!(denied.contains("bob"), "{denied}");
    let certificate = house.daemon.address("certificate");
    assert!(peers::ask(certificate, Version::V13, &Shows::certificate(&house.unlisted), "known").is_err());
    house.daemon.wait_for("event=client-denied listener=certificate");
    assert_eq!(house.daemon.counter("clients_denied_total"), 2);
}

#[test]
fn unlisted_allow_lets_a_proven_identity_ask_everything() {
    let (folder, _) = furnish();
    let sections = format!("{LISTENERS}{LISTS}").replace("mode = \"psk\"", "mode = \"psk\"\nunlisted = \"allow\"");
    let mut daemon = Daemon::start(folder, &sections);
    let address = daemon.address("psk");
    for query in ["known", "other"] {
        let answer = peers::ask(address, Version::V13, &Shows::psk("bob", BOB), query);
        assert_eq!(answer.as_deref(), Ok("STRING EXISTS"));
    }
    daemon.wait_for("event=client-admitted client=bob");
}

#[rstest]
#[case::all("", Ok("STRING EXISTS"), Ok("STRING EXISTS"))]
#[case::one("datasets = [\"second\"]", Ok("STRING NOT FOUND"), Ok("STRING EXISTS"))]
#[case::none("datasets = []", Ok("ERROR: not permitted"), Ok("ERROR: not permitted"))]
fn a_client_is_answered_from_the_lists_it_may_ask(
    #[case] datasets: &str,
    #[case] known: Result<&str, &str>,
    #[case] other: Result<&str, &str>,
) {
    let (folder, _) = furnish();
    let mut daemon = Daemon::start(folder, &format!("{LISTENERS}{LISTS}{datasets}\n"));
    let address = daemon.address("psk");
    let alice = Shows::psk("alice", ALICE);
    assert_eq!(peers::ask(address, Version::V13, &alice, "known").as_deref(), known.map_err(|_| unreachable!()));
    assert_eq!(peers::ask(address, Version::V13, &alice, "other").as_deref(), other.map_err(|_| unreachable!()));
}

#[test]
fn a_reload_takes_a_client_away_and_ends_its_open_sessions() {
    let mut house = house();
    let address = house.daemon.address("psk");
    let mut open = peers::connect(address, Version::V13, &Shows::psk("alice", ALICE)).unwrap();
    writeln!(open, "known").unwrap();
    let mut answer = [0; 14];
    open.read_exact(&mut answer).unwrap();
    house.daemon.folder.configure(&format!("{LISTENERS}{LISTS}").replace("[\"alice\"]", "[\"bob\"]"));
    assert!(house.daemon.ctl(&["reload"]).status.success());
    // It says nothing more and is ended all the same.
    let mut rest = Vec::new();
    let _ = open.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    house.daemon.wait_for("event=session-ended client=alice reason=no-longer-permitted queries=1");
    assert!(peers::ask(address, Version::V13, &Shows::psk("alice", ALICE), "known").is_err());
    assert_eq!(peers::ask(address, Version::V13, &Shows::psk("bob", BOB), "known").as_deref(), Ok("STRING EXISTS"));
}

/// A session, held open after one answer.
fn open_session(address: SocketAddr, shows: &Shows) -> openssl::ssl::SslStream<TcpStream> {
    let mut open = peers::connect(address, Version::V13, shows).unwrap();
    assert!(answers(&mut open));
    open
}

/// Whether `known` is still answered.
fn answers(open: &mut openssl::ssl::SslStream<TcpStream>) -> bool {
    let mut answer = [0; 14];
    writeln!(open, "known").is_ok() && open.read_exact(&mut answer).is_ok() && answer == *b"STRING EXISTS\n"
}

#[rstest]
#[case::key_taken_away("keyring", format!("bob:{BOB}\n"))]
#[case::key_changed("keyring", format!("alice:{WRONG}\nbob:{BOB}\n"))]
fn a_reload_ends_the_sessions_of_a_key_that_is_gone_and_no_others(#[case] file: &str, #[case] content: String) {
    let (folder, _) = furnish();
    let clients = "[[client]]\nname = \"bob\"\npsk-identities = [\"bob\"]\n";
    let mut daemon = Daemon::start(folder, &format!("{LISTENERS}{LISTS}{clients}"));
    let address = daemon.address("psk");
    let mut alice = open_session(address, &Shows::psk("alice", ALICE));
    let mut bob = open_session(address, &Shows::psk("bob", BOB));
    daemon.folder.write(file, content);
    assert!(daemon.ctl(&["reload"]).status.success());
    daemon.wait_for("event=session-ended client=alice reason=no-longer-permitted");
    assert!(!answers(&mut alice));
    assert!(answers(&mut bob));
}

#[test]
fn a_reload_judges_the_certificate_of_an_open_session_by_the_new_authority() {
    let mut house = house();
    let address = house.daemon.address("certificate");
    let mut alice = open_session(address, &Shows::certificate(&house.alice));
    // Another file of the same authority changes nothing for her.
    let folder = house.daemon.folder.path().to_owned();
    let ours = std::fs::read(folder.join("ca.pem")).unwrap();
    let others = Authority::new("another CA").certificate.to_pem().unwrap();
    house.daemon.folder.write("ca.pem", [&ours[..], &others].concat());
    assert!(house.daemon.ctl(&["reload"]).status.success());
    assert!(answers(&mut alice));
    house.daemon.folder.write("ca.pem", others);
    assert!(house.daemon.ctl(&["reload"]).status.success());
    house.daemon.wait_for("event=session-ended listener=certificate client=alice reason=no-longer-permitted");
    assert!(!answers(&mut alice));
}

/// The way of docs/pki.md: revoke, publish, reload. The session that is open is ended, another client's goes on.
#[test]
fn a_reload_ends_the_session_of_a_revoked_certificate_and_no_other() {
    let (folder, _) = furnish();
    let pki = folder.path().join("pki");
    let run = |arguments: &[&str]| {
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pki/linekeep-pki");
        let output = std::process::Command::new(script).env("LINEKEEP_PKI", &pki).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    run(&["init", pki.to_str().unwrap()]);
    run(&["server", "localhost"]);
    run(&["client", "alice.example"]);
    run(&["client", "bob.example"]);
    let issued = |name: &str| {
        let folder = pki.join("issued").join(name);
        (folder.join("certificate.pem"), folder.join("private-key.pem"))
    };
    let listener = "[[listener]]\nname = \"pki\"\naddress = \"127.0.0.1:0\"\nallow = [\"127.0.0.1\"]\nmode = \"certificate\"\n\
        certificate = \"pki/issued/localhost/certificate.pem\"\nprivate-key = \"pki/issued/localhost/private-key.pem\"\n\
        client-ca = \"pki/ca.pem\"\ncrl = \"pki/crl.pem\"\n";
    let bob = "[[client]]\nname = \"bob\"\ncertificates = [\"dns:bob.example\"]\n";
    let mut daemon = Daemon::start(folder, &format!("{listener}{LISTS}{bob}"));
    let address = daemon.address("pki");
    let mut alice = open_session(address, &Shows::certificate(&issued("alice.example")));
    let mut bob = open_session(address, &Shows::certificate(&issued("bob.example")));
    run(&["revoke", "alice.example", "keyCompromise"]);
    assert!(answers(&mut alice), "nothing changes before the reload");
    assert!(daemon.ctl(&["reload"]).status.success());
    daemon.wait_for("event=session-ended client=alice reason=no-longer-permitted");
    assert!(!answers(&mut alice));
    assert!(answers(&mut bob));
}

#[test]
fn a_stop_says_goodbye_in_tls() {
    let mut house = house();
    let mut alice = open_session(house.daemon.address("psk"), &Shows::psk("alice", ALICE));
    house.daemon.signal("TERM");
    let mut rest = Vec::new();
    // A connection that is merely cut is an error here; the end that close_notify announces is not.
    assert_eq!(alice.read_to_end(&mut rest).unwrap(), 0);
    let goodbye = alice.get_shutdown();
    assert!(goodbye.contains(openssl::ssl::ShutdownState::RECEIVED), "no close_notify");
    drop(alice);
    assert_eq!(house.daemon.ended().0.code(), Some(0));
}

#[rstest]
#[case::psk("psk")]
#[case::none("none")]
fn nobody_unknown_an_address_outside_the_allowlist_is_closed_before_a_byte_of_tls(#[case] listener: &str) {
    let mut house = house();
    let address = house.daemon.address(listener);
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    for say in [&b""[..], hello] {
        let came = peers::listen_from("127.0.0.2".parse().unwrap(), address, say);
        assert!(came.is_empty(), "{came:?}");
    }
    let refused = house.daemon.wait_for(&format!("event=connection-refused listener={listener} reason=allowlist"));
    assert!(field(&refused, "source").starts_with("127.0.0.2:"), "{refused}");
    // A stranger inside the allowlist does get an alert: the silence above is the allowlist's.
    assert!(!peers::listen_from("127.0.0.1".parse().unwrap(), address, hello).is_empty());
}

#[test]
fn ipv6_and_v4_mapped_sources_are_judged_by_what_they_are() {
    let (folder, _) = furnish();
    let listener = LISTENERS.split("[[listener]]").nth(1).unwrap();
    let any = format!("[[listener]]{listener}")
        .replace("127.0.0.1:0", "[::]:0")
        .replace("[\"127.0.0.1\"]", "[\"127.0.0.1\", \"::1\"]");
    let mut daemon = Daemon::start(folder, &format!("{any}{LISTS}"));
    let port = daemon.address("psk").port();
    let alice = Shows::psk("alice", ALICE);
    for host in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(host.parse().unwrap(), port);
        assert_eq!(peers::ask(address, Version::V13, &alice, "known").as_deref(), Ok("STRING EXISTS"), "{host}");
    }
    daemon.wait_for("event=client-admitted source=127.0.0.1:");
    let came =
        peers::listen_from("127.0.0.2".parse().unwrap(), SocketAddr::new("127.0.0.1".parse().unwrap(), port), b"x");
    assert!(came.is_empty());
    daemon.wait_for("event=connection-refused source=127.0.0.2: reason=allowlist");
}

#[rstest]
#[case::per_source("max-handshakes-per-source = 2", "max-handshakes-per-source", "127.0.0.1")]
#[case::handshakes("max-handshakes = 2\nmax-handshakes-per-source = 2", "max-handshakes", "127.0.0.3")]
#[case::connections(
    "max-connections = 2\nmax-connections-per-source = 2\nmax-handshakes = 2\nmax-handshakes-per-source = 2",
    "max-connections",
    "127.0.0.3"
)]
#[case::connections_per_source(
    "max-connections-per-source = 2\nmax-handshakes-per-source = 2",
    "max-connections-per-source",
    "127.0.0.1"
)]
fn bounded_caps_refuse_without_tls_work_and_give_places_back(
    #[case] caps: &str,
    #[case] reason: &str,
    #[case] from: &str,
) {
    let (folder, _) = furnish();
    let listeners = LISTENERS.replace("[\"127.0.0.1\"]", "[\"127.0.0.0/8\"]");
    let mut daemon = Daemon::start(folder, &format!("[server]\nearly-refusal-from = 100\n{caps}\n{listeners}{LISTS}"));
    let address = daemon.address("psk");
    let held: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
    let from: IpAddr = from.parse().unwrap();
    assert!(peers::listen_from(from, address, b"").is_empty());
    daemon.wait_for(&format!("event=connection-refused reason={reason} "));
    drop(held);
    daemon.wait_for("event=handshake-failed");
    let answer = std::iter::repeat_with(|| peers::ask(address, Version::V13, &Shows::psk("alice", ALICE), "known"))
        .take(100)
        .find(Result::is_ok);
    assert_eq!(answer.and_then(Result::ok).as_deref(), Some("STRING EXISTS"));
}

#[rstest]
#[case::silent(b"")]
#[case::dripping(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")]
fn bounded_the_handshake_has_a_deadline(#[case] say: &[u8]) {
    let (folder, _) = furnish();
    let mut daemon = Daemon::start(folder, &format!("[server]\nhandshake-deadline = \"1s\"\n{LISTENERS}{LISTS}"));
    let address = daemon.address("psk");
    let mut stream = TcpStream::connect(address).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let say = say.to_vec();
    let dripping = std::thread::spawn(move || {
        for byte in say.iter().chain(std::iter::repeat_n(&0, usize::from(!say.is_empty()) * 400)) {
            if writer.write_all(&[*byte]).is_err() {
                break;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
    });
    let mut came = Vec::new();
    let _ = stream.read_to_end(&mut came);
    assert!(came.is_empty(), "{came:?}");
    daemon.wait_for("event=handshake-failed reason=\"handshake deadline passed\"");
    drop(stream);
    dripping.join().unwrap();
}

#[test]
fn a_listener_that_asks_nobody_says_so_aloud() {
    let mut house = house();
    let open = house.daemon.wait_for("event=listener-open");
    assert!(open.contains("listener=none") && open.contains("client=everybody"), "{open}");
    assert!(open.contains("severity=warning") && open.contains("asks nobody"), "{open}");
}

#[test]
fn modern_means_tls_1_3_only() {
    let (folder, _) = furnish();
    let sections = format!("{LISTENERS}{LISTS}").replace("mode = \"psk\"", "mode = \"psk\"\nprofile = \"modern\"");
    let mut daemon = Daemon::start(folder, &sections);
    let address = daemon.address("psk");
    let alice = Shows::psk("alice", ALICE);
    assert_eq!(peers::ask(address, Version::V13, &alice, "known").as_deref(), Ok("STRING EXISTS"));
    let refused = peers::s_client(address, Version::V12, &alice, "known").unwrap_err();
    assert_eq!(alert(&refused), Some(70), "protocol_version: {refused}");
}

#[test]
fn a_unix_socket_answers_and_its_mode_decides() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _) = furnish();
    let path = folder.path().join("query.sock");
    let listener = format!(
        "[[listener]]\nname = \"local\"\naddress = \"unix:{}\"\ntransport = \"plain\"\nclient = \"alice\"\nsocket-mode = \"0600\"\n",
        path.display()
    );
    let mut daemon = Daemon::start(folder, &format!("{listener}{LISTS}"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(b"known\nabsent\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers, "STRING EXISTS\nSTRING NOT FOUND\n");
    let admitted = daemon.wait_for("event=client-admitted listener=local");
    assert!(field(&admitted, "source").starts_with("unix:uid="), "{admitted}");
    let (status, _) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    assert!(!path.exists(), "the socket file goes with the daemon");
}

#[test]
fn keys_that_others_can_read_keep_the_daemon_from_starting() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _) = furnish();
    for name in ["keyring", "server.key"] {
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let (status, words) = Daemon::spawn(folder, &format!("{LISTENERS}{LISTS}")).ended();
    assert_eq!(status.code(), Some(78));
    for name in ["keyring", "server.key", "chmod"] {
        assert!(words.iter().any(|line| line.contains(name)), "{name} in {words:#?}");
    }
}

#[test]
fn a_certificate_for_servers_is_no_client() {
    let mut house = house();
    let authority_folder = house.daemon.folder.path().to_owned();
    let ca = Authority::new("other");
    ca.write(&authority_folder, "ca");
    let server =
        ca.issue("alice.example", &Leafing { dns: &["alice.example"], usage: Use::Server, ..Leafing::default() });
    let files = server.write(&authority_folder, "as-server");
    assert!(house.daemon.ctl(&["reload"]).status.success());
    let address = house.daemon.address("certificate");
    assert!(peers::ask(address, Version::V13, &Shows::certificate(&files), "known").is_err());
    house.daemon.wait_for("event=handshake-failed listener=certificate");
}
