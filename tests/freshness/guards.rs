//! The guards of a list, for each freshness: what may not go into service, what is answered meanwhile, and that it is
//! good again once it is mended.

use super::asker::{Answer, Asker, STALE, UNAVAILABLE, list, named_list, start};
use super::eventually;
use super::support::daemon::{Folder, field};
use rstest::rstest;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Ten lines, 36 bytes.
const GOOD: &str = "old\nb01\nb02\nb03\nb04\nb05\nb06\nb07\nb08\n9\n";
const MENDED: &str = "new\nb01\nb02\nb03\nb04\nb05\nb06\nb07\nb08\n9\n";

/// What is done to the list's file.
enum Breakage {
    Content(&'static str),
    Older(Duration),
    Vanish,
    Folder,
    Dangle,
}

/// Puts a file in the list's place in one step.
fn put(folder: &Path, content: &str, age: Duration) {
    let (next, file) = (folder.join("next"), folder.join("words.txt"));
    fs::write(&next, content).unwrap();
    let times = FileTimes::new().set_modified(SystemTime::now() - age);
    File::open(&next).unwrap().set_times(times).unwrap();
    if file.is_dir() {
        fs::remove_dir(&file).unwrap();
    }
    fs::rename(next, file).unwrap();
}

impl Breakage {
    fn happen(&self, folder: &Path) {
        let file = folder.join("words.txt");
        match self {
            Breakage::Content(content) => put(folder, content, Duration::ZERO),
            Breakage::Older(age) => put(folder, MENDED, *age),
            Breakage::Vanish => fs::remove_file(file).unwrap(),
            Breakage::Folder => {
                fs::remove_file(&file).unwrap();
                fs::create_dir(&file).unwrap();
            }
            Breakage::Dangle => {
                symlink("nowhere", folder.join("link")).unwrap();
                fs::rename(folder.join("link"), file).unwrap();
            }
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[rstest]
#[case::truncated("", Breakage::Content(""))]
#[case::min_lines("min-lines = 10", Breakage::Content("new\nb01\nb02\nb03\nb04\nb05\nb06\nb07\nb08\n"))]
#[case::max_lines("max-lines = 10", Breakage::Content("new\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n"))]
#[case::max_bytes("max-bytes = 40", Breakage::Content("new and much longer than all of the old ones together\n"))]
#[case::max_shrink_percent("max-shrink-percent = 50", Breakage::Content("new\nb01\nb02\nb03\n"))]
#[case::max_age("max-age = \"1h\"", Breakage::Older(HOUR * 2))]
#[case::vanished("", Breakage::Vanish)]
#[case::a_folder_in_its_place("", Breakage::Folder)]
#[case::a_link_to_nothing("", Breakage::Dangle)]
fn no_silent_no_a_list_that_breaks_a_guard_does_not_go_into_service(
    #[case] guard: &str,
    #[case] breakage: Breakage,
    #[values("on-change", "on-reload", "on-query")] freshness: &str,
) {
    let folder = Folder::new();
    put(folder.path(), GOOD, Duration::ZERO);
    folder.write("other.txt", "other\n");
    let other = named_list("other", "other.txt", &format!("freshness = \"{freshness}\""));
    let words = list("words.txt", &format!("freshness = \"{freshness}\"\n{guard}"));
    let (mut daemon, mut asker) = start(folder, &format!("{words}{other}"));
    let all = ["old", "new", "other"];
    assert_eq!(asker.ask_all(&all), [Answer::Yes, Answer::No, Answer::Yes]);
    breakage.happen(daemon.folder.path());
    if freshness == "on-query" {
        for _ in 0..3 {
            let doubt = Answer::error(UNAVAILABLE);
            assert_eq!(asker.ask_all(&all), [doubt.clone(), doubt, Answer::Yes]);
        }
    } else {
        if freshness == "on-reload" {
            daemon.ctl(&["reload"]);
        }
        let record = daemon.wait_for("event=list-refused");
        assert_eq!((field(&record, "list"), field(&record, "severity")), ("words", "error"), "{record}");
        assert!(!field(&record, "fault").is_empty(), "{record}");
        assert!(daemon.counter("list_failures_total") >= 1);
        assert_eq!(asker.ask_all(&all), [Answer::Yes, Answer::No, Answer::Yes], "the last good one stays");
    }
    daemon.forget();
    put(daemon.folder.path(), MENDED, Duration::ZERO);
    match freshness {
        "on-query" => {}
        "on-reload" => assert!(daemon.ctl(&["reload"]).status.success()),
        _ => drop(daemon.wait_for("event=list-loaded list=words")),
    }
    assert_eq!(asker.ask_all(&all), [Answer::No, Answer::Yes, Answer::Yes], "good again");
}

/// Within its bounds nothing is refused.
#[rstest]
#[case("min-lines = 10\nmax-lines = 10\nmax-bytes = 40\nmax-age = \"1h\"", MENDED)]
#[case("max-shrink-percent = 50", "new\nb01\nb02\nb03\nb04\n")]
#[case("min-lines = 0", "new\n")]
fn exact_what_keeps_to_its_guards_goes_into_service(
    #[case] guards: &str,
    #[case] content: &str,
    #[values("on-change", "on-query")] freshness: &str,
) {
    let folder = Folder::new();
    put(folder.path(), GOOD, Duration::ZERO);
    let (daemon, mut asker) = start(folder, &list("words.txt", &format!("freshness = \"{freshness}\"\n{guards}")));
    assert_eq!(asker.ask_all(&["old", "new"]), [Answer::Yes, Answer::No]);
    put(daemon.folder.path(), content, Duration::ZERO);
    if freshness == "on-change" {
        eventually("the change is noticed", || asker.ask("new") == Answer::Yes);
    }
    assert_eq!(asker.ask_all(&["old", "new"]), [Answer::No, Answer::Yes]);
    assert_eq!(daemon.counter("list_failures_total"), 0);
}

/// Two lists and two listeners, each of which asks one of them.
const STRICT_AND_LENIENT: &str = r#"
[[listener]]
name = "lenient"
address = "127.0.0.1:0"
transport = "plain"
client = "lenient"
allow = ["127.0.0.1"]
[[client]]
name = "tester"
datasets = ["words"]
[[client]]
name = "lenient"
datasets = ["served"]
"#;

/// Nobody touches the file: it grows too old while it is in service.
#[rstest]
fn no_silent_no_a_list_that_grows_too_old_is_stale(#[values("on-change", "on-reload")] freshness: &str) {
    let folder = Folder::new();
    put(folder.path(), GOOD, HOUR - Duration::from_secs(5));
    let keys = format!("freshness = \"{freshness}\"\nmax-age = \"1h\"");
    let strict = list("words.txt", &keys);
    let lenient = named_list("served", "words.txt", &format!("{keys}\nstale = \"serve\""));
    let (mut daemon, mut asker) = start(folder, &format!("{STRICT_AND_LENIENT}{strict}{lenient}"));
    let mut served = Asker::new(daemon.address("lenient"));
    eventually("the list is stale", || {
        let answer = asker.ask("old");
        assert!(answer == Answer::Yes || answer == Answer::error(STALE), "{answer:?}");
        answer != Answer::Yes
    });
    assert_eq!(asker.ask("new"), Answer::error(STALE));
    assert_eq!(served.ask_all(&["old", "new"]), [Answer::Yes, Answer::No]);
    put(daemon.folder.path(), MENDED, Duration::ZERO);
    if freshness == "on-reload" {
        assert!(daemon.ctl(&["reload"]).status.success());
    }
    eventually("the list is fresh again", || asker.ask("new") == Answer::Yes);
    assert_eq!(asker.ask("old"), Answer::No);
}

/// As above with nobody to refuse a new generation: the age is looked at when a question comes.
#[test]
fn no_silent_no_on_query_age_counts_at_the_question() {
    let folder = Folder::new();
    put(folder.path(), GOOD, HOUR - Duration::from_secs(5));
    let (daemon, mut asker) = start(folder, &list("words.txt", "freshness = \"on-query\"\nmax-age = \"1h\""));
    eventually("the list is too old", || match asker.ask("old") {
        Answer::Yes => false,
        Answer::Error(reason) => [STALE, UNAVAILABLE].contains(&reason.as_str()),
        Answer::No => panic!("a silent no"),
    });
    assert_ne!(asker.ask("new"), Answer::No);
    put(daemon.folder.path(), MENDED, Duration::ZERO);
    assert_eq!(asker.ask_all(&["old", "new"]), [Answer::No, Answer::Yes]);
}
