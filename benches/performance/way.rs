//! What every way of looking up has to do, and how it is asked. Knows none of them.

use crate::fenced::wait;

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

/// The lines of a text that ends with an LF.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    memchr::memchr_iter(b'\n', text).map(move |end| &text[std::mem::replace(&mut from, end + 1)..end])
}
