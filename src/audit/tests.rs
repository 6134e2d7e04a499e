//! Every kind of damage to a trail is found, at its place, by our verifier and by the one in Python, which share no code.

mod told;

use super::*;
use crate::event::Severity;
use crate::secret::Secret;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// Names and contents of a trail's files.
type Files = Vec<(String, Vec<u8>)>;

/// Lines, each with the place of its file.
type Lines = Vec<(usize, Vec<u8>)>;

fn master() -> Master {
    Master::read(&Secret::new(KEY.as_bytes().to_vec())).unwrap()
}

fn rules(folder: &Path, max_file_bytes: u64) -> config::Trail {
    config::Trail {
        folder: folder.to_owned(),
        max_file_bytes,
        keep_days: 400,
        keep_bytes: 1 << 30,
        fsync: Fsync::Never,
        checkpoint_interval: Duration::from_secs(300),
    }
}

fn record(number: u64) -> Record {
    let line = format!("event=x severity=info number={number} about=\"a b\" message=x");
    let (time, fields) = (SystemTime::now(), Vec::new());
    Record { time, event: "x", severity: Severity::Info, fields, message: "x", line }
}

/// A process that another test starts holds every lock of this one until it has become another program.
fn open(rules: &config::Trail) -> Trail {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match Trail::open(rules, master()) {
            Ok(trail) => return trail,
            Err(why) => assert!(why.contains("another process writes") && Instant::now() < until, "{why}"),
        }
        std::thread::yield_now();
    }
}

/// Three epochs of several files each, the last one closed.
fn write(folder: &Path, records: u64) {
    for _ in 0..3 {
        let mut trail = open(&rules(folder, 24 * 1024));
        for number in 0..records {
            assert!(trail.take(&record(number)).whole);
        }
        assert!(trail.settle().whole);
        trail.close();
    }
}

/// The files of a trail of some 400 records, by name, with the checkpoint of its end.
fn sample() -> &'static (Files, Position) {
    static SAMPLE: OnceLock<(Files, Position)> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 130);
        let files = list(folder.path()).unwrap();
        let position = head(&end(&files).unwrap(), None).unwrap().0;
        let read = |file: &TrailFile| {
            let name = file.path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(&file.path).unwrap())
        };
        (files.iter().map(read).collect(), position)
    })
}

/// A trail of these files.
fn folder_of(files: &[(String, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn verdict(files: &[(String, Vec<u8>)]) -> Verdict {
    verify(folder_of(files).path(), &master(), &[sample().1]).unwrap()
}

/// The lines of all files, each with its file's place.
fn lines(files: &[(String, Vec<u8>)]) -> Lines {
    let of = |(place, (_, bytes)): (usize, &(String, Vec<u8>))| {
        bytes.split_inclusive(|byte| *byte == b'\n').map(|line| (place, line.to_vec())).collect::<Vec<_>>()
    };
    files.iter().enumerate().flat_map(of).collect()
}

fn joined(lines: &[(usize, Vec<u8>)]) -> Files {
    let mut files: Vec<_> = sample().0.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
    lines.iter().for_each(|(place, line)| files[*place].1.extend_from_slice(line));
    files
}

/// Where the first finding shows: file's name and line.
fn first(verdict: &Verdict) -> (String, u64) {
    let first = &verdict.findings[0];
    let name = first.file.as_ref().map_or("-".into(), |file| file.file_name().unwrap().to_str().unwrap().to_owned());
    (name, first.line)
}

/// The place of a line, as findings name it.
fn place(lines: &[(usize, Vec<u8>)], at: usize) -> (String, u64) {
    let file = lines[at].0;
    let line = lines[..=at].iter().filter(|(place, _)| *place == file).count();
    (sample().0[file].0.clone(), line as u64)
}

#[test]
fn an_unharmed_trail_is_whole() {
    let verdict = verdict(&sample().0);
    assert!(verdict.whole && verdict.notes.is_empty(), "{verdict:#?}");
    assert!(verdict.files >= 6 && verdict.records > 390, "{} {}", verdict.files, verdict.records);
    assert_eq!(verdict.head, Some(sample().1.to_string()));
}

#[test]
fn every_single_record_that_is_gone_doubled_or_swapped_is_named() {
    let whole = lines(&sample().0);
    for at in 0..whole.len() {
        let mut gone = whole.clone();
        let (file, line) = gone.remove(at);
        let verdict_gone = verdict(&joined(&gone));
        assert!(!verdict_gone.whole, "{at}");
        let parsed = Line::parse(line.strip_suffix(b"\n").unwrap()).unwrap();
        let named = verdict_gone.findings.iter().any(|found| {
            (found.epoch, found.number) == (parsed.epoch, parsed.number)
                || found.words.contains(&format!("up to record {}", parsed.number + 1))
        });
        assert!(named, "{at}: {:#?}", verdict_gone.findings);

        let mut doubled = whole.clone();
        doubled.insert(at + 1, (file, line.clone()));
        let found = verdict(&joined(&doubled));
        assert_eq!(first(&found), place(&doubled, at + 1), "{at}: {:#?}", found.findings);
        assert_eq!(found.findings[0].damage, Damage::Repeated);

        if at + 1 < whole.len() {
            let mut swapped = whole.clone();
            let (one, other) = (swapped[at].1.clone(), swapped[at + 1].1.clone());
            (swapped[at].1, swapped[at + 1].1) = (other, one);
            let found = verdict(&joined(&swapped));
            assert!(!found.whole, "{at}");
            assert_eq!(first(&found), place(&swapped, at), "{at}: {:#?}", found.findings);
        }
    }
}

#[test]
fn every_file_that_is_gone_or_under_another_name_is_missed() {
    let files = &sample().0;
    for at in 0..files.len() {
        let mut gone = files.clone();
        gone.remove(at);
        assert!(!verdict(&gone).whole, "{at}");
        let mut renamed = files.clone();
        renamed[at].0 = renamed[at].0.replace("trail-0000", "trail-0007");
        assert!(!verdict(&renamed).whole, "{at}");
    }
}

#[test]
fn an_epoch_that_is_gone_is_missed() {
    for epoch in 1..=3 {
        let of_epoch = |(_, bytes): &(String, Vec<u8>)| bytes.starts_with(format!("{epoch} ").as_bytes());
        let left: Vec<_> = sample().0.iter().filter(|file| !of_epoch(file)).cloned().collect();
        let found = verdict(&left);
        assert!(!found.whole, "{epoch}");
    }
}

#[test]
fn a_cut_end_is_seen_with_a_checkpoint_from_elsewhere_and_by_nothing_else() {
    let mut files = sample().0.clone();
    files.pop();
    let found = verdict(&files);
    assert!(found.findings.iter().any(|found| found.damage == Damage::Cut), "{:#?}", found.findings);
    // What no chain can see, and the documents say so: only a note is left.
    let alone = verify(folder_of(&files).path(), &master(), &[]).unwrap();
    assert!(alone.whole && alone.notes.iter().any(|note| note.contains("is not closed")), "{alone:#?}");
}

#[test]
fn another_key_verifies_nothing() {
    let other = Master::read(&Secret::new("00".repeat(32).into_bytes())).unwrap();
    let found = verify(folder_of(&sample().0).path(), &other, &[]).unwrap();
    assert!(found.findings.len() as u64 + found.more >= found.records);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 3000 }))]

    /// The first finding is the record in which the byte is, whatever it was changed to.
    #[test]
    fn every_changed_byte_is_found_in_its_record(at in any::<prop::sample::Index>(), change in 1u8..=255) {
        let mut files = sample().0.clone();
        let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut at = at.index(total);
        let file = files.iter().position(|(_, bytes)| {
            let here = at < bytes.len();
            at -= if here { 0 } else { bytes.len() };
            here
        }).unwrap();
        let line = 1 + files[file].1[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        files[file].1[at] ^= change;
        let found = verdict(&files);
        prop_assert!(!found.whole);
        prop_assert_eq!(first(&found), (files[file].0.clone(), line), "{:#?}", found.findings);
    }

    #[test]
    fn every_truncated_file_is_found(file in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let mut files = sample().0.clone();
        let file = file.index(files.len());
        let at = at.index(files[file].1.len());
        files[file].1.truncate(at);
        let found = verdict(&files);
        prop_assert!(!found.whole);
    }

    #[test]
    fn bounded_no_bytes_make_the_verifier_panic(one in any::<Vec<u8>>(), cut in any::<prop::sample::Index>()) {
        let mut files = sample().0.clone();
        let at = cut.index(files[0].1.len());
        files[0].1.splice(at..at, one);
        let _ = verdict(&files);
    }
}

fn python(folder: &Path, key: &Path, checkpoints: &[Position]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verify_trail.py");
    let kept = checkpoints.iter().map(ToString::to_string);
    let output = Command::new("python3").arg(script).arg(folder).arg(key).args(kept).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// In the words of the one in Python.
fn in_short(verdict: &Verdict) -> String {
    if verdict.whole {
        return format!("whole {} {}", verdict.records, verdict.head.as_deref().unwrap_or("nothing"));
    }
    let (file, line) = first(verdict);
    format!("damaged {file} {line}")
}

#[test]
fn an_independent_verifier_agrees_on_thousands_of_records() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, KEY).unwrap();
    write(folder.path(), 3000);
    let ours = verify(folder.path(), &master(), &[]).unwrap();
    assert!(ours.whole && ours.records > 9000);
    assert_eq!(python(folder.path(), &key, &[]), in_short(&ours));
}

#[test]
fn an_independent_verifier_agrees_on_every_kind_of_damage() {
    let (files, position) = sample();
    let whole = lines(files);
    let middle = whole.len() / 2;
    let mut damaged: Vec<(&str, Files)> = Vec::new();
    let of_lines = |change: &dyn Fn(&mut Lines)| {
        let mut lines = whole.clone();
        change(&mut lines);
        joined(&lines)
    };
    damaged.push(("gone", of_lines(&|lines| drop(lines.remove(middle)))));
    damaged.push(("doubled", of_lines(&|lines| lines.insert(middle, lines[middle].clone()))));
    damaged.push((
        "swapped",
        of_lines(&|lines| {
            let other = lines[middle + 1].1.clone();
            lines[middle + 1].1 = std::mem::replace(&mut lines[middle].1, other);
        }),
    ));
    damaged.push(("first line gone", of_lines(&|lines| drop(lines.remove(0)))));
    damaged.push(("end cut", of_lines(&|lines| lines.truncate(lines.len() - 3))));
    damaged.push(("half a line", of_lines(&|lines| lines[middle].1.truncate(40))));
    for (what, byte) in [("epoch", 0), ("number", 2), ("time", 10), ("tag", 45), ("body", 110)] {
        damaged.push((what, of_lines(&|lines| lines[middle].1[byte] ^= 1)));
    }
    for file in [0, 1, files.len() / 2, files.len() - 1] {
        let mut left = files.clone();
        left.remove(file);
        damaged.push(("a file gone", left));
        let mut emptied = files.clone();
        emptied[file].1.clear();
        damaged.push(("a file emptied", emptied));
    }
    for epoch in ["1 ", "2 ", "3 "] {
        let left = files.iter().filter(|(_, bytes)| !bytes.starts_with(epoch.as_bytes())).cloned().collect();
        damaged.push(("an epoch gone", left));
    }
    for (what, files) in damaged {
        let folder = folder_of(&files);
        let key: PathBuf = folder.path().join("key");
        std::fs::write(&key, KEY).unwrap();
        let ours = verify(folder.path(), &master(), &[*position]).unwrap();
        assert!(!ours.whole, "{what}");
        assert_eq!(python(folder.path(), &key, &[*position]), in_short(&ours), "{what}: {:#?}", ours.findings);
    }
}
