//! Several servers behind a real HAProxy and a real nginx, by the very configurations that are shipped as examples: the true
//! source is judged and recorded, and a server that goes is missed by nobody who asks twice.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use openssl::ssl::Ssl;
use rstest::rstest;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use support::daemon::{Daemon, Folder, PATIENCE, field};
use support::peers::{self, Shows, Version};

const KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
const CLIENT: &str = "127.0.0.3";
const OUTSIDER: &str = "127.0.0.4";

/// One of the servers; the balancer's own address is trusted, and not in the allowlist.
fn start(address: &str) -> (Daemon, SocketAddr) {
    let folder = Folder::new();
    folder.write("words.txt", "known\n");
    folder.write("keyring", format!("siem:{KEY}\n"));
    let mut daemon = Daemon::start(
        folder,
        &format!(
            "[[listener]]\nname = \"balanced\"\naddress = \"{address}\"\nallow = [\"{CLIENT}\"]\nmode = \"psk\"\nkeyring = \"keyring\"\n\
             trusted-proxies = [\"127.0.0.1\"]\n[[dataset]]\nname = \"words\"\npaths = \"words.txt\"\n\
             [[client]]\nname = \"siem\"\npsk-identities = [\"siem\"]\n"
        ),
    );
    let address = daemon.address("balanced");
    (daemon, address)
}

struct Balancer(Child);

impl Drop for Balancer {
    fn drop(&mut self) {
        // nginx's master ends its workers when it is asked to; killed, it would leave them.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// The shipped example, with the addresses of this test.
fn example(name: &str, front: SocketAddr, servers: [SocketAddr; 2]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/examples").join(name);
    let mut text = std::fs::read_to_string(file).unwrap();
    let places = [
        ("192.0.2.10:44445", front.to_string()),
        ("192.0.2.21:44445", servers[0].to_string()),
        ("192.0.2.22:44445", servers[1].to_string()),
    ];
    for (written, real) in places {
        assert!(text.contains(written), "{name} has no {written}");
        text = text.replace(written, &real);
    }
    text
}

fn haproxy(folder: &Path, front: SocketAddr, servers: [SocketAddr; 2]) -> Command {
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, example("haproxy.cfg", front, servers)).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file);
    command
}

fn nginx(folder: &Path, front: SocketAddr, servers: [SocketAddr; 2]) -> Command {
    let file = folder.join("nginx.conf");
    let own = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nworker_processes 1;\n\
         pid {0}/nginx.pid;\nerror_log {0}/error.log;\nevents {{}}\n",
        folder.display()
    );
    std::fs::write(&file, own + &example("nginx-stream.conf", front, servers)).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-p").arg(folder).arg("-c").arg(file);
    command
}

fn ask(front: SocketAddr, source: &str) -> Option<String> {
    let source = source.parse().unwrap();
    let tcp = from(source, front).ok()?;
    tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let ssl = Ssl::new(&peers::context(Version::V13, &Shows::psk("siem", KEY))).unwrap();
    let mut stream = ssl.connect(tcp).ok()?;
    stream.write_all(b"known\n").ok()?;
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

/// A connection with a source address of this test's choice; a balancer may not be there yet.
fn from(source: IpAddr, front: SocketAddr) -> io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::new(source, 0))?;
    connect(&socket, &front)?;
    Ok(socket.into())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
    }
}

/// Between a client's two tries. A process that was killed still takes connections for the moments that its end lasts.
const PAUSE: Duration = Duration::from_secs(1);

/// How many came to the answer at once, at the second try, and never.
#[derive(Default)]
struct Tally {
    at_once: AtomicUsize,
    retried: AtomicUsize,
    failed: AtomicUsize,
}

impl Tally {
    fn answered(&self) -> usize {
        self.at_once.load(SeqCst) + self.retried.load(SeqCst)
    }

    fn ask(&self, front: SocketAddr) {
        let good = || ask(front, CLIENT).as_deref() == Some("STRING EXISTS");
        let counter = if good() {
            &self.at_once
        } else {
            // As a client should: not at once, when whatever went wrong is still going on.
            std::thread::sleep(PAUSE);
            if good() { &self.retried } else { &self.failed }
        };
        counter.fetch_add(1, SeqCst);
    }
}

type Balance = fn(&Path, SocketAddr, [SocketAddr; 2]) -> Command;

#[rstest]
fn a_server_that_goes_is_missed_by_nobody_who_asks_twice(
    #[values(haproxy, nginx)] balance: Balance,
    #[values("TERM", "KILL")] signal: &str,
) {
    let ((mut first, first_at), (mut second, second_at)) = (start("127.0.0.1:0"), start("127.0.0.1:0"));
    let front = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = balance(folder.path(), front, [first_at, second_at]);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _balancer =
        Balancer(spawned.unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/setup test installs it")));

    until("an answer through the balancer", || ask(front, CLIENT).is_some());
    until("an answer from each server", || {
        ask(front, CLIENT);
        first.has_seen("event=client-admitted") && second.has_seen("event=client-admitted")
    });
    for server in [&mut first, &mut second] {
        let admitted = server.wait_for("event=client-admitted");
        assert!(field(&admitted, "source").starts_with(&format!("{CLIENT}:")), "{admitted}");
        assert!(field(&admitted, "proxy").starts_with("127.0.0.1:"), "{admitted}");
    }
    assert_eq!(ask(front, OUTSIDER), None, "who is not in the allowlist is refused, whoever brings them");
    until("the refusal in the records", || {
        let refused = format!("event=connection-refused source={OUTSIDER}:");
        first.has_seen(&refused) || second.has_seen(&refused)
    });

    let (tally, stop) = (Tally::default(), AtomicBool::new(false));
    let more = |count: usize| {
        let before = tally.answered();
        until("more answers", || tally.answered() >= before + count || tally.failed.load(SeqCst) > 0);
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    tally.ask(front);
                }
            });
        }
        more(50);
        first.signal(signal);
        drop(first.ended());
        more(200);
        let (mut again, _) = start(&first_at.to_string());
        until("traffic to the server that came back", || again.has_seen("event=client-admitted"));
        more(50);
        stop.store(true, SeqCst);
    });
    let failed = tally.failed.load(SeqCst);
    assert_eq!(failed, 0, "{} at once, {} at the second try", tally.at_once.load(SeqCst), tally.retried.load(SeqCst));
}
