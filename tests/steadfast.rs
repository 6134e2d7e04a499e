//! Reloads without end under load: each changes something, every tenth is broken on purpose, and nobody who stays permitted
//! loses an answer. `LINEKEEP_RELOADS` says how many, if not a thousand.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::daemon::{Daemon, Folder, PATIENCE};
use support::peers::{self, Shows, Version};
use support::pki::Authority;

const CONNECTIONS: usize = 200;
const THREADS: usize = 8;
/// Queries written before the first answer is read.
const PIPELINE: usize = 32;

const KEYS: [&str; 3] = ["a1", "b2", "c3"];

fn key(number: usize) -> String {
    KEYS[number % KEYS.len()].repeat(32)
}

/// What one round puts into the files.
struct Round(u64);

impl Round {
    fn broken(&self) -> bool {
        self.0 % 10 == 9
    }

    /// A guest is there in every other block of ten rounds.
    fn guest(&self) -> bool {
        (self.0 / 10) % 2 == 0
    }

    fn write(&self, folder: &Folder) {
        let round = self.0;
        let guest_key = if self.guest() { format!("guest:{}\n", key(2)) } else { String::new() };
        let spare = format!("{:064x}", 0xfeed_0000 + u128::from(round));
        folder.write("keyring", format!("always:{}\nspare:{spare}\n{guest_key}", key(0)));
        folder.write("next.txt", format!("known\nround {round}\n"));
        std::fs::rename(folder.path().join("next.txt"), folder.path().join("words.txt")).unwrap();
        folder.configure(&self.sections());
    }

    fn sections(&self) -> String {
        let round = self.0;
        let idle = 600 + round % 7;
        let range = format!("10.{}.0.0/16", round % 200);
        let guest = if self.guest() { "[[client]]\nname = \"guest\"\npsk-identities = [\"guest\"]\n" } else { "" };
        let breakage = match (self.broken(), round / 10 % 4) {
            (false, _) => "",
            (true, 0) => "[[dataset]]\nname = \"gone\"\npaths = \"gone.txt\"\n",
            (true, 1) => "[[client]]\nname = \"always\"\npsk-identities = [\"twice\"]\n",
            (true, 2) => {
                "[[listener]]\nname = \"more\"\naddress = \"127.0.0.1:0\"\ntransport = \"plain\"\nclient = \"x\"\nallow = [\"127.0.0.1\"]\n"
            }
            (true, _) => "[surver]\n",
        };
        format!(
            r#"
[server]
idle-timeout = "{idle}s"
max-connections-per-source = 400
max-handshakes-per-source = 100
[[listener]]
name = "psk"
address = "127.0.0.1:0"
mode = "psk"
keyring = "keyring"
allow = ["127.0.0.1", "{range}"]
[[listener]]
name = "plain"
address = "127.0.0.1:0"
transport = "plain"
client = "tester"
allow = ["127.0.0.1"]
[[dataset]]
name = "words"
paths = "words.txt"
freshness = "on-reload"
[[client]]
name = "always"
psk-identities = ["always"]
{guest}{breakage}"#
        )
    }
}

trait Peer: Read + Write + Send {}
impl<T: Read + Write + Send> Peer for T {}

fn connect(number: usize, psk: SocketAddr, plain: SocketAddr) -> BufReader<Box<dyn Peer>> {
    let stream: Box<dyn Peer> = if number % 2 == 0 {
        let shows = Shows::psk("always", &key(0));
        let stream = peers::connect(psk, Version::V13, &shows).unwrap();
        stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        Box::new(stream)
    } else {
        let stream = TcpStream::connect(plain).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Box::new(stream)
    };
    BufReader::new(stream)
}

/// Asks on its share of the connections, a pipeline on each, then reads every answer. Returns what it read.
fn asking(
    share: usize,
    psk: SocketAddr,
    plain: SocketAddr,
    done: Arc<AtomicBool>,
    ready: Arc<AtomicU64>,
) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut peers: Vec<_> = (0..CONNECTIONS / THREADS).map(|number| connect(share + number, psk, plain)).collect();
        ready.fetch_add(1, Relaxed);
        let queries = "known\nunknown\n".repeat(PIPELINE / 2);
        let mut read = 0;
        while !done.load(Relaxed) {
            for peer in &mut peers {
                peer.get_mut().write_all(queries.as_bytes()).unwrap();
            }
            for peer in &mut peers {
                for number in 0..PIPELINE {
                    let mut answer = String::new();
                    peer.read_line(&mut answer).unwrap();
                    let expected = if number % 2 == 0 { "STRING EXISTS\n" } else { "STRING NOT FOUND\n" };
                    assert_eq!(answer, expected, "after {read} answers");
                    read += 1;
                }
            }
        }
        read
    })
}

fn descriptors(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

#[test]
fn all_or_nothing_reloads_under_load_lose_nothing_and_leak_nothing() {
    let reloads: u64 = std::env::var("LINEKEEP_RELOADS").map_or(1000, |count| count.parse().unwrap());
    let folder = Folder::new();
    Round(0).write(&folder);
    let mut daemon = Daemon::start(folder, &Round(0).sections());
    let (psk, plain) = (daemon.address("psk"), daemon.address("plain"));
    let (done, ready) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let share = |thread| asking(thread * (CONNECTIONS / THREADS), psk, plain, Arc::clone(&done), Arc::clone(&ready));
    let threads: Vec<_> = (0..THREADS).map(share).collect();
    let until = Instant::now() + PATIENCE;
    while ready.load(Relaxed) < THREADS as u64 && Instant::now() < until && threads.iter().all(|one| !one.is_finished())
    {
        std::thread::yield_now();
    }
    let (mut guest, mut cut, mut good, mut slowest) = (None, 0, 0, Duration::ZERO);
    let mut early = None;
    for number in 1..=reloads {
        let round = Round(number);
        let last = Round(number - 1);
        round.write(&daemon.folder);
        let output = daemon.ctl(&["reload"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if round.broken() {
            assert_eq!(output.status.code(), Some(1), "round {number}: {said}");
        } else {
            good += 1;
            assert!(output.status.success(), "round {number}: {said}");
            assert!(said.contains("key of spare is another") && said.contains("list words: generation"), "{said}");
        }
        if round.guest() && !last.guest() || number == 1 {
            let stream = peers::connect(psk, Version::V13, &Shows::psk("guest", &key(2))).unwrap();
            stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
            guest = Some(stream);
        }
        if last.guest() && !round.guest() {
            let mut leaving = guest.take().unwrap();
            let begun = Instant::now();
            assert_eq!(leaving.read(&mut [0; 64]).unwrap_or(0), 0, "a removed client hears nothing more");
            slowest = slowest.max(begun.elapsed());
            cut += 1;
        }
        if number == reloads / 4 {
            early = Some((descriptors(&daemon), daemon.resident()));
        }
    }
    let (early_descriptors, early_resident) = early.unwrap();
    let (late_descriptors, late_resident) = (descriptors(&daemon), daemon.resident());
    done.store(true, Relaxed);
    let answers: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    println!(
        "{reloads} reloads, {answers} answers, {cut} guests cut (slowest {slowest:?}), \
         descriptors {early_descriptors} then {late_descriptors}, resident {early_resident} then {late_resident}"
    );
    assert!(cut > 0 && answers > 0);
    assert_eq!(daemon.counter("reloads_total"), good);
    assert_eq!(daemon.status()["generation"], good);
    assert_eq!(daemon.counter("queries_total"), answers);
    assert_eq!(daemon.counter("queries_found_total") * 2, answers);
    assert!(late_descriptors <= early_descriptors + 2, "{early_descriptors} then {late_descriptors}");
    assert!(late_resident < early_resident + (16 << 20), "{early_resident} then {late_resident}");
}

#[test]
fn all_or_nothing_hups_in_quick_succession_are_folded_and_the_last_state_wins() {
    const HUPS: usize = 100;
    let folder = Folder::new();
    Round(0).write(&folder);
    let mut daemon = Daemon::start(folder, &Round(0).sections());
    let mut stream = BufReader::new(TcpStream::connect(daemon.address("plain")).unwrap());
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let pid = daemon.pid().to_string();
    for state in 0..HUPS {
        daemon.folder.write("next.txt", format!("state {state}\n"));
        std::fs::rename(daemon.folder.path().join("next.txt"), daemon.folder.path().join("words.txt")).unwrap();
        assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }
    let until = Instant::now() + PATIENCE;
    let mut answer = String::new();
    while answer != "STRING EXISTS\n" && Instant::now() < until {
        answer.clear();
        stream.get_ref().write_all(format!("state {}\n", HUPS - 1).as_bytes()).unwrap();
        stream.read_line(&mut answer).unwrap();
    }
    assert_eq!(answer, "STRING EXISTS\n", "the last state is in service");
    let reloads = daemon.counter("reloads_total");
    assert!((1..=HUPS as u64).contains(&reloads), "{reloads} reloads for {HUPS} signals");
    assert_eq!(daemon.counter("reload_failures_total"), 0);
}

const CERTIFICATES: &str = r#"
[[listener]]
name = "certificate"
address = "127.0.0.1:0"
mode = "certificate"
certificate = "server.pem"
private-key = "server.key"
client-ca = "ca.pem"
allow = ["127.0.0.1"]
[[dataset]]
name = "words"
paths = "words.txt"
"#;

#[test]
fn a_certificate_renewed_on_the_disk_is_announced_and_the_reload_says_that_it_took_it() {
    let folder = Folder::new();
    let authority = Authority::new("linekeep test CA");
    authority.write(folder.path(), "ca");
    authority.issue_server().write(folder.path(), "server");
    folder.write("words.txt", "known\n");
    let mut daemon = Daemon::start(folder, CERTIFICATES);
    authority.issue_server().write(daemon.folder.path(), "server");
    let announced = daemon.wait_for("event=paper-renewed");
    assert!(announced.contains("server.pem") && announced.contains("days-left="), "{announced}");
    let output = daemon.ctl(&["reload", "--json"]);
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let changes = outcome["changes"].as_array().unwrap();
    assert!(changes.len() == 1 && changes[0].as_str().unwrap().contains("server.pem renewed, "), "{outcome}");
    daemon.wait_for("event=reload-changed control:uid= server.pem");
    assert!(BufReader::new(&*daemon.ctl(&["reload"]).stdout).lines().all(|line| !line.unwrap().contains("changed:")));
}
