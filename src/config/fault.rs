//! What is wrong with a configuration: every fault with file, line, key, what was found and what is allowed.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The configuration file.
    pub file: PathBuf,
    /// Its line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Section and key.
    pub key: String,
    /// What stands there.
    pub found: String,
    /// What may stand there, or what to do.
    pub allowed: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!(
            "{}:{}:{}: {}: found {}; allowed: {}",
            self.file.display(),
            self.line,
            self.column,
            self.key,
            self.found,
            self.allowed
        );
        // What stands in the file must not act upon the terminal of whoever reads about it, nor break, turn or hide its line.
        text.chars().try_for_each(|letter| match letter {
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                write!(f, "{}", letter.escape_unicode())
            }
            letter if letter.is_control() => write!(f, "{}", letter.escape_default()),
            letter => write!(f, "{letter}"),
        })
    }
}

/// Everything that is wrong, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// One line a fault.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

/// Where faults are gathered, and how a place in the text becomes a line.
pub(super) struct Gathering<'a> {
    file: &'a Path,
    text: &'a str,
    faults: Vec<Gathered>,
}

struct Gathered {
    fault: Fault,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// What stands there is wrong.
    Wrong,
    /// Something does not stand in the file.
    Absent,
    /// It is no TOML.
    Syntax,
    /// It is no TOML, and whose keys the following ones are is not known.
    Header,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Gathering<'a> {
        Gathering { file, text, faults: Vec::new() }
    }

    /// Adds a fault at a byte of the text.
    pub(super) fn add(&mut self, at: usize, key: String, found: impl Into<String>, allowed: impl Into<String>) {
        self.gather(at, key, found.into(), allowed.into(), Why::Wrong);
    }

    /// Adds a fault of something that does not stand in the file.
    pub(super) fn absent(&mut self, at: usize, key: String, found: impl Into<String>, allowed: impl Into<String>) {
        self.gather(at, key, found.into(), allowed.into(), Why::Absent);
    }

    /// Adds what the TOML parser complains of.
    pub(super) fn syntax(&mut self, error: &toml::de::Error) {
        const TWICE: &str = "duplicate key";
        let at = error.span().map_or(0, |span| span.start);
        let line_start = self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
        let header =
            self.text.get(line_start..).is_some_and(|line| line.trim_start_matches([' ', '\t']).starts_with('['));
        let (what, expected) = error.message().split_once(", expected ").unwrap_or((error.message(), ""));
        let allowed = match expected {
            _ if what == TWICE => "each key and each section once",
            "" | "nothing" => "TOML, `key = value`",
            expected => expected,
        };
        let why = if header && what != TWICE { Why::Header } else { Why::Syntax };
        self.gather(at, "TOML".into(), what.into(), allowed.into(), why);
    }

    fn gather(&mut self, at: usize, key: String, found: String, allowed: String, why: Why) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        self.faults
            .push(Gathered { fault: Fault { file: self.file.to_owned(), line, column, key, found, allowed }, why });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// All faults but those that only follow from broken TOML: the parser goes on behind a break as well as it can,
    /// and what is absent may stand in the broken part, what is wrong may be a guess of the parser's.
    pub(super) fn into_faults(mut self) -> Faults {
        self.faults.sort_by_key(|gathered| (gathered.fault.line, gathered.fault.column));
        let is_syntax = |gathered: &Gathered| matches!(gathered.why, Why::Syntax | Why::Header);
        let mut broken: Vec<usize> =
            self.faults.iter().filter(|one| is_syntax(one)).map(|one| one.fault.line).collect();
        broken.dedup();
        let header =
            self.faults.iter().find(|gathered| gathered.why == Why::Header).map(|gathered| gathered.fault.line);
        let mut told = 0;
        self.faults.retain(|gathered| {
            let line = gathered.fault.line;
            if is_syntax(gathered) {
                // The first complaint about a line is the slip.
                return std::mem::replace(&mut told, line) != line;
            }
            let guessed = broken.binary_search(&line).is_ok() || header.is_some_and(|header| line > header);
            broken.is_empty() || gathered.why == Why::Wrong && !guessed
        });
        Faults(self.faults.into_iter().map(|gathered| gathered.fault).collect())
    }
}
