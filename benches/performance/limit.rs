//! What the machine can do at best: a read that depends on the one before, and reading a file to count its lines.
//! Knows no way of looking up.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A walk through memory in which each step is known only when the one before has arrived. Its memory comes from the
/// same allocator as the index's, and so in the same pages.
pub(crate) struct Chase {
    /// A cache line each; the first word names the next one.
    cells: Vec<[u64; 8]>,
    at: u64,
}

impl Chase {
    /// Over so many bytes, all of them on one cycle in random order.
    pub(crate) fn over(bytes: u64) -> Chase {
        let count = (bytes / 64).max(2);
        let mut cells: Vec<[u64; 8]> = (0..count).map(|own| [own; 8]).collect();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        // Sattolo's shuffle: to swap each with an earlier one, never with itself, leaves a single cycle.
        for place in (1..cells.len()).rev() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let earlier = usize::try_from(random).unwrap() % place;
            let own = cells[place][0];
            cells[place][0] = std::mem::replace(&mut cells[earlier][0], own);
        }
        Chase { cells, at: 0 }
    }

    pub(crate) fn walk(&mut self, steps: usize) -> u64 {
        for _ in 0..steps {
            self.at = self.cells[usize::try_from(self.at).unwrap()][0];
        }
        self.at
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
