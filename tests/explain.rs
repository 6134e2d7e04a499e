//! The explained form of a real daemon, by real peers: which lists have a line, and in which generation;
//! and that whoever does not ask for it notices nothing of it.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use linekeep::client::{Client, Options, PreSharedKey, Protection};
use linekeep::protocol::{Answer, Explained};
use linekeep::secret::Secret;
use openssl::ssl::{Ssl, SslStream};
use rstest::rstest;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::daemon::{Daemon, Folder, PATIENCE};
use support::peers::{self, Shows, Version};
use support::pki::Authority;
use support::tap::Tap;

const ALICE: &str = "aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11";
const BOB: &str = "bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22bb22";
const NOBODY: &str = "cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33cc33";
const EXPLAINED: &[u8] = b"\x12linekeep-explain/1";

/// A daemon with lists that overlap, and clients of whom one may ask all, one a part, one nothing.
const SECTIONS: &str = r#"
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
[[dataset]]
name = "zebra"
paths = "zebra.txt"
[[dataset]]
name = "windows"
paths = "windows.txt"
line-ending = "auto"
[[dataset]]
name = "a.b_c@D-0"
paths = "third.txt"
line-ending = "lf"
[[client]]
name = "alice"
psk-identities = ["alice"]
certificates = ["dns:alice.example"]
[[client]]
name = "bob"
psk-identities = ["bob"]
datasets = ["a.b_c@D-0", "zebra"]
[[client]]
name = "nobody"
psk-identities = ["nobody"]
datasets = []
"#;

struct House {
    daemon: Daemon,
    alice: (PathBuf, PathBuf),
}

fn house() -> House {
    let folder = Folder::new();
    let authority = Authority::new("linekeep test CA");
    authority.write(folder.path(), "ca");
    authority.issue_server().write(folder.path(), "server");
    let alice = authority.issue_client("alice.example").write(folder.path(), "alice");
    folder.write("keyring", format!("alice:{ALICE}\nbob:{BOB}\nnobody:{NOBODY}\n"));
    folder.write("zebra.txt", "both\nzebra\n");
    folder.write("windows.txt", "both\r\nwindows\r\n");
    folder.write("third.txt", "third\nwindows\r\n");
    House { daemon: Daemon::start(folder, SECTIONS), alice }
}

fn alice() -> Shows {
    Shows::psk("alice", ALICE)
}

/// A connection that offers these protocols.
fn connect(address: SocketAddr, version: Version, shows: &Shows, offer: &[u8]) -> SslStream<Tap> {
    let mut ssl = Ssl::new(&peers::context(version, shows)).unwrap();
    ssl.set_alpn_protos(offer).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    ssl.connect(Tap::on(stream)).unwrap()
}

/// So many lines.
fn read_lines(stream: impl Read, lines: usize) -> String {
    let mut said = String::new();
    let mut reader = BufReader::new(stream);
    for _ in 0..lines {
        reader.read_line(&mut said).unwrap();
    }
    said
}

const QUESTIONS: &str = "both\nwindows\nwindows\r\n\nabsent\nthird\n";
const EXPLANATIONS: &str = "\
STRING EXISTS zebra:1 windows:1
STRING EXISTS windows:1
STRING EXISTS windows:1 a.b_c@D-0:1
ERROR: invalid query
STRING NOT FOUND zebra:1 windows:1 a.b_c@D-0:1
STRING EXISTS a.b_c@D-0:1
";
const PLAIN_ANSWERS: &str = "\
STRING EXISTS
STRING EXISTS
STRING EXISTS
ERROR: invalid query
STRING NOT FOUND
STRING EXISTS
";

#[rstest]
fn exact_every_list_that_has_a_line_is_named_in_order(
    #[values("psk", "certificate")] listener: &str,
    #[values(Version::V12, Version::V13)] version: Version,
) {
    let mut house = house();
    let shows = if listener == "psk" { alice() } else { Shows::certificate(&house.alice) };
    let mut stream = connect(house.daemon.address(listener), version, &shows, EXPLAINED);
    assert_eq!(stream.ssl().selected_alpn_protocol(), Some(&EXPLAINED[1..]));
    stream.write_all(QUESTIONS.as_bytes()).unwrap();
    assert_eq!(read_lines(&mut stream, 6), EXPLANATIONS);
    drop(stream);
    house.daemon.wait_for("event=session-ended client=alice queries=5 found=4 invalid=1");
    for (counter, count) in [("queries_total", 5), ("queries_found_total", 4), ("requests_empty_total", 1)] {
        assert_eq!(house.daemon.counter(counter), count, "{counter}");
    }
}

#[rstest]
fn the_openssl_program_is_answered_in_the_form_it_asks_for(
    #[values("psk", "certificate")] listener: &str,
    #[values("-tls1_2", "-tls1_3")] version: &str,
    #[values(Some("h2,linekeep-explain/1"), Some("h2,http/1.1"), None)] offer: Option<&str>,
) {
    let mut house = house();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", version, "-connect", &house.daemon.address(listener).to_string()]);
    match listener {
        "psk" => command.args(["-psk_identity", "alice", "-psk", ALICE]),
        _ => command.arg("-cert").arg(&house.alice.0).arg("-key").arg(&house.alice.1),
    };
    offer.map(|offer| command.args(["-alpn", offer]));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the openssl program");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(QUESTIONS.as_bytes()).unwrap();
    let said = read_lines(child.stdout.take().unwrap(), 6);
    let _ = child.kill();
    child.wait().unwrap();
    let explained = offer.is_some_and(|offer| offer.contains("linekeep"));
    assert_eq!(said, if explained { EXPLANATIONS } else { PLAIN_ANSWERS });
}

/// Not a byte more on the wire, in the handshake or after it, for whoever asks for nothing or for something else.
#[rstest]
fn exact_without_the_offer_every_reply_is_what_it_was(#[values(Version::V12, Version::V13)] version: Version) {
    let mut house = house();
    let address = house.daemon.address("psk");
    let mut records = Vec::new();
    for (offer, expected) in [
        (&b""[..], PLAIN_ANSWERS),
        (b"\x02h2\x08http/1.1", PLAIN_ANSWERS),
        (b"\x12linekeep-explain/2", PLAIN_ANSWERS),
        (EXPLAINED, EXPLANATIONS),
    ] {
        let mut stream = connect(address, version, &alice(), offer);
        stream.write_all(QUESTIONS.as_bytes()).unwrap();
        let mut said = vec![0; expected.len()];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), expected);
        records.push(stream.get_ref().record_lengths());
    }
    assert!(records[0].len() > 3 && records[1] == records[0] && records[2] == records[0], "{records:?}");
    assert_ne!(records[3], records[0], "the measurement sees what there is to see");
}

#[test]
fn a_client_hears_of_the_lists_that_it_may_ask_and_of_no_other() {
    let mut house = house();
    let address = house.daemon.address("psk");
    let mut bob = connect(address, Version::V13, &Shows::psk("bob", BOB), EXPLAINED);
    bob.write_all(b"both\nwindows\nabsent\n").unwrap();
    let expected = "\
STRING EXISTS zebra:1
STRING NOT FOUND zebra:1 a.b_c@D-0:1
STRING NOT FOUND zebra:1 a.b_c@D-0:1
";
    assert_eq!(read_lines(&mut bob, 3), expected);
    let mut nobody = connect(address, Version::V13, &Shows::psk("nobody", NOBODY), EXPLAINED);
    nobody.write_all(b"both\nabsent\n").unwrap();
    assert_eq!(read_lines(&mut nobody, 2), "ERROR: not permitted\nERROR: not permitted\n");
}

#[test]
fn exact_the_same_explanations_a_byte_at_a_time() {
    let mut house = house();
    let mut stream = connect(house.daemon.address("psk"), Version::V13, &alice(), EXPLAINED);
    for byte in QUESTIONS.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(read_lines(&mut stream, 6), EXPLANATIONS);
}

#[test]
fn a_line_that_is_too_long_ends_the_explained_connection_too() {
    let mut house = house();
    let mut stream = connect(house.daemon.address("psk"), Version::V13, &alice(), EXPLAINED);
    stream.write_all(b"both\n").unwrap();
    stream.write_all(&[b'a'; 5000]).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert_eq!(said, "STRING EXISTS zebra:1 windows:1\nERROR: query too long\n");
    house.daemon.wait_for("event=session-ended client=alice reason=query-too-long");
}

#[test]
fn a_reload_shows_in_the_generation_on_the_open_connection() {
    let mut house = house();
    let mut stream = connect(house.daemon.address("psk"), Version::V13, &alice(), EXPLAINED);
    stream.write_all(b"zebra\nnew\n").unwrap();
    assert_eq!(read_lines(&mut stream, 2), "STRING EXISTS zebra:1\nSTRING NOT FOUND zebra:1 windows:1 a.b_c@D-0:1\n");
    house.daemon.folder.write("zebra.txt", "new\n");
    assert!(house.daemon.ctl(&["reload"]).status.success());
    stream.write_all(b"new\n").unwrap();
    assert_eq!(read_lines(&mut stream, 1), "STRING EXISTS zebra:2\n");
}

/// Lists with the longest names, so that replies are long.
fn many_lists(lists: usize, server: &str) -> Daemon {
    let folder = Folder::new();
    folder.write("keyring", format!("alice:{ALICE}\n"));
    folder.write("words.txt", "y\n");
    let mut sections = format!(
        "{server}\n[[listener]]\nname = \"psk\"\naddress = \"127.0.0.1:0\"\nmode = \"psk\"\nkeyring = \"keyring\"\n\
         allow = [\"127.0.0.1\"]\n[[client]]\nname = \"alice\"\npsk-identities = [\"alice\"]\n"
    );
    for list in 0..lists {
        sections += &format!("[[dataset]]\nname = \"{list:n>64}\"\npaths = \"words.txt\"\n");
    }
    Daemon::start(folder, &sections)
}

#[test]
fn exact_replies_longer_than_the_servers_buffer_come_whole_and_in_order() {
    const LISTS: usize = 1000;
    let mut daemon = many_lists(LISTS, "");
    let mut stream = connect(daemon.address("psk"), Version::V13, &alice(), EXPLAINED);
    stream.write_all("y\nn\n\n".repeat(20).as_bytes()).unwrap();
    let named: String = (0..LISTS).map(|list| format!(" {list:n>64}:1")).collect();
    let expected = format!("STRING EXISTS{named}\nSTRING NOT FOUND{named}\nERROR: invalid query\n").repeat(20);
    assert!(read_lines(&mut stream, 60) == expected, "another order, or not whole");
}

#[test]
fn bounded_a_client_that_never_reads_its_explanations_is_held_and_then_cut() {
    const LISTS: usize = 300;
    let mut daemon = many_lists(LISTS, "[server]\nwrite-deadline = \"1s\"\n");
    let mut stream = connect(daemon.address("psk"), Version::V13, &alice(), EXPLAINED);
    let before = daemon.resident();
    // One turn of these brings 160 MB of replies.
    let _ = stream.write_all("n\n".repeat(8 * 1024).as_bytes());
    let pid = daemon.pid();
    let (done, ended) = std::sync::mpsc::channel();
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        while ended.recv_timeout(std::time::Duration::from_millis(5)).is_err() {
            most = most.max(support::daemon::resident(pid));
        }
        most
    });
    daemon.wait_for("event=session-ended reason=write-deadline");
    done.send(()).unwrap();
    let grown = watch.join().unwrap().saturating_sub(before);
    assert!(grown < 16 << 20, "memory grew by {grown} bytes");
}

fn linekeep(house: &mut House, arguments: &[&str]) -> (Option<i32>, String) {
    let key = house.daemon.folder.write("alice.key", format!("alice:{ALICE}\n"));
    let said = Command::new(env!("CARGO_BIN_EXE_linekeep"))
        .args(["lookup", "--explain", "--server", &house.daemon.address("psk").to_string(), "--psk-file"])
        .arg(key)
        .args(arguments)
        .output()
        .unwrap();
    assert!(said.stderr.is_empty(), "{}", String::from_utf8_lossy(&said.stderr));
    (said.status.code(), String::from_utf8(said.stdout).unwrap())
}

#[test]
fn the_program_shows_lists_and_generations_in_every_form_of_output() {
    let mut house = house();
    let lines = ["both", "absent"];
    assert_eq!(
        linekeep(&mut house, &lines),
        (Some(1), "found\tboth\tzebra:1 windows:1\nmissing\tabsent\tzebra:1 windows:1 a.b_c@D-0:1\n".to_owned())
    );
    let (_, json) = linekeep(&mut house, &["--json", "third", "absent"]);
    let expected = r#"{"line":"third","answer":"found","lists":[{"name":"a.b_c@D-0","generation":1}]}
{"line":"absent","answer":"missing","lists":[{"name":"zebra","generation":1},{"name":"windows","generation":1},{"name":"a.b_c@D-0","generation":1}]}
"#;
    assert_eq!(json, expected);
    let (_, wire) = linekeep(&mut house, &["--wire", "both"]);
    let (agreed, rest) = wire.split_once('\n').unwrap();
    assert!(agreed.starts_with("* 127.0.0.1:") && agreed.ends_with(", linekeep-explain/1"), "{agreed}");
    assert_eq!(rest, "> both\\n\n< STRING EXISTS zebra:1 windows:1\\n\n");
}

#[test]
fn the_library_streams_explained_answers() {
    const LINES: usize = 20_000;
    let mut house = house();
    let key = PreSharedKey::new("alice", Secret::from_hex(ALICE).unwrap()).unwrap();
    let server = house.daemon.address("psk").to_string().parse().unwrap();
    let options = Options::new(server, Protection::Psk(key)).explain();
    let source = "zebra\nabsent\n".repeat(LINES / 2);
    let mut told = String::new();
    let asked = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let mut client = Client::connect(&options).await.unwrap();
        let sink = |line: &[u8], explained: Explained| {
            let lists: Vec<String> = explained.lists().iter().map(ToString::to_string).collect();
            told += &format!("{} {}\n", String::from_utf8_lossy(line), lists.join(" "));
            Ok(())
        };
        let asked = client.stream_explained(source.as_bytes(), sink).await.unwrap();
        assert_eq!(client.lookup(b"third").await.unwrap(), Answer::Exists);
        asked
    });
    assert_eq!(asked, LINES as u64);
    assert!(told == "zebra zebra:1\nabsent zebra:1 windows:1 a.b_c@D-0:1\n".repeat(LINES / 2));
}
