//! The ways that build something first: hash tables, a sorted vector of slices, an automaton. All of them keep the text,
//! or, as the automaton, a form from which it can be had again.

use crate::way::{Way, lines};
use ahash::RandomState;
use hashbrown::HashTable;
use std::collections::HashSet;
use std::path::Path;

/// hashbrown's table over the text: an entry is a line's offset, and a hit compares the text. Sized before it is filled.
pub(crate) struct Hashbrown<'t> {
    text: &'t [u8],
    offsets: HashTable<u64>,
    hasher: RandomState,
}

impl<'t> Hashbrown<'t> {
    pub(crate) fn build(text: &'t [u8]) -> Hashbrown<'t> {
        let hasher = RandomState::with_seeds(1, 2, 3, 4);
        let offsets = HashTable::with_capacity(memchr::memchr_iter(b'\n', text).count());
        let mut table = Hashbrown { text, offsets, hasher };
        let mut offset = 0;
        for line in lines(text) {
            if !table.has(line) {
                let hash = table.hasher.hash_one(line);
                // It never grows; a line's hash is not needed again.
                table.offsets.insert_unique(hash, offset, |_| unreachable!("sized before"));
            }
            offset += line.len() as u64 + 1;
        }
        table
    }
}

impl Way for Hashbrown<'_> {
    fn bytes(&self) -> u64 {
        (self.text.len() + self.offsets.allocation_size()) as u64
    }

    fn has(&self, line: &[u8]) -> bool {
        let is_it = |offset: &u64| {
            let behind = usize::try_from(*offset).ok().and_then(|offset| self.text.get(offset..));
            behind.and_then(|text| text.strip_prefix(line)).is_some_and(|rest| rest.first() == Some(&b'\n'))
        };
        self.offsets.find(self.hasher.hash_one(line), is_it).is_some()
    }
}

/// The standard set of owned lines, as a program has it that reads a list and thinks no more of it.
pub(crate) struct StdSet(HashSet<Vec<u8>>);

impl StdSet {
    pub(crate) fn build(text: &[u8]) -> StdSet {
        StdSet(lines(text).map(<[u8]>::to_vec).collect())
    }
}

impl Way for StdSet {
    /// The allocator's own part is not in it.
    fn bytes(&self) -> u64 {
        let buckets = (self.0.capacity() * 8 / 7).next_power_of_two();
        (buckets * (size_of::<Vec<u8>>() + 1) + self.0.iter().map(Vec::capacity).sum::<usize>()) as u64
    }

    fn has(&self, line: &[u8]) -> bool {
        self.0.contains(line)
    }
}

/// Slices of the text in their order, searched by halving.
pub(crate) struct Sorted<'t> {
    text: &'t [u8],
    slices: Vec<&'t [u8]>,
}

impl<'t> Sorted<'t> {
    pub(crate) fn build(text: &'t [u8]) -> Sorted<'t> {
        let mut slices = Vec::with_capacity(memchr::memchr_iter(b'\n', text).count());
        slices.extend(lines(text));
        slices.sort_unstable();
        slices.dedup();
        Sorted { text, slices }
    }
}

impl Way for Sorted<'_> {
    fn bytes(&self) -> u64 {
        (self.text.len() + self.slices.capacity() * size_of::<&[u8]>()) as u64
    }

    fn has(&self, line: &[u8]) -> bool {
        self.slices.binary_search(&line).is_ok()
    }
}

/// A minimal automaton of all lines.
pub(crate) struct Automaton(fst::Set<Vec<u8>>);

impl Automaton {
    pub(crate) fn build(text: &[u8]) -> Automaton {
        Automaton(fst::Set::from_iter(Sorted::build(text).slices).unwrap())
    }

    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.0.as_fst().as_bytes()).unwrap();
    }

    pub(crate) fn read(path: &Path) -> Automaton {
        Automaton(fst::Set::new(std::fs::read(path).unwrap()).unwrap())
    }
}

impl Way for Automaton {
    fn bytes(&self) -> u64 {
        self.0.as_fst().size() as u64
    }

    fn has(&self, line: &[u8]) -> bool {
        self.0.contains(line)
    }
}
