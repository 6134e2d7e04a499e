//! `on-change`: every kind of change is noticed by itself, no reload asked; `on-reload`: none is, until one is asked.

use super::asker::{Answer, Asker, list, start};
use super::eventually;
use super::support::daemon::{Daemon, Folder};
use rstest::rstest;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

/// What a list's path is, how its files are laid down, and what is done to them. All begin with `old` and end with `new`.
struct Change {
    paths: &'static str,
    lay: fn(&Path),
    change: fn(&Path),
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A new link in place of an old one, in one step.
fn relink(to: &str, link: &Path) {
    let aside = link.with_file_name("aside");
    symlink(to, &aside).unwrap();
    fs::rename(aside, link).unwrap();
}

const ONE_FILE: fn(&Path) = |at| write(&at.join("words.txt"), "old\n");
const IN_PLACE: Change = Change {
    paths: "words.txt",
    lay: ONE_FILE,
    change: |at| fs::OpenOptions::new().write(true).open(at.join("words.txt")).unwrap().write_all(b"new").unwrap(),
};
const APPENDED: Change = Change {
    paths: "words.txt",
    lay: ONE_FILE,
    change: |at| fs::OpenOptions::new().append(true).open(at.join("words.txt")).unwrap().write_all(b"new\n").unwrap(),
};
const RENAMED_OVER: Change = Change {
    paths: "words.txt",
    lay: ONE_FILE,
    change: |at| {
        write(&at.join("next"), "new\n");
        fs::rename(at.join("next"), at.join("words.txt")).unwrap();
    },
};
const REMOVED_AND_MADE_ANEW: Change = Change {
    paths: "words.txt",
    lay: ONE_FILE,
    change: |at| {
        fs::remove_file(at.join("words.txt")).unwrap();
        write(&at.join("words.txt"), "new\n");
    },
};
const FOLDER_SWAPPED_BY_LINK: Change = Change {
    paths: "current",
    lay: |at| {
        write(&at.join("v1/words.txt"), "old\n");
        symlink("v1", at.join("current")).unwrap();
    },
    change: |at| {
        write(&at.join("v2/words.txt"), "new\n");
        relink("v2", &at.join("current"));
    },
};
/// As Kubernetes mounts a configuration: the file is a link through a link that is swapped.
const LINK_BEHIND_A_LINK: Change = Change {
    paths: "mount/words.txt",
    lay: |at| {
        write(&at.join("mount/..1/words.txt"), "old\n");
        symlink("..1", at.join("mount/..data")).unwrap();
        symlink("..data/words.txt", at.join("mount/words.txt")).unwrap();
    },
    change: |at| {
        write(&at.join("mount/..2/words.txt"), "new\n");
        relink("..2", &at.join("mount/..data"));
    },
};
const PARENT_SWAPPED: Change = Change {
    paths: "top/lists/words.txt",
    lay: |at| write(&at.join("top/lists/words.txt"), "old\n"),
    change: |at| {
        write(&at.join("next/lists/words.txt"), "new\n");
        fs::rename(at.join("top"), at.join("gone")).unwrap();
        fs::rename(at.join("next"), at.join("top")).unwrap();
    },
};
const TARGET_OUTSIDE_CHANGED: Change = Change {
    paths: "folder",
    lay: |at| {
        write(&at.join("outside/words.txt"), "old\n");
        fs::create_dir(at.join("folder")).unwrap();
        symlink("../outside/words.txt", at.join("folder/words.txt")).unwrap();
    },
    change: |at| {
        write(&at.join("outside/next"), "new\n");
        fs::rename(at.join("outside/next"), at.join("outside/words.txt")).unwrap();
    },
};
const NEW_FILE_IN_FOLDER: Change = Change {
    paths: "folder",
    lay: |at| write(&at.join("folder/one.txt"), "old\n"),
    change: |at| write(&at.join("folder/two.txt"), "new\n"),
};
const NEW_FILE_OF_A_GLOB: Change = Change {
    paths: "*/list-*.txt",
    lay: |at| write(&at.join("one/list-1.txt"), "old\n"),
    change: |at| write(&at.join("two/list-2.txt"), "new\n"),
};
const SAME_SIZE_AND_MTIME: Change = Change {
    paths: "words.txt",
    lay: ONE_FILE,
    change: |at| {
        let modified = fs::metadata(at.join("words.txt")).unwrap().modified().unwrap();
        write(&at.join("next"), "new\n");
        let times = fs::FileTimes::new().set_modified(modified);
        fs::File::open(at.join("next")).unwrap().set_times(times).unwrap();
        fs::rename(at.join("next"), at.join("words.txt")).unwrap();
    },
};

fn begin(change: &Change, freshness: &str) -> (Daemon, Asker) {
    let folder = Folder::new();
    (change.lay)(folder.path());
    let (daemon, mut asker) = start(folder, &list(change.paths, freshness));
    assert_eq!(asker.ask_all(&["old", "new"]), [Answer::Yes, Answer::No]);
    (daemon, asker)
}

#[rstest]
#[case::in_place(&IN_PLACE)]
#[case::appended(&APPENDED)]
#[case::renamed_over(&RENAMED_OVER)]
#[case::removed_and_made_anew(&REMOVED_AND_MADE_ANEW)]
#[case::folder_swapped_by_link(&FOLDER_SWAPPED_BY_LINK)]
#[case::link_behind_a_link(&LINK_BEHIND_A_LINK)]
#[case::parent_swapped(&PARENT_SWAPPED)]
#[case::target_outside_changed(&TARGET_OUTSIDE_CHANGED)]
#[case::new_file_in_folder(&NEW_FILE_IN_FOLDER)]
#[case::new_file_of_a_glob(&NEW_FILE_OF_A_GLOB)]
#[case::same_size_and_mtime(&SAME_SIZE_AND_MTIME)]
fn exact_on_change_notices_by_itself(
    #[case] change: &Change,
    #[values("", "freshness = \"on-change\"")] freshness: &str,
) {
    let (daemon, mut asker) = begin(change, freshness);
    let begun = Instant::now();
    (change.change)(daemon.folder.path());
    eventually("the change is noticed", || asker.ask("new") == Answer::Yes);
    println!("noticed after {} ms", begun.elapsed().as_millis());
    assert_eq!(daemon.counter("reloads_total"), 0);
}

/// The record tells what is in service, so who reads it may ask.
#[test]
fn one_decision_one_record_a_generation_is_told_when_it_answers() {
    let (mut daemon, mut asker) = begin(&RENAMED_OVER, "");
    daemon.wait_for("event=list-loaded list=words lines=1 distinct=1 longest=3");
    for round in 2..10 {
        daemon.forget();
        let content: String = (0..round * 1000).map(|line| format!("{round}-{line}\n")).collect();
        write(&daemon.folder.path().join("next"), &content);
        fs::rename(daemon.folder.path().join("next"), daemon.folder.path().join("words.txt")).unwrap();
        let record = daemon.wait_for(&format!("event=list-loaded list=words lines={}", round * 1000));
        assert_eq!(asker.ask(format!("{round}-0")), Answer::Yes, "{record}");
        let status = daemon.status();
        let told = super::support::daemon::field(&record, "generation");
        assert_eq!(status["lists"][0]["generation"].to_string(), told, "{record}");
        assert_eq!(status["lists"][0]["lines"], round * 1000);
    }
}

#[test]
fn exact_on_change_a_file_that_goes_from_a_glob_takes_its_lines_along() {
    let folder = Folder::new();
    write(&folder.path().join("list-1.txt"), "one\n");
    write(&folder.path().join("list-2.txt"), "two\n");
    let (daemon, mut asker) = start(folder, &list("list-*.txt", ""));
    assert_eq!(asker.ask_all(&["one", "two"]), [Answer::Yes, Answer::Yes]);
    fs::remove_file(daemon.folder.path().join("list-2.txt")).unwrap();
    eventually("its line is gone", || asker.ask("two") == Answer::No);
    assert_eq!(asker.ask("one"), Answer::Yes);
}

/// However fast the changes come, the last of them is not the one that is missed.
#[test]
fn exact_on_change_the_last_of_many_changes_counts() {
    let (daemon, mut asker) = begin(&RENAMED_OVER, "");
    let at = daemon.folder.path();
    for round in 0..5 {
        for change in 0..100 {
            write(&at.join("next"), &format!("{round}-{change}\n"));
            fs::rename(at.join("next"), at.join("words.txt")).unwrap();
        }
        eventually("the last change is noticed", || asker.ask(format!("{round}-99")) == Answer::Yes);
        assert_eq!(asker.ask_all(&[format!("{round}-98"), "old".into()]), [Answer::No, Answer::No]);
    }
}

#[test]
fn exact_on_reload_changes_nothing_until_it_is_asked() {
    let (daemon, mut asker) = begin(&RENAMED_OVER, "freshness = \"on-reload\"");
    let (_other, mut watcher) = begin(&RENAMED_OVER, "");
    (RENAMED_OVER.change)(daemon.folder.path());
    // When somebody who watches has noticed a later change, this one would have been noticed too.
    (RENAMED_OVER.change)(_other.folder.path());
    eventually("a later change is noticed elsewhere", || watcher.ask("new") == Answer::Yes);
    assert_eq!(asker.ask_all(&["old", "new"]), [Answer::Yes, Answer::No]);
    assert!(daemon.ctl(&["reload"]).status.success());
    assert_eq!(asker.ask_all(&["old", "new"]), [Answer::No, Answer::Yes]);
}
