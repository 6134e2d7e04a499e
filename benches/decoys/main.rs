//! Whether the time from a client's last flight to the alert tells known identities from unknown ones: thousands of handshakes
//! with a real daemon, each with a wrong key, half with identities of the keyring, in random order; then a rank test.
//! Knows the programs and the tests' peers. `make bench-decoys`; docs/threat-model.md tells the figures.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::cast_precision_loss, unreachable_pub)]

#[path = "../../tests/support/mod.rs"]
mod support;

mod rank;

use openssl::ssl::Ssl;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use support::daemon::{Daemon, Folder};
use support::peers::{self, Shows, Version};

/// Identities of each kind, all of one length: a hash table's buckets average out.
const IDENTITIES: usize = 500;

fn main() {
    // `cargo bench` hands its own flag through.
    let typed = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let handshakes: usize = typed.unwrap_or(20_000);
    let folder = Folder::new();
    let keyring: String =
        (0..IDENTITIES).map(|number| format!("{}:{}\n", identity(number, true), random_hex())).collect();
    folder.write("keyring", keyring);
    folder.write("words.txt", "known\n");
    let mut daemon = Daemon::start(folder, SECTIONS);
    let address = daemon.address("psk");
    println!(
        "{handshakes} handshakes of each kind, in random order; time from the client's last flight to the alert\n"
    );
    println!("| TLS | compared | median, µs | difference of medians, µs | P(first > second) | z | p |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (name, version) in [("1.2", Version::V12), ("1.3", Version::V13)] {
        let times = measure(address, version, handshakes);
        rank::report(name, "known, unknown", &times.known, &times.unknown);
        // What the test says of two halves of one kind is what noise alone looks like.
        let halves = |times: &[f64], odd| times.iter().skip(odd).step_by(2).copied().collect::<Vec<_>>();
        rank::report(name, "unknown, unknown", &halves(&times.unknown, 0), &halves(&times.unknown, 1));
        // And this is how small a difference it would have seen.
        let planted: Vec<f64> = times.unknown.iter().map(|time| time + PLANTED_MICROSECONDS).collect();
        rank::report(name, "unknown + 2 µs, unknown", &planted, &times.unknown);
    }
}

const PLANTED_MICROSECONDS: f64 = 2.0;

const SECTIONS: &str = r#"
[[listener]]
name = "psk"
address = "127.0.0.1:0"
mode = "psk"
keyring = "keyring"
allow = ["127.0.0.1"]
[[dataset]]
name = "words"
paths = "words.txt"
"#;

fn identity(number: usize, known: bool) -> String {
    // The same letters for both kinds, so that only the keyring tells them apart.
    format!("client-{:06}", number * 2 + usize::from(known))
}

fn random_hex() -> String {
    let mut bytes = [0; 32];
    openssl::rand::rand_bytes(&mut bytes).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Microseconds of each handshake.
struct Times {
    known: Vec<f64>,
    unknown: Vec<f64>,
}

fn measure(address: SocketAddr, version: Version, handshakes: usize) -> Times {
    let mut times = Times { known: Vec::new(), unknown: Vec::new() };
    // A peer that only starts up is no measurement.
    for number in 0..200 {
        fail(address, version, &identity(number, number % 2 == 0));
    }
    while times.known.len() < handshakes || times.unknown.len() < handshakes {
        let mut drawn = [0; 3];
        openssl::rand::rand_bytes(&mut drawn).unwrap();
        let known = drawn[0] & 1 == 0;
        let number = usize::from(u16::from_le_bytes([drawn[1], drawn[2]])) % IDENTITIES;
        let time = fail(address, version, &identity(number, known)).as_secs_f64() * 1e6;
        if known { times.known.push(time) } else { times.unknown.push(time) }
    }
    times.known.truncate(handshakes);
    times.unknown.truncate(handshakes);
    times
}

/// One handshake with a wrong key, which has to fail.
fn fail(address: SocketAddr, version: Version, identity: &str) -> Duration {
    let shows = Shows::psk(identity, &random_hex());
    let ssl = Ssl::new(&peers::context(version, &shows)).unwrap();
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(support::daemon::PATIENCE)).unwrap();
    match ssl.connect(Timed { tcp, wrote: None, waited: Duration::ZERO }) {
        Ok(_) => panic!("{identity} came in with a wrong key"),
        Err(openssl::ssl::HandshakeError::Failure(failed)) => failed.get_ref().waited,
        Err(other) => panic!("{identity}: {other}"),
    }
}

/// Takes the time from the last write to the first byte read after it.
#[derive(Debug)]
struct Timed {
    tcp: TcpStream,
    wrote: Option<Instant>,
    waited: Duration,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.tcp.read(buffer);
        if let Some(wrote) = self.wrote.take() {
            self.waited = wrote.elapsed();
        }
        read
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wrote = Some(Instant::now());
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}
