//! The audit trail of a real daemon: written, verified, searched, and what happens when it cannot be written.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::daemon::{Daemon, Folder, PATIENCE, PLAIN, field};

fn start(audit: &str) -> Daemon {
    start_in(Folder::new(), audit)
}

fn start_in(folder: Folder, audit: &str) -> Daemon {
    folder.write("words.txt", "known\n");
    if !folder.path().join("audit.key").exists() {
        folder.write("audit.key", format!("{}\n", "5a".repeat(32)));
    }
    Daemon::start(folder, &sections(audit))
}

fn sections(audit: &str) -> String {
    format!("[audit]\ntrail = \"trail\"\nkey = \"audit.key\"\n{audit}\n{PLAIN}")
}

/// Asks all in one write and returns the answers.
fn ask(address: SocketAddr, queries: &[&str]) -> Vec<String> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(queries.iter().map(|query| format!("{query}\n")).collect::<String>().as_bytes()).unwrap();
    BufReader::new(stream).lines().take(queries.len()).map(Result::unwrap).collect()
}

/// Stops the daemon and leaves its folder to the test.
fn stop(mut daemon: Daemon) -> (Folder, Vec<String>) {
    let folder = std::mem::replace(&mut daemon.folder, Folder::new());
    let (status, records) = daemon.stop();
    assert!(status.success());
    (folder, records)
}

fn audit(folder: &Path, what: &str, more: &[&str]) -> Output {
    let config = folder.join("linekeep.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_linekeepctl"));
    command.args(["audit", what, "--config"]).arg(config).args(more).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("trail")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    files.sort();
    files
}

#[test]
fn one_decision_one_record_in_a_trail_that_is_whole_after_every_stop() {
    let mut folder = Folder::new();
    for epoch in 1..=3 {
        let mut daemon = start_in(folder, "queries = \"digest\"\n");
        assert_eq!(ask(daemon.address("plain"), &["known", "other"]), ["STRING EXISTS", "STRING NOT FOUND"]);
        daemon.wait_for("event=session-ended queries=2");
        let (left, records) = stop(daemon);
        folder = left;
        // The checkpoint of the stop names the whole epoch.
        let checkpoint = records.iter().rfind(|record| record.contains("event=checkpoint")).unwrap();
        let [number, count, tag, mac] = ["epoch", "count", "tag", "mac"].map(|name| field(checkpoint, name));
        assert_eq!(number, epoch.to_string());
        let kept = format!("{number}:{count}:{tag}:{mac}");
        assert_eq!(said(&audit(folder.path(), "head", &[])).trim(), kept);
        let verified = audit(folder.path(), "verify", &["--checkpoint", &kept]);
        assert!(verified.status.success(), "{}", said(&verified));
        assert!(!said(&verified).contains("note:"), "{}", said(&verified));
    }
    assert_eq!(files(folder.path()).len(), 3);
    for event in ["starting", "ready", "client-admitted", "session-ended", "stopped"] {
        let shown = audit(folder.path(), "show", &["--event", event]);
        assert_eq!(said(&shown).lines().count(), 3, "{event}: {}", said(&shown));
    }
}

#[test]
fn who_asked_for_a_value_is_found_without_the_trail_holding_it() {
    for (mode, holds) in [("digest", false), ("plain", true)] {
        let mut daemon = start(&format!("queries = \"{mode}\"\n"));
        let long = "x".repeat(1000);
        ask(daemon.address("plain"), &["known", "evil.example \"quoted\"", &long, "known"]);
        daemon.wait_for("event=session-ended");
        let (folder, _) = stop(daemon);
        for (value, times, answer) in
            [("known", 2, "exists"), ("evil.example \"quoted\"", 1, "not-found"), (&*long, 1, "not-found")]
        {
            let found = audit(folder.path(), "find", &["--json", value]);
            assert!(found.status.success(), "{}", said(&found));
            let records: Vec<serde_json::Value> = String::from_utf8(found.stdout)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(records.len(), times, "{value}: {records:?}");
            assert_eq!((&records[0]["client"], &records[0]["answer"]), (&"tester".into(), &answer.into()));
            assert!(records[0]["source"].as_str().unwrap().starts_with("127.0.0.1:"));
        }
        assert_eq!(audit(folder.path(), "find", &["nobody asked"]).status.code(), Some(1));
        let text: String = files(folder.path()).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        assert_eq!(text.contains("evil.example"), holds, "{mode}");
    }
}

#[test]
fn queries_leave_no_more_than_was_asked_for() {
    for (mode, queries) in [("none", "not-recorded"), ("summary", "1")] {
        let mut daemon = start(&format!("queries = \"{mode}\"\n"));
        ask(daemon.address("plain"), &["known"]);
        let ended = daemon.wait_for("event=session-ended");
        assert_eq!(field(&ended, "queries"), queries);
        let (folder, _) = stop(daemon);
        assert_eq!(said(&audit(folder.path(), "show", &["--event", "query"])), "");
    }
}

#[test]
fn a_reload_may_change_what_is_recorded_of_queries_and_nothing_else_of_the_audit() {
    let mut daemon = start("");
    daemon.folder.configure(&sections("fsync = \"always\"\n"));
    let refused = daemon.ctl(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("[audit]") && said(&refused).contains("restart"), "{}", said(&refused));
    daemon.folder.configure(&sections("queries = \"digest\"\n"));
    assert!(daemon.ctl(&["reload"]).status.success());
    ask(daemon.address("plain"), &["known"]);
    daemon.wait_for("event=session-ended");
    let (folder, _) = stop(daemon);
    assert!(audit(folder.path(), "find", &["known"]).status.success());
}

#[test]
fn two_daemons_cannot_write_one_trail() {
    let daemon = start("");
    let second = Daemon::spawn_with(Folder::new(), &daemon.folder.path().join("linekeep.toml"));
    // The control socket is taken as well; either word will do for the second, the first goes on.
    let (status, _) = second.ended();
    assert!(!status.success());
    let other = daemon
        .folder
        .write("other.toml", format!("[log]\nlocal = \"none\"\n[control]\nenabled = false\n{}", sections("")));
    let (status, words) = Daemon::spawn_with(Folder::new(), &other).ended();
    assert_eq!(status.code(), Some(71), "{words:?}");
    assert!(words.iter().any(|line| line.contains("another process writes this trail")), "{words:?}");
}

#[test]
fn a_killed_daemon_leaves_an_end_that_is_told_and_not_mended() {
    let mut daemon = start("");
    ask(daemon.address("plain"), &["known"]);
    daemon.wait_for("event=session-ended");
    let folder = std::mem::replace(&mut daemon.folder, Folder::new());
    daemon.signal("KILL");
    let _ = daemon.ended();
    let first = files(folder.path()).remove(0);
    // Half a line, as a power cut leaves one.
    let mut bytes = std::fs::read(&first).unwrap();
    bytes.truncate(bytes.len() - 10);
    std::fs::write(&first, &bytes).unwrap();
    let (folder, _) = stop(start_in(folder, ""));
    assert_eq!(std::fs::read(&first).unwrap(), bytes, "what was there is as it was");
    let verified = audit(folder.path(), "verify", &[]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(said(&verified).contains("half a line: a crash, or the end was cut off"), "{}", said(&verified));
    assert!(said(&verified).contains("epoch 1 has no proper end"), "{}", said(&verified));
    // Whoever knows of the crash says so.
    let known = audit(folder.path(), "verify", &["--crashed", "1"]);
    assert!(known.status.success() && said(&known).contains("note: known: "), "{}", said(&known));
}

#[test]
fn a_configuration_that_could_not_keep_its_word_is_refused() {
    for (audit, words) in [
        ("trail = \"trail\"", "[audit] key: found nothing"),
        ("queries = \"digest\"", "[audit] key: found nothing"),
        ("on-overflow = \"refuse\"", "[audit] on-overflow"),
        ("keep-bytes = \"1 MiB\"", "[audit] keep-bytes"),
        ("trail = \"trail\"\nkey = \"no.key\"", "no.key"),
        ("trail = \"trail\"\nkey = \"words.txt\"", "64 hexadecimal digits"),
    ] {
        let folder = Folder::new();
        folder.write("words.txt", "known\n");
        let file = folder.configure(&format!("[audit]\n{audit}\n{PLAIN}"));
        let (status, told) = Daemon::spawn_with(folder, &file).ended();
        assert_eq!(status.code(), Some(78), "{audit}: {told:?}");
        assert!(told.iter().any(|line| line.contains(words)), "{audit}: {told:?}");
    }
}

#[test]
fn a_key_is_drawn_once_and_never_written_over() {
    let folder = Folder::new();
    let file = folder.path().join("new.key");
    let new = |file: &Path| {
        Command::new(env!("CARGO_BIN_EXE_linekeepctl")).args(["audit", "key", "new"]).arg(file).output().unwrap()
    };
    assert!(new(&file).status.success());
    let key = std::fs::read_to_string(&file).unwrap();
    assert_eq!(key.trim_end().len(), 64);
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o7777, 0o400);
    let again = new(&file);
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("never written over"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), key);
}

#[test]
fn bounded_the_trail_is_cut_by_size_and_its_oldest_files_go_with_a_record() {
    let mut daemon = start("queries = \"plain\"\nmax-file-bytes = \"64 KiB\"\nkeep-bytes = \"192 KiB\"\n");
    let address = daemon.address("plain");
    let query = "q".repeat(200);
    let queries = vec![&*query; 1000];
    (0..3).for_each(|_| drop(ask(address, &queries)));
    daemon.wait_for("event=trail-removed");
    daemon.wait_for("event=session-ended");
    let (folder, records) = stop(daemon);
    let left = files(folder.path());
    let bytes: u64 = left.iter().map(|file| std::fs::metadata(file).unwrap().len()).sum();
    assert!(left.len() > 1 && bytes <= 192 * 1024, "{bytes} in {left:?}");
    assert!(left.iter().all(|file| std::fs::metadata(file).unwrap().len() <= 64 * 1024));
    let checkpoint = records.iter().rfind(|record| record.contains("event=checkpoint")).unwrap();
    let kept = ["epoch", "count", "tag", "mac"].map(|name| field(checkpoint, name)).join(":");
    let verified = audit(folder.path(), "verify", &["--checkpoint", &kept]);
    assert!(
        verified.status.success() && said(&verified).contains("what was before is not here"),
        "{}",
        said(&verified)
    );
    // Whoever takes one more away leaves no record of that.
    std::fs::remove_file(&left[0]).unwrap();
    let verified = audit(folder.path(), "verify", &["--json", "--checkpoint", &kept]);
    assert_eq!(verified.status.code(), Some(1));
    let verdict: serde_json::Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(verdict["findings"][0]["damage"], "missing", "{verdict}");
}

/// A daemon whose trail lies on a file system of its own, of one MiB, in a mount namespace of its own; `None`, said
/// aloud, where that is not permitted.
fn on_a_small_disk(audit: &str) -> Option<Daemon> {
    let small = ["-m", "sh", "-c", "mount -t tmpfs -o size=1m none \"$0\" && exec \"$@\""];
    let folder = Folder::new();
    let trail = folder.path().join("trail");
    std::fs::create_dir(&trail).unwrap();
    let permitted = Command::new("unshare").args(small).arg(&trail).arg("true").output();
    if !permitted.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: no file system can be mounted here: {permitted:?}");
        return None;
    }
    folder.write("words.txt", "known\n");
    folder.write("audit.key", format!("{}\n", "5a".repeat(32)));
    let file = folder.configure(&sections(audit));
    let mut command = Command::new("unshare");
    command.args(small).arg(&trail).arg(env!("CARGO_BIN_EXE_linekeepd"));
    let mut daemon = Daemon::spawn_by(command, folder, &file);
    daemon.wait_for("event=ready ");
    Some(daemon)
}

/// Asks until the answer is this one.
fn ask_until(address: SocketAddr, answer: &str) {
    let until = std::time::Instant::now() + PATIENCE;
    while ask(address, &["known"]) != [answer] {
        assert!(std::time::Instant::now() < until, "never {answer}");
    }
}

#[test]
fn a_full_disk_refuses_or_counts_as_was_asked_for_and_the_chain_goes_on() {
    for (on_overflow, answer) in [("refuse", "ERROR: server busy"), ("count", "STRING EXISTS")] {
        let audit_section = format!("queries = \"digest\"\nfsync = \"always\"\non-overflow = \"{on_overflow}\"\n");
        let Some(mut daemon) = on_a_small_disk(&audit_section) else { return };
        let address = daemon.address("plain");
        assert_eq!(ask(address, &["known"]), ["STRING EXISTS"]);
        // The daemon's own view of the file system.
        let trail = PathBuf::from(format!("/proc/{}/root", daemon.pid()))
            .join(daemon.folder.path().strip_prefix("/").unwrap())
            .join("trail");
        let filler = trail.join("filler");
        let mut full = std::fs::File::create(&filler).unwrap();
        while full.write_all(&[0; 4096]).is_ok() {}
        // What is left of the last page still takes a few records.
        let until = std::time::Instant::now() + PATIENCE;
        while !daemon.has_seen("event=sink-failed sink=trail") {
            let answers = ask(address, &["known"; 20]);
            assert!(answers.iter().all(|found| found == "STRING EXISTS" || found == answer), "{answers:?}");
            assert!(std::time::Instant::now() < until, "the disk is not full");
        }
        assert_eq!(ask(address, &["known", "known"]), [answer; 2]);
        std::fs::remove_file(&filler).unwrap();
        daemon.wait_for("event=records-lost sink=trail");
        ask_until(address, "STRING EXISTS");
        // The namespace goes with the daemon; what lies in it has to be copied before.
        let copy = daemon.folder.path().join("copy");
        std::fs::create_dir(&copy).unwrap();
        for entry in std::fs::read_dir(&trail).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
        let place = ["--folder", copy.to_str().unwrap(), "--key"];
        let key = daemon.folder.path().join("audit.key");
        let arguments = [&place[..], &[key.to_str().unwrap()]].concat();
        let verified = audit(daemon.folder.path(), "verify", &arguments);
        assert!(verified.status.success(), "{}", said(&verified));
        let lost = audit(daemon.folder.path(), "show", &["--folder", place[1], "--event", "records-lost"]);
        assert_eq!(said(&lost).lines().count(), 1, "{}", said(&lost));
    }
}

/// No answer before its record: with each answer that came, its record is on the disk.
#[test]
fn one_decision_one_record_no_answer_goes_out_before_its_record_is_written() {
    let mut daemon = start("queries = \"digest\"\nfsync = \"always\"\non-overflow = \"refuse\"\n");
    let address = daemon.address("plain");
    for asked in 1..=20 {
        assert_eq!(ask(address, &["known"]), ["STRING EXISTS"]);
        let found = audit(daemon.folder.path(), "find", &["known"]);
        assert_eq!(said(&found).lines().count(), asked);
        let admitted = audit(daemon.folder.path(), "show", &["--event", "client-admitted"]);
        assert_eq!(said(&admitted).lines().count(), asked);
    }
}

/// The end of the trail is waited for longer than the other places: a disk takes its time, and strace makes it take three seconds.
#[test]
fn one_decision_one_record_a_stop_waits_for_a_slow_disk() {
    let slow =
        ["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=3000000"];
    let permitted = Command::new("strace").args(slow).arg("true").output();
    if !permitted.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: nothing can be traced here: {permitted:?}");
        return;
    }
    let folder = Folder::new();
    folder.write("words.txt", "known\n");
    folder.write("audit.key", format!("{}\n", "5a".repeat(32)));
    let file = folder.configure(&sections("fsync = \"never\"\n"));
    let mut command = Command::new("strace");
    command.args(slow).arg(env!("CARGO_BIN_EXE_linekeepd"));
    let mut daemon = Daemon::spawn_by(command, folder, &file);
    daemon.wait_for("event=ready ");
    let (folder, records) = stop(daemon);
    assert!(records.iter().any(|record| record.contains("event=checkpoint")), "{records:#?}");
    let verified = audit(folder.path(), "verify", &[]);
    assert!(verified.status.success() && !said(&verified).contains("no proper end"), "{}", said(&verified));
}
