//! `[[dataset]]` in the configuration: every key, its bounds and its default, and the faults that several keys make together.
#![allow(clippy::unwrap_used, clippy::panic)]

use linekeep::config::{self, Dataset, Freshness, Guards, Search, Stale, Writer};
use linekeep::normalise::{Case, LineEnding, Mark, Normalisation, Whitespace};
use rstest::rstest;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE: &str = "/etc/linekeep/linekeep.toml";

/// What comes after it are keys of the list, from line 9 on.
const LIST: &str = r#"[[listener]]
name = "main"
address = "127.0.0.1:44445"
allow = ["127.0.0.1"]
mode = "psk"
keyring = "keyring"
[[dataset]]
name = "words"
"#;

fn meant(keys: &str) -> Dataset {
    let text = format!("{LIST}{keys}\npaths = \"words.txt\"\n");
    let config = config::parse(&text, Path::new(FILE)).unwrap_or_else(|faults| panic!("{:#?}", faults.lines()));
    config.datasets.into_iter().next().unwrap()
}

fn faults(keys: &str) -> Vec<String> {
    let text =
        if keys.contains("paths =") { format!("{LIST}{keys}\n") } else { format!("{LIST}{keys}\npaths = \"w\"\n") };
    config::parse(&text, Path::new(FILE)).map_or_else(|faults| faults.lines(), |_| Vec::new())
}

#[test]
fn a_list_of_name_and_paths_alone_is_guarded_and_noticed_when_it_changes() {
    let expected = Dataset {
        name: "words".into(),
        paths: vec![PathBuf::from("/etc/linekeep/words.txt")],
        normalisation: Normalisation::default(),
        freshness: Freshness::OnChange,
        writer: Writer::Any,
        search: Search::Auto,
        guards: Guards { min_lines: 1, max_lines: None, max_bytes: None, max_shrink_percent: None, max_age: None },
        stale: Stale::Error,
        required: false,
        recheck: Duration::from_secs(300),
    };
    assert_eq!(meant(""), expected);
    let normalisation = expected.normalisation;
    assert_eq!((normalisation.case, normalisation.whitespace), (Case::Keep, Whitespace::Keep));
    assert_eq!((normalisation.line_ending, normalisation.comment), (LineEnding::Auto, None));
}

type Meaning = fn(&mut Dataset);

/// What each key means, set by hand.
const MEANINGS: &[(&str, Meaning)] = &[
    ("freshness = \"on-reload\"", |list| list.freshness = Freshness::OnReload),
    ("freshness = \"on-change\"", |_| ()),
    ("freshness = \"on-query\"", |list| list.freshness = Freshness::OnQuery),
    ("writer = \"any\"", |_| ()),
    ("writer = \"appends\"", |list| list.writer = Writer::Appends),
    ("search = \"auto\"", |_| ()),
    ("search = \"index\"", |list| list.search = Search::Index),
    ("freshness = \"on-query\"\nsearch = \"scan\"", |list| {
        list.freshness = Freshness::OnQuery;
        list.search = Search::Scan;
    }),
    ("min-lines = 0", |list| list.guards.min_lines = 0),
    ("min-lines = 1000000000000", |list| list.guards.min_lines = 1_000_000_000_000),
    ("max-lines = 1", |list| list.guards.max_lines = Some(1)),
    ("max-lines = 1000000000000", |list| list.guards.max_lines = Some(1_000_000_000_000)),
    ("min-lines = 7\nmax-lines = 7", |list| {
        list.guards.min_lines = 7;
        list.guards.max_lines = Some(7);
    }),
    ("max-bytes = 1", |list| list.guards.max_bytes = Some(1)),
    ("max-bytes = \"3 KiB\"", |list| list.guards.max_bytes = Some(3072)),
    ("max-bytes = \"1024TiB\"", |list| list.guards.max_bytes = Some(1 << 50)),
    ("max-shrink-percent = 0", |list| list.guards.max_shrink_percent = Some(0)),
    ("max-shrink-percent = 100", |list| list.guards.max_shrink_percent = Some(100)),
    ("max-age = \"1h\"", |list| list.guards.max_age = Some(Duration::from_secs(3600))),
    ("max-age = \"7d\"", |list| list.guards.max_age = Some(Duration::from_secs(7 * 86_400))),
    ("max-age = \"1s\"", |list| list.guards.max_age = Some(Duration::from_secs(1))),
    ("max-age = \"10years\"", |list| list.guards.max_age = Some(Duration::from_secs(315_576_000))),
    ("max-age = \"1h\"\nstale = \"error\"", |list| list.guards.max_age = Some(Duration::from_secs(3600))),
    ("max-age = \"1h\"\nstale = \"serve\"", |list| {
        list.guards.max_age = Some(Duration::from_secs(3600));
        list.stale = Stale::Serve;
    }),
    ("required = true", |list| list.required = true),
    ("required = false", |_| ()),
    ("writer = \"appends\"\nrecheck = \"1s\"", |list| {
        list.writer = Writer::Appends;
        list.recheck = Duration::from_secs(1);
    }),
    ("writer = \"appends\"\nrecheck = \"24h\"", |list| {
        list.writer = Writer::Appends;
        list.recheck = Duration::from_secs(86_400);
    }),
    ("case = \"keep\"", |_| ()),
    ("case = \"ignore-ascii\"", |list| list.normalisation.case = Case::IgnoreAscii),
    ("whitespace = \"keep\"", |_| ()),
    ("whitespace = \"trim\"", |list| list.normalisation.whitespace = Whitespace::Trim),
    ("line-ending = \"auto\"", |_| ()),
    ("line-ending = \"lf\"", |list| list.normalisation.line_ending = LineEnding::Lf),
    ("comment = \"#\"", |list| list.normalisation.comment = Mark::new(b"#")),
    ("comment = \"12345678\"", |list| list.normalisation.comment = Mark::new(b"12345678")),
    ("comment = \" \"", |list| list.normalisation.comment = Mark::new(b" ")),
    ("comment = \"# -\"\nwhitespace = \"trim\"", |list| {
        list.normalisation.comment = Mark::new(b"# -");
        list.normalisation.whitespace = Whitespace::Trim;
    }),
    ("comment = \"REM\"\ncase = \"ignore-ascii\"", |list| {
        list.normalisation.comment = Mark::new(b"REM");
        list.normalisation.case = Case::IgnoreAscii;
    }),
];

#[test]
fn every_key_means_this_and_changes_nothing_else() {
    for (keys, set) in MEANINGS {
        let mut expected = meant("");
        set(&mut expected);
        assert_eq!(meant(keys), expected, "{keys}");
    }
}

/// One fault at the key's own line, with what stands there and what may.
#[rstest]
#[case::paths("paths = []", &["found an empty array", "a path or an array of paths"])]
#[case::freshness("freshness = \"always\"", &["\"always\"", "\"on-reload\", \"on-change\" or \"on-query\""])]
#[case::freshness_of_the_former_system("freshness = true", &["found true", "\"on-query\""])]
#[case::writer("writer = \"append\"", &["\"append\"", "\"any\" or \"appends\""])]
#[case::search("search = \"hash\"", &["\"hash\"", "\"auto\", \"index\" or \"scan\""])]
#[case::min_lines("min-lines = -1", &["found -1", "from 0 to 1000000000000"])]
#[case::min_lines_above("min-lines = 1000000000001", &["found 1000000000001", "from 0 to 1000000000000"])]
#[case::max_lines("max-lines = 0", &["found 0", "from 1 to 1000000000000"])]
#[case::max_lines_above("max-lines = 1000000000001", &["found 1000000000001"])]
#[case::max_bytes("max-bytes = 0", &["found 0", "from 1 to 1024 TiB"])]
#[case::max_bytes_as_text("max-bytes = \"0 KiB\"", &["\"0 KiB\""])]
#[case::max_bytes_above("max-bytes = \"1025 TiB\"", &["\"1025 TiB\""])]
#[case::max_bytes_past_all_numbers("max-bytes = \"18446744073709551615 TiB\"", &["from 1 to 1024 TiB"])]
#[case::max_shrink("max-shrink-percent = 101", &["found 101", "from 0 to 100"])]
#[case::max_shrink_as_text("max-shrink-percent = \"50%\"", &["\"50%\"", "a whole number"])]
#[case::max_age("max-age = \"999ms\"", &["\"999ms\"", "from \"1s\" to \"10years\""])]
#[case::max_age_above("max-age = \"10years 1s\"", &["\"10years 1s\""])]
#[case::max_age_without_unit("max-age = 7", &["found 7"])]
#[case::stale("max-age = \"1h\"\nstale = \"ignore\"", &[":10:", "\"ignore\"", "\"error\" or \"serve\""])]
#[case::required("required = \"yes\"", &["\"yes\"", "true or false"])]
#[case::recheck("writer = \"appends\"\nrecheck = \"900ms\"", &[":10:", "\"900ms\"", "from \"1s\" to \"24h\""])]
#[case::recheck_above("writer = \"appends\"\nrecheck = \"25h\"", &[":10:", "\"25h\""])]
#[case::case("case = \"ignore\"", &["\"ignore\"", "\"keep\" or \"ignore-ascii\""])]
#[case::whitespace("whitespace = \"strip\"", &["\"strip\"", "\"keep\" or \"trim\""])]
#[case::line_ending("line-ending = \"crlf\"", &["\"crlf\"", "\"auto\" or \"lf\""])]
#[case::no_comment("comment = \"\"", &["found \"\"", "1 to 8 bytes without LF and CR"])]
#[case::long_comment("comment = \"123456789\"", &["\"123456789\"", "1 to 8 bytes"])]
#[case::comment_in_bytes("comment = \"\u{20ac}\u{20ac}\u{20ac}\"", &["1 to 8 bytes"])]
#[case::comment_of_lines("comment = \"#\\n\"", &["without LF and CR"])]
#[case::comment_of_a_cr("comment = \"#\\r\"", &["without LF and CR"])]
#[case::comment_off("comment = false", &["found false"])]
fn one_fault_is_told_at_its_place(#[case] keys: &str, #[case] words: &[&str]) {
    assert_told(&faults(keys), keys, words);
}

#[rstest]
#[case::scan_on_change("search = \"scan\"", &[":9:10:", "words\" search: found \"scan\"", "freshness = \"on-query\""])]
#[case::scan_on_reload("search = \"scan\"\nfreshness = \"on-reload\"", &[":9:10:", "words\" search: found \"scan\""])]
#[case::appends_on_reload("freshness = \"on-reload\"\nwriter = \"appends\"", &[":10:10:", "words\" writer: found \"appends\"", "\"on-reload\" reads everything anew"])]
#[case::appends_on_reload_rechecked("freshness = \"on-reload\"\nwriter = \"appends\"\nrecheck = \"1h\"", &[":10:10:", "words\" writer: "])]
#[case::recheck_of_nothing("recheck = \"5m\"", &[":9:11:", "words\" recheck: found \"5m\"", "writer = \"appends\""])]
#[case::recheck_of_anything("recheck = \"5m\"\nwriter = \"any\"", &[":9:11:", "words\" recheck: "])]
#[case::more_than_most("max-lines = 5\nmin-lines = 6", &[":10:13:", "words\" min-lines: found 6", "at most max-lines = 5"])]
#[case::stale_without_age("stale = \"serve\"", &[":9:9:", "words\" stale: found \"serve\"", "without max-age"])]
#[case::its_default_as_well("stale = \"error\"", &[":9:9:", "words\" stale: found \"error\"", "without max-age"])]
#[case::stale_on_query("freshness = \"on-query\"\nmax-age = \"1h\"\nstale = \"serve\"", &[":11:9:", "words\" stale: found \"serve\"", "`ERROR: list unavailable`"])]
#[case::mark_that_is_trimmed("whitespace = \"trim\"\ncomment = \" #\"", &[":10:11:", "words\" comment: found \" #\"", "white space"])]
#[case::mark_whose_end_is_trimmed("whitespace = \"trim\"\ncomment = \"# \"", &[":10:11:", "words\" comment: found \"# \"", "white space"])]
#[case::mark_of_white_space("comment = \"\\t\"\nwhitespace = \"trim\"", &[":9:11:", "words\" comment: found \"\\t\"", "white space"])]
fn keys_that_do_not_go_together_are_one_fault(#[case] keys: &str, #[case] words: &[&str]) {
    assert_told(&faults(keys), keys, words);
}

/// What only follows from a fault that is told already is not told.
#[rstest]
#[case::scan_with_unknown_freshness("freshness = \"on_query\"\nsearch = \"scan\"", "freshness")]
#[case::appends_with_unknown_freshness("freshness = \"reload\"\nwriter = \"appends\"", "freshness")]
#[case::recheck_with_unknown_writer("writer = \"append\"\nrecheck = \"5m\"", "writer")]
#[case::stale_with_unknown_freshness("freshness = \"query\"\nmax-age = \"1h\"\nstale = \"serve\"", "freshness")]
#[case::stale_with_unreadable_age("max-age = \"soon\"\nstale = \"serve\"", "max-age")]
#[case::min_with_unreadable_max("max-lines = \"few\"\nmin-lines = 10", "max-lines")]
#[case::mark_with_unknown_white_space("whitespace = \"both\"\ncomment = \" #\"", "whitespace")]
fn what_only_follows_is_not_told(#[case] keys: &str, #[case] key: &str) {
    assert_told(&faults(keys), keys, &[&format!("\"words\" {key}: ")]);
}

#[test]
fn every_fault_of_a_list_is_told_at_once() {
    let keys = "freshness = \"never\"\nmin-lines = -1\nstale = \"serve\"\ncomment = \"\"\nrecheck = \"5m\"\nage = 1";
    let found = faults(keys);
    let lines = [9, 10, 11, 12, 13, 14];
    assert_eq!(found.len(), lines.len(), "{found:#?}");
    for (told, line) in found.iter().zip(lines) {
        assert!(told.starts_with(&format!("{FILE}:{line}:")), "{told}");
    }
}

/// The reference says numbers that the code holds.
#[test]
fn the_reference_says_how_many_files_a_list_has() {
    let reference = config::reference();
    let (_, paths) = reference.split_once("### `paths`").unwrap();
    assert!(paths.contains(&format!("At most {} files", config::MAX_FILES)), "{}", config::MAX_FILES);
}

/// What the commented default shows beside defaults may be taken as it stands, and what it calls defaults are such.
#[test]
fn the_commented_default_shows_good_lists() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/linekeep.toml")).unwrap();
    let (_, lists) = text.split_once("[[dataset]]\n").unwrap();
    let (list, _) = lists.split_once("[[client]]\n").unwrap();
    let is_key = |line: &&str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let shown: Vec<&str> = list.lines().map(|line| line.trim_start_matches(['#', ' '])).filter(is_key).collect();
    let keys = shown.join("\n").replace("name = \"lines\"", "").replace("writer = \"any\"", "writer = \"appends\"");
    assert!(shown.len() == 17 && faults(&keys).is_empty(), "{keys}\n{:#?}", faults(&keys));
    for key in ["recheck", "stale"] {
        let reference = config::reference();
        let (_, about) = reference.split_once(&format!("### `{key}`")).unwrap();
        let default = about.split_once("- default: `").unwrap().1.split('`').next().unwrap();
        assert!(shown.contains(&format!("{key} = {default}").as_str()), "{key} = {default}");
    }
}

#[test]
fn a_client_whose_rights_cannot_be_read_gets_none() {
    let found = faults("paths = \"w\"\n[[client]]\nname = \"a\"\ndatasets = [1]\n");
    assert_eq!(found.len(), 1, "{found:?}");
}

/// One fault that stands at a line of the list and holds all words.
fn assert_told(found: &[String], keys: &str, words: &[&str]) {
    assert_eq!(found.len(), 1, "{found:#?}");
    let line = found[0].strip_prefix(FILE).and_then(|rest| rest[1..].split(':').next()?.parse().ok());
    assert!(line.is_some_and(|line: usize| (9..9 + keys.lines().count()).contains(&line)), "{}", found[0]);
    for word in words {
        assert!(found[0].contains(word), "{word} in {}", found[0]);
    }
}
