//! Records in a real rsyslog: facility, one line each, nothing forged, found again after a restart.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use support::daemon::{Daemon, Folder, PATIENCE, PLAIN, ask, field, own_user};

const RSYSLOGD: &str = "/usr/sbin/rsyslogd";

struct Rsyslog {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Rsyslog {
    /// `None`, said aloud, where rsyslog is not installed.
    fn start(folder: &Path) -> Option<Rsyslog> {
        if !Path::new(RSYSLOGD).exists() {
            eprintln!("SKIPPED: {RSYSLOGD} is not installed");
            return None;
        }
        let (socket, log) = (folder.join("log.sock"), folder.join("auth.log"));
        let configuration = format!(
            "global(workDirectory=\"{folder}\")\n\
             module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{socket}\" CreatePath=\"on\" RateLimit.Interval=\"0\")\n\
             template(name=\"line\" type=\"string\" string=\"%syslogfacility-text%.%syslogseverity-text% %syslogtag%%msg%\\n\")\n\
             *.* action(type=\"omfile\" file=\"{log}\" template=\"line\" asyncWriting=\"off\")\n",
            folder = folder.display(),
            socket = socket.display(),
            log = log.display(),
        );
        std::fs::write(folder.join("rsyslog.conf"), configuration).unwrap();
        let mut rsyslog = Rsyslog { child: spawn(folder), socket, log };
        rsyslog.wait_until(|rsyslog| {
            std::os::unix::net::UnixDatagram::unbound().unwrap().connect(&rsyslog.socket).is_ok()
        });
        Some(rsyslog)
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _ = std::fs::remove_file(&self.socket);
    }

    fn restart(&mut self, folder: &Path) {
        self.stop();
        self.start_again(folder);
    }

    fn start_again(&mut self, folder: &Path) {
        self.child = spawn(folder);
        self.wait_until(|rsyslog| {
            std::os::unix::net::UnixDatagram::unbound().unwrap().connect(&rsyslog.socket).is_ok()
        });
    }

    fn wait_until(&mut self, good: impl Fn(&Rsyslog) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !good(self) {
            assert!(Instant::now() < until, "rsyslog did not get there: {:?}", std::fs::read_to_string(&self.log));
            assert!(self.child.try_wait().unwrap().is_none(), "rsyslogd ended");
            std::thread::yield_now();
        }
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn wait_for(&mut self, words: &[&str]) -> String {
        let holds = |line: &String| words.iter().all(|word| line.contains(word));
        self.wait_until(|rsyslog| rsyslog.lines().iter().any(holds));
        self.lines().into_iter().find(holds).unwrap()
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path) -> Child {
    let pid_file = folder.join("rsyslog.pid");
    let _ = std::fs::remove_file(&pid_file);
    Command::new(RSYSLOGD)
        .args(["-n", "-f"])
        .arg(folder.join("rsyslog.conf"))
        .arg("-i")
        .arg(pid_file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn one_decision_one_record_in_a_real_rsyslog() {
    let folder = Folder::new();
    let home = tempfile::tempdir().unwrap();
    let Some(mut rsyslog) = Rsyslog::start(home.path()) else { return };
    folder.write("words.txt", "known\n");
    folder.write("keyring", format!("alice:{}\n", "ab".repeat(32)));
    let file = folder.write(
        "linekeep.toml",
        format!(
            "[log]\nsyslog-socket = \"{}\"\n[control]\nenabled = false\n\
             [[listener]]\nname = \"psk\"\naddress = \"127.0.0.1:0\"\nmode = \"psk\"\nkeyring = \"keyring\"\nallow = [\"127.0.0.1\"]\n\
             [[dataset]]\nname = \"words\"\npaths = \"words.txt\"\n",
            rsyslog.socket.display()
        ),
    );
    let mut daemon = Daemon::spawn_with(folder, &file);
    let address = daemon.address("psk");
    let ready = rsyslog.wait_for(&["event=ready"]);
    assert!(ready.starts_with(&format!("authpriv.notice linekeepd[{}]: event=ready", daemon.pid())), "{ready}");

    // A stranger whose identity tries to write a line of its own.
    support::peers::hostile_identity(address, "x\nevent=client-admitted client=alice");
    let failed = rsyslog.wait_for(&["event=handshake-failed"]);
    assert!(failed.starts_with("authpriv.warning"), "{failed}");
    assert!(failed.contains("identity=\"psk:x\\nevent=client-admitted client=alice\""), "{failed}");
    assert_eq!(rsyslog.lines().iter().filter(|line| line.contains("event=client-admitted")).count(), 1, "only inside");

    rsyslog.restart(home.path());
    support::peers::hostile_identity(address, "after-the-restart");
    rsyslog.wait_for(&["event=handshake-failed", "identity=psk:after-the-restart"]);
}

/// Nothing else happens when rsyslog comes back: what it missed is said all the same.
#[test]
fn one_decision_one_record_what_a_stopped_rsyslog_missed_is_counted() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut rsyslog) = Rsyslog::start(home.path()) else { return };
    let log = format!("local = \"syslog\"\nstderr = true\nsyslog-socket = \"{}\"", rsyslog.socket.display());
    let (folder, file) = configured(&log);
    let mut daemon = Daemon::spawn_with(folder, &file);
    let address = daemon.address("plain");
    rsyslog.wait_for(&["event=ready"]);
    rsyslog.stop();
    for asked in 0..20 {
        assert_eq!(ask(address, "known"), "STRING EXISTS", "after {asked} answers");
    }
    daemon.wait_for("event=sink-failed sink=syslog");
    daemon.wait_for("event=session-ended connection=20 ");
    rsyslog.start_again(home.path());
    let lost = rsyslog.wait_for(&["event=records-lost", "sink=syslog"]);
    let lost: usize = field(&lost, "count").parse().unwrap();
    assert_eq!(daemon.counter("records_lost_total"), lost as u64);
    let (status, told) = daemon.stop();
    assert!(status.success());
    rsyslog.wait_for(&["event=stopped"]);
    let told = told.iter().filter(|line| line.starts_with("event=")).count();
    let kept = rsyslog.lines().iter().filter(|line| line.contains(": event=")).count();
    assert_eq!(kept + lost, told, "what is not there was counted");
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// systemd says by `JOURNAL_STREAM` which file it hands to the journal (systemd.exec(5)).
#[test]
fn one_decision_one_record_what_the_journal_has_is_not_told_on_standard_error_again() {
    for (local, to_the_journal, told) in
        [("syslog", true, false), ("syslog", false, true), ("none", true, true), ("none", false, true)]
    {
        let home = tempfile::tempdir().unwrap();
        let (socket, stderr) = (home.path().join("log.sock"), home.path().join("stderr"));
        let local_daemon = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
        local_daemon.set_read_timeout(Some(PATIENCE)).unwrap();
        let (folder, file) = configured(&format!("local = \"{local}\"\nsyslog-socket = \"{}\"", socket.display()));
        let written = std::fs::File::create(&stderr).unwrap();
        let stream = written.metadata().map(|file| format!("{}:{}", file.dev(), file.ino())).unwrap();
        let daemon = Command::new(env!("CARGO_BIN_EXE_linekeepd"))
            .args(["--foreground", "--user", &own_user(), "--config"])
            .arg(&file)
            .env("JOURNAL_STREAM", if to_the_journal { &stream } else { "1:1" })
            .stderr(written)
            .spawn()
            .unwrap();
        let mut daemon = Ended(daemon);
        let ready = || match local {
            "none" => std::fs::read_to_string(&stderr).unwrap().contains("event=ready "),
            _ => {
                let mut datagram = [0; 8192];
                let length = local_daemon.recv(&mut datagram).unwrap();
                String::from_utf8_lossy(&datagram[..length]).contains("event=ready ")
            }
        };
        let until = Instant::now() + PATIENCE;
        while !ready() && Instant::now() < until {
            std::thread::yield_now();
        }
        assert!(Command::new("kill").arg(daemon.0.id().to_string()).status().unwrap().success());
        assert!(daemon.0.wait().unwrap().success());
        let records = std::fs::read_to_string(&stderr).unwrap();
        assert_eq!(records.contains("event=stopped "), told, "{local} {to_the_journal}: {records}");
        drop(folder);
    }
}

/// A daemon without TLS with this `[log]`.
fn configured(log: &str) -> (Folder, PathBuf) {
    let folder = Folder::new();
    folder.write("words.txt", "known\n");
    let socket = folder.path().join("control.sock");
    let file = folder.write(
        "linekeep.toml",
        format!("[penalties]\nenabled = false\n[log]\n{log}\n[control]\nsocket = \"{}\"\n{PLAIN}", socket.display()),
    );
    (folder, file)
}
