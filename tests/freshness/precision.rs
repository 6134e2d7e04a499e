//! What makes two spellings one line, asked over the wire, for a list in memory and for one that is read each time.

use super::asker::{Answer, list, start};
use super::support::daemon::Folder;
use rstest::rstest;

const INDEX: &str = "freshness = \"on-query\"\nsearch = \"index\"";
const SCAN: &str = "freshness = \"on-query\"\nsearch = \"scan\"";
const AT_RELOAD: &str = "freshness = \"on-reload\"";

#[rstest]
#[case::as_it_stands("", "One\n two\t\n#three\n", &["One", " two\t", "#three"], &["one", "two", "two\t", " two", "three"])]
#[case::case_kept("case = \"keep\"", "One\n", &["One"], &["one", "ONE"])]
#[case::case_ignored("case = \"ignore-ascii\"", "One\nÄrger\n", &["One", "one", "oNE", "Ärger", "ÄRGER"], &["ärger", "on"])]
#[case::whitespace_kept("whitespace = \"keep\"", " a \n", &[" a "], &["a", " a", "a "])]
#[case::whitespace_trimmed("whitespace = \"trim\"", " \ta b\t \n\x0bc\x0c\n   \nd\r\n",
    &["a b", " a b ", "\ta b", "c", " c\t", "d", "d\r", "d \r"], &["ab", "a  b", "a", "b"])]
#[case::comments("comment = \"#\"", "#one\ntwo # not one\n #three\n", &["two # not one", " #three"], &["#one", "one", "two"])]
#[case::comments_of_two("comment = \"//\"", "//one\n/two\n", &["/two"], &["//one", "one"])]
#[case::comments_and_trim("comment = \"#\"\nwhitespace = \"trim\"", "  # one\n a\n", &["a"], &["# one", "#", "  # one"])]
#[case::line_ending_auto("", "a\r\nb\nc\r\r\nd\r", &["a", "a\r", "b", "b\r", "c\r\r", "d", "d\r"], &["c", "a\r\r"])]
#[case::line_ending_lf("line-ending = \"lf\"", "a\r\nb\n", &["a\r", "b"], &["a", "b\r"])]
#[case::all("case = \"ignore-ascii\"\nwhitespace = \"trim\"\ncomment = \";\"\nline-ending = \"lf\"", " One \r\n;two\nThree",
    &["one", "ONE\r", " three "], &[";two", "two", "thre"])]
#[case::half_lines("", "abcdef\nabc\ndef", &["abcdef", "abc", "def"], &["a", "ab", "abcd", "bcdef", "cdef", "ef", "abcdefg"])]
#[case::empty_lines_and_no_last_newline("", "\n\na\n\n\nb", &["a", "b"], &["ab", "c"])]
fn exact_two_spellings_are_one_line_where_the_list_says_so(
    #[case] keys: &str,
    #[case] content: &str,
    #[case] there: &[&str],
    #[case] not_there: &[&str],
    #[values(INDEX, SCAN, AT_RELOAD)] freshness: &str,
) {
    let folder = Folder::new();
    folder.write("words.txt", content);
    let (_daemon, mut asker) = start(folder, &list("words.txt", &format!("{freshness}\n{keys}")));
    for (queries, expected) in [(there, Answer::Yes), (not_there, Answer::No)] {
        for query in queries {
            assert_eq!(asker.ask(query), expected, "{query:?} one by one");
        }
        assert_eq!(asker.ask_all(queries), vec![expected; queries.len()], "{queries:?} in one batch");
    }
}

/// Lines that lie across whatever pieces a file is read in, and parts of them, which are none.
#[rstest]
fn exact_lines_across_the_borders_of_what_is_read_at_once(#[values(INDEX, SCAN)] freshness: &str) {
    let mut content = String::new();
    let mut at_borders = Vec::new();
    while content.len() < 3 << 20 {
        let line = format!("{}-{}", content.len(), "x".repeat(content.len() % 97));
        // A line that ends at a border, begins there, or lies across it.
        if (content.len() + line.len() + 2) >> 16 != content.len() >> 16 || content.len() % 65536 < 2 {
            at_borders.push(line.clone());
        }
        content.push_str(&line);
        content.push_str(if content.len() % 5 == 0 { "\r\n" } else { "\n" });
    }
    let longest = "y".repeat(4096);
    content.push_str(&longest);
    let folder = Folder::new();
    folder.write("words.txt", &content);
    let (_daemon, mut asker) = start(folder, &list("words.txt", freshness));
    assert!(at_borders.len() >= 48);
    for lines in at_borders.chunks(16) {
        assert_eq!(asker.ask_all(lines), vec![Answer::Yes; lines.len()], "{lines:?}");
        let parts: Vec<&str> = lines.iter().flat_map(|line| [&line[1..], &line[..line.len() - 1]]).collect();
        let parts: Vec<&str> = parts.into_iter().filter(|part| !content.lines().any(|line| line == *part)).collect();
        assert_eq!(asker.ask_all(&parts), vec![Answer::No; parts.len()], "{parts:?}");
    }
    let ends = [longest.as_str(), &longest[1..], "0-"];
    assert_eq!(asker.ask_all(&ends), [Answer::Yes, Answer::No, Answer::Yes]);
}
