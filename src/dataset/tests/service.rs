//! Lists in service: which answer, which stay, what is told.

use super::*;
use rstest::rstest;
use std::fs::File;
use std::io;
use std::sync::Condvar;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Instant;

/// Waits for what is true soon; a minute is reached only by a defect.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Each list by its own normalisation, in one question.
#[rstest]
#[case("both", true)]
#[case("both\r", true)]
#[case("unix\r", true)]
#[case("unix", false)]
#[case("dos", true)]
#[case("dos\r", true)]
#[case("dos\r\r", false)]
#[case("absent\r", false)]
#[case("LOUD", true)]
#[case("# remark", false)]
fn exact_over_lists_of_different_normalisations(#[case] query: &str, #[case] found: bool) {
    use crate::normalise::{Case, Mark};
    let folder = tempfile::tempdir().unwrap();
    let paths = ["unix", "dos", "quiet"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], "both\nunix\r\n").unwrap();
    std::fs::write(&paths[1], "both\r\ndos\r\n").unwrap();
    std::fs::write(&paths[2], "# remark\nloud\n").unwrap();
    let mut quiet = list(&[&paths[2]]);
    quiet.normalisation.case = Case::IgnoreAscii;
    quiet.normalisation.comment = Mark::new(b"#");
    let lists = open_all(&[list(&[&paths[1]]), lf(&[&paths[0]]), quiet]);
    let neighbours: [&[u8]; 4] = [query.as_bytes(), b"both", b"absent", b"dos\r"];
    let answers: Vec<bool> = ask_all(&lists, &neighbours).into_iter().map(|answer| answer == Answer::Exists).collect();
    assert_eq!(answers, [found, true, false, true]);
}

#[test]
fn a_client_is_answered_from_its_own_lists_only() {
    let folder = tempfile::tempdir().unwrap();
    let datasets = ["one", "two"].map(|name| {
        let path = folder.path().join(name);
        std::fs::write(&path, name).unwrap();
        Dataset { name: name.into(), ..list(&[&path]) }
    });
    let lists = open_all(&datasets);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ask = |names: Option<&[Arc<str>]>| {
        let mut answers = [Answer::NotFound; 2];
        let selection = lists.select(names);
        runtime.block_on(lists.answer_batch(&selection, &[b"one", b"two"], &mut answers, &mut Scratch::default()));
        answers.map(|answer| answer == Answer::Exists)
    };
    assert_eq!(ask(None), [true, true]);
    assert_eq!(ask(Some(&["two".into()])), [false, true]);
    assert_eq!(ask(Some(&[])), [false, false]);
    assert!(lists.select(Some(&[])).is_empty());
}

/// One bad list does not take the others away, and is never a no.
#[test]
fn no_silent_no_over_several_lists_with_one_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let (good, lost) = (folder.path().join("good"), folder.path().join("lost"));
    std::fs::write(&good, "a\n").unwrap();
    let (good, lost) = (list(&[&good]), Dataset { name: "lost".into(), ..list(&[&lost]) });
    let (common, told) = common();
    let opened = open(&[lost.clone(), good.clone()], &common, None).unwrap();
    assert_eq!(told.names(), ["list-refused", "list-loaded"]);
    assert_eq!(ask_all(&opened.lists, &[b"a", b"b"]), [Answer::Exists, Answer::Error(Reason::ListUnavailable)],);
    assert_eq!(opened.lists.summary()[0].state, "unavailable");
    let required = open(&[Dataset { required: true, ..lost }, good], &common, None).err().unwrap();
    assert!(required[0].to_string().contains("lost: "), "{required:?}");
}

#[test]
fn bounded_the_ceiling_holds_over_all_lists_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    std::fs::write(&path, (0..1000).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let dataset = list(&[&path]);
    let one = open_all(std::slice::from_ref(&dataset)).memory();
    let two = |ceiling| {
        let (common, _) = common_with(Arc::new(Kernel), ceiling);
        let both = [dataset.clone(), Dataset { name: "other".into(), ..dataset.clone() }];
        open(&both, &common, None).unwrap().faults
    };
    assert!(two(one * 2).is_empty());
    let faults = two(one * 2 - 1000);
    assert!(faults[0].to_string().contains("max-index-bytes"), "{}", faults[0]);
}

/// What did not change is not read again, and keeps its generation.
#[test]
fn a_reload_takes_over_what_is_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one", "two"].map(|name| folder.path().join(name));
    paths.iter().for_each(|path| std::fs::write(path, "a\n").unwrap());
    let datasets = [list(&[&paths[0]]), Dataset { name: "two".into(), ..list(&[&paths[1]]) }];
    let (common, told) = common();
    let first = open(&datasets, &common, None).unwrap().lists;
    std::fs::write(&paths[1], "b\n").unwrap();
    let second = open(&datasets, &common, Some(&first)).unwrap().lists;
    assert_eq!(told.names().len(), 3);
    assert_eq!(second.summary().iter().map(|list| list.generation).collect::<Vec<_>>(), [1, 2]);
    assert!(has(&second, b"b") && !has(&first, b"b"), "what is in service is untouched until the swap");
    let held = common.memory.held();
    drop(first);
    assert!(common.memory.held() < held, "its memory comes back");
}

/// A broken feed must not keep anybody from a reload; a list that the reload itself brings must be right.
#[test]
fn all_or_nothing_a_broken_feed_stays_and_a_wrong_path_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed");
    std::fs::write(&path, "a\n").unwrap();
    let (common, _) = common();
    let first = open(&[list(&[&path])], &common, None).unwrap().lists;
    std::fs::remove_file(&path).unwrap();
    let second = open(&[list(&[&path])], &common, Some(&first)).unwrap();
    assert!(second.faults[0].to_string().contains("No such file"), "{:?}", second.faults);
    assert!(has(&second.lists, b"a"));
    assert_eq!(second.lists.summary()[0].generation, 1);
    let moved = folder.path().join("typo");
    assert!(open(&[list(&[&moved])], &common, Some(&second.lists)).is_err());
}

#[test]
fn a_shrunken_or_emptied_list_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed");
    std::fs::write(&path, "a\nb\nc\nd\n").unwrap();
    let mut dataset = list(&[&path]);
    dataset.guards.max_shrink_percent = Some(50);
    let (common, _) = common();
    let lists = open(std::slice::from_ref(&dataset), &common, None).unwrap().lists;
    std::fs::write(&path, "a\n").unwrap();
    let opened = open(&[dataset], &common, Some(&lists)).unwrap();
    assert!(opened.faults[0].to_string().contains("1 lines instead of 4"), "{:?}", opened.faults);
    assert!(has(&opened.lists, b"d"));
}

/// The same files, and a guard that they no longer meet.
#[rstest]
#[case::on_reload(Freshness::OnReload, Answer::Exists)]
#[case::on_change(Freshness::OnChange, Answer::Exists)]
#[case::on_query(Freshness::OnQuery, Answer::Error(Reason::ListUnavailable))]
fn no_silent_no_a_guard_that_became_stricter_is_asked_again(#[case] freshness: Freshness, #[case] answer: Answer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed");
    std::fs::write(&path, "a\n").unwrap();
    let mut dataset = Dataset { freshness, ..list(&[&path]) };
    let (common, told) = common();
    let first = open(std::slice::from_ref(&dataset), &common, None).unwrap().lists;
    dataset.guards.min_lines = 2;
    let second = open(&[dataset], &common, Some(&first)).unwrap();
    assert!(second.faults[0].to_string().contains("min-lines is 2"), "{:?}", second.faults);
    let begun = Instant::now();
    // Longer than its keeper takes to look, and than a refusal lasts.
    while begun.elapsed() < Duration::from_millis(1200) {
        assert_eq!(ask(&second.lists, b"a"), answer);
    }
    assert_eq!(told.names(), ["list-loaded", "list-refused"]);
    std::fs::write(&path, "a\nb\n").unwrap();
    if freshness != Freshness::OnReload {
        until("it is good again", || ask(&second.lists, b"b") == Answer::Exists);
    }
}

#[test]
fn a_list_without_memory_for_an_index_is_scanned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed");
    std::fs::write(&path, (0..1000).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let (common, told) = common_with(Arc::new(Kernel), 4096);
    let opened = open(&[fresh(&[&path], Search::Auto)], &common, None).unwrap();
    assert!(opened.faults.is_empty(), "{:?}", opened.faults);
    assert!(has(&opened.lists, b"999") && !has(&opened.lists, b"1000"));
    let summary = &opened.lists.summary()[0];
    assert_eq!((summary.search.as_str(), summary.memory), ("scan", 0));
    assert!(summary.search_reason.contains("max-index-bytes"), "{}", summary.search_reason);
    assert_eq!(told.names()[0], "list-search");
}

#[test]
fn on_change_is_noticed_and_a_bad_change_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed");
    std::fs::write(&path, "a\n").unwrap();
    let mut dataset = Dataset { freshness: Freshness::OnChange, ..list(&[&path]) };
    dataset.guards.min_lines = 1;
    let (common, told) = common();
    let lists = open(&[dataset], &common, None).unwrap().lists;
    std::fs::write(&path, "b\n").unwrap();
    until("b is noticed", || has(&lists, b"b"));
    std::fs::write(&path, "").unwrap();
    until("the fault is told", || told.names().contains(&"list-refused"));
    assert!(has(&lists, b"b"));
    assert!(lists.summary()[0].fault.as_ref().is_some_and(|fault| fault.contains("min-lines")));
    std::fs::write(&path, "c\n").unwrap();
    until("c is noticed", || has(&lists, b"c"));
    assert_eq!(lists.summary()[0].fault, None);
    until("the last generation is told", || told.names().len() == 4);
    assert_eq!(told.names(), ["list-loaded", "list-loaded", "list-refused", "list-loaded"]);
}

/// Every look finds another state, as beside a writer who never stops.
struct Restless(AtomicI64);

impl World for Restless {
    fn stat(&self, path: &Path) -> io::Result<Stamp> {
        Ok(Kernel.stat(path)?.later(self.0.fetch_add(1, Relaxed)))
    }

    fn fstat(&self, file: &File) -> io::Result<Stamp> {
        Kernel.fstat(file)
    }

    fn now(&self) -> Moment {
        Kernel.now()
    }
}

#[rstest]
#[case::by_index(Search::Index)]
#[case::by_scan(Search::Scan)]
fn no_silent_no_a_file_that_keeps_changing_is_never_half_read(#[case] search: Search) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    std::fs::write(&path, "a\n").unwrap();
    let (common, told) = common_with(Arc::new(Restless(AtomicI64::new(0))), 1 << 20);
    let opened = open(&[fresh(&[&path], search)], &common, None).unwrap();
    assert!(
        opened.faults[0].to_string().contains("changed while it was read, 3 times in a row"),
        "{:?}",
        opened.faults
    );
    assert_eq!(ask(&opened.lists, b"a"), Answer::Error(Reason::ListUnavailable));
    assert_eq!(ask(&opened.lists, b"b"), Answer::Error(Reason::ListUnavailable));
    assert_eq!(common.metrics.list_scans.value(), 6, "two rescans for each who asked");
    assert_eq!(told.names(), ["list-refused"], "told once as long as it stays the same");
}

/// The clock was set back an hour after the files were written.
struct Behind;

impl World for Behind {
    fn stat(&self, path: &Path) -> io::Result<Stamp> {
        Kernel.stat(path)
    }

    fn fstat(&self, file: &File) -> io::Result<Stamp> {
        Kernel.fstat(file)
    }

    fn now(&self) -> Moment {
        let (seconds, nanoseconds) = Kernel.now();
        (seconds - 3600, nanoseconds)
    }
}

#[rstest]
#[case::on_reload(Freshness::OnReload, Answer::NotFound)]
#[case::on_change(Freshness::OnChange, Answer::NotFound)]
#[case::on_query(Freshness::OnQuery, Answer::Error(Reason::ListUnavailable))]
fn no_silent_no_a_clock_that_was_set_back(#[case] freshness: Freshness, #[case] answer: Answer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    std::fs::write(&path, "a\n").unwrap();
    let (common, _) = common_with(Arc::new(Behind), 1 << 20);
    let lists = open(&[Dataset { freshness, ..list(&[&path]) }], &common, None).unwrap().lists;
    assert_eq!(ask(&lists, b"b"), answer);
}

/// Nobody sees anything of the files while it is shut.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicI64,
}

impl World for Gate {
    fn stat(&self, path: &Path) -> io::Result<Stamp> {
        let shut = self.shut.lock().unwrap();
        self.waiting.fetch_add(1, Relaxed);
        drop(self.opened.wait_while(shut, |shut| *shut).unwrap());
        self.waiting.fetch_sub(1, Relaxed);
        Kernel.stat(path)
    }

    fn fstat(&self, file: &File) -> io::Result<Stamp> {
        Kernel.fstat(file)
    }

    fn now(&self) -> Moment {
        Kernel.now()
    }
}

/// A scan that began is joined by nobody: who comes later waits for the next, all of them for one.
#[test]
fn exact_queries_share_a_scan_that_begins_after_all_of_them_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    std::fs::write(&path, "a\n").unwrap();
    let gate = Arc::new(Gate::default());
    let (common, _) = common_with(Arc::clone(&gate) as Arc<dyn World>, 1 << 20);
    let lists = open(&[fresh(&[&path], Search::Scan)], &common, None).unwrap().lists;
    *gate.shut.lock().unwrap() = true;
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let mut asking = vec![scope.spawn(|| ask(&lists, b"b"))];
        until("the first look begins", || gate.waiting.load(Relaxed) == 1);
        asking.extend((0..15).map(|_| scope.spawn(|| ask(&lists, b"b"))));
        until("all have asked", || lists.lists[0].core.desk().asks.len() == 15);
        *gate.shut.lock().unwrap() = false;
        gate.opened.notify_all();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(answers, [Answer::NotFound; 16]);
    assert_eq!(common.metrics.list_scans.value(), 2);
}

/// The writers' word is looked after.
#[test]
fn a_broken_word_is_found_although_the_file_grew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "old\nlines\n").unwrap();
    let recheck = Duration::from_millis(300);
    let dataset = Dataset { writer: Writer::Appends, recheck, ..fresh(&[&path], Search::Auto) };
    let (common, told) = common();
    let lists = open(&[dataset], &common, None).unwrap().lists;
    std::fs::write(&path, "old\nLINES\nand new\n").unwrap();
    assert!(has(&lists, b"and new"));
    until("it is found", || told.names().contains(&"list-word-broken"));
    until("everything is read", || has(&lists, b"LINES"));
    assert!(!has(&lists, b"lines"));
}

#[test]
fn appended_lines_wait_for_their_newline() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "one\ntw").unwrap();
    let dataset = Dataset { writer: Writer::Appends, ..fresh(&[&path], Search::Auto) };
    let lists = open_all(&[dataset]);
    assert!(has(&lists, b"one") && !has(&lists, b"tw"));
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"o\nthr").unwrap();
    assert!(has(&lists, b"two") && !has(&lists, b"tw") && !has(&lists, b"thr"));
    file.write_all(b"ee\n").unwrap();
    assert!(has(&lists, b"three") && !has(&lists, b"ee"));
    assert_eq!(lists.summary()[0].lines, 3);
}
