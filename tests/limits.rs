//! Limits of a real daemon beside its caps: penalties for who fails, and too few descriptors for everybody.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use rstest::rstest;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};
use support::daemon::{Daemon, Folder, PATIENCE, PLAIN, field};
use support::peers::{self, Shows, Version};

const ALICE: &str = "aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11";
const WRONG: &str = "cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33";

const SECTIONS: &str = r#"
[[listener]]
name = "psk"
address = "127.0.0.1:0"
mode = "psk"
keyring = "keyring"
allow = ["127.0.0.0/8"]
[[client]]
name = "alice"
psk-identities = ["alice"]
[[dataset]]
name = "words"
paths = "words.txt"
"#;

fn start(penalties: &str, server: &str) -> (Daemon, SocketAddr) {
    let folder = Folder::new();
    folder.write("keyring", format!("alice:{ALICE}\n"));
    folder.write("words.txt", "known\n");
    let file = folder.configure(&format!("[server]\n{server}\n{SECTIONS}"));
    rule(&file, penalties);
    let mut daemon = Daemon::spawn_with(folder, &file);
    daemon.wait_for("event=ready ");
    let address = daemon.address("psk");
    (daemon, address)
}

/// Puts these penalties in the place of those that tests begin with.
fn rule(file: &std::path::Path, penalties: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, text.replace("[penalties]\nenabled = false\n", &format!("[penalties]\n{penalties}\n")))
        .unwrap();
}

fn fail(address: SocketAddr) {
    assert!(peers::ask(address, Version::V13, &Shows::psk("alice", WRONG), "known").is_err());
}

#[test]
fn bounded_who_fails_again_and_again_is_refused_before_any_cryptography() {
    let (mut daemon, address) = start("", "");
    // Three would be enough if they took no time at all.
    for _ in 0..4 {
        fail(address);
    }
    let begun = daemon.wait_for("event=penalty-begun");
    assert_eq!(field(&begun, "source"), "127.0.0.1", "{begun}");
    let refused = peers::ask(address, Version::V13, &Shows::psk("alice", ALICE), "known");
    assert!(refused.is_err(), "also with the right key");
    daemon.wait_for("event=connection-refused reason=penalty");
    assert_eq!(daemon.counter("penalties_total"), 1);
    assert_eq!(daemon.status()["penalised_sources"], 1);

    let neighbour: IpAddr = "127.0.0.2".parse().unwrap();
    let stream = peers::connect_from(neighbour, address);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let ssl = openssl::ssl::Ssl::new(&peers::context(Version::V13, &Shows::psk("alice", ALICE))).unwrap();
    let mut stream = ssl.connect(stream).unwrap();
    stream.write_all(b"known\n").unwrap();
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"STRING EXISTS\n", "a neighbour has nothing to do with it");

    assert!(daemon.ctl(&["reload"]).status.success());
    assert_eq!(daemon.status()["penalised_sources"], 1, "a reload forgives nobody");
}

/// Whoever locked themselves out by a mistake is let in by a reload, not by waiting.
#[rstest]
#[case::switched_off("enabled = false")]
#[case::exempt("exempt = [\"127.0.0.1\"]")]
fn a_reload_that_takes_a_penalty_away_takes_it_away_at_once(#[case] by: &str) {
    let (mut daemon, address) = start("", "");
    for _ in 0..4 {
        fail(address);
    }
    daemon.wait_for("event=penalty-begun");
    let file = daemon.folder.path().join("linekeep.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[penalties]\n", &format!("[penalties]\n{by}\n"))).unwrap();
    assert!(daemon.ctl(&["reload"]).status.success());
    let answer = peers::ask(address, Version::V13, &Shows::psk("alice", ALICE), "known");
    assert_eq!(answer.as_deref(), Ok("STRING EXISTS"));
    assert_eq!(daemon.status()["penalised_sources"], 0);
}

#[test]
fn bounded_an_exempt_source_gets_no_penalty() {
    let (mut daemon, address) = start("exempt = [\"127.0.0.1\"]", "");
    for _ in 0..10 {
        fail(address);
    }
    let answer = peers::ask(address, Version::V13, &Shows::psk("alice", ALICE), "known");
    assert_eq!(answer.as_deref(), Ok("STRING EXISTS"));
    assert_eq!(daemon.count_until("event=penalty-begun", "event=client-admitted"), 0);
}

#[test]
fn bounded_slow_handshakes_cost_more_than_silence() {
    let (mut daemon, address) = start("", "handshake-deadline = \"200ms\"");
    for _ in 0..3 {
        let mut slow = TcpStream::connect(address).unwrap();
        slow.set_read_timeout(Some(PATIENCE)).unwrap();
        slow.write_all(b"\x16\x03\x01").unwrap();
        assert_eq!(slow.read(&mut [0; 8]).unwrap_or(0), 0);
    }
    daemon.wait_for("event=penalty-begun");
    let (quick, address) = start("", "");
    for _ in 0..10 {
        drop(TcpStream::connect(address).unwrap());
    }
    let until = Instant::now() + PATIENCE;
    while quick.counter("handshakes_failed_total") < 10 && Instant::now() < until {}
    assert_eq!(quick.counter("penalties_total"), 0, "who looks whether the port is open is no attacker yet");
}

fn ask_plain(address: SocketAddr) -> std::io::Result<[u8; 14]> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"known\n")?;
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).map(|()| answer)
}

/// CVE-2024-38528 of a peer: the server ended when accept(2) had no descriptor left.
#[test]
fn bounded_without_descriptors_nobody_hangs_and_nothing_ends() {
    let folder = Folder::new();
    folder.write("words.txt", "known\n");
    let mut daemon = Daemon::start(folder, PLAIN);
    let address = daemon.address("plain");
    let pid = daemon.pid().to_string();
    let used = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let limit = |descriptors: usize| {
        let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={descriptors}:")]).status();
        assert!(limited.unwrap().success());
    };
    limit(used + 8);
    let mut peers: Vec<_> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    let trouble = daemon.wait_for("event=accept-failed");
    assert!(trouble.contains("Too many open files"), "{trouble}");
    let until = Instant::now() + PATIENCE;
    let mut served = peers.len();
    while served > 16 && Instant::now() < until {
        peers.retain_mut(|peer| {
            peer.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            !matches!(peer.read(&mut [0; 1]), Ok(0))
        });
        served = peers.len();
    }
    assert!(served <= 16, "whoever has no place is closed, not left waiting: {served} are left");
    limit(1024);
    let errors = daemon.counter("accept_errors_total");
    assert!(errors < 24, "everybody who waits is closed together, not one after each pause: {errors} errors");
    assert!(daemon.counter("closed_without_descriptor_total") >= 24);
    drop(peers);
    // Until it has noticed that there are descriptors again, it may go on closing.
    let until = Instant::now() + PATIENCE;
    let mut answer = None;
    while answer.is_none() && Instant::now() < until {
        answer = ask_plain(address).ok();
    }
    assert_eq!(answer.as_ref(), Some(b"STRING EXISTS\n"));
    let restored = daemon.wait_for("event=accept-restored");
    assert_ne!(field(&restored, "closed"), "0", "{restored}");
    assert!(daemon.counter("accept_errors_total") > 0);
}
