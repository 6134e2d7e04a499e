//! How the daemon starts: it detaches only once it answers, says why where it cannot, gives up root and whatever else it was
//! left, and keeps to the files that it was granted.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use rstest::rstest;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;
use support::daemon::{Daemon, Folder, PATIENCE, PLAIN, own_user, resident};

/// A daemon that detached, known by its pid file alone. Ended with the test.
struct Detached {
    folder: Folder,
    port: u16,
}

impl Detached {
    /// With a port that was free a moment ago: who asks a daemon that detached has to know it beforehand.
    fn new() -> Detached {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = Folder::new();
        folder.write("words.txt", "known\n");
        let detached = Detached { folder, port };
        detached.configure("");
        detached
    }

    fn configure(&self, more: &str) {
        let sections = PLAIN.replace("127.0.0.1:0", &format!("127.0.0.1:{}", self.port));
        self.folder.write(
            "linekeep.toml",
            format!("[log]\nlocal = \"none\"\nstderr = true\n[control]\nsocket = \"control.sock\"\n{sections}{more}"),
        );
    }

    fn command(&self, user: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linekeepd"));
        command.args(["--user", user, "--config"]).arg(self.folder.path().join("linekeep.toml"));
        command.arg("--pid-file").arg(self.pid_file());
        command.current_dir("/usr").stdin(Stdio::null());
        command
    }

    fn start(&self) -> Output {
        self.command(&own_user()).output().unwrap()
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("linekeepd.pid")
    }

    fn pid(&self) -> u32 {
        std::fs::read_to_string(self.pid_file()).unwrap().trim().parse().unwrap()
    }

    fn ask(&self, query: &str) -> String {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(stream.get_ref(), "{query}").unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    fn stop(&self) {
        let pid = self.pid();
        assert!(Command::new("kill").arg(pid.to_string()).status().unwrap().success());
        let until = Instant::now() + PATIENCE;
        // A process that has ended keeps its number until its parent asks, but has no command any more.
        while std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty()) {
            assert!(Instant::now() < until, "process {pid} does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(self.pid_file()) {
            let _ = Command::new("kill").args(["-KILL", pid.trim()]).stderr(Stdio::null()).status();
        }
    }
}

fn status_of(pid: u32, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:"))).unwrap();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn fifty_starts_in_a_row_each_return_only_when_the_port_answers_and_warn_of_nothing() {
    let daemon = Detached::new();
    for round in 0..50 {
        let output = daemon.start();
        assert!(output.status.success(), "start {round}: {output:?}");
        assert_eq!(daemon.ask("known"), "STRING EXISTS", "start {round}");
        let told = words(&output);
        assert!(!told.contains("severity=warning") || told.contains("listener-open"), "start {round}: {told}");
        assert!(told.lines().all(|line| line.starts_with("event=")), "start {round}: {told}");
        daemon.stop();
        assert!(!daemon.pid_file().exists(), "start {round} left its pid file");
    }
}

#[test]
fn a_list_that_is_missing_is_recorded_and_answers_with_an_error() {
    let daemon = Detached::new();
    std::fs::remove_file(daemon.folder.path().join("words.txt")).unwrap();
    let output = daemon.start();
    assert!(output.status.success(), "{output:?}");
    let status = Command::new(env!("CARGO_BIN_EXE_linekeepctl"))
        .arg("--socket")
        .arg(daemon.folder.path().join("control.sock"))
        .arg("status")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&status.stdout).contains("words.txt"), "the fault is told: {status:?}");
    assert_eq!(daemon.ask("known"), "ERROR: list unavailable");
}

type Spoil = fn(&Detached) -> Option<TcpListener>;

fn busy_port(daemon: &Detached) -> Option<TcpListener> {
    Some(TcpListener::bind(("127.0.0.1", daemon.port)).unwrap())
}

fn bad_key(daemon: &Detached) -> Option<TcpListener> {
    daemon.configure(
        "[[listener]]\nname = \"psk\"\naddress = \"127.0.0.1:0\"\nallow = [\"127.0.0.1\"]\nmode = \"psk\"\nkeyring = \"keyring\"\n",
    );
    let keyring = daemon.folder.write("keyring", format!("siem:{}\n", "5a".repeat(32)));
    std::fs::set_permissions(keyring, PermissionsExt::from_mode(0o644)).unwrap();
    None
}

fn bad_configuration(daemon: &Detached) -> Option<TcpListener> {
    daemon.configure("[surver]\n");
    None
}

fn missing_required_list(daemon: &Detached) -> Option<TcpListener> {
    daemon.configure("[[dataset]]\nname = \"more\"\npaths = \"absent.txt\"\nrequired = true\n");
    None
}

fn nothing(_: &Detached) -> Option<TcpListener> {
    None
}

fn no_folder_for_the_pid_file(daemon: &Detached) -> Option<TcpListener> {
    std::fs::create_dir(daemon.pid_file()).unwrap();
    None
}

#[rstest]
#[case::busy_port(busy_port, &[], 69, "another process listens here")]
#[case::bad_key(bad_key, &[], 78, "mode 0644")]
#[case::bad_configuration(bad_configuration, &[], 78, "surver")]
#[case::required_list(missing_required_list, &[], 69, "absent.txt")]
#[case::pid_file(no_folder_for_the_pid_file, &[], 71, "linekeepd.pid")]
#[case::pid_file_nowhere(nothing, &["--pid-file", "/nowhere/at/all/pid"], 71, "there is no such folder")]
#[case::unknown_user(nothing, &["--user", "no-such-user"], 67, "no user no-such-user")]
#[case::unknown_flag(nothing, &["--no-such-flag"], 64, "--no-such-flag")]
fn a_start_that_fails_says_why_and_leaves_nothing(
    #[case] spoil: Spoil,
    #[case] arguments: &[&str],
    #[case] status: i32,
    #[case] word: &str,
) {
    let daemon = Detached::new();
    let _held = spoil(&daemon);
    let mut command = Command::new(env!("CARGO_BIN_EXE_linekeepd"));
    command.arg("--config").arg(daemon.folder.path().join("linekeep.toml"));
    if !arguments.contains(&"--user") {
        command.args(["--user", &own_user()]);
    }
    if !arguments.contains(&"--pid-file") {
        command.arg("--pid-file").arg(daemon.pid_file());
    }
    let output = command.args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    assert!(words(&output).contains(word), "{output:?}");
    assert!(!daemon.pid_file().is_file(), "the pid file is left");
}

#[test]
fn a_second_daemon_on_one_pid_file_is_refused_and_harms_nobody() {
    let daemon = Detached::new();
    assert!(daemon.start().status.success());
    let output = daemon.start();
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(words(&output).contains(&format!("(process {})", daemon.pid())), "{output:?}");
    assert_eq!(daemon.ask("known"), "STRING EXISTS");
}

#[test]
fn least_privilege_nothing_that_the_starter_left_open_is_kept() {
    let daemon = Detached::new();
    let mut command = Command::new("sh");
    command.args(["-c", "exec 7</etc/passwd; exec \"$0\" \"$@\""]).arg(env!("CARGO_BIN_EXE_linekeepd"));
    command.args(daemon.command(&own_user()).get_args());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let open: Vec<_> = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid()))
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .collect();
    assert!(!open.contains(&"/etc/passwd".into()), "{open:?}");
    assert!(open.contains(&daemon.pid_file()), "looking there shows what is open: {open:?}");
}

#[test]
fn least_privilege_no_core_no_new_privileges_and_nobody_looks_into_its_memory() {
    let daemon = Detached::new();
    assert!(daemon.start().status.success());
    let pid = daemon.pid();
    assert_eq!(status_of(pid, "NoNewPrivs"), "1");
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    assert!(resident(pid) > 0);
    // What a process that is not dumpable has in /proc belongs to root (proc(5)).
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{pid}/mem")).unwrap());
    assert_eq!(owner, 0);
}

#[test]
fn least_privilege_root_becomes_another_user_whole_and_reads_it_back() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give root up");
        return;
    }
    let daemon = Detached::new();
    let folder = daemon.folder.path().to_owned();
    for path in [folder.clone(), folder.join("linekeep.toml"), folder.join("words.txt")] {
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    }
    // With supplementary groups to lose: adm and sudo.
    let mut command = Command::new("setpriv");
    command.args(["--groups", "4,27", env!("CARGO_BIN_EXE_linekeepd")]).args(daemon.command("nobody").get_args());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let pid = daemon.pid();
    assert_eq!(status_of(pid, "Uid"), "65534 65534 65534 65534");
    assert_eq!(status_of(pid, "Gid"), "65534 65534 65534 65534");
    assert_eq!(status_of(pid, "Groups"), "65534");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status_of(pid, set).trim_start_matches('0'), "", "{set}");
    }
    assert_eq!(daemon.ask("known"), "STRING EXISTS");
    daemon.stop();
    assert!(!daemon.pid_file().exists());
}

/// The configuration is unreadable to the user that serves: root must not have read it first.
#[test]
fn least_privilege_root_is_given_up_before_anything_is_read() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give root up");
        return;
    }
    let daemon = Detached::new();
    std::os::unix::fs::chown(daemon.folder.path(), Some(65534), Some(65534)).unwrap();
    let output = daemon.command("nobody").output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(words(&output).contains("ermission denied"), "{output:?}");
    let check = Command::new(env!("CARGO_BIN_EXE_linekeepd"))
        .args(["check", "--user", "nobody", "--config"])
        .arg(daemon.folder.path().join("linekeep.toml"))
        .output()
        .unwrap();
    assert_eq!(check.status.code(), Some(78), "check sees what the daemon would see: {check:?}");
}

#[test]
fn least_privilege_a_reload_that_leads_out_of_the_granted_folders_needs_a_restart() {
    let folder = Folder::new();
    folder.write("words.txt", "known\n");
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("other.txt");
    std::fs::write(&other, "other\n").unwrap();
    let daemon = Daemon::start(folder, PLAIN);
    let more = |path: &Path| format!("{PLAIN}[[dataset]]\nname = \"more\"\npaths = \"{}\"\n", path.display());
    daemon.folder.configure(&more(&other));
    let output = daemon.ctl(&["reload"]);
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("needs a restart") && told.contains("other.txt"), "{told}");
    let beside = daemon.folder.write("beside.txt", "beside\n");
    daemon.folder.configure(&more(&beside));
    let output = daemon.ctl(&["reload"]);
    assert!(output.status.success(), "{output:?}");
}

/// The kernel holds it too, whoever asks: here a link that was set to lead out.
#[test]
fn least_privilege_the_kernel_lets_the_daemon_read_nothing_else() {
    let folder = Folder::new();
    let list = folder.write("words.txt", "known\n");
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("other.txt");
    std::fs::write(&other, "other\n").unwrap();
    let mut daemon = Daemon::start(folder, PLAIN);
    let fenced = daemon.wait_for("event=confined");
    if fenced.contains("landlock=\"none") {
        eprintln!("SKIPPED: this kernel has no such fence: {fenced}");
        return;
    }
    std::fs::remove_file(&list).unwrap();
    std::os::unix::fs::symlink(&other, &list).unwrap();
    let output = daemon.ctl(&["reload"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("ermission denied"), "{told}");
}

/// As systemd listens: a datagram socket, and what it expects to hear by when.
#[test]
fn the_service_manager_hears_of_loading_readiness_life_reloads_and_the_end() {
    let folder = Folder::new();
    folder.write("words.txt", "known\n");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = Vec::new();
    let mut wait_for = |word: &str| {
        let mut datagram = [0; 4096];
        let until = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < until, "never {word}; first came {:?}", &heard[..heard.len().min(5)]);
            let length = manager.recv(&mut datagram).unwrap_or_else(|error| panic!("{word}: {error}"));
            let text = String::from_utf8(datagram[..length].to_vec()).unwrap();
            heard.push(text.clone());
            if text.contains(word) {
                return text;
            }
        }
    };
    let file = folder.configure(PLAIN);
    let mut command = Command::new(env!("CARGO_BIN_EXE_linekeepd"));
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
    let daemon = Daemon::spawn_by(command, folder, &file);
    wait_for("EXTEND_TIMEOUT_USEC=");
    assert!(wait_for("READY=1").contains("STATUS=answers: listeners 1, lists 1, lines 1"));
    wait_for("WATCHDOG=1");
    wait_for("WATCHDOG=1");
    assert!(daemon.ctl(&["reload"]).status.success());
    assert!(wait_for("RELOADING=1").contains("MONOTONIC_USEC="));
    wait_for("READY=1");
    let (status, _) = daemon.stop();
    assert!(status.success());
    wait_for("STOPPING=1");
}
