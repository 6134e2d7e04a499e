//! A real `linekeepd` process on ports that the kernel chose. Readiness is its own word on standard error; nothing sleeps.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine; reached only by a defect.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A listener without TLS, and one list.
pub const PLAIN: &str = r#"
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
"#;

pub struct Daemon {
    child: Child,
    events: Receiver<String>,
    seen: Vec<String>,
    pub folder: Folder,
}

/// The folder in which one daemon lives: its configuration, keys and lists.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file that only its owner may read.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        super::pki::write_private(&self.path().join(name), content.as_ref())
    }

    pub fn configure(&self, sections: &str) -> PathBuf {
        self.write("linekeep.toml", format!("{}\n{sections}", self.common()))
    }

    /// What every test's configuration begins with; `[server]` is left to the test. One address plays every part in most
    /// tests, so penalties are for those that are about them.
    fn common(&self) -> String {
        format!(
            "[penalties]\nenabled = false\n[log]\nlevel = \"info\"\nstderr = true\nlocal = \"none\"\n[control]\nsocket = \"{}\"\n",
            self.path().join("control.sock").display()
        )
    }
}

impl Daemon {
    /// Starts with these sections besides `[log]` and `[control]`, and waits until it is ready.
    pub fn start(folder: Folder, sections: &str) -> Daemon {
        let mut daemon = Daemon::spawn(folder, sections);
        daemon.wait_for("event=ready ");
        daemon
    }

    /// Starts without waiting.
    pub fn spawn(folder: Folder, sections: &str) -> Daemon {
        let file = folder.configure(sections);
        Daemon::spawn_with(folder, &file)
    }

    /// Starts under a clock that the test sets through a file, as libfaketime reads it: `+0`, `+1h`. Waits until it is ready.
    pub fn start_under_clock(folder: Folder, sections: &str, clock: &Path, library: &Path) -> Daemon {
        let file = folder.configure(sections);
        let environment = [
            ("LD_PRELOAD", library.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", clock.to_owned()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_linekeepd"));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let mut daemon = Daemon::spawn_by(command, folder, &file);
        daemon.wait_for("event=ready ");
        daemon
    }

    /// Starts with a configuration file that the test wrote whole.
    pub fn spawn_with(folder: Folder, file: &Path) -> Daemon {
        Daemon::spawn_by(Command::new(env!("CARGO_BIN_EXE_linekeepd")), folder, file)
    }

    /// Starts by a command that becomes the daemon, such as one that prepares its surroundings.
    pub fn spawn_by(mut command: Command, folder: Folder, file: &Path) -> Daemon {
        let mut child = command
            .args(["--foreground", "--user", &own_user(), "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Daemon { child, events, seen: Vec::new(), folder }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first record, now or later, that holds all the words; panics when none comes.
    pub fn wait_for(&mut self, words: &str) -> String {
        let holds = |line: &String| words.split_whitespace().all(|word| line.contains(word));
        if let Some(line) = self.seen.iter().find(|line| holds(line)) {
            return line.clone();
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if holds(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no record with {words:?} in {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without {words:?}: {:#?}", self.seen),
            }
        }
    }

    /// Whether such a record has come so far.
    pub fn has_seen(&mut self, words: &str) -> bool {
        self.seen.extend(self.events.try_iter());
        self.seen.iter().any(|line| words.split_whitespace().all(|word| line.contains(word)))
    }

    /// Whether a record so far holds all the words; waits for none.
    pub fn has_told(&mut self, words: &str) -> bool {
        self.seen.extend(self.events.try_iter());
        self.seen.iter().any(|line| words.split_whitespace().all(|word| line.contains(word)))
    }

    /// Every record so far that holds all the words, after waiting for one that holds `until`.
    pub fn count_until(&mut self, words: &str, until: &str) -> usize {
        self.wait_for(until);
        self.seen.iter().filter(|line| words.split_whitespace().all(|word| line.contains(word))).count()
    }

    /// Forgets the records so far, so that the next wait is for a new one.
    pub fn forget(&mut self) {
        while let Ok(line) = self.events.try_recv() {
            drop(line);
        }
        self.seen.clear();
    }

    /// Where a listener listens.
    pub fn address(&mut self, listener: &str) -> SocketAddr {
        let line = self.wait_for(&format!("event=listener-up listener={listener} "));
        field(&line, "address").parse().unwrap()
    }

    pub fn ctl(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_linekeepctl"))
            .arg("--socket")
            .arg(self.folder.path().join("control.sock"))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// One counter, as `linekeepctl status --json` tells it.
    pub fn counter(&self, name: &str) -> u64 {
        self.status()["counters"][name].as_u64().unwrap_or_else(|| panic!("no counter {name}"))
    }

    pub fn status(&self) -> serde_json::Value {
        let output = self.ctl(&["status", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn signal(&self, name: &str) {
        let killed = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(killed.success());
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        resident(self.pid())
    }

    /// Waits until the process ends by itself, and returns what it told.
    pub fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.seen.push(line);
        }
        assert!(Instant::now() < until, "still running: {:#?}", self.seen);
        let status = self.child.wait().unwrap();
        (status, std::mem::take(&mut self.seen))
    }

    /// Stops as systemd does.
    pub fn stop(self) -> (ExitStatus, Vec<String>) {
        self.signal("TERM");
        self.ended()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who runs the tests: root may be, and then the daemon stays root, as its files are.
pub fn own_user() -> String {
    rustix::process::geteuid().as_raw().to_string()
}

/// Resident memory of a process in bytes.
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

/// A field of a record, without quotes.
pub fn field<'a>(record: &'a str, name: &str) -> &'a str {
    let start = record.find(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name} in {record}")) + name.len() + 2;
    let rest = &record[start..];
    match rest.strip_prefix('"') {
        Some(quoted) => &quoted[..quoted.find('"').unwrap()],
        None => &rest[..rest.find(' ').unwrap_or(rest.len())],
    }
}

/// The answer of a listener without TLS to one query, on a connection of its own.
pub fn ask(address: SocketAddr, query: &str) -> String {
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    writeln!(stream.get_ref(), "{query}").unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).unwrap();
    answer.trim_end().to_owned()
}
