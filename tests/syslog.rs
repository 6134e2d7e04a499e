//! Records in a real rsyslog: facility, one line each, nothing forged, found again after a restart.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use support::daemon::{Daemon, Folder, PATIENCE};

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

    fn restart(&mut self, folder: &Path) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _ = std::fs::remove_file(&self.socket);
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
