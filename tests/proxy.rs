//! The true source: PROXY headers before TLS, from trusted proxies only, against a real daemon and real peers.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use openssl::ssl::Ssl;
use rstest::rstest;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use support::daemon::{Daemon, Folder, PATIENCE, PLAIN, field};
use support::peers::{self, Shows, Version};

const ALICE: &str = "aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11";
const FROM_INSIDE: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 5555 443\r\n";
const FROM_OUTSIDE: &[u8] = b"PROXY TCP4 203.0.113.7 198.51.100.1 5555 443\r\n";

/// A listener behind a proxy on 127.0.0.1, for clients of 192.0.2.0/24; 127.0.0.2 comes by itself.
fn start(server: &str) -> (Daemon, SocketAddr) {
    let folder = Folder::new();
    folder.write("keyring", format!("alice:{ALICE}\n"));
    folder.write("words.txt", "known\n");
    let sections = format!(
        r#"
[server]
{server}
[[listener]]
name = "psk"
address = "127.0.0.1:0"
mode = "psk"
keyring = "keyring"
allow = ["192.0.2.0/24", "2001:db8::/32", "127.0.0.2"]
trusted-proxies = ["127.0.0.1"]
[[client]]
name = "alice"
psk-identities = ["alice"]
[[dataset]]
name = "words"
paths = "words.txt"
"#
    );
    let mut daemon = Daemon::start(folder, &sections);
    let address = daemon.address("psk");
    (daemon, address)
}

/// Sends a header in one segment with the first bytes of TLS: whoever reads beyond the header would lose those.
#[derive(Debug)]
struct Introduced {
    tcp: TcpStream,
    header: Vec<u8>,
}

impl Read for Introduced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.read(buffer)
    }
}

impl Write for Introduced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.header.is_empty() {
            return self.tcp.write(bytes);
        }
        let whole = [&std::mem::take(&mut self.header)[..], bytes].concat();
        self.tcp.write_all(&whole).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

fn ask(address: SocketAddr, version: Version, header: &[u8]) -> Result<String, String> {
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let ssl = Ssl::new(&peers::context(version, &Shows::psk("alice", ALICE))).unwrap();
    let mut stream = ssl.connect(Introduced { tcp, header: header.to_vec() }).map_err(|error| error.to_string())?;
    stream.write_all(b"known\n").map_err(|error| error.to_string())?;
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

fn version_2(source: [u8; 4]) -> Vec<u8> {
    let addresses = [&source[..], &[198, 51, 100, 1], &5555u16.to_be_bytes(), &443u16.to_be_bytes()].concat();
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f"[..], &addresses, &[0x04, 0, 0]].concat()
}

/// What comes back on a connection that says this and then waits.
fn left_alone(address: SocketAddr, say: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.write_all(say).unwrap();
    let mut heard = Vec::new();
    let _ = tcp.read_to_end(&mut heard);
    heard
}

#[rstest]
fn the_true_source_is_the_one_in_the_header(
    #[values(Version::V12, Version::V13)] version: Version,
    #[values(FROM_INSIDE.to_vec(), version_2([192, 0, 2, 7]))] header: Vec<u8>,
) {
    let (mut daemon, address) = start("");
    assert_eq!(ask(address, version, &header).as_deref(), Ok("STRING EXISTS"));
    let admitted = daemon.wait_for("event=client-admitted");
    assert_eq!(field(&admitted, "source"), "192.0.2.7:5555");
    assert!(field(&admitted, "proxy").starts_with("127.0.0.1:"), "{admitted}");
}

#[test]
fn nobody_unknown_the_allowlist_judges_the_address_behind_the_proxy() {
    let (mut daemon, address) = start("");
    assert!(ask(address, Version::V13, FROM_OUTSIDE).is_err());
    let refused = daemon.wait_for("event=connection-refused reason=allowlist");
    assert_eq!(field(&refused, "source"), "203.0.113.7:5555");
}

#[rstest]
#[case::tls_at_once(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\0\0", "no PROXY header")]
#[case::nonsense(b"PROXY TCP4 here there 1 2\r\n", "malformed PROXY header")]
#[case::without_an_address(b"\r\n\r\n\0\r\nQUIT\n\x21\x00\0\0", "without an internet address")]
fn nobody_unknown_a_proxy_that_does_not_say_whom_it_speaks_for_is_refused(#[case] say: &[u8], #[case] why: &str) {
    let (mut daemon, address) = start("");
    assert_eq!(left_alone(address, say), b"");
    let refused = daemon.wait_for("event=connection-refused reason=proxy-header");
    assert!(refused.contains(why), "{refused}");
    assert_eq!(daemon.counter("refused_proxy_header_total"), 1);
}

#[rstest]
#[case::version_2(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0")]
#[case::version_1(b"PROXY UNKNOWN\r\n")]
fn a_balancers_own_check_ends_quietly(#[case] say: &[u8]) {
    let (mut daemon, address) = start("");
    assert_eq!(left_alone(address, say), b"");
    drop(TcpStream::connect(address).unwrap());
    assert_eq!(ask(address, Version::V13, FROM_INSIDE).as_deref(), Ok("STRING EXISTS"));
    let told = daemon.count_until("event=connection-refused", "event=session-ended");
    assert_eq!(told, 0, "no record of a check");
    assert_eq!(daemon.counter("proxy_checks_total"), 2);
}

/// Balancers whose checks bring no header at all often end them by a reset.
#[test]
fn a_balancers_check_that_says_nothing_ends_quietly_even_by_a_reset() {
    let (mut daemon, address) = start("");
    let check = TcpStream::connect(address).unwrap();
    rustix::net::sockopt::set_socket_linger(&check, Some(std::time::Duration::ZERO)).unwrap();
    drop(check);
    assert_eq!(ask(address, Version::V13, FROM_INSIDE).as_deref(), Ok("STRING EXISTS"));
    assert_eq!(daemon.count_until("event=connection-refused", "event=session-ended"), 0, "no record of a check");
    assert_eq!(daemon.counter("proxy_checks_total"), 1);
}

#[test]
fn the_true_source_is_ipv4_however_it_is_written() {
    let (mut daemon, address) = start("");
    let mapped = b"PROXY TCP6 ::ffff:192.0.2.7 ::1 5555 443\r\n";
    assert_eq!(ask(address, Version::V13, mapped).as_deref(), Ok("STRING EXISTS"));
    assert_eq!(field(&daemon.wait_for("event=client-admitted"), "source"), "192.0.2.7:5555");
}

/// A proxy that speaks for itself by its own address is a client like any other: being trusted to say who comes is no right to ask.
#[test]
fn nobody_unknown_a_proxys_own_address_is_judged_by_the_allowlist() {
    let (mut daemon, address) = start("");
    assert!(ask(address, Version::V13, b"PROXY TCP4 127.0.0.1 127.0.0.1 5555 443\r\n").is_err());
    let refused = daemon.wait_for("event=connection-refused reason=allowlist");
    assert_eq!(field(&refused, "source"), "127.0.0.1:5555");
}

/// Without TLS a header would be answered as if it were queries, and every answer behind it would be the one before.
#[rstest]
#[case::version_1(FROM_INSIDE.to_vec())]
#[case::unknown(b"PROXY UNKNOWN\r\n".to_vec())]
#[case::version_2(version_2([192, 0, 2, 7]))]
fn no_silent_no_a_header_to_a_plain_listener_is_no_query(#[case] header: Vec<u8>) {
    let folder = Folder::new();
    folder.write("words.txt", "known\nPROXY line\n");
    let mut daemon = Daemon::start(folder, PLAIN);
    let address = daemon.address("plain");
    assert_eq!(left_alone(address, &[&header[..], b"known\n"].concat()), b"");
    let refused = daemon.wait_for("event=connection-refused reason=proxy-not-trusted");
    assert!(field(&refused, "source").starts_with("127.0.0.1:"), "{refused}");
    assert_eq!(daemon.counter("queries_total"), 0);

    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.write_all(b"PROXY line\nknown\n").unwrap();
    let mut answers = [0; 28];
    tcp.read_exact(&mut answers).unwrap();
    assert_eq!(&answers, b"STRING EXISTS\nSTRING EXISTS\n", "only a whole header is one");
}

#[rstest]
#[case::version_1(FROM_INSIDE)]
#[case::version_2(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x15\xb3\x01\xbb")]
fn nobody_unknown_a_header_from_anyone_else_is_a_refusal(#[case] header: &[u8]) {
    let (mut daemon, address) = start("");
    peers::listen_from("127.0.0.2".parse().unwrap(), address, header);
    let refused = daemon.wait_for("event=connection-refused reason=proxy-not-trusted");
    assert!(field(&refused, "source").starts_with("127.0.0.2:"), "{refused}");
    assert_eq!(daemon.counter("refused_proxy_not_trusted_total"), 1);
}

/// Headers that drip, byte by byte, are cut at the deadline, and hold nobody else up meanwhile.
#[test]
fn bounded_a_dripping_header_is_cut_at_the_handshake_deadline() {
    let (mut daemon, address) = start("handshake-deadline = \"2s\"");
    let dripping: Vec<_> = (0..20)
        .map(|_| {
            let mut tcp = TcpStream::connect(address).unwrap();
            tcp.write_all(b"PROXY TCP4 192").unwrap();
            tcp
        })
        .collect();
    assert_eq!(ask(address, Version::V13, FROM_INSIDE).as_deref(), Ok("STRING EXISTS"));
    for mut tcp in dripping {
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(tcp.read(&mut [0; 16]).unwrap_or(0), 0);
    }
    daemon.wait_for("event=connection-refused reason=proxy-header deadline");
    assert_eq!(daemon.counter("refused_proxy_header_total"), 20);
}

#[test]
fn bounded_a_proxy_has_its_own_cap_and_each_client_behind_it_has_its_own() {
    let (mut daemon, address) = start("max-connections-per-proxy = 3\nmax-connections-per-source = 1");
    let hold = |header: &[u8]| {
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.write_all(header).unwrap();
        tcp
    };
    let _one = hold(FROM_INSIDE);
    let mut second = hold(FROM_INSIDE);
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(second.read(&mut [0; 16]).unwrap_or(0), 0);
    daemon.wait_for("event=connection-refused source=192.0.2.7:5555 reason=max-connections-per-source");
    drop(second);
    let _two = hold(&version_2([192, 0, 2, 8]));
    let _three = hold(&version_2([192, 0, 2, 9]));
    let until = std::time::Instant::now() + PATIENCE;
    while daemon.counter("refused_max_connections_per_proxy_total") == 0 && std::time::Instant::now() < until {
        drop(TcpStream::connect(address).unwrap());
    }
    daemon.wait_for("event=connection-refused reason=max-connections-per-proxy");
}

/// A real balancer in front: what `HAProxy` sends with `send-proxy` and `send-proxy-v2` is what we understand.
#[rstest]
fn a_real_balancer_says_whom_it_speaks_for(#[values("send-proxy", "send-proxy-v2")] option: &str) {
    let (mut daemon, address) = start("");
    daemon.folder.configure(
        &std::fs::read_to_string(daemon.folder.path().join("linekeep.toml"))
            .unwrap()
            .split_once("[server]")
            .unwrap()
            .1
            .replace("\"127.0.0.2\"]", "\"127.0.0.2\", \"127.0.0.3\"]"),
    );
    assert!(daemon.ctl(&["reload"]).status.success());
    let front = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = format!(
        "defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n\
         frontend f\n bind {front}\n default_backend b\nbackend b\n server s {address} {option} check inter 200ms check-send-proxy\n"
    );
    let file = daemon.folder.write("haproxy.cfg", settings);
    let mut balancer = Command::new("haproxy")
        .args(["-db", "-f"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("haproxy: scripts/setup test installs it");
    let until = std::time::Instant::now() + PATIENCE;
    let mut answer = Err(String::new());
    while answer.is_err() && std::time::Instant::now() < until {
        let tcp = std::panic::catch_unwind(|| peers::connect_from("127.0.0.3".parse().unwrap(), front));
        let Ok(tcp) = tcp else { continue };
        let ssl = Ssl::new(&peers::context(Version::V13, &Shows::psk("alice", ALICE))).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        answer = ssl.connect(tcp).map_err(|error| error.to_string()).and_then(|mut stream| {
            let mut answer = [0; 14];
            stream
                .write_all(b"known\n")
                .and_then(|()| stream.read_exact(&mut answer))
                .map_err(|error| error.to_string())?;
            Ok(answer)
        });
    }
    balancer.kill().unwrap();
    balancer.wait().unwrap();
    assert_eq!(answer.as_ref().map(|answer| &answer[..]), Ok(&b"STRING EXISTS\n"[..]));
    let admitted = daemon.wait_for("event=client-admitted");
    assert!(field(&admitted, "source").starts_with("127.0.0.3:"), "{admitted}");
    assert_eq!(daemon.counter("refused_proxy_header_total"), 0, "its checks are no offence");
}
