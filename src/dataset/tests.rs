//! Lists against the truth: what grep would say of the files.

use super::*;
use crate::config::LineEnding;
use proptest::prelude::*;
use rstest::rstest;
use std::io::Cursor;

fn fingerprinter() -> Fingerprinter {
    Fingerprinter::new([7; 16])
}

fn dataset(paths: &[&Path], line_ending: LineEnding) -> Dataset {
    Dataset { name: "list".into(), paths: paths.iter().map(|path| path.to_path_buf()).collect(), line_ending }
}

fn silent() -> Teller {
    Teller::new(|_| {})
}

fn load_all(datasets: &[Dataset]) -> Result<Lists, Vec<LoadFault>> {
    load(datasets, &fingerprinter(), 1 << 30, &silent())
}

fn has(lists: &Lists, query: &[u8]) -> bool {
    let mut found = [false];
    lists.answer_batch(&lists.select(None), &[query], &mut found, &mut Scratch::default());
    found[0]
}

/// What grep -x would call lines: a scan, written without any of the code under test.
fn lines(content: &[u8], ending: LineEnding) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    if ending == LineEnding::Crlf {
        for line in &mut lines {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
    }
    lines
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(b'\n'), 3 => Just(b'\r'), 4 => b'a'..b'd', 1 => any::<u8>()];
    proptest::collection::vec(byte, 0..300)
}

proptest! {
    /// Arbitrary bytes, arbitrary chunks, both line endings: every line is found, and nothing else that looks like one.
    #[test]
    fn exact_equals_a_linear_scan(content in content(), queries in proptest::collection::vec(content(), 0..20), chunk in 1usize..40, crlf: bool) {
        let ending = if crlf { LineEnding::Crlf } else { LineEnding::Lf };
        let builder = Builder::new(1 << 20);
        let mut part = builder.part();
        let count = read_lines(Cursor::new(&content), &mut vec![0; chunk], ending, &fingerprinter(), &mut part).unwrap();
        let truth = lines(&content, ending);
        prop_assert_eq!(count, Count { lines: truth.len() as u64, bytes: content.len() as u64 });
        let index = builder.build(vec![part], 1);
        let near: Vec<Vec<u8>> = truth.iter().map(|line| [&line[..], b"\r"].concat()).collect();
        let cut: Vec<Vec<u8>> = truth.iter().filter_map(|line| Some(line.split_last()?.1.to_vec())).collect();
        for query in queries.iter().chain(&truth).chain(&near).chain(&cut) {
            prop_assert_eq!(index.contains(fingerprinter().fingerprint(query)), truth.contains(query), "{:?}", query);
        }
    }

    /// The whole way over files, several of them in several lists.
    #[test]
    fn exact_over_files_and_lists(first in content(), second in content(), queries in proptest::collection::vec(content(), 1..10)) {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&one, &first).unwrap();
        std::fs::write(&two, &second).unwrap();
        let mut crlf = dataset(&[&two], LineEnding::Crlf);
        crlf.name = "other".into();
        let lists = load_all(&[dataset(&[&one, &two], LineEnding::Lf), crlf]).unwrap();
        let (plain, stripped) = ([lines(&first, LineEnding::Lf), lines(&second, LineEnding::Lf)].concat(), lines(&second, LineEnding::Crlf));
        for query in queries.iter().chain(&plain).chain(&stripped) {
            let truth = plain.contains(query) || stripped.contains(&LineEnding::Crlf.strip(query).to_vec());
            prop_assert_eq!(has(&lists, query), truth, "{:?}", query);
        }
    }
}

#[test]
fn bounded_a_line_of_ten_megabytes_is_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long");
    let long = vec![b'x'; 10 << 20];
    std::fs::write(&path, [&b"before\n"[..], &long, b"\nafter"].concat()).unwrap();
    let lists = load_all(&[dataset(&[&path], LineEnding::Lf)]).unwrap();
    assert_eq!(lists.lines(), 3);
    assert!(has(&lists, &long) && has(&lists, b"before") && has(&lists, b"after"));
    assert!(!has(&lists, &long[1..]));
    assert!(lists.bytes() < 1024, "memory does not depend on the length of lines");
}

#[test]
fn a_folder_is_its_plain_files_and_a_glob_what_it_matches() {
    let folder = tempfile::tempdir().unwrap();
    for (name, line) in [("a.txt", "a"), ("b.txt", "b"), ("c.csv", "c"), (".hidden", "hidden")] {
        std::fs::write(folder.path().join(name), line).unwrap();
    }
    std::fs::create_dir(folder.path().join("inside")).unwrap();
    std::fs::write(folder.path().join("inside/d.txt"), "d").unwrap();
    let whole = load_all(&[dataset(&[folder.path()], LineEnding::Lf)]).unwrap();
    assert_eq!(
        ["a", "b", "c", "d", "hidden"].map(|line| has(&whole, line.as_bytes())),
        [true, true, true, false, false]
    );
    assert_eq!(whole.summary()[0].files, 3);
    let all = load_all(&[dataset(&[&folder.path().join("*")], LineEnding::Lf)]).unwrap();
    assert_eq!(["c", "d", "hidden"].map(|line| has(&all, line.as_bytes())), [true, false, false]);
    let matched = load_all(&[dataset(&[&folder.path().join("*.txt")], LineEnding::Lf)]).unwrap();
    assert_eq!(["a", "b", "c"].map(|line| has(&matched, line.as_bytes())), [true, true, false]);
    let odd = folder.path().join("odd[1].txt");
    std::fs::write(&odd, "odd").unwrap();
    assert!(
        has(&load_all(&[dataset(&[&odd], LineEnding::Lf)]).unwrap(), b"odd"),
        "a file of just that name is no pattern"
    );
}

#[test]
fn a_file_named_twice_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    std::fs::write(&path, "a\nb\n").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let lists = load_all(&[dataset(&[&path, &link], LineEnding::Lf)]).unwrap();
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
    let datasets = [dataset(&[&good, &folder.path().join(name)], LineEnding::Lf)];
    for faults in [load_all(&datasets).err().unwrap(), check(&datasets)] {
        assert_eq!(faults.len(), 1);
        let words = faults[0].to_string();
        assert!(words.contains(why) && words.starts_with("list list: ") && words.contains(name), "{words}");
    }
}

#[test]
fn all_or_nothing_a_list_counts_as_loaded_when_every_list_is() {
    let folder = tempfile::tempdir().unwrap();
    let (good, missing) = (folder.path().join("good"), folder.path().join("missing"));
    std::fs::write(&good, "a\nb\nb").unwrap();
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let teller = Teller::new({
        let told = Arc::clone(&told);
        move |event| told.lock().unwrap().push(event)
    });
    let (good, missing) = (dataset(&[&good], LineEnding::Lf), dataset(&[&missing], LineEnding::Lf));
    assert!(load(&[good.clone(), missing], &fingerprinter(), 1 << 20, &teller).is_err());
    assert_eq!(told.lock().unwrap().len(), 0);
    load(&[good], &fingerprinter(), 1 << 20, &teller).unwrap();
    let told = told.lock().unwrap();
    let [Event::ListLoaded { files: 1, lines: 3, distinct: 2, bytes: 5, .. }] = told[..] else {
        panic!("{told:?}");
    };
}

#[test]
fn every_fault_of_every_list_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let [one, two] = ["one", "two"]
        .map(|name| dataset(&[&folder.path().join(name), &pipe, &folder.path().join("*.x")], LineEnding::Lf));
    assert_eq!(load_all(&[one.clone(), two.clone()]).err().unwrap().len(), 6);
    assert_eq!(check(&[one, two]).len(), 6);
}

#[test]
fn bounded_the_ceiling_holds_over_all_lists_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    std::fs::write(&path, (0..1000).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let list = dataset(&[&path], LineEnding::Lf);
    let one = load_all(std::slice::from_ref(&list)).unwrap().bytes();
    let two = |ceiling| load(&[list.clone(), list.clone()], &fingerprinter(), ceiling, &silent());
    assert!(two(one * 2).is_ok());
    let faults = two(one * 2 - 1000).err().unwrap();
    assert!(faults[0].to_string().contains("max-index-bytes"), "{}", faults[0]);
}

#[test]
fn a_full_list_is_said_once_and_other_faults_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["1", "2", "3"] {
        std::fs::write(folder.path().join(name), "a\nb\n").unwrap();
    }
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("4")).status().unwrap();
    assert!(made.success());
    let files = ["1", "2", "3", "4"].map(|name| folder.path().join(name));
    let list = dataset(&files.each_ref().map(PathBuf::as_path), LineEnding::Lf);
    let faults = load(&[list], &fingerprinter(), 16 * 3 + 8, &silent()).err().unwrap();
    let paths: Vec<&Path> = faults.iter().map(|fault| fault.path.as_path()).collect();
    assert_eq!(paths, [&files[1], &files[3]], "{faults:?}");
}

/// Each list by its own line ending, in one question: what an LF list found is left alone, what it did not find is asked
/// of the CRLF lists without its CR.
#[rstest]
#[case("both", true)]
#[case("both\r", true)]
#[case("unix\r", true)]
#[case("unix", false)]
#[case("dos", true)]
#[case("dos\r", true)]
#[case("dos\r\r", false)]
#[case("absent\r", false)]
fn exact_over_lists_of_both_line_endings(#[case] query: &str, #[case] found: bool) {
    let folder = tempfile::tempdir().unwrap();
    let (unix, dos) = (folder.path().join("unix"), folder.path().join("dos"));
    std::fs::write(&unix, "both\nunix\r\n").unwrap();
    std::fs::write(&dos, "both\r\ndos\r\n").unwrap();
    let datasets = [dataset(&[&dos], LineEnding::Crlf), dataset(&[&unix], LineEnding::Lf)];
    let lists = load_all(&datasets).unwrap();
    let neighbours = [query.as_bytes(), b"both", b"absent", b"dos\r"];
    let mut answers = [false; 4];
    lists.answer_batch(&lists.select(None), &neighbours, &mut answers, &mut Scratch::default());
    assert_eq!(answers, [found, true, false, true]);
}

/// Reads a chunk, then lets the file change under the reader, as a writer beside it does.
#[test]
fn no_silent_no_a_file_that_keeps_changing_is_never_half_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    std::fs::write(&path, "a\n").unwrap();
    let (list, fingerprinter) = (dataset(&[&path], LineEnding::Lf), fingerprinter());
    let builder = Builder::new(1 << 20);
    let mut reader = Reader {
        dataset: &list,
        fingerprinter: &fingerprinter,
        builder: &builder,
        parts: Vec::new(),
        chunk: vec![0; 16],
        seen: HashSet::new(),
    };
    let (file, before) = open(&path).unwrap();
    std::fs::write(&path, "a\nb\n").unwrap();
    assert!(reader.read_once(&path, &file, before).unwrap().is_none(), "changed in place");
    let (file, before) = open(&path).unwrap();
    std::fs::write(folder.path().join("next"), "c\n").unwrap();
    std::fs::rename(folder.path().join("next"), &path).unwrap();
    assert!(reader.read_once(&path, &file, before).unwrap().is_none(), "replaced by rename");
    assert_eq!(reader.read(&path).unwrap().lines, 1);
    let parts = reader.parts;
    let index = builder.build(parts, 1);
    assert_eq!(index.len(), 1, "nothing of the earlier states is left");
    assert!(index.contains(fingerprinter.fingerprint(b"c")));
}

#[test]
fn a_client_is_answered_from_its_own_lists_only() {
    let folder = tempfile::tempdir().unwrap();
    let datasets: Vec<Dataset> = ["one", "two"]
        .map(|name| {
            let path = folder.path().join(name);
            std::fs::write(&path, name).unwrap();
            Dataset { name: name.into(), ..dataset(&[&path], LineEnding::Lf) }
        })
        .into();
    let lists = load_all(&datasets).unwrap();
    let ask = |names: Option<&[Arc<str>]>| {
        let mut found = [false; 2];
        lists.answer_batch(&lists.select(names), &[b"one", b"two"], &mut found, &mut Scratch::default());
        found
    };
    assert_eq!(ask(None), [true, true]);
    assert_eq!(ask(Some(&["two".into()])), [false, true]);
    assert_eq!(ask(Some(&[])), [false, false]);
    assert!(lists.select(Some(&[])).is_empty());
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
    let lists = load_all(&[dataset(&[&paths[0], &paths[1], &paths[2]], LineEnding::Lf)]).unwrap();
    let truth: HashSet<Vec<u8>> =
        paths.iter().flat_map(|path| lines(&std::fs::read(path).unwrap(), LineEnding::Lf)).collect();
    for line in lines(&domains, LineEnding::Lf).iter().chain(&truth) {
        assert!(has(&lists, line), "{}", String::from_utf8_lossy(line));
        let mut near = line.clone();
        if let Some(last) = near.last_mut() {
            *last ^= 1;
        }
        assert_eq!(has(&lists, &near), truth.contains(&near));
    }
}

/// The inode of a file that was replaced may be given to the next new file of the same list.
#[test]
fn no_silent_no_an_inode_that_comes_back_is_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    std::fs::write(&one, "a\n").unwrap();
    std::fs::hard_link(&one, &two).unwrap();
    let (list, fingerprinter) = (dataset(&[&one, &two], LineEnding::Lf), fingerprinter());
    let builder = Builder::new(1 << 20);
    let mut reader = Reader {
        dataset: &list,
        fingerprinter: &fingerprinter,
        builder: &builder,
        parts: Vec::new(),
        chunk: vec![0; 16],
        seen: HashSet::new(),
    };
    assert_eq!(reader.read(&one).unwrap().lines, 1);
    assert_eq!(reader.read(&two).unwrap().lines, 0, "the same state of the same file");
    std::fs::write(&two, "b\nc\n").unwrap();
    assert_eq!(reader.read(&two).unwrap().lines, 2, "the same inode, and other lines");
}
