//! From pieces of whole lines to fingerprints and counts: the one place where raw lines become lines of a list.

use crate::index::{Fingerprint, Fingerprinter};
use crate::normalise::{Case, Normalisation, Skipped};

/// What the lines of something come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Lines of the list.
    pub(super) lines: u64,
    /// Bytes of the longest.
    pub(super) longest: u64,
    /// Lines of which nothing is left.
    pub(super) empty: u64,
    /// Lines that are comments.
    pub(super) comments: u64,
    /// Lines too long to be asked for.
    pub(super) too_long: u64,
    /// Of all fingerprints, modulo 2^128: two texts of equal sum have the same lines, whatever their order. Their
    /// makers do not know the key.
    pub(super) sum: u128,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Counts) {
        self.lines += other.lines;
        self.longest = self.longest.max(other.longest);
        self.empty += other.empty;
        self.comments += other.comments;
        self.too_long += other.too_long;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// Counts a line, normalised or skipped.
    pub(super) fn note(&mut self, line: Result<&[u8], Skipped>) {
        match line {
            Ok(line) => {
                self.lines += 1;
                self.longest = self.longest.max(line.len() as u64);
            }
            Err(Skipped::Empty) => self.empty += 1,
            Err(Skipped::Comment) => self.comments += 1,
        }
    }
}

/// Takes pieces of whole lines apart.
pub(super) struct Counting<'a> {
    normalisation: Normalisation,
    fingerprinter: &'a Fingerprinter,
    fingerprints: Vec<Fingerprint>,
    room: Vec<u8>,
}

impl<'a> Counting<'a> {
    pub(super) fn new(normalisation: Normalisation, fingerprinter: &'a Fingerprinter) -> Counting<'a> {
        Counting { normalisation, fingerprinter, fingerprints: Vec::new(), room: Vec::new() }
    }

    /// The fingerprints of a piece's lines, and what they come to.
    pub(super) fn take(&mut self, piece: &[u8]) -> (&[Fingerprint], Counts) {
        let mut counts = Counts::default();
        self.fingerprints.clear();
        if self.normalisation.case == Case::Keep {
            // Lines that stay where they are can be hashed together, which is several times faster.
            let mut lines = Vec::with_capacity(piece.len() / 32);
            for line in raw_lines(piece) {
                let line = self.normalisation.cut(line);
                counts.note(line);
                lines.extend(line.ok());
            }
            self.fingerprinter.fingerprint_batch(&lines, &mut self.fingerprints);
        } else {
            for line in raw_lines(piece) {
                let line = self.normalisation.apply(line, &mut self.room);
                counts.note(line);
                self.fingerprints.extend(line.ok().map(|line| self.fingerprinter.fingerprint(line)));
            }
        }
        counts.sum = self.fingerprints.iter().fold(0, |sum: u128, fingerprint| sum.wrapping_add(fingerprint.bits()));
        (&self.fingerprints, counts)
    }
}

/// Lines without their LF; the last may have none.
pub(super) fn raw_lines(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    let ends = memchr::memchr_iter(b'\n', piece);
    let unended = (!piece.is_empty() && !piece.ends_with(b"\n")).then_some(piece.len());
    ends.chain(unended).map(move |end| {
        let line = piece.get(from..end).unwrap_or(&[]);
        from = end + 1;
        line
    })
}
