//! Records in a real journald and a real rsyslog behind it, as on a Debian host: each exactly once in the journal and in auth.log,
//! with its fields; a journald that stalls delays no answer. journald runs in namespaces of its own, so it needs root.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use support::daemon::{Daemon, Folder, PATIENCE, PLAIN, ask, field};

const JOURNALD: &str = "/lib/systemd/systemd-journald";
const RSYSLOGD: &str = "/usr/sbin/rsyslogd";

/// How many datagrams wait for a daemon: as systemd sets it at boot (the kernel's own 10 is what containers have). journald
/// waits for no syslog whose queue is full: what it then drops is missing from auth.log, and only journald counts it.
const AS_ON_A_HOST: &str = "set -e\necho 512 > /proc/sys/net/unix/max_dgram_qlen\n";

/// journald, and rsyslog that it forwards to.
struct Logs {
    journald: Child,
    rsyslogd: Child,
    auth_log: PathBuf,
}

impl Logs {
    /// `None`, said aloud, where this is not permitted or not installed.
    fn start(folder: &Path) -> Option<Logs> {
        for program in [JOURNALD, RSYSLOGD] {
            if !Path::new(program).exists() {
                eprintln!("SKIPPED: {program} is not installed");
                return None;
            }
        }
        let script = "\
            mount -t tmpfs tmpfs /run\nmkdir -p /run/systemd/journal /run/log/journal\nmount -t tmpfs tmpfs /var/log\n\
            if [ ! -s /etc/machine-id ]; then\n\
              echo 0123456789abcdef0123456789abcdef > /run/id\n  touch /etc/machine-id\n  mount --bind /run/id /etc/machine-id\n\
            fi\n\
            exec /lib/systemd/systemd-journald";
        let mut journald = Command::new("unshare")
            .args(["--mount", "--net", "--propagation", "private", "sh", "-c", &format!("{AS_ON_A_HOST}{script}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let socket = within(&journald, "/run/systemd/journal/socket");
        let until = Instant::now() + PATIENCE;
        while !socket.exists() {
            if journald.try_wait().unwrap().is_some() || Instant::now() > until {
                eprintln!("SKIPPED: journald cannot run in namespaces of its own here");
                let _ = journald.kill();
                return None;
            }
            std::thread::yield_now();
        }
        let (forwarded, auth_log) = (within(&journald, "/run/systemd/journal/syslog"), folder.join("auth.log"));
        let settings = format!(
            "global(workDirectory=\"{folder}\")\n\
             module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{socket}\" CreatePath=\"off\" RateLimit.Interval=\"0\")\n\
             template(name=\"line\" type=\"string\" string=\"%programname%%msg%\\n\")\n\
             auth,authpriv.* action(type=\"omfile\" file=\"{log}\" template=\"line\" asyncWriting=\"off\")\n",
            folder = folder.display(),
            socket = forwarded.display(),
            log = auth_log.display(),
        );
        std::fs::write(folder.join("rsyslog.conf"), settings).unwrap();
        let rsyslogd = Command::new("unshare")
            .args(["--net", "sh", "-c", &format!("{AS_ON_A_HOST}exec \"$0\" \"$@\""), RSYSLOGD])
            .args(["-n", "-i", "NONE", "-f"])
            .arg(folder.join("rsyslog.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !forwarded.exists() {
            assert!(Instant::now() < until, "rsyslogd does not listen");
            std::thread::yield_now();
        }
        Some(Logs { journald, rsyslogd, auth_log })
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.journald.id().to_string()).status();
        assert!(done.unwrap().success());
    }

    /// What the journal has, by these conditions, as JSON objects.
    fn journal(&self, conditions: &[&str]) -> Vec<serde_json::Value> {
        let output = Command::new("nsenter")
            .args([
                "--target",
                &self.journald.id().to_string(),
                "--mount",
                "journalctl",
                "--directory=/run/log/journal",
            ])
            .args(["--output=json", "--no-pager", "SYSLOG_IDENTIFIER=linekeepd"])
            .args(conditions)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn messages(&self) -> Vec<String> {
        self.journal(&[]).iter().map(|entry| entry["MESSAGE"].as_str().unwrap().to_owned()).collect()
    }

    fn auth_log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.auth_log).unwrap_or_default();
        text.lines().filter_map(|line| line.strip_prefix("linekeepd ")).map(str::to_owned).collect()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-CONT", &self.journald.id().to_string()]).status();
        for child in [&mut self.rsyslogd, &mut self.journald] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn within(process: &Child, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{path}", process.id()))
}

/// Where journald runs: the daemon may not reach into other processes' namespaces by itself.
fn beside(journald: &Child) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &journald.id().to_string(), "--mount", env!("CARGO_BIN_EXE_linekeepd")]);
    command
}

fn start(folder: Folder, log: &str, more: &str) -> Daemon {
    start_by(Command::new(env!("CARGO_BIN_EXE_linekeepd")), folder, log, more)
}

fn start_by(command: Command, folder: Folder, log: &str, more: &str) -> Daemon {
    folder.write("words.txt", "known\n");
    let text = format!(
        "[penalties]\nenabled = false\n[log]\nlevel = \"info\"\nstderr = true\n{log}\n[control]\nsocket = \"{}\"\n{PLAIN}{more}",
        folder.path().join("control.sock").display()
    );
    let file = folder.write("linekeep.toml", text);
    let mut daemon = Daemon::spawn_by(command, folder, &file);
    daemon.wait_for("event=ready ");
    daemon
}

fn counted(lines: Vec<String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    lines.into_iter().for_each(|line| *counts.entry(line).or_default() += 1);
    counts
}

#[test]
fn one_decision_one_record_each_exactly_once_in_the_journal_and_in_auth_log() {
    let logs_folder = tempfile::tempdir().unwrap();
    let Some(logs) = Logs::start(logs_folder.path()) else { return };
    let mut daemon = start_by(beside(&logs.journald), Folder::new(), "local = \"auto\"", "");
    let address = daemon.address("plain");
    for number in 0..100 {
        assert!(!ask(address, if number % 2 == 0 { "known" } else { "unknown" }).is_empty());
    }
    assert!(daemon.ctl(&["reload"]).status.success());
    let (status, told) = daemon.stop();
    assert!(status.success());
    let told: Vec<String> = told.into_iter().filter(|line| line.starts_with("event=")).collect();
    assert!(told.len() > 200, "{}", told.len());
    let until = Instant::now() + PATIENCE;
    while (logs.messages().len() < told.len() || logs.auth_log().len() < told.len()) && Instant::now() < until {}
    let expected = counted(told);
    assert!(expected.values().all(|count| *count == 1), "every record is told apart by its connection");
    assert_eq!(counted(logs.messages()), expected, "the journal");
    assert_eq!(counted(logs.auth_log()), expected, "auth.log");
    let admitted = logs.journal(&["LINEKEEP_EVENT=client-admitted"]);
    assert_eq!(admitted.len(), 100);
    assert_eq!(admitted[0]["LINEKEEP_CLIENT"], "tester");
    assert_eq!((&admitted[0]["PRIORITY"], &admitted[0]["SYSLOG_FACILITY"]), (&"5".into(), &"10".into()));
}

#[test]
fn a_journald_that_stalls_delays_no_answer_and_what_it_missed_is_said_once() {
    let logs_folder = tempfile::tempdir().unwrap();
    let Some(logs) = Logs::start(logs_folder.path()) else { return };
    let mut daemon = start_by(beside(&logs.journald), Folder::new(), "local = \"journal\"", "");
    let address = daemon.address("plain");
    logs.signal("STOP");
    // As long as it takes until the kernel's queue to journald is full, and a while longer.
    let (until, mut asked) = (Instant::now() + PATIENCE, 0);
    let mut failed = None;
    while failed.is_none_or(|at| asked < at + 200) && Instant::now() < until {
        assert_eq!(ask(address, "known"), "STRING EXISTS", "after {asked} answers");
        asked += 1;
        if failed.is_none() && daemon.has_told("event=sink-failed sink=journal") {
            failed = Some(asked);
        }
    }
    assert!(failed.is_some(), "{asked} answers, and journald never stalled");
    logs.signal("CONT");
    let until = Instant::now() + PATIENCE;
    while !daemon.has_told("event=records-lost sink=journal") && Instant::now() < until {
        assert_eq!(ask(address, "known"), "STRING EXISTS");
    }
    let lost: usize = field(&daemon.wait_for("event=records-lost sink=journal"), "count").parse().unwrap();
    let (_, told) = daemon.stop();
    let told: Vec<String> = told.into_iter().filter(|line| line.starts_with("event=")).collect();
    assert_eq!(told.iter().filter(|line| line.contains("event=records-lost")).count(), 1, "said once");
    let until = Instant::now() + PATIENCE;
    while logs.messages().len() + lost < told.len() && Instant::now() < until {}
    assert_eq!(logs.messages().len() + lost, told.len(), "what is not there was counted");
}

/// A far end that comes late, goes and comes back: every record is there, framed, or counted.
#[test]
fn forwarded_records_are_framed_found_again_and_counted() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = far.local_addr().unwrap();
    let json = TcpListener::bind("127.0.0.1:0").unwrap();
    let more = format!(
        "[[forward]]\nname = \"syslog\"\naddress = \"tcp:{address}\"\n[[forward]]\nname = \"json\"\naddress = \"tcp:{}\"\nformat = \"ecs\"\n",
        json.local_addr().unwrap()
    );
    let mut daemon = start(Folder::new(), "local = \"none\"", &more);
    let plain = daemon.address("plain");
    let message = |stream: &mut BufReader<TcpStream>| {
        let mut length = Vec::new();
        stream.read_until(b' ', &mut length).unwrap();
        let length: usize = String::from_utf8(length).unwrap().trim_end().parse().unwrap();
        let mut message = vec![0; length];
        std::io::Read::read_exact(stream, &mut message).unwrap();
        String::from_utf8(message).unwrap()
    };
    let accept = |listener: &TcpListener| {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        BufReader::new(stream)
    };
    let mut first = accept(&far);
    assert_eq!(ask(plain, "known"), "STRING EXISTS");
    let mut seen = Vec::new();
    while !seen.last().is_some_and(|last: &String| last.contains(" session-ended [")) {
        seen.push(message(&mut first));
    }
    assert!(seen[0].contains(" starting [linekeep@32473 version="), "{seen:#?}");
    assert!(seen.iter().all(|message| message.starts_with('<') && message.contains(">1 ")), "{seen:#?}");
    drop(first);
    assert_eq!(ask(plain, "known"), "STRING EXISTS");
    let mut second = accept(&far);
    assert!(message(&mut second).contains(" client-admitted ["), "found again, and nothing lost on the way");
    let mut object = String::new();
    let mut json = accept(&json);
    json.read_line(&mut object).unwrap();
    let object: serde_json::Value = serde_json::from_str(&object).unwrap();
    assert_eq!(
        (&object["event.action"], &object["linekeep"]["version"]),
        (&"starting".into(), &env!("CARGO_PKG_VERSION").into())
    );
}
