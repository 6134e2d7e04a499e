//! The list of ways: their names, how each is opened, and the check of its answers. They themselves are `ours`, `tables`
//! and `scans`.

use crate::corpus::Kind;
use crate::way::Way;
use crate::{ours, scans, tables};
use std::path::Path;

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
