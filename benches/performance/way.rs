//! What every way of looking up has to do, and the list of them. The ways themselves are `ours`, `tables` and `scans`.

use crate::corpus::Kind;
use crate::fenced::wait;
use crate::{ours, scans, tables};
use std::path::Path;

/// A way of looking up, ready to be asked.
pub(crate) trait Way {
    /// Memory that it keeps by its own count, the text included where it needs that.
    fn bytes(&self) -> u64;

    fn has(&self, line: &[u8]) -> bool;

    /// `found` is false throughout before. What has no batch of its own goes through it line by line.
    fn have(&self, lines: &[&[u8]], found: &mut [bool]) {
        for (line, found) in lines.iter().zip(found) {
            *found = self.has(line);
        }
    }

    /// Asks in this mode; returns how many were found.
    fn ask(&self, mode: Mode, lines: &[&[u8]]) -> usize {
        match mode {
            Mode::Alone => lines.iter().filter(|line| alone(|| self.has(line))).count(),
            Mode::Loop => lines.iter().filter(|line| self.has(line)).count(),
            Mode::Batch(size) => {
                let mut found = [false; Mode::LARGEST];
                let mut count = 0;
                for lines in lines.chunks(size) {
                    let found = &mut found[..lines.len()];
                    found.fill(false);
                    self.have(lines, found);
                    count += found.iter().filter(|found| **found).count();
                }
                count
            }
        }
    }
}

fn alone<T>(look_up: impl FnOnce() -> T) -> T {
    let answer = look_up();
    wait();
    answer
}

/// How queries come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Mode {
    /// Each waits for the one before.
    Alone,
    /// One after another; the processor may overlap them.
    Loop,
    /// So many at a time.
    Batch(usize),
}

impl Mode {
    pub(crate) const ALL: [Mode; 5] = [Mode::Alone, Mode::Loop, Mode::Batch(16), Mode::Batch(64), Mode::Batch(256)];
    const LARGEST: usize = 256;

    pub(crate) fn name(self) -> String {
        match self {
            Mode::Alone => "alone".into(),
            Mode::Loop => "loop".into(),
            Mode::Batch(size) => format!("batch {size}"),
        }
    }
}

/// Every way by its name in the report, ours first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Name {
    Ours,
    Hashbrown,
    HashSet,
    BinarySearch,
    Fst,
    Mapped,
    Substring,
    Linear,
    Streaming,
}

impl Name {
    /// What has to be built before it can be asked.
    pub(crate) const BUILT: [Name; 5] = [Name::Ours, Name::Hashbrown, Name::HashSet, Name::BinarySearch, Name::Fst];
    /// What goes through the whole text for every query.
    pub(crate) const SCANS: [Name; 4] = [Name::Mapped, Name::Substring, Name::Linear, Name::Streaming];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Name::Ours => "linekeep",
            Name::Hashbrown => "hashbrown + ahash",
            Name::HashSet => "hash set (std)",
            Name::BinarySearch => "binary search",
            Name::Fst => "fst",
            Name::Mapped => "memory-mapped scan",
            Name::Substring => "substring search",
            Name::Linear => "linear scan",
            Name::Streaming => "streaming",
        }
    }

    /// For folders and arguments.
    pub(crate) fn word(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    pub(crate) fn of_word(word: &str) -> Option<Name> {
        Name::BUILT.into_iter().chain(Name::SCANS).find(|name| name.word() == word)
    }
}

/// Builds a way over the text, which is also the file at `path`. An fst of ten million lines takes a minute: it is
/// taken ready-made from `automaton`.
pub(crate) fn open<'t>(name: Name, text: &'t [u8], path: &Path, automaton: &Path) -> Box<dyn Way + 't> {
    match name {
        Name::Ours => Box::new(ours::Ours::build(text)),
        Name::Hashbrown => Box::new(tables::Hashbrown::build(text)),
        Name::HashSet => Box::new(tables::StdSet::build(text)),
        Name::BinarySearch => Box::new(tables::Sorted::build(text)),
        Name::Fst => Box::new(tables::Automaton::read(automaton)),
        Name::Mapped => Box::new(scans::Mapped::open(path)),
        Name::Substring => Box::new(scans::Substring(text)),
        Name::Linear => Box::new(scans::Linear(text)),
        Name::Streaming => Box::new(scans::Streaming(path.to_owned())),
    }
}

/// Asks everything, one by one and in batches of every size, before anything is timed.
pub(crate) fn check(name: Name, kind: Kind, way: &dyn Way, lines: &[&[u8]], truth: &[bool]) {
    let wrong = |how: &str, line: &[u8]| {
        panic!("{} is wrong {how} on {}: {:?}", name.title(), kind.title(), String::from_utf8_lossy(line))
    };
    for (line, truth) in lines.iter().zip(truth) {
        if way.has(line) != *truth {
            wrong("alone", line);
        }
    }
    for size in [16, 64, 256] {
        let some = lines.len().min(1 << 16);
        for (lines, truth) in lines[..some].chunks(size).zip(truth.chunks(size)) {
            let mut found = vec![false; lines.len()];
            way.have(lines, &mut found);
            if let Some(place) = found.iter().zip(truth).position(|(found, truth)| found != truth) {
                wrong("in a batch", lines[place]);
            }
        }
    }
}

/// The lines of a text that ends with an LF.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    memchr::memchr_iter(b'\n', text).map(move |end| &text[std::mem::replace(&mut from, end + 1)..end])
}
