//! The truth about a list: its files read and cut into lines in the plainest way. Knows nothing of the code under test.

use super::asker::{Answer, UNAVAILABLE};
use std::collections::HashSet;
use std::path::Path;

/// What a list is at one moment.
pub enum Truth {
    /// Its lines.
    Lines(HashSet<Vec<u8>>),
    /// Nothing in it can be asked for, though it has bytes: whether that counts as a line is not said.
    Nothing,
    /// It is not there, not whole, or has no line.
    Gone(String),
}

/// What the end of a file without a newline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLine {
    /// A line, as it is to grep.
    Counts,
    /// Not yet a line: its writer is at work.
    Waits,
}

/// The longest line that a client may ask for.
const LONGEST: usize = 4096;

impl Truth {
    /// The truth about a list whose path is this folder, or a link to it.
    pub fn of(folder: &Path, last: LastLine) -> Truth {
        let mut bytes = 0;
        let mut lines = HashSet::new();
        match files(folder) {
            Err(why) => return Truth::Gone(why),
            Ok(files) if files.is_empty() => return Truth::Gone("no files".into()),
            Ok(files) => {
                for content in files {
                    let content = match last {
                        LastLine::Counts => &content[..],
                        LastLine::Waits => {
                            &content[..content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)]
                        }
                    };
                    bytes += content.len();
                    lines.extend(content.split(|byte| *byte == b'\n').map(bare).map(<[u8]>::to_vec));
                }
            }
        }
        lines.retain(|line| !line.is_empty() && line.len() <= LONGEST);
        match (bytes, lines.is_empty()) {
            (0, _) => Truth::Gone("no lines".into()),
            (_, true) => Truth::Nothing,
            _ => Truth::Lines(lines),
        }
    }

    pub fn has(&self, query: &[u8]) -> bool {
        matches!(self, Truth::Lines(lines) if lines.contains(bare(query)))
    }

    /// Whether the answer may be given at this moment.
    pub fn allows(&self, query: &[u8], answer: &Answer) -> bool {
        match self {
            Truth::Lines(_) => *answer == if self.has(query) { Answer::Yes } else { Answer::No },
            Truth::Nothing => *answer == Answer::No || *answer == Answer::error(UNAVAILABLE),
            Truth::Gone(_) => *answer == Answer::error(UNAVAILABLE),
        }
    }

    /// What it says of one query, in words.
    pub fn says(&self, query: &[u8]) -> String {
        match self {
            Truth::Lines(lines) => format!("{} (of {} lines)", self.has(query), lines.len()),
            Truth::Nothing => "nothing that can be asked for".into(),
            Truth::Gone(why) => format!("gone: {why}"),
        }
    }

    pub fn lines(&self) -> Vec<&[u8]> {
        let Truth::Lines(lines) = self else { return Vec::new() };
        let mut lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        lines.sort_unstable();
        lines
    }
}

/// Without the CR that belongs to its end.
fn bare(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The content of every plain file right inside a folder whose name does not begin with a dot.
fn files(folder: &Path) -> Result<Vec<Vec<u8>>, String> {
    let mut contents = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && !path.is_dir() {
            contents.push(std::fs::read(&path).map_err(|error| error.to_string())?);
        }
    }
    Ok(contents)
}

#[test]
fn the_truth_is_that_of_grep_for_lines_that_can_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Truth::of(folder.path(), LastLine::Counts), Truth::Gone(_)));
    let write = |content: &str| std::fs::write(folder.path().join("a"), content).unwrap();
    write("");
    assert!(matches!(Truth::of(folder.path(), LastLine::Counts), Truth::Gone(_)));
    write("\n\r\n");
    assert!(matches!(Truth::of(folder.path(), LastLine::Counts), Truth::Nothing));
    write("one\r\ntwo\nthree");
    let (counts, waits) = (Truth::of(folder.path(), LastLine::Counts), Truth::of(folder.path(), LastLine::Waits));
    assert!(["one", "one\r", "two", "three"].iter().all(|line| counts.has(line.as_bytes())));
    assert!(!counts.has(b"o") && !counts.has(b"one\r\r") && !counts.has(b"") && !waits.has(b"three"));
    std::os::unix::fs::symlink("nowhere", folder.path().join("b")).unwrap();
    assert!(matches!(Truth::of(folder.path(), LastLine::Counts), Truth::Gone(_)));
}
