//! Lists that are not there: what is answered for them and beside them, at start, at reload and while they come and go.

use super::asker::{Answer, LISTENER, UNAVAILABLE, list, named_list, start};
use super::eventually;
use super::support::daemon::{Daemon, Folder};
use rstest::rstest;
use std::fs;

fn unavailable() -> Answer {
    Answer::error(UNAVAILABLE)
}

#[rstest]
fn no_silent_no_a_list_that_is_not_there_at_start_is_in_doubt_and_the_others_answer(
    #[values("on-change", "on-reload", "on-query")] freshness: &str,
    #[values("absent.txt", "absent", "absent/*.txt", "absent/deep/list.txt")] paths: &str,
) {
    let folder = Folder::new();
    folder.write("good.txt", "good\n");
    let keys = format!("freshness = \"{freshness}\"");
    let lists = format!("{}{}", named_list("good", "good.txt", &keys), list(paths, &keys));
    let (daemon, mut asker) = start(folder, &lists);
    // One list is in doubt: what the good one has is there, and of the rest nobody knows.
    assert_eq!(asker.ask_all(&["good", "absent"]), [Answer::Yes, unavailable()]);
    let status = daemon.status();
    let state = |name: &str| {
        let lists = status["lists"].as_array().unwrap();
        lists.iter().find(|list| list["name"] == name).map(|list| list["state"].to_string())
    };
    assert!(state("good").is_some() && state("words").is_some() && state("good") != state("words"), "{status}");
    assert!(freshness == "on-query" || daemon.counter("list_failures_total") >= 1);
    let file = match paths {
        "absent.txt" => "absent.txt",
        "absent/deep/list.txt" => "absent/deep/list.txt",
        _ => "absent/list.txt",
    };
    let file = daemon.folder.path().join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, "absent\n").unwrap();
    match freshness {
        "on-query" => {}
        "on-reload" => {
            assert_eq!(asker.ask("absent"), unavailable(), "nobody asked for a reload");
            assert!(daemon.ctl(&["reload"]).status.success());
        }
        _ => eventually("the list is there", || match asker.ask("absent") {
            Answer::Yes => true,
            answer => {
                assert_eq!(answer, unavailable());
                false
            }
        }),
    }
    assert_eq!(asker.ask_all(&["good", "absent", "neither"]), [Answer::Yes, Answer::Yes, Answer::No]);
}

#[rstest]
fn no_silent_no_a_required_list_that_is_not_there_keeps_the_daemon_from_starting(
    #[values("on-change", "on-reload", "on-query")] freshness: &str,
) {
    let folder = Folder::new();
    folder.write("good.txt", "good\n");
    let required = list("absent.txt", &format!("freshness = \"{freshness}\"\nrequired = true"));
    let daemon = Daemon::spawn(folder, &format!("{LISTENER}{}{required}", named_list("good", "good.txt", "")));
    let (status, words) = daemon.ended();
    assert!(!status.success());
    assert!(words.iter().any(|line| line.starts_with("linekeepd:") && line.contains("absent.txt")), "{words:?}");
}

#[rstest]
fn no_silent_no_over_several_lists_one_in_doubt_takes_only_the_no(#[values("index", "scan")] search: &str) {
    let folder = Folder::new();
    for name in ["one", "two", "three"] {
        folder.write(name, format!("{name}\nall\n"));
    }
    let keys = format!("freshness = \"on-query\"\nsearch = \"{search}\"");
    let lists: String = ["one", "two", "three"].iter().map(|name| named_list(name, name, &keys)).collect();
    let (daemon, mut asker) = start(folder, &lists);
    let all = ["one", "two", "three", "all", "none"];
    let (yes, no) = (Answer::Yes, Answer::No);
    assert_eq!(asker.ask_all(&all), [yes.clone(), yes.clone(), yes.clone(), yes.clone(), no.clone()]);
    fs::remove_file(daemon.folder.path().join("two")).unwrap();
    assert_eq!(asker.ask_all(&all), [yes.clone(), unavailable(), yes.clone(), yes.clone(), unavailable()]);
    fs::remove_file(daemon.folder.path().join("three")).unwrap();
    assert_eq!(asker.ask_all(&all), [yes.clone(), unavailable(), unavailable(), yes.clone(), unavailable()]);
    fs::write(daemon.folder.path().join("one"), "").unwrap();
    assert_eq!(asker.ask_all(&all), vec![unavailable(); 5]);
    for name in ["one", "two", "three"] {
        daemon.folder.write(name, format!("{name}\nall\n"));
    }
    assert_eq!(asker.ask_all(&all), [yes.clone(), yes.clone(), yes.clone(), yes, no]);
}

/// What was good once stays in service at a reload that finds it bad, and the other lists get their new lines.
#[test]
fn no_silent_no_one_bad_list_does_not_hold_up_the_others_at_reload() {
    let folder = Folder::new();
    folder.write("one", "one\n");
    folder.write("two", "two\n");
    let keys = "freshness = \"on-reload\"";
    let lists = format!("{}{}", named_list("one", "one", keys), named_list("two", "two", keys));
    let (mut daemon, mut asker) = start(folder, &lists);
    fs::remove_file(daemon.folder.path().join("one")).unwrap();
    daemon.folder.write("two", "two\nmore\n");
    daemon.ctl(&["reload"]);
    daemon.wait_for("event=list-refused list=one");
    let answers = [Answer::Yes, Answer::Yes, Answer::Yes, Answer::No];
    assert_eq!(asker.ask_all(&["one", "two", "more", "none"]), answers);
}

/// A file that never stands still is answered with the truth or with an error, and nobody is held up for ever. How often
/// with which depends on how often the kernel lets the writer run.
#[rstest]
fn bounded_a_file_that_keeps_changing_is_given_up(#[values("index", "scan")] search: &str) {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    let folder = Folder::new();
    let content = "always\n".repeat(200_000);
    let file = folder.write("words.txt", &content);
    let keys = format!("freshness = \"on-query\"\nsearch = \"{search}\"");
    let (_daemon, mut asker) = start(folder, &list("words.txt", &keys));
    let over = AtomicBool::new(false);
    let (mut yes, mut errors) = (0, 0);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            use std::os::unix::fs::FileExt;
            let open = fs::OpenOptions::new().write(true).open(file).unwrap();
            while !over.load(SeqCst) {
                open.write_all_at(b"a", 0).unwrap();
            }
        });
        for _ in 0..20 {
            for (query, answer) in ["always", "never"].into_iter().zip(asker.ask_all(&["always", "never"])) {
                match (query, &answer) {
                    ("always", Answer::Yes) | ("never", Answer::No) => yes += 1,
                    (_, Answer::Error(reason)) if reason == UNAVAILABLE => errors += 1,
                    _ => panic!("{query}: {answer:?}"),
                }
            }
        }
        over.store(true, SeqCst);
        writing.join().unwrap();
    });
    println!("{search}: {yes} true, {errors} in doubt");
    assert_eq!(asker.ask_all(&["always", "never"]), [Answer::Yes, Answer::No], "it stands still");
}
