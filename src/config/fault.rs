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
        // What stands in the file must not act upon the terminal of whoever reads about it.
        text.chars().try_for_each(|letter| match letter {
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
    faults: Vec<Fault>,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Gathering<'a> {
        Gathering { file, text, faults: Vec::new() }
    }

    /// Adds a fault at a byte of the text.
    pub(super) fn add(&mut self, at: usize, key: String, found: impl Into<String>, allowed: impl Into<String>) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        self.faults.push(Fault {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key,
            found: found.into(),
            allowed: allowed.into(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn into_faults(mut self) -> Faults {
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        Faults(self.faults)
    }
}
