//! A daemon's life: refused starts, reload all or nothing under load, status, and stopping without losing an answer.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use rstest::rstest;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use support::daemon::{Daemon, Folder, PATIENCE, PLAIN, field};

fn start(words: &str) -> Daemon {
    let folder = Folder::new();
    folder.write("words.txt", words);
    Daemon::start(folder, PLAIN)
}

/// One question on a connection of its own; `None` when the daemon closes without an answer.
fn ask(daemon: &mut Daemon, query: &str) -> Option<String> {
    let stream = TcpStream::connect(daemon.address("plain")).ok()?;
    ask_on(&mut BufReader::new(stream), query)
}

fn ask_on(stream: &mut BufReader<TcpStream>, query: &str) -> Option<String> {
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    writeln!(stream.get_ref(), "{query}").ok()?;
    let mut answer = String::new();
    stream.read_line(&mut answer).ok()?;
    (!answer.is_empty()).then(|| answer.trim_end().to_owned())
}

fn linekeepd(arguments: &[&str]) -> Output {
    let user = support::daemon::own_user();
    Command::new(env!("CARGO_BIN_EXE_linekeepd")).args(["--user", &user]).args(arguments).output().unwrap()
}

const FOUND: &str = "STRING EXISTS";
const MISSING: &str = "STRING NOT FOUND";

#[rstest]
#[case::by_signal(false)]
#[case::by_linekeepctl(true)]
fn all_or_nothing_reload_takes_lists_and_allowlist_in_one_step(#[case] by_ctl: bool) {
    let mut daemon = start("old\n");
    assert_eq!(ask(&mut daemon, "old").as_deref(), Some(FOUND));
    assert_eq!(ask(&mut daemon, "new").as_deref(), Some(MISSING));
    daemon.folder.write("words.txt", "new\n");
    assert_eq!(ask(&mut daemon, "new").as_deref(), Some(MISSING), "nothing changes before the reload");
    let address = daemon.address("plain");
    let mut open = BufReader::new(TcpStream::connect(address).unwrap());
    assert_eq!(ask_on(&mut open, "new").as_deref(), Some(MISSING));
    daemon.folder.configure(&PLAIN.replace("127.0.0.1\"]", "127.0.0.2\"]"));
    if by_ctl {
        let output = daemon.ctl(&["reload"]);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 lines in service"), "{output:?}");
    } else {
        daemon.signal("HUP");
    }
    daemon.wait_for("event=reloaded");
    // This address is allowed no longer: neither is the session that was open, nor a new connection.
    assert_eq!(ask_on(&mut open, "new"), None);
    daemon.wait_for("event=session-ended reason=no-longer-permitted");
    let mut refused = TcpStream::connect(address).unwrap();
    let mut nothing = Vec::new();
    let _ = refused.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
    daemon.wait_for("event=connection-refused reason=allowlist");
}

#[rstest]
#[case::wrong_path("", "typo.txt")]
#[case::configuration_broken("[[listener]\n", "linekeep.toml")]
#[case::unknown_key("[server]\nthreds = 1\n", "threads")]
#[case::needs_restart("[server]\nthreads = 9\n", "restart")]
fn all_or_nothing_a_faulty_reload_changes_nothing_and_says_why(#[case] breakage: &str, #[case] named: &str) {
    let mut daemon = start("old\n");
    daemon.folder.write("words.txt", "new\n");
    let sections = if breakage.is_empty() { PLAIN.replace("words.txt", named) } else { format!("{breakage}{PLAIN}") };
    daemon.folder.configure(&sections);
    let output = daemon.ctl(&["reload"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(words.contains(named) && words.contains("last good state"), "{words}");
    let record = daemon.wait_for("event=reload-failed");
    assert!(record.contains(named), "{record}");
    assert_eq!(ask(&mut daemon, "old").as_deref(), Some(FOUND));
    assert_eq!(ask(&mut daemon, "new").as_deref(), Some(MISSING));
    assert_eq!(daemon.counter("reload_failures_total"), 1);
    assert_eq!(daemon.counter("reloads_total"), 0);
}

#[test]
fn all_or_nothing_not_one_query_is_lost_while_reloading() {
    let mut daemon = start("always\n");
    let address = daemon.address("plain");
    let done = Arc::new(AtomicBool::new(false));
    let asking = {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
            let mut asked = 0u64;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(ask_on(&mut stream, "always").as_deref(), Some(FOUND), "after {asked} answers");
                assert_eq!(ask_on(&mut stream, "never").as_deref(), Some(MISSING));
                asked += 1;
            }
            asked
        })
    };
    for round in 0..20 {
        let lines: String = (0..5000).map(|line| format!("{round}-{line}\n")).collect();
        daemon.folder.write("next.txt", format!("{lines}always\n"));
        std::fs::rename(daemon.folder.path().join("next.txt"), daemon.folder.path().join("words.txt")).unwrap();
        let output = daemon.ctl(&["reload", "--json"]);
        assert!(output.status.success(), "{output:?}");
    }
    done.store(true, Ordering::Relaxed);
    assert!(asking.join().unwrap() > 0);
    assert_eq!(daemon.status()["generation"], 20);
}

#[test]
fn status_tells_lists_listeners_connections_and_counters() {
    let mut daemon = start("a\nb\nb\n");
    let mut open = BufReader::new(TcpStream::connect(daemon.address("plain")).unwrap());
    assert_eq!(ask_on(&mut open, "a").as_deref(), Some(FOUND));
    let status = daemon.status();
    assert_eq!(status["connections"], 1);
    assert_eq!(status["listeners"][0]["name"], "plain");
    assert_eq!(status["listeners"][0]["address"], daemon.address("plain").to_string());
    assert_eq!(status["lists"][0]["lines"], 3);
    assert_eq!(status["lists"][0]["distinct"], 2);
    assert_eq!(status["counters"]["queries_found_total"], 1);
    let people = String::from_utf8(daemon.ctl(&["status"]).stdout).unwrap();
    for word in ["words", "plain", "queries_found_total", "1 of 1024"] {
        assert!(people.contains(word), "{word} in {people}");
    }
}

#[test]
fn linekeepctl_without_a_daemon_says_what_to_look_at() {
    let folder = Folder::new();
    let output = Command::new(env!("CARGO_BIN_EXE_linekeepctl"))
        .args(["--socket", folder.path().join("none.sock").to_str().unwrap(), "status"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is linekeepd running"), "{output:?}");
}

#[test]
fn the_control_socket_answers_nonsense_with_an_error_and_is_not_open_to_all() {
    use std::os::unix::fs::PermissionsExt;
    let daemon = start("a\n");
    let path = daemon.folder.path().join("control.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(b"{\"command\":\"format-disk\"}\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.contains("not a command"), "{reply}");
    assert_eq!(daemon.status()["generation"], 0);
}

#[rstest]
#[case("TERM")]
#[case("INT")]
fn stopping_answers_what_was_read_and_frees_the_port_at_once(#[case] signal: &str) {
    let mut daemon = start("known\n");
    let address = daemon.address("plain");
    let mut stream = TcpStream::connect(address).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    assert_eq!(ask_on(&mut reader, "known").as_deref(), Some(FOUND));
    stream.write_all(&b"known\n".repeat(100)).unwrap();
    // The hundred requests are with the daemon once the first of their answers is here.
    let mut answer = String::new();
    reader.read_line(&mut answer).unwrap();
    daemon.signal(signal);
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, format!("{FOUND}\n").repeat(99));
    drop((reader, stream));
    let (status, records) = daemon.ended();
    assert_eq!(status.code(), Some(0), "{records:#?}");
    assert!(records.iter().any(|line| line.contains("event=session-ended") && line.contains("reason=shutting-down")));
    assert!(records.last().is_some_and(|line| line.contains("event=stopped") && line.contains("cut-connections=0")));
    TcpListener::bind(address).unwrap();
}

/// A client that asks and never reads, once the daemon stands in a write to it. On the one thread that answers, whoever could
/// go on has had its turn after some answers to somebody else: if nothing was looked up but those, nobody could.
fn who_does_not_read(daemon: &mut Daemon) -> TcpStream {
    const TURNS: u64 = 10;
    let address = daemon.address("plain");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut beside = BufReader::new(TcpStream::connect(address).unwrap());
    let (requests, mut sent) = (b"known\n".repeat(4096), 0);
    let until = Instant::now() + PATIENCE;
    loop {
        let (before, sent_before) = (daemon.counter("queries_total"), sent);
        while let Ok(bytes) = stream.write(&requests[sent % b"known\n".len()..]) {
            sent += bytes;
        }
        (0..TURNS).for_each(|_| assert_eq!(ask_on(&mut beside, "known").as_deref(), Some(FOUND)));
        if sent == sent_before && daemon.counter("queries_total") == before + TURNS {
            break;
        }
        assert!(Instant::now() < until, "{sent} bytes of requests were taken, and more are");
    }
    drop(beside);
    daemon.wait_for("event=session-ended reason=closed-by-client");
    stream
}

#[test]
fn bounded_a_stop_cuts_who_does_not_read_after_the_drain_deadline() {
    let folder = Folder::new();
    folder.write("words.txt", "known\n");
    let server = "[server]\nthreads = 1\ndrain-deadline = \"1s\"\nwrite-deadline = \"1h\"\n";
    let mut daemon = Daemon::start(folder, &format!("{server}{PLAIN}"));
    let _stream = who_does_not_read(&mut daemon);
    let (status, records) = daemon.stop();
    assert_eq!(status.code(), Some(0));
    let last = records.last().unwrap();
    assert_eq!(field(last, "cut-connections"), "1", "{records:#?}");
    let cut = |line: &&String| line.contains("event=session-ended") && line.contains("reason=cut-at-stop");
    assert_eq!(records.iter().filter(cut).count(), 1, "{records:#?}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = Folder::new();
    folder.write("words.txt", "known\n");
    let server = "[server]\nthreads = 1\ndrain-deadline = \"1h\"\nwrite-deadline = \"1h\"\n";
    let mut daemon = Daemon::start(folder, &format!("{server}{PLAIN}"));
    let _stream = who_does_not_read(&mut daemon);
    daemon.signal("TERM");
    daemon.wait_for("event=stopping");
    let (status, _) = daemon.stop();
    assert_eq!(status.code(), Some(143));
}

#[test]
fn a_taken_port_is_refused_with_a_word_and_a_status() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = Folder::new();
    folder.write("words.txt", "a\n");
    let daemon = Daemon::spawn(folder, &PLAIN.replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string()));
    let (status, words) = daemon.ended();
    assert_eq!(status.code(), Some(69));
    assert!(words.iter().any(|line| line.contains("another process listens here")), "{words:?}");
}

#[test]
fn no_silent_no_a_required_list_that_is_missing_keeps_the_daemon_from_starting() {
    let daemon = Daemon::spawn(Folder::new(), &format!("{PLAIN}required = true\n"));
    let (status, words) = daemon.ended();
    assert_eq!(status.code(), Some(69));
    assert!(words.iter().any(|line| line.starts_with("linekeepd:") && line.contains("words.txt")), "{words:?}");
}

#[test]
fn no_silent_no_a_missing_list_answers_with_an_error_and_a_reload_mends_it() {
    let mut daemon = Daemon::start(Folder::new(), PLAIN);
    assert!(daemon.wait_for("event=list-refused").contains("No such file"));
    assert_eq!(ask(&mut daemon, "a").as_deref(), Some("ERROR: list unavailable"));
    assert_eq!(daemon.status()["lists"][0]["state"], "unavailable");
    assert_eq!(daemon.ctl(&["reload"]).status.code(), Some(1));
    daemon.folder.write("words.txt", "a\n");
    assert!(daemon.ctl(&["reload"]).status.success());
    assert_eq!(ask(&mut daemon, "a").as_deref(), Some(FOUND));
    assert_eq!(ask(&mut daemon, "b").as_deref(), Some(MISSING));
}

/// A broken feed must not keep an administrator from shutting somebody out.
#[test]
fn a_reload_takes_effect_beside_a_list_that_is_gone() {
    let mut daemon = start("old\n");
    std::fs::remove_file(daemon.folder.path().join("words.txt")).unwrap();
    let address = daemon.address("plain");
    daemon.folder.configure(&PLAIN.replace("allow = [\"127.0.0.1\"]", "allow = [\"127.0.0.9\"]"));
    let output = daemon.ctl(&["reload"]);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && words.contains("which stay as they were"), "{words}");
    let mut refused = TcpStream::connect(address).unwrap();
    let mut nothing = Vec::new();
    let _ = refused.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
    assert_eq!((daemon.counter("reloads_total"), daemon.counter("list_failures_total")), (1, 1));
    assert_eq!(daemon.status()["lists"][0]["lines"], 1);
}

#[test]
fn check_tells_all_faults_at_once_with_status_78() {
    let folder = Folder::new();
    let file = folder.configure(&format!("[server]\nthreds = 3\nbacklog = \"many\"\n{PLAIN}colour = 1\n"));
    let output = linekeepd(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    for named in ["threds", "did you mean", "backlog", "colour"] {
        assert!(words.contains(named), "{named} in {words}");
    }
}

#[test]
fn a_bad_keyring_does_not_hide_a_missing_list() {
    let folder = Folder::new();
    folder.write("keyring", "alice:short\nalice:00\n");
    let psk = PLAIN.replace("transport = \"plain\"\nclient = \"tester\"", "mode = \"psk\"\nkeyring = \"keyring\"");
    let file = folder.configure(&psk);
    let output = linekeepd(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    for named in ["keyring:1", "keyring:2", "words.txt"] {
        assert!(words.contains(named), "{named} in {words}");
    }
    assert!(!words.contains("short"), "what stands in a keyring is not told: {words}");
}

#[test]
fn check_says_good_when_the_daemon_would_start() {
    let folder = Folder::new();
    folder.write("words.txt", "a\n");
    let file = folder.configure(PLAIN);
    let output = linekeepd(&["check", "--config", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("good (1 listeners, 1 lists, 0 clients)"), "{output:?}");
    std::fs::remove_file(folder.path().join("words.txt")).unwrap();
    let output = linekeepd(&["check", "--config", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning: list words: "), "{output:?}");
    let file = folder.configure(&format!("{PLAIN}required = true\n"));
    let output = linekeepd(&["check", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
}

#[test]
fn records_reach_the_local_syslog_one_datagram_each() {
    let folder = Folder::new();
    folder.write("words.txt", "a\n");
    let path = folder.path().join("log");
    let syslog = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    syslog.set_read_timeout(Some(PATIENCE)).unwrap();
    let file = folder.write(
        "linekeep.toml",
        format!("[log]\nsyslog-socket = \"{}\"\n[control]\nenabled = false\n{PLAIN}", path.display()),
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_linekeepd"))
        .args(["--foreground", "--user", &support::daemon::own_user(), "--config", file.to_str().unwrap()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut datagram = [0; 8192];
    let mut events = Vec::new();
    while events.last().is_none_or(|event| event != "ready") {
        let length = syslog.recv(&mut datagram).unwrap();
        let line = String::from_utf8(datagram[..length].to_vec()).unwrap();
        assert!(line.contains(&format!("linekeepd[{}]: event=", child.id())), "{line}");
        assert!(!line.contains('\n'), "{line}");
        events.push(line[line.find("event=").unwrap() + 6..].split(' ').next().unwrap().to_owned());
    }
    assert_eq!(events, ["starting", "confined", "list-loaded", "listener-up", "listener-open", "ready"]);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Enough lines that reading them takes far longer than a signal.
fn long_list() -> Vec<u8> {
    b"0123456789\n".repeat(6_000_000)
}

#[test]
fn a_stop_while_lists_are_read_is_obeyed_at_once() {
    let folder = Folder::new();
    folder.write("words.txt", long_list());
    let mut daemon = Daemon::spawn(folder, PLAIN);
    daemon.wait_for("event=starting");
    let (status, records) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{records:#?}");
    assert!(records.last().is_some_and(|line| line.contains("event=stopped")), "{records:#?}");
    assert!(!records.iter().any(|line| line.contains("event=ready")), "read to the end before it stopped");
}

#[test]
fn a_hangup_while_lists_are_read_does_not_end_the_daemon() {
    let folder = Folder::new();
    folder.write("words.txt", long_list());
    let mut daemon = Daemon::spawn(folder, PLAIN);
    daemon.wait_for("event=starting");
    daemon.signal("HUP");
    daemon.wait_for("event=ready");
    assert_eq!(ask(&mut daemon, "0123456789").as_deref(), Some(FOUND));
}

#[test]
fn lists_that_could_not_be_reloaded_are_warned_about_at_the_start() {
    let folder = Folder::new();
    folder.write("words.txt", (0..60_000).map(|line| format!("{line}\n")).collect::<String>());
    let mut daemon = Daemon::start(folder, &format!("[server]\nmax-index-bytes = \"1 MiB\"\n{PLAIN}"));
    let warned = daemon.wait_for("event=warning");
    assert!(warned.contains("lists that change may not be taken"), "{warned}");
    // What did not change needs no room.
    assert!(daemon.ctl(&["reload"]).status.success());
    daemon.folder.write("words.txt", (0..59_999).map(|line| format!("{line}\n")).collect::<String>());
    let output = daemon.ctl(&["reload"]);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && words.contains("max-index-bytes"), "{words}");
    assert_eq!(ask(&mut daemon, "59999").as_deref(), Some(FOUND));
}

#[test]
fn a_reload_tells_what_needs_a_restart_and_what_is_missing_at_once() {
    let mut daemon = start("old\n");
    std::fs::remove_file(daemon.folder.path().join("words.txt")).unwrap();
    daemon.folder.configure(&format!("[server]\nthreads = 9\nbacklog = 9\n{PLAIN}"));
    let output = daemon.ctl(&["reload", "--json"]);
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome["faults"].as_array().unwrap().len(), 3, "{outcome}");
    assert_eq!(ask(&mut daemon, "old").as_deref(), Some(FOUND));
}

#[test]
fn an_open_session_is_answered_from_the_new_lists() {
    let mut daemon = start("old\n");
    let mut open = BufReader::new(TcpStream::connect(daemon.address("plain")).unwrap());
    assert_eq!(ask_on(&mut open, "new").as_deref(), Some(MISSING));
    daemon.folder.write("words.txt", "new\n");
    assert!(daemon.ctl(&["reload"]).status.success());
    assert_eq!(ask_on(&mut open, "new").as_deref(), Some(FOUND));
    assert_eq!(ask_on(&mut open, "old").as_deref(), Some(MISSING));
}

#[test]
fn no_silent_no_an_emptied_list_is_not_taken() {
    let mut daemon = start("old\n");
    daemon.folder.write("words.txt", "");
    let output = daemon.ctl(&["reload"]);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(1) && words.contains("min-lines is 1"), "{words}");
    daemon.wait_for("event=list-refused in-service=\"generation 1\"");
    assert_eq!(ask(&mut daemon, "old").as_deref(), Some(FOUND));
}

/// Connects to the control socket as user and group `nobody`, and says what came of it.
fn status_as_nobody(daemon: &Daemon, group: u32) -> String {
    let script = "\
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(65534)
control = socket.socket(socket.AF_UNIX)
control.connect(sys.argv[1])
control.sendall(b'{\"command\":\"status\"}\\n')
print(control.makefile().readline())
";
    let socket = daemon.folder.path().join("control.sock");
    let output = Command::new("python3").args(["-c", script]).arg(socket).arg(group.to_string()).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn the_control_socket_is_open_to_its_group_and_to_nobody_else() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = Folder::new();
    if std::fs::metadata(folder.path()).unwrap().uid() != 0 {
        eprintln!("SKIPPED: only root can become somebody else");
        return;
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder.write("words.txt", "a\n");
    let control = format!("socket = \"{}\"", folder.path().join("control.sock").display());
    let text = format!(
        "[log]\nlevel = \"info\"\nstderr = true\nlocal = \"none\"\n[control]\n{control}\ngroup = \"nogroup\"\n{PLAIN}"
    );
    let file = folder.write("linekeep.toml", text);
    let mut daemon = Daemon::spawn_with(folder, &file);
    daemon.wait_for("event=ready");
    assert!(status_as_nobody(&daemon, 65534).contains("\"pid\""));
    let refused = status_as_nobody(&daemon, 65533);
    assert!(refused.contains("PermissionError"), "{refused}");
}
