//! What the machine can do at best: a read that depends on the one before, and reading a file to count its lines.
//! Knows no way of looking up.

use crate::machine::Pages;
use memmap2::{Advice, MmapMut};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A walk through memory in which each step is known only when the one before has arrived.
pub(crate) struct Chase {
    /// Cache lines; the first word of each is the place of the next one.
    lines: MmapMut,
    at: usize,
}

const LINE: usize = 64;

impl Chase {
    /// Over so many bytes, in pages of this kind, all of them on one cycle in random order.
    pub(crate) fn over(bytes: u64, pages: Pages) -> Chase {
        let count = usize::try_from(bytes).unwrap() / LINE;
        let lines = MmapMut::map_anon(count.max(2) * LINE).unwrap();
        // Before anything is written: pages have their size from the first touch.
        lines
            .advise(match pages {
                Pages::Small => Advice::NoHugePage,
                Pages::Huge => Advice::HugePage,
            })
            .unwrap();
        let mut chase = Chase { lines, at: 0 };
        for place in (0..count).map(|number| number * LINE) {
            chase.set(place, place);
        }
        // Sattolo's shuffle: to swap each with an earlier one, never with itself, leaves a single cycle.
        let mut random = 0x2545_f491_4f6c_dd1d_usize;
        for number in (1..count).rev() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let [own, earlier] = [number * LINE, random % number * LINE];
            let [to_own, to_earlier] = [own, earlier].map(|place| chase.next(place));
            chase.set(own, to_earlier);
            chase.set(earlier, to_own);
        }
        chase
    }

    pub(crate) fn walk(&mut self, steps: usize) -> usize {
        for _ in 0..steps {
            self.at = self.next(self.at);
        }
        self.at
    }

    fn next(&self, place: usize) -> usize {
        usize::from_ne_bytes(self.lines[place..place + size_of::<usize>()].try_into().unwrap())
    }

    fn set(&mut self, place: usize, next: usize) {
        self.lines[place..place + size_of::<usize>()].copy_from_slice(&next.to_ne_bytes());
    }
}

/// Reads a file once, in one thread and the memory of one buffer; how many LFs are in it.
pub(crate) fn count_lines(path: &Path) -> usize {
    let mut file = File::open(path).unwrap();
    let mut buffer = vec![0; 1 << 18];
    let mut count = 0;
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return count,
            length => count += memchr::memchr_iter(b'\n', &buffer[..length]).count(),
        }
    }
}
