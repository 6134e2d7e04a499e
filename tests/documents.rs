//! Holds the documents to the code: the tests they name, the words they list, the files they point to.
//! Reads text alone; whether a named test holds its promise is that test's own matter.
#![allow(clippy::unwrap_used, clippy::panic)]

use linekeep::protocol::{Form, MAX_EXPLAINED_BYTES, MAX_LISTS, MAX_NAME_BYTES, Reason};
use std::path::{Path, PathBuf};

#[test]
fn every_test_that_a_document_names_is_there() {
    let tests = tests();
    for document in ["README.md", "docs/threat-model.md"] {
        let named: Vec<String> = rows(&read(document)).iter().flat_map(|cells| test_names(cells.last())).collect();
        assert!(named.len() > 10, "{document}: only {named:?} found; is its table still one?");
        let gone: Vec<_> = named.iter().filter(|name| !tests.contains(name)).collect();
        assert!(gone.is_empty(), "{document} names tests that are not there: {gone:#?}");
    }
}

#[test]
fn every_promise_and_every_accident_names_a_test() {
    let (readme, model) = (read("README.md"), read("docs/threat-model.md"));
    let promises = table(&readme, "promise");
    assert_eq!(promises.len(), 7, "{promises:#?}");
    for cells in
        [promises, table(&model, "promise"), table(&model, "an accident of others"), table(&model, "published")]
            .concat()
    {
        assert!(!test_names(cells.last()).is_empty(), "no test stands in {cells:?}");
    }
}

#[test]
fn the_protocol_lists_the_words_that_the_code_says() {
    let listed: Vec<String> =
        table(&read("docs/protocol.md"), "after `ERROR: `").iter().map(|cells| cells[0].replace('`', "")).collect();
    let said: Vec<&str> = Reason::WORDS.iter().map(|(_, word)| *word).collect();
    assert_eq!(listed, said);
}

#[test]
fn the_protocol_says_the_explained_form_as_the_code_has_it() {
    let page = read("docs/protocol.md");
    let name = std::str::from_utf8(Form::Explained.alpn().unwrap()).unwrap();
    let limits = [MAX_LISTS, MAX_NAME_BYTES, MAX_EXPLAINED_BYTES].map(|limit| limit.to_string());
    let (_, section) = page.split_once("\n## The explained form\n").expect("the section");
    for said in [name, &limits[0], &limits[1], &limits[2]] {
        assert!(section.contains(said), "{said}");
    }
}

/// `Cargo.toml` says the version; both changelogs begin with it.
#[test]
fn the_version_is_the_same_wherever_it_stands() {
    let version = env!("CARGO_PKG_VERSION");
    let newest = |file: &str, begins: &str| {
        let text = read(file);
        text.lines().find(|line| line.starts_with(begins)).unwrap_or_default().to_owned()
    };
    let debian = newest("debian/changelog", "linekeep (");
    assert!(debian.starts_with(&format!("linekeep ({version})")), "debian/changelog: {debian}, not {version}");
    let ours = newest("CHANGELOG.md", "## [");
    assert!(ours.starts_with(&format!("## [{version}]")), "CHANGELOG.md: {ours}, not {version}");
}

#[test]
fn every_link_leads_to_a_file() {
    let mut links = 0;
    for document in files(&["docs"], "md").into_iter().chain(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(home))
    {
        for link in std::fs::read_to_string(&document).unwrap().split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            if target.is_empty() || target.starts_with("https://") {
                continue;
            }
            links += 1;
            assert!(document.with_file_name(target).exists(), "{}: {target} is not there", document.display());
        }
    }
    assert!(links > 10, "only {links} links found");
}

/// `make bench` writes it; a run that broke off, or a way that was lost, would leave a table short.
#[test]
fn the_performance_report_has_figures_for_every_way() {
    let report = rows(&read("docs/performance/README.md"));
    let is_figure = |cell: &String| cell.replace(',', "").parse::<f64>().is_ok_and(|figure| figure > 0.0);
    let figures = |way: &str| {
        let of_it = report.iter().filter(|cells| cells.first().is_some_and(|first| first == way));
        of_it.filter(|cells| cells.iter().skip(1).all(is_figure)).count()
    };
    // Two lists; in each, look-ups for three mixes of queries and the build.
    for way in ["linekeep", "hashbrown + ahash", "hash set (std)", "binary search", "fst"] {
        assert_eq!(figures(way), 8, "{way}");
    }
    for way in ["memory-mapped scan", "substring search", "linear scan", "streaming"] {
        assert_eq!(figures(way), 2, "{way}");
    }
    let ratios = report.iter().filter(|cells| cells.iter().any(|cell| cell.starts_with("**")));
    // Of each list seven for look-ups and one for the build; and five numbers of files to be looked at.
    assert_eq!(ratios.count(), 2 * (7 + 1) + 5, "rows of ratios");
}

/// The rows of every table, heads and rules included, as their cells.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    lines.map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The rows below the head that begins with `first`, up to the table's end.
fn table(text: &str, first: &str) -> Vec<Vec<String>> {
    let head = format!("| {first} |");
    let (_, below) = text.split_once(&head).unwrap_or_else(|| panic!("no table begins with {head}"));
    let lines: Vec<&str> = below.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    rows(&lines.join("\n"))
}

/// The words in `code` that are written as tests are.
fn test_names(cell: Option<&String>) -> Vec<String> {
    let code = cell.into_iter().flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let is_name =
        |word: &&str| word.contains('_') && !word.contains(|letter| !matches!(letter, 'a'..='z' | '0'..='9' | '_'));
    code.filter(is_name).map(str::to_owned).collect()
}

/// The functions that stand below a `#[test]`, a `#[rstest]` or in a `proptest!`, and the names of cases.
fn tests() -> Vec<String> {
    let mut names = Vec::new();
    for file in files(&["src", "tests"], "rs") {
        let mut is_test = false;
        for line in std::fs::read_to_string(file).unwrap().lines().map(str::trim) {
            if let Some((_, after)) = line.split_once("#[case::") {
                names.extend(after.split(['(', ']']).next().map(str::to_owned));
            }
            is_test |= ["#[test]", "#[rstest]", "#[rstest::rstest]", "#[tokio::test"]
                .iter()
                .any(|mark| line.starts_with(mark));
            if let Some((_, after)) = line.split_once("fn ") {
                names.extend(after.split(['(', '<']).next().filter(|_| is_test).map(str::to_owned));
                is_test = false;
            }
        }
    }
    names
}

fn files(folders: &[&str], extension: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| home(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == extension) {
                found.push(path);
            }
        }
    }
    found
}

fn home(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(home(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
