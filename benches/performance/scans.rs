//! The ways that build nothing and go through the text for every query. For each of them a line is a whole line: a
//! substring search that stops at the first match anywhere would answer another question.

use crate::fenced::map;
use crate::way::{Way, lines};
use memchr::memmem;
use memmap2::Mmap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Line by line through the text in memory.
pub(crate) struct Linear<'t>(pub(crate) &'t [u8]);

impl Way for Linear<'_> {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn has(&self, wanted: &[u8]) -> bool {
        lines(self.0).any(|line| line == wanted)
    }
}

/// One substring search over the text in memory, by vector instructions.
pub(crate) struct Substring<'t>(pub(crate) &'t [u8]);

impl Way for Substring<'_> {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn has(&self, line: &[u8]) -> bool {
        is_a_line_of(self.0, line)
    }
}

/// The same over the file mapped into memory: the text is the kernel's page cache.
pub(crate) struct Mapped(Mmap);

impl Mapped {
    pub(crate) fn open(path: &Path) -> Mapped {
        Mapped(map(path))
    }
}

impl Way for Mapped {
    fn bytes(&self) -> u64 {
        0
    }

    fn has(&self, line: &[u8]) -> bool {
        is_a_line_of(&self.0, line)
    }
}

/// Line by line through the file, in the memory of one buffer.
pub(crate) struct Streaming(pub(crate) PathBuf);

impl Way for Streaming {
    fn bytes(&self) -> u64 {
        0
    }

    fn has(&self, wanted: &[u8]) -> bool {
        let mut file = BufReader::with_capacity(1 << 18, File::open(&self.0).unwrap());
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line).unwrap() > 0 {
            if line.strip_suffix(b"\n") == Some(wanted) {
                return true;
            }
            line.clear();
        }
        false
    }
}

fn is_a_line_of(text: &[u8], line: &[u8]) -> bool {
    let between = [b"\n", line, b"\n"].concat();
    text.starts_with(&between[1..]) || memmem::find(text, &between).is_some()
}
