//! The life of a key: `linekeepctl psk` beside a real daemon, and real peers that use what it made.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use rstest::rstest;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Output;
use std::time::{Duration, Instant, SystemTime};
use support::daemon::{Daemon, Folder, PATIENCE, field};
use support::peers::{self, Shows, Version};

const ALICE: &str = "aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11";

const SECTIONS: &str = r#"
[server]
state-folder = "."
[[listener]]
name = "psk"
address = "127.0.0.1:0"
mode = "psk"
keyring = "keyring"
allow = ["127.0.0.1"]
[[client]]
name = "alice"
psk-identities = ["alice"]
[[client]]
name = "bob"
psk-identities = ["bob"]
[[dataset]]
name = "words"
paths = "words.txt"
"#;

fn start(keyring: &str) -> (Daemon, SocketAddr) {
    let folder = Folder::new();
    folder.write("keyring", keyring);
    folder.write("words.txt", "known\n");
    let mut daemon = Daemon::start(folder, SECTIONS);
    let address = daemon.address("psk");
    (daemon, address)
}

/// `linekeepctl psk ...` with the daemon's configuration.
fn psk(daemon: &Daemon, arguments: &[&str]) -> Output {
    let config = daemon.folder.path().join("linekeep.toml");
    daemon.ctl(&[&["psk"], arguments, &["--config", config.to_str().unwrap()]].concat())
}

fn good(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn keyring(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.folder.path().join("keyring")).unwrap()
}

fn reload(daemon: &Daemon) {
    assert!(daemon.ctl(&["reload"]).status.success());
}

type Ask = fn(SocketAddr, Version, &Shows, &str) -> Result<String, String>;

#[rstest]
fn a_new_key_opens_the_door_once_it_is_loaded(
    #[values(Version::V12, Version::V13)] version: Version,
    #[values(peers::ask as Ask, peers::s_client as Ask)] ask: Ask,
) {
    let (daemon, address) = start(&format!("# ours\nalice:{ALICE}\n"));
    let path = daemon.folder.path().join("keyring");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let line = good(&psk(&daemon, &["new", "bob"]));
    let (identity, key) = line.trim_end().split_once(':').unwrap();
    assert!(identity == "bob" && key.len() == 64, "{line}");
    assert_eq!(keyring(&daemon), format!("# ours\nalice:{ALICE}\n{line}"));
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    assert!(ask(address, version, &Shows::psk("bob", key), "known").is_err(), "not before the reload");
    reload(&daemon);
    assert_eq!(ask(address, version, &Shows::psk("bob", key), "known").as_deref(), Ok("STRING EXISTS"));
    assert!(refused(&psk(&daemon, &["new", "bob"])).contains("has a key of this identity already"));
    assert!(refused(&psk(&daemon, &["new", "bo:b"])).contains("may hold letters"));
}

/// 128 bytes are what every peer has to take (RFC 4279 section 5.3).
#[rstest]
fn the_longest_identity_works_at_the_wire(#[values(Version::V12, Version::V13)] version: Version) {
    let longest = "x".repeat(128);
    let (mut daemon, address) = start(&format!("alice:{ALICE}\n"));
    let line = good(&psk(&daemon, &["new", &longest]));
    daemon.folder.configure(&SECTIONS.replace("[\"bob\"]", &format!("[\"{longest}\"]")));
    reload(&daemon);
    let key = line.trim_end().split_once(':').unwrap().1;
    assert_eq!(peers::ask(address, version, &Shows::psk(&longest, key), "known").as_deref(), Ok("STRING EXISTS"));
    assert_eq!(field(&daemon.wait_for("event=client-admitted"), "client"), "bob");
}

#[test]
fn after_a_rotation_both_keys_are_good_until_the_last_day_and_then_the_new_one_alone() {
    let (mut daemon, address) = start(&format!("alice:{ALICE}\n"));
    let line = good(&psk(&daemon, &["rotate", "alice", "--for", "4s", "--json"]));
    let new: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(new["identity"], "alice.2");
    let (old, new) = (Shows::psk("alice", ALICE), Shows::psk("alice.2", new["key"].as_str().unwrap()));
    let output = daemon.ctl(&["reload"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("the key of alice is one until"), "{said}");
    assert!(said.contains("key of alice ends at ") && said.contains("key of alice.2 added"), "{said}");
    let mut open = peers::connect(address, Version::V13, &old).unwrap();
    open.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    open.write_all(b"known\n").unwrap();
    open.read_exact(&mut [0; 14]).unwrap();
    assert_eq!(peers::ask(address, Version::V13, &new, "known").as_deref(), Ok("STRING EXISTS"));
    let admitted = daemon.wait_for("event=client-admitted evidence=psk:alice.2");
    assert_eq!(field(&admitted, "client"), "alice", "the new key is the same client");
    assert_eq!(open.read(&mut [0; 16]).unwrap_or(0), 0, "an open session ends with its key");
    daemon.wait_for("event=session-ended client=alice reason=expired");
    assert!(peers::ask(address, Version::V13, &old, "known").is_err());
    daemon.wait_for("event=handshake-failed identity=psk:alice ");
    assert_eq!(peers::ask(address, Version::V13, &new, "known").as_deref(), Ok("STRING EXISTS"));
}

#[test]
fn revoking_ends_the_sessions_of_every_key_of_the_client() {
    let (daemon, address) =
        start(&format!("alice:{ALICE} for=bob\nbob:{}\ncarol:{}\n", "bb".repeat(32), "cc".repeat(32)));
    let mut open = peers::connect(address, Version::V13, &Shows::psk("alice", ALICE)).unwrap();
    open.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    open.write_all(b"known\n").unwrap();
    open.read_exact(&mut [0; 14]).unwrap();
    let output = psk(&daemon, &["revoke", "bob", "--reload"]);
    good(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("alice, bob"), "{output:?}");
    assert_eq!(open.read(&mut [0; 16]).unwrap_or(0), 0);
    assert_eq!(keyring(&daemon), format!("carol:{}\n", "cc".repeat(32)));
    assert!(refused(&psk(&daemon, &["revoke", "bob"])).contains("has no key of this identity"));
}

#[test]
fn the_list_tells_uses_and_never_a_key() {
    let (daemon, address) = start(&format!("alice:{ALICE} until=2999-01-01\nbob:{}\n", "bb".repeat(32)));
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(peers::ask(address, Version::V13, &Shows::psk("alice", ALICE), "known").is_ok());
    let listed = |daemon: &Daemon| -> serde_json::Value {
        let text = good(&psk(daemon, &["list", "--json"]));
        assert!(!text.contains(&ALICE[..8]));
        serde_json::from_str(&text).unwrap()
    };
    let keys = listed(&daemon);
    assert!(keys[0]["last_used"].as_u64().unwrap() >= before, "{keys}");
    assert_eq!((&keys[1]["first_used"], &keys[0]["until"]), (&serde_json::Value::Null, &32_472_144_000u64.into()));
    let people = good(&psk(&daemon, &["list"]));
    assert!(
        people.contains("never") && people.contains("2999-01-01T00:00:00Z") && !people.contains(&ALICE[..8]),
        "{people}"
    );
    let config = daemon.folder.path().join("linekeep.toml");
    daemon.signal("TERM");
    let until = Instant::now() + PATIENCE;
    let file = daemon.folder.path().join("key-uses.json");
    while !file.exists() && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_linekeepctl"))
        .args(["--socket", "/nonexistent/socket", "psk", "list", "--json", "--config"])
        .arg(config)
        .output()
        .unwrap();
    let keys: serde_json::Value = serde_json::from_str(&good(&output)).unwrap();
    assert!(keys[0]["first_used"].as_u64().unwrap() >= before, "what the daemon left behind: {keys}");
}

/// What expires is warned about with the way to take it away, and that way must not lead to the key in use.
#[test]
fn pruning_takes_what_is_over_and_nothing_else() {
    let (daemon, address) = start(&format!("alice:{ALICE} until=2020-01-01\nalice.2:{} for=alice\n", "bb".repeat(32)));
    let said = String::from_utf8(daemon.ctl(&["reload"]).stdout).unwrap();
    assert!(said.contains("the key of alice is none any more") && said.contains("linekeepctl psk prune"), "{said}");
    good(&psk(&daemon, &["prune"]));
    assert_eq!(keyring(&daemon), format!("alice.2:{} for=alice\n", "bb".repeat(32)));
    reload(&daemon);
    let new = Shows::psk("alice.2", &"bb".repeat(32));
    assert_eq!(peers::ask(address, Version::V13, &new, "known").as_deref(), Ok("STRING EXISTS"));
    good(&psk(&daemon, &["prune"]));
    assert_eq!(keyring(&daemon).lines().count(), 1, "nothing is over any more");
}

#[test]
fn revoking_one_key_alone_leaves_those_that_stand_for_it() {
    let (daemon, _) = start(&format!("alice:{ALICE}\nalice.2:{} for=alice\n", "bb".repeat(32)));
    let said = psk(&daemon, &["revoke", "alice", "--alone"]);
    good(&said);
    assert!(!String::from_utf8_lossy(&said.stderr).contains("alice.2"), "what is there still is not told as gone");
    assert_eq!(keyring(&daemon), format!("alice.2:{} for=alice\n", "bb".repeat(32)));
}

#[test]
fn a_key_under_the_name_of_an_earlier_one_was_never_used() {
    let (daemon, address) = start(&format!("alice:{ALICE}\nbob:{}\n", "bb".repeat(32)));
    let ask = |identity, key: &str| peers::ask(address, Version::V13, &Shows::psk(identity, key), "known").is_ok();
    assert!(ask("alice", ALICE) && ask("bob", &"bb".repeat(32)));
    good(&psk(&daemon, &["revoke", "alice"]));
    good(&psk(&daemon, &["new", "alice"]));
    reload(&daemon);
    let keys: serde_json::Value = serde_json::from_str(&good(&psk(&daemon, &["list", "--json"]))).unwrap();
    assert!(keys[0]["identity"] == "bob" && keys[0]["last_used"].is_u64(), "{keys}");
    assert!(keys[1]["identity"] == "alice" && keys[1]["last_used"].is_null(), "{keys}");
}

/// Whoever comes over from stunnel brings the keys that stunnel makes of its file, hexadecimal ones above all.
#[test]
fn a_key_from_stunnel_is_the_one_that_its_clients_hold() {
    let (daemon, address) = start(&format!("carol:{}\n", "cc".repeat(32)));
    let theirs = daemon.folder.write("theirs", format!("alice:{ALICE}\nbob:sixteen bytes at least\n"));
    good(&psk(&daemon, &["import", theirs.to_str().unwrap(), "--format", "stunnel"]));
    reload(&daemon);
    let words: String = "sixteen bytes at least".bytes().map(|byte| format!("{byte:02x}")).collect();
    for (identity, key) in [("alice", ALICE), ("bob", words.as_str())] {
        let answer = peers::s_client(address, Version::V13, &Shows::psk(identity, key), "known");
        assert_eq!(answer.as_deref(), Ok("STRING EXISTS"), "{identity}");
    }
}

#[test]
fn a_command_that_is_refused_makes_no_keyring() {
    let (daemon, _) = start(&format!("alice:{ALICE}\n"));
    let (theirs, missing) = (daemon.folder.write("theirs", "siem:0011\n"), daemon.folder.path().join("missing"));
    let theirs = theirs.to_str().unwrap();
    let commands: [&[&str]; 6] = [
        &["list"],
        &["new", "no such identity"],
        &["rotate", "alice", "--for", "1d"],
        &["revoke", "alice"],
        &["prune"],
        &["import", theirs, "--format", "mosquitto"],
    ];
    for command in commands {
        refused(&psk(&daemon, &[command, &["--keyring", missing.to_str().unwrap()]].concat()));
        assert!(!missing.exists(), "{command:?}");
    }
    let said = refused(&psk(&daemon, &["rotate", "alice", "--for", "10000years"]));
    assert!(said.contains("before 9999-12-31"), "{said}");
}

#[rstest]
#[case::stunnel("stunnel", "siem:sixteen bytes at least\nother:another key of sixteen or more\n", None, &["siem", "other"])]
#[case::mosquitto("mosquitto", "siem:00112233445566778899aabbccddeeff\n", None, &["siem"])]
#[case::zabbix("zabbix", "af8ced32dfe8714e548694e2d29e1a14ba6fa13f216cb35c19d0feb1084b0429\n", Some("siem"), &["siem"])]
fn keys_of_other_programs_are_taken_over(
    #[case] format: &str,
    #[case] theirs: &str,
    #[case] identity: Option<&str>,
    #[case] identities: &[&str],
) {
    let (daemon, _) = start(&format!("alice:{ALICE}\n"));
    let file = daemon.folder.write("theirs", theirs);
    let mut arguments = vec!["import", file.to_str().unwrap(), "--format", format];
    arguments.extend(identity.into_iter().flat_map(|identity| ["--identity", identity]));
    good(&psk(&daemon, &arguments));
    for identity in identities {
        assert!(keyring(&daemon).contains(&format!("\n{identity}:")), "{}", keyring(&daemon));
    }
    reload(&daemon);
    let again = refused(&psk(&daemon, &arguments));
    assert!(again.contains("theirs:") && again.contains("nothing was taken over"), "{again}");
}

#[rstest]
#[case::short_key("mosquitto", "new:00112233445566778899aabbccddeeff\nsiem:0011\n", "theirs:2: ")]
#[case::not_hex("mosquitto", "new:00112233445566778899aabbccddeeff\nsiem:secret passphrase\n", "theirs:2: ")]
#[case::same_key_twice("stunnel", "one:the same key for both\ntwo:the same key for both\n", "the same key")]
#[case::own_line_alone(
    "mosquitto",
    "a:0011\nb:00112233445566778899aabbccddeeff\nc:zz\n",
    "theirs:1: the key has 2 bytes"
)]
#[case::own_line_of_a_good_form(
    "mosquitto",
    "a:0011\nb:00112233445566778899aabbccddeeff\nalice:00112233445566778899aabbccddee00\n",
    "theirs:3: alice"
)]
#[case::odd_identity("stunnel", "si em:sixteen bytes at least\n", "may hold letters")]
#[case::empty("mosquitto", "# nothing\n", "no key in it")]
fn an_import_is_all_or_nothing_and_shows_no_key(#[case] format: &str, #[case] theirs: &str, #[case] why: &str) {
    let (daemon, _) = start(&format!("alice:{ALICE}\n"));
    let before = keyring(&daemon);
    let file = daemon.folder.write("theirs", theirs);
    let said = refused(&psk(&daemon, &["import", file.to_str().unwrap(), "--format", format]));
    assert!(said.contains(why), "{said}");
    assert!(!said.contains("theirs:2: ") || theirs.lines().count() == 2, "only what is wrong is named: {said}");
    assert!(!said.contains("secret passphrase") && !said.contains("the same key for both"), "{said}");
    assert_eq!(keyring(&daemon), before);
}

#[test]
fn a_keyring_is_made_where_there_is_none_and_nobody_else_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyring");
    let new = |identity: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_linekeepctl"))
            .args(["psk", "new", identity, "--keyring"])
            .arg(&path)
            .output()
            .unwrap()
    };
    std::thread::scope(|scope| {
        let makers: Vec<_> = (0..8).map(|number| scope.spawn(move || new(&format!("client-{number}")))).collect();
        for maker in makers {
            good(&maker.join().unwrap());
        }
    });
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o007, 0);
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 8, "eight at once lose nothing");
}
