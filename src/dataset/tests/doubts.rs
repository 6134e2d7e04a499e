//! What a reader of the code suspected: reloads, tails, links, words that are said once.

use super::*;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

fn until(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(seconds), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn appends(path: &Path) -> Dataset {
    Dataset { writer: Writer::Appends, recheck: Duration::from_millis(300), ..fresh(&[path], Search::Auto) }
}

#[test]
fn a_word_broken_is_told_by_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "old\nlines\n").unwrap();
    let (common, told) = common();
    let first = open(&[appends(&path)], &common, None).unwrap().lists;
    std::fs::write(&path, "old\nLINES\nand new\n").unwrap();
    let second = open(&[appends(&path)], &common, Some(&first)).unwrap().lists;
    assert!(has(&second, b"LINES"));
    assert!(told.names().contains(&"list-word-broken"), "{:?}", told.names());
}

#[test]
fn reloads_do_not_put_off_the_recheck() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "old\nlines\n").unwrap();
    let (common, told) = common();
    let first = open(&[appends(&path)], &common, None).unwrap().lists;
    std::fs::write(&path, "old\nLINES\nand new\n").unwrap();
    assert!(has(&first, b"and new"));
    let _second = open(&[appends(&path)], &common, Some(&first)).unwrap().lists;
    drop(first);
    until("it is found", 3, || told.names().contains(&"list-word-broken"));
}

#[test]
fn a_list_that_is_to_be_scanned_keeps_no_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "old\nlines\n").unwrap();
    let (common, _) = common();
    let first = open(&[fresh(&[&path], Search::Auto)], &common, None).unwrap().lists;
    let second = open(&[fresh(&[&path], Search::Scan)], &common, Some(&first)).unwrap().lists;
    drop(first);
    assert!(has(&second, b"old"));
    assert_eq!(second.summary()[0].search, "scan");
    assert_eq!(second.summary()[0].memory, 0);
}

#[test]
fn an_old_scanned_list_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "old\nlines\n").unwrap();
    let hour = std::time::SystemTime::now() - Duration::from_secs(3600);
    File::open(&path).unwrap().set_modified(hour).unwrap();
    let (common, told) = common();
    let mut dataset = fresh(&[&path], Search::Scan);
    dataset.guards.max_age = Some(Duration::from_secs(60));
    let lists = open(&[dataset], &common, None).unwrap().lists;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        assert_eq!(ask(&lists, b"old"), Answer::Error(Reason::ListUnavailable));
    }
    let refused = told.names().iter().filter(|name| **name == "list-refused").count();
    assert!(refused <= 1, "{:?}", told.names());
}

#[test]
fn a_link_to_a_known_file_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("z"), "one\ntwo\n").unwrap();
    let lists = open_all(&[appends(folder.path())]);
    std::os::unix::fs::symlink("z", folder.path().join("current")).unwrap();
    append(&folder.path().join("z"), "three\n");
    assert!(has(&lists, b"three"));
    assert_eq!(lists.summary()[0].lines, 3);
}

#[test]
fn doubles_in_the_tail_take_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "one\n").unwrap();
    let (common, _) = common();
    let lists = open(&[Dataset { recheck: Duration::from_secs(300), ..appends(&path) }], &common, None).unwrap().lists;
    let before = common.memory.held();
    append(&path, &"same\n".repeat(10_000));
    assert!(has(&lists, b"same"));
    assert!(common.memory.held() - before < 10_000, "{}", common.memory.held() - before);
}

#[test]
fn no_room_for_the_tail_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "one\n").unwrap();
    let (common, told) = common_with(Arc::new(Kernel), 8192);
    let lists = open(&[Dataset { recheck: Duration::from_secs(300), ..appends(&path) }], &common, None).unwrap().lists;
    append(&path, &(0..100_000).map(|line| format!("{line}\n")).collect::<String>());
    // The builder has to wait: as long as a large list takes.
    let turn = common.memory.build();
    for _ in 0..20 {
        assert!(has(&lists, b"99999"));
    }
    drop(turn);
    until("scan", 5, || lists.summary()[0].search == "scan");
    assert!(told.names().len() <= 4, "{:?}", told.names());
}

#[test]
fn a_pattern_matches_names_that_are_no_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "one\n").unwrap();
    std::fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff.txt")), "two\n").unwrap();
    let whole = open_all(&[list(&[folder.path()])]);
    assert!(has(&whole, b"two"));
    let lists = open_all(&[list(&[&folder.path().join("*.txt")])]);
    assert_ne!(ask(&lists, b"two"), Answer::NotFound);
}

/// Looks at one name wait while it is shut.
struct Door(AtomicBool, &'static str);

impl World for Door {
    fn stat(&self, path: &Path) -> io::Result<Stamp> {
        while self.0.load(Relaxed) && path.ends_with(self.1) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Kernel.stat(path)
    }

    fn fstat(&self, file: &File) -> io::Result<Stamp> {
        Kernel.fstat(file)
    }

    fn now(&self) -> Moment {
        Kernel.now()
    }
}

#[test]
fn no_silent_no_a_reload_takes_back_nothing_that_came_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one", "two"].map(|name| folder.path().join(name));
    paths.iter().for_each(|path| std::fs::write(path, "a\n").unwrap());
    let datasets = [
        Dataset { freshness: Freshness::OnChange, ..list(&[&paths[0]]) },
        Dataset { name: "two".into(), ..list(&[&paths[1]]) },
    ];
    let door = Arc::new(Door(AtomicBool::new(false), "two"));
    let (common, _) = common_with(Arc::clone(&door) as Arc<dyn World>, 1 << 20);
    let first = open(&datasets, &common, None).unwrap().lists;
    door.0.store(true, Relaxed);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| open(&datasets, &common, Some(&first)).unwrap().lists);
        std::thread::sleep(Duration::from_millis(100));
        std::fs::write(&paths[0], "b\n").unwrap();
        until("b is noticed", 10, || ask_all(&first, &[b"b"])[0] == Answer::Exists);
        door.0.store(false, Relaxed);
        let second = second.join().unwrap();
        assert_eq!(ask_all(&second, &[b"b"])[0], Answer::Exists);
    });
}

#[test]
fn who_is_found_waits_for_no_other_list() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["one", "two"].map(|name| folder.path().join(name));
    paths.iter().for_each(|path| std::fs::write(path, "a\n").unwrap());
    let (common, _) = common();
    let datasets = [list(&[&paths[0]]), Dataset { name: "two".into(), ..fresh(&[&paths[1]], Search::Scan) }];
    let lists = open(&datasets, &common, None).unwrap().lists;
    assert!(has(&lists, b"a"));
    assert_eq!(common.metrics.list_scans.value(), 0);
}

struct Blind(AtomicBool);

impl World for Blind {
    fn stat(&self, path: &Path) -> io::Result<Stamp> {
        Kernel.stat(path)
    }

    fn fstat(&self, file: &File) -> io::Result<Stamp> {
        if self.0.load(Relaxed) { Err(io::Error::other("blind")) } else { Kernel.fstat(file) }
    }

    fn now(&self) -> Moment {
        Kernel.now()
    }
}

#[test]
fn no_silent_no_on_query_takes_over_no_unproven_generation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    std::fs::write(&path, "a\n").unwrap();
    let world = Arc::new(Blind(AtomicBool::new(false)));
    let (common, _) = common_with(Arc::clone(&world) as Arc<dyn World>, 1 << 20);
    let first = open(&[Dataset { freshness: Freshness::OnChange, ..list(&[&path]) }], &common, None).unwrap().lists;
    world.0.store(true, Relaxed);
    assert!(open(&[fresh(&[&path], Search::Auto)], &common, Some(&first)).is_err());
}

struct Gathered(Vec<Vec<u8>>, usize);

impl crate::dataset::reading::Visitor for Gathered {
    type Stop = std::convert::Infallible;
    fn piece(&mut self, _: &crate::dataset::reading::Block, piece: &[u8], ended: bool) -> Result<(), Self::Stop> {
        assert_eq!(ended, piece.ends_with(b"\n"));
        self.0.extend(piece.strip_suffix(b"\n").unwrap_or(piece).split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
        Ok(())
    }
    fn too_long(&mut self, _: &crate::dataset::reading::Block) {
        self.1 += 1;
    }
}

#[test]
fn exact_long_lines_across_blocks() {
    use crate::dataset::reading::{Block, read_block};
    let mut seed = 0x1234_5678_9abc_def1u64;
    let mut next = |bound: u64| {
        seed ^= seed >> 12;
        seed ^= seed << 25;
        seed ^= seed >> 27;
        (seed.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    };
    for _ in 0..8 {
        let mut content = Vec::new();
        while content.len() < 4 << 20 {
            let length = match next(8) {
                0 => (1 << 20) - 3 + next(6),
                1 => (256 << 10) - 3 + next(6),
                2 => next(3 << 20),
                3 => next(300 << 10),
                _ => next(100),
            };
            content
                .extend(std::iter::repeat_n(b'a' + u8::try_from(next(26)).unwrap(), usize::try_from(length).unwrap()));
            if next(20) > 0 {
                content.push(b'\n');
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &content).unwrap();
        let end = content.len() as u64;
        let newlines: Vec<u64> = memchr::memchr_iter(b'\n', &content).map(|at| at as u64).collect();
        let mut borders: Vec<u64> = (0..next(8))
            .map(|_| {
                if newlines.is_empty() || next(3) == 0 {
                    next(end)
                } else {
                    (newlines[usize::try_from(next(newlines.len() as u64)).unwrap()] + next(3)).min(end)
                }
            })
            .chain([0, end])
            .collect();
        borders.sort_unstable();
        let mut gathered = Gathered(Vec::new(), 0);
        for pair in borders.windows(2) {
            read_block(
                file.as_file(),
                &Block { file: 0, from: pair[0], to: pair[1] },
                end,
                &mut Vec::new(),
                &mut gathered,
            )
            .unwrap();
        }
        // Where a line of a little more than the limit is whole in what was read, it is kept: no harm.
        let all = lines(&content, LineEnding::Lf);
        let surely: Vec<_> = all.iter().filter(|line| line.len() <= 1 << 20).cloned().collect();
        let got: Vec<_> = gathered.0.iter().filter(|line| line.len() <= 1 << 20).cloned().collect();
        assert!(surely == got, "{} {}", surely.len(), got.len());
        assert_eq!(gathered.0.len() + gathered.1, all.len());
    }
}
