//! A daemon that is handed its listening socket, as systemd does it (sd_listen_fds(3)): it serves there and binds nothing.
//! Knows the process from outside alone; a Python starter plays systemd.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use rstest::rstest;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use support::daemon::{Daemon, Folder, PATIENCE, PLAIN, own_user};

/// Opens a socket, as the third descriptor, and becomes the daemon. Arguments: who the socket is said to be for ("own", or a
/// process), where it is bound, what is done with it ("listen" or "bind"), and the daemon.
const STARTER: &str = "\
import os, socket, sys
meant, port, done = sys.argv[1:4]
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', int(port)))
if done == 'listen':
    s.listen(1)
if s.fileno() == 3:
    os.set_inheritable(3, True)
else:
    os.dup2(s.fileno(), 3)
os.environ['LISTEN_PID'] = str(os.getpid()) if meant == 'own' else meant
os.environ['LISTEN_FDS'] = '1'
os.execv(sys.argv[4], sys.argv[4:])
";

fn starter(meant: &str, handed: SocketAddr, done: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", STARTER, meant, &handed.port().to_string(), done, env!("CARGO_BIN_EXE_linekeepd")]);
    command
}

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn plain_on(address: SocketAddr) -> String {
    PLAIN.replace("127.0.0.1:0", &address.to_string())
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("words.txt", "known\n");
    folder
}

fn ask(address: SocketAddr) -> String {
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    writeln!(stream.get_ref(), "known").unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).unwrap();
    answer.trim_end().to_owned()
}

/// Bound twice, the address would be taken: so it is served on the socket that was handed over.
#[test]
fn a_handed_socket_is_served_and_not_bound_and_other_listeners_are_bound_beside_it() {
    let (handed, folder) = (free(), folder());
    let other = PLAIN.split("[[dataset]]").next().unwrap().replace("name = \"plain\"", "name = \"other\"");
    let file = folder.configure(&format!("{other}{}", plain_on(handed)));
    let mut daemon = Daemon::spawn_by(starter("own", handed, "listen"), folder, &file);
    daemon.wait_for("event=ready ");
    assert_eq!(daemon.address("plain"), handed);
    let bound = daemon.address("other");
    for _ in 0..3 {
        assert_eq!([ask(handed), ask(bound)], ["STRING EXISTS"; 2]);
    }
    assert!(daemon.ctl(&["reload"]).status.success());
    assert_eq!(ask(handed), "STRING EXISTS");
    assert!(daemon.stop().0.success());
    assert!(TcpStream::connect(handed).is_err(), "nobody holds the socket any more");
}

/// The one that LISTEN_PID names is gone once the daemon has forked; what it was handed is not.
#[test]
fn a_handed_socket_outlives_detaching() {
    let (handed, folder) = (free(), folder());
    let file = folder.configure(&plain_on(handed));
    let pid_file = folder.path().join("linekeepd.pid");
    let mut command = starter("own", handed, "listen");
    command.args(["--user", &own_user(), "--config"]).arg(&file).arg("--pid-file").arg(&pid_file);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let answer = std::panic::catch_unwind(|| ask(handed));
    assert!(Command::new("kill").arg(pid.trim()).status().unwrap().success());
    assert_eq!(answer.unwrap(), "STRING EXISTS");
}

#[rstest]
#[case::that_no_listener_names("listen", "that no [[listener]] names: change the listener or ListenStream=")]
#[case::that_does_not_listen("bind", "a socket that does not listen")]
fn a_handed_socket_of_no_use_is_a_fault_of_configuration(#[case] done: &str, #[case] words: &str) {
    let (handed, folder) = (free(), folder());
    let file = folder.configure(PLAIN);
    let (status, told) = Daemon::spawn_by(starter("own", handed, done), folder, &file).ended();
    assert_eq!(status.code(), Some(78), "{told:?}");
    let told = told.join("\n");
    assert!(told.contains(words), "{told}");
    assert!(done == "bind" || told.contains(&format!("on {handed} ")), "{told}");
}

/// A stranger's environment that came along by accident is no word of systemd's: its descriptors are strays.
#[test]
fn least_privilege_a_socket_that_was_meant_for_another_process_is_closed() {
    let (handed, folder) = (free(), folder());
    let file = folder.configure(PLAIN);
    let mut daemon = Daemon::spawn_by(starter("1", handed, "listen"), folder, &file);
    daemon.wait_for("event=ready ");
    assert_ne!(daemon.address("plain"), handed);
    assert_eq!(ask(daemon.address("plain")), "STRING EXISTS");
    let refused = TcpStream::connect(handed).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(std::io::ErrorKind::ConnectionRefused));
}
