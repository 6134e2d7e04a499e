//! `writer = "appends"`: what was written is found by the first question after the write; a line waits for its newline;
//! a broken word comes out.

use super::asker::{Answer, Asker, UNAVAILABLE, list, start};
use super::support::daemon::{Daemon, Folder, field};
use super::{eventually, number};
use rstest::rstest;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

fn begin(content: &str, keys: &str) -> (Daemon, Asker, PathBuf) {
    let folder = Folder::new();
    let file = folder.write("words.txt", content);
    let keys = format!("freshness = \"on-query\"\nwriter = \"appends\"\n{keys}");
    let (daemon, asker) = start(folder, &list("words.txt", &keys));
    (daemon, asker, file)
}

fn appending(file: &PathBuf) -> File {
    OpenOptions::new().append(true).open(file).unwrap()
}

#[rstest]
fn exact_an_appended_line_is_found_by_the_first_question(#[values("index", "auto")] search: &str) {
    let content: String = (0..20_000).map(|line| format!("old-{line}\n")).collect();
    let (mut daemon, asker, file) = begin(&content, &format!("search = \"{search}\""));
    let mut askers = [asker, Asker::new(daemon.address("plain"))];
    let mut file = appending(&file);
    let trials = number("LINEKEEP_TRIALS", 500);
    let mut micros = Vec::new();
    for trial in 0..trials {
        let asker = &mut askers[usize::from(trial % 3 == 0)];
        let line = format!("new-{trial}");
        assert_eq!(asker.ask(&line), Answer::No, "{line} before its time");
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
        let begun = Instant::now();
        assert_eq!(asker.ask(&line), Answer::Yes, "trial {trial}: missed");
        micros.push(begun.elapsed().as_micros());
    }
    micros.sort_unstable();
    let at = |percent: usize| micros[(micros.len() - 1) * percent / 100];
    println!("{search}: {trials} trials, none missed; median {} us, p99 {} us", at(50), at(99));
    let old = ["old-0", "old-19999", "new-0", "old-20000"];
    assert_eq!(askers[0].ask_all(&old), [Answer::Yes, Answer::Yes, Answer::Yes, Answer::No]);
}

#[test]
fn exact_a_line_waits_for_its_newline_and_then_comes_whole() {
    let (_daemon, mut asker, file) = begin("one\n", "");
    let mut file = appending(&file);
    let all = ["tw", "two", "o"];
    for (piece, answers) in [
        ("tw", [Answer::No, Answer::No, Answer::No]),
        ("o", [Answer::No, Answer::No, Answer::No]),
        ("\r", [Answer::No, Answer::No, Answer::No]),
        ("\n", [Answer::No, Answer::Yes, Answer::No]),
    ] {
        file.write_all(piece.as_bytes()).unwrap();
        assert_eq!(asker.ask_all(&all), answers, "after {piece:?}");
        assert_eq!(asker.ask("one"), Answer::Yes);
    }
}

/// The files of many lines and pieces, as a log is written.
#[test]
fn exact_pieces_of_any_length_come_together() {
    let (_daemon, mut asker, file) = begin("one\n", "");
    let mut file = appending(&file);
    let text: String = (0..300).map(|line| format!("{}-{line}\n", "x".repeat(line * 7 % 40))).collect();
    let mut written = 0;
    for length in (1..90).cycle() {
        let end = (written + length).min(text.len());
        file.write_all(&text.as_bytes()[written..end]).unwrap();
        written = end;
        let whole = text[..written].rfind('\n').map_or("", |at| &text[..at]);
        let waiting = text[..written].rsplit('\n').next().unwrap_or("");
        let last = whole.rsplit('\n').next().unwrap_or("");
        if !last.is_empty() {
            assert_eq!(asker.ask(last), Answer::Yes, "{last}");
        }
        if !waiting.is_empty() && !whole.split('\n').any(|line| line == waiting) {
            assert_eq!(asker.ask(waiting), Answer::No, "{waiting} has no newline yet");
        }
        if written == text.len() {
            return;
        }
    }
}

/// A file that shrinks or is another one was not appended to, and nothing of what was known holds.
#[test]
fn no_silent_no_a_rotation_is_never_taken_for_growth() {
    let (daemon, mut asker, file) = begin("one\ntwo\nthree\n", "");
    let next = daemon.folder.write("next", "four\nfive\nsix\nseven\neight\n");
    std::fs::rename(next, &file).unwrap();
    assert_eq!(asker.ask_all(&["one", "four", "eight"]), [Answer::No, Answer::Yes, Answer::Yes]);
    appending(&file).set_len(5).unwrap();
    assert_eq!(asker.ask_all(&["five", "four"]), [Answer::No, Answer::Yes]);
    appending(&file).set_len(0).unwrap();
    assert_eq!(asker.ask_all(&["four"]), [Answer::error(UNAVAILABLE)]);
    appending(&file).write_all(b"nine\n").unwrap();
    assert_eq!(asker.ask_all(&["four", "nine"]), [Answer::No, Answer::Yes]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(asker.ask("nine"), Answer::error(UNAVAILABLE));
}

/// A file system gives the inode of a file that is gone to the next new file: a larger one of the same inode need not have
/// grown from the old one.
#[test]
fn no_silent_no_a_new_file_with_an_old_inode_is_never_taken_for_growth() {
    use std::os::unix::fs::MetadataExt;
    let (_daemon, mut asker, file) = begin("0-0\n", "");
    let mut same = 0;
    for round in 1..40 {
        let before = std::fs::metadata(&file).unwrap().ino();
        std::fs::remove_file(&file).unwrap();
        let content: String = (0..=round).map(|line| format!("{round}-{line}\n")).collect();
        std::fs::write(&file, content).unwrap();
        same += usize::from(std::fs::metadata(&file).unwrap().ino() == before);
        let queries = [format!("{round}-0"), format!("{round}-{round}"), format!("{}-0", round - 1)];
        assert_eq!(
            asker.ask_all(&queries),
            [Answer::Yes, Answer::Yes, Answer::No],
            "round {round}, {same} inodes again"
        );
    }
    println!("{same} of 39 inodes came again");
}

/// As above, of files that differ at their beginning alone, and come within one tick of a coarse clock.
#[test]
fn no_silent_no_a_new_file_that_ends_like_the_old_one_is_never_taken_for_growth() {
    let (_daemon, mut asker, file) = begin("first-0000\n", "");
    for round in 1..400 {
        let filler = "the same in all of them\n".repeat(20 + round % 20);
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, format!("first-{round:04}\n{filler}")).unwrap();
        let queries = [format!("first-{round:04}"), format!("first-{:04}", round - 1)];
        assert_eq!(asker.ask_all(&queries), [Answer::Yes, Answer::No], "round {round}");
    }
}

#[rstest]
#[case::beside_growth(true)]
#[case::alone(false)]
fn no_silent_no_a_broken_word_is_told_and_then_the_truth(#[case] grows: bool) {
    let content: String = (0..50_000).map(|line| format!("line-{line:06}\n")).collect();
    let (mut daemon, mut asker, path) = begin(&content, "recheck = \"1s\"");
    let answers = [Answer::Yes, Answer::No];
    assert_eq!(asker.ask_all(&["line-000100", "lime-000100"]), answers);
    let changed = "line-000000\n".len() * 100;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"lime", changed as u64).unwrap();
    if grows {
        appending(&path).write_all(b"grown\n").unwrap();
        assert_eq!(asker.ask("grown"), Answer::Yes);
        let record = daemon.wait_for("event=list-word-broken");
        assert_eq!((field(&record, "list"), field(&record, "severity")), ("words", "error"), "{record}");
    }
    eventually("the truth after a broken word", || {
        asker.ask_all(&["line-000100", "lime-000100"]) == [Answer::No, Answer::Yes]
    });
    assert_eq!(asker.ask_all(&["line-000000", "line-049999"]), [Answer::Yes, Answer::Yes]);
}
