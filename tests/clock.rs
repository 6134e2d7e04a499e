//! A real daemon under a clock that the test sets (libfaketime): what time alone brings, without anybody acting.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, unreachable_pub)]

mod support;

use std::io::{Read, Write};
use std::path::PathBuf;
use support::daemon::{Daemon, Folder, PATIENCE, field};
use support::peers::{self, Shows, Version};
use support::pki::Authority;

const SECTIONS: &str = r#"
[[listener]]
name = "certificate"
address = "127.0.0.1:0"
mode = "certificate"
certificate = "server.pem"
private-key = "server.key"
client-ca = "ca.pem"
allow = ["127.0.0.1"]
unlisted = "allow"
[[dataset]]
name = "words"
paths = "words.txt"
"#;

/// The library that stands between a process and the clock. `scripts/setup test` installs it.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut found = folders.map(|folder| folder.join("faketime/libfaketime.so.1")).filter(|library| library.exists());
    found.next().expect("libfaketime: scripts/setup test installs it")
}

#[test]
fn what_ends_and_a_clock_that_jumps_are_told_while_nobody_acts() {
    let folder = Folder::new();
    let authority = Authority::new("linekeep test CA");
    authority.write(folder.path(), "ca");
    authority.issue_server().write(folder.path(), "server");
    let client = authority.issue_client("alice.example").write(folder.path(), "alice");
    folder.write("words.txt", "known\n");
    let clock = folder.write("clock", "+0\n");
    let mut daemon = Daemon::start_under_clock(folder, SECTIONS, &clock, &library());
    let address = daemon.address("certificate");
    let ask = || peers::ask(address, Version::V13, &Shows::certificate(&client), "known");
    assert_eq!(ask().as_deref(), Ok("STRING EXISTS"));
    assert!(daemon.wait_for("event=warning server.pem expires").contains("in 29 days"));

    daemon.folder.write("clock", "+10d\n");
    let jumped = daemon.wait_for("event=clock-jumped");
    assert!(field(&jumped, "seconds").starts_with("86"), "{jumped}");
    assert!(daemon.wait_for("event=warning server.pem in 19 days").contains("localhost expires on"));
    assert_eq!(ask().as_deref(), Ok("STRING EXISTS"), "a warning takes nothing away");

    let mut open = peers::connect(address, Version::V13, &Shows::certificate(&client)).unwrap();
    open.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    open.write_all(b"known\n").unwrap();
    open.read_exact(&mut [0; 14]).unwrap();
    daemon.folder.write("clock", "+40d\n");
    assert_eq!(open.read(&mut [0; 16]).unwrap_or(0), 0, "a session ends with its certificate");
    daemon.wait_for("event=session-ended reason=expired");
    daemon.wait_for("event=warning ca.pem has expired on");
    assert!(ask().is_err(), "a certificate that has expired proves nothing");
    daemon.wait_for("event=handshake-failed expired");
}
