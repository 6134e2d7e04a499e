//! Files, folders and patterns: what is read of them.

use super::*;
use crate::dataset::counting::{Counting, Counts};
use crate::dataset::reading::{self, Block, Visitor};
use crate::dataset::scan;
use proptest::prelude::*;
use rstest::rstest;
use std::collections::HashSet;
use std::convert::Infallible;
use std::fs::File;

fn content() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(b'\n'), 3 => Just(b'\r'), 4 => b'a'..b'd', 1 => any::<u8>()];
    proptest::collection::vec(byte, 0..300)
}

/// Gathers every line of its block.
#[derive(Default)]
struct Gathered(Vec<Vec<u8>>);

impl Visitor for Gathered {
    type Stop = Infallible;

    fn piece(&mut self, _: &Block, piece: &[u8], ended: bool) -> Result<(), Infallible> {
        assert_eq!(ended, piece.ends_with(b"\n"));
        self.0.extend(piece.strip_suffix(b"\n").unwrap_or(piece).split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
        Ok(())
    }

    fn too_long(&mut self, _: &Block) {}
}

proptest! {
    /// However a file is cut into blocks, each line is read in one of them, once and whole.
    #[test]
    fn exact_blocks_hold_every_line_once(content in content(), cuts in proptest::collection::vec(0u64..300, 0..20)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &content).unwrap();
        let end = content.len() as u64;
        let mut borders: Vec<u64> = cuts.into_iter().map(|cut| cut.min(end)).chain([0, end]).collect();
        borders.sort_unstable();
        let mut gathered = Gathered::default();
        for pair in borders.windows(2) {
            let block = Block { file: 0, from: pair[0], to: pair[1] };
            reading::read_block(file.as_file(), &block, end, &mut Vec::new(), &mut gathered).unwrap();
        }
        prop_assert_eq!(gathered.0, lines(&content, LineEnding::Lf));
    }

    /// Arbitrary bytes, both line endings, indexed and scanned: every line is found, and nothing else that looks like one.
    #[test]
    fn exact_equals_a_linear_scan(content in content(), queries in proptest::collection::vec(content(), 0..20), auto: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        std::fs::write(&path, &content).unwrap();
        let (dataset, ending) =
            if auto { (list(&[&path]), LineEnding::Auto) } else { (lf(&[&path]), LineEnding::Lf) };
        let truth = lines(&content, ending);
        let near: Vec<Vec<u8>> = truth.iter().map(|line| [&line[..], b"\r"].concat()).collect();
        let cut: Vec<Vec<u8>> = truth.iter().filter_map(|line| Some(line.split_last()?.1.to_vec())).collect();
        let asked: Vec<&[u8]> = queries.iter().chain(&truth).chain(&near).chain(&cut).map(Vec::as_slice).collect();
        let lists = open_all(std::slice::from_ref(&dataset));
        let answers = ask_all(&lists, &asked);
        let mut room = Vec::new();
        for (query, answer) in asked.iter().zip(answers) {
            let stripped = ending.strip(query);
            let found = !stripped.is_empty() && truth.iter().any(|line| line == stripped);
            prop_assert_eq!(answer == Answer::Exists, found, "{:?}", query);
            // The same question to the scan: alone (searched as bytes), and counted (line by line).
            if let Ok(line) = dataset.normalisation.apply(query, &mut room) {
                let files = [(File::open(&path).unwrap(), content.len() as u64)];
                for counted in [false, true] {
                    let scanned = scan::scan(&files, &dataset, &[line], counted).unwrap();
                    prop_assert_eq!(scanned.found, vec![found], "{:?} counted {}", query, counted);
                    if counted {
                        let lines = truth.iter().filter(|line| !line.is_empty()).count();
                        prop_assert_eq!(scanned.counts.lines, lines as u64);
                    }
                }
            }
        }
    }

    /// The sum of a file's fingerprints does not depend on how it was cut, and tells texts of other lines.
    #[test]
    fn sums_tell_texts_apart(one in content(), other in content()) {
        let sum = |content: &[u8]| {
            let mut counts = Counts::default();
            for line in content.split_inclusive(|byte| *byte == b'\n') {
                counts.add(&Counting::new(Normalisation::default(), &fingerprinter()).take(line).1);
            }
            assert_eq!(counts, Counting::new(Normalisation::default(), &fingerprinter()).take(content).1);
            counts.sum
        };
        let mut sets = [lines(&one, LineEnding::Auto), lines(&other, LineEnding::Auto)];
        sets.iter_mut().for_each(|set| { set.retain(|line| !line.is_empty()); set.sort() });
        prop_assert_eq!(sum(&one) == sum(&other), sets[0] == sets[1]);
    }
}

/// Longer than a read, longer than a block, and too long.
#[rstest]
#[case(300 << 10, true)]
#[case(1 << 20, true)]
#[case((1 << 20) + (300 << 10), false)]
#[case(10 << 20, false)]
fn bounded_long_lines_take_no_memory_and_harm_no_neighbour(#[case] length: usize, #[case] kept: bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long");
    let long = vec![b'x'; length];
    std::fs::write(&path, [&b"before\n"[..], &long, b"\nafter\n", &long].concat()).unwrap();
    let lists = open_all(&[list(&[&path])]);
    let summary = &lists.summary()[0];
    assert_eq!((summary.lines, summary.skipped_long), if kept { (4, 0) } else { (2, 2) });
    assert_eq!(summary.longest, if kept { length as u64 } else { 6 });
    assert!(has(&lists, b"before") && has(&lists, b"after"));
    assert_eq!(has(&lists, &long), kept);
    assert!(!has(&lists, &long[1..]));
    assert!(lists.memory() < 1024, "memory does not depend on the length of lines");
}

#[test]
fn a_folder_is_its_plain_files_and_a_glob_what_it_matches() {
    let folder = tempfile::tempdir().unwrap();
    for (name, line) in [("a.txt", "a"), ("b.txt", "b"), ("c.csv", "c"), (".hidden", "hidden")] {
        std::fs::write(folder.path().join(name), line).unwrap();
    }
    std::fs::create_dir(folder.path().join("inside")).unwrap();
    std::fs::write(folder.path().join("inside/d.txt"), "d").unwrap();
    let whole = open_all(&[list(&[folder.path()])]);
    let found = ["a", "b", "c", "d", "hidden"].map(|line| has(&whole, line.as_bytes()));
    assert_eq!(found, [true, true, true, false, false]);
    assert_eq!(whole.summary()[0].files, 3);
    let all = open_all(&[list(&[&folder.path().join("*")])]);
    assert_eq!(["c", "d", "hidden"].map(|line| has(&all, line.as_bytes())), [true, false, false]);
    let matched = open_all(&[list(&[&folder.path().join("*.txt")])]);
    assert_eq!(["a", "b", "c"].map(|line| has(&matched, line.as_bytes())), [true, true, false]);
    let odd = folder.path().join("odd[1].txt");
    std::fs::write(&odd, "odd").unwrap();
    assert!(has(&open_all(&[list(&[&odd])]), b"odd"), "a file of just that name is no pattern");
}

#[test]
fn a_file_named_twice_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    std::fs::write(&path, "a\nb\n").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let lists = open_all(&[list(&[&path, &link])]);
    assert_eq!((lists.lines(), lists.summary()[0].files), (2, 1));
}

#[rstest]
#[case::missing("missing", "No such file")]
#[case::empty_folder("empty", "no plain file")]
#[case::empty_glob("*.none", "matches no file")]
#[case::bad_glob("[", "no pattern")]
#[case::link_to_nothing_in_a_folder("linked", "lost: No such file")]
#[case::link_to_nothing_in_a_glob("linked/*", "lost: No such file")]
#[case::below_a_file("good/list", "Not a directory")]
#[case::pipe("pipe", "no plain file")]
#[case::longer_than_it_says("/proc/mounts", "more bytes than the 0 it says")]
fn no_silent_no_a_path_that_stands_for_nothing_is_a_fault(#[case] name: &str, #[case] why: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::fs::create_dir(folder.path().join("linked")).unwrap();
    std::fs::write(folder.path().join("linked/there"), "a\n").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("linked/lost")).unwrap();
    let good = folder.path().join("good");
    std::fs::write(&good, "a\n").unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
    assert!(made.success());
    let dataset = list(&[&good, &folder.path().join(name)]);
    let opened = open(std::slice::from_ref(&dataset), &common().0, None).unwrap();
    for faults in [opened.faults, check(std::slice::from_ref(&dataset))] {
        assert_eq!(faults.len(), 1);
        let words = faults[0].to_string();
        assert!(words.contains(why) && words.starts_with("list list: ") && words.contains(name), "{words}");
    }
    assert_eq!(ask(&opened.lists, b"a"), Answer::Error(Reason::ListUnavailable));
    assert_eq!(ask(&opened.lists, b"b"), Answer::Error(Reason::ListUnavailable));
}

#[test]
fn bounded_a_list_has_so_many_files_at_most() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..=crate::config::MAX_FILES {
        std::fs::write(folder.path().join(number.to_string()), "a\n").unwrap();
    }
    let fault = open(&[list(&[folder.path()])], &common().0, None).unwrap().faults;
    assert!(fault[0].to_string().contains("4097 files; a list has at most 4096"), "{}", fault[0]);
}

/// Real feeds, every line of them, and every line with its last byte changed.
#[test]
fn exact_on_real_lists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let Ok(domains) = std::fs::read(folder.join("popular-domains.txt")) else {
        eprintln!("SKIPPED: the real lists are not on this machine");
        return;
    };
    let paths = ["popular-domains.txt", "threat-ips.txt", "public-dns-resolvers.txt"].map(|name| folder.join(name));
    let lists = open_all(&[list(&[&paths[0], &paths[1], &paths[2]])]);
    let truth: HashSet<Vec<u8>> =
        paths.iter().flat_map(|path| lines(&std::fs::read(path).unwrap(), LineEnding::Auto)).collect();
    let truth_of = |line: &[u8]| !line.is_empty() && truth.contains(line);
    for line in lines(&domains, LineEnding::Auto).iter().chain(&truth) {
        let mut near = line.clone();
        if let Some(last) = near.last_mut() {
            *last ^= 1;
        }
        let answers = ask_all(&lists, &[line, &near]).into_iter().map(|answer| answer == Answer::Exists);
        assert_eq!(answers.collect::<Vec<_>>(), [truth_of(line), truth_of(&near)]);
    }
}
