//! Answers by reading the files: for a list that changed, until its index is built, and for lists that have none.
//! Reads as an index is read, and compares lines instead of keeping them.

use super::counting::{Counts, raw_lines};
use super::reading::{self, Block, Visitor};
use crate::config::{Dataset, Writer};
use crate::normalise::Normalisation;
use memchr::memmem::Finder;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::File;
use std::io;

/// Up to so many queries are each searched for as bytes; more are looked for line by line.
const FEW: usize = 4;

/// Smaller files are read by the thread that asks: starting another takes longer.
const WORTH_A_THREAD: u64 = 2 << 20;

/// What a scan found.
pub(super) struct Scanned {
    /// For each query, whether a line is equal to it.
    pub(super) found: Vec<bool>,
    /// What the lines came to; without `counted` only whether there is one at all.
    pub(super) counts: Counts,
}

/// Looks for normalised, distinct queries in all lines of the files. `counted` asks for every line to be counted too.
///
/// # Errors
/// Which file could not be read, and why.
pub(super) fn scan(
    files: &[(File, u64)],
    dataset: &Dataset,
    queries: &[&[u8]],
    counted: bool,
) -> Result<Scanned, (usize, io::Error)> {
    let mut blocks = Vec::new();
    let mut bytes = 0;
    for (place, (_, end)) in files.iter().enumerate() {
        blocks.extend(reading::blocks(place, 0, *end));
        bytes += end;
    }
    let threads = if bytes < WORTH_A_THREAD { 1 } else { reading::threads() };
    let normalisation = dataset.normalisation;
    let by_bytes = normalisation.keeps_bytes() && queries.len() <= FEW && !counted;
    let wanted = Wanted::new(queries);
    let visitor = || Scanning {
        normalisation,
        unended_waits: dataset.writer == Writer::Appends,
        wanted: &wanted,
        finders: if by_bytes { Some(finders(queries)) } else { None },
        scanned: Scanned { found: vec![false; queries.len()], counts: Counts::default() },
        room: Vec::new(),
    };
    let visitors = reading::read_all(files, &blocks, threads, visitor).map_err(|(file, halt)| match halt {
        reading::Halt::Io(error) => (file, error),
        reading::Halt::Stop(never) => match never {},
    })?;
    let mut whole = Scanned { found: vec![false; queries.len()], counts: Counts::default() };
    for Scanning { scanned, .. } in visitors {
        whole.counts.add(&scanned.counts);
        whole.found.iter_mut().zip(scanned.found).for_each(|(whole, found)| *whole |= found);
    }
    Ok(whole)
}

/// With the LF before it: what is found then begins a line.
fn finders(queries: &[&[u8]]) -> Vec<Finder<'static>> {
    queries.iter().map(|query| Finder::new(&[b"\n", *query].concat()).into_owned()).collect()
}

/// The queries, so that a line which is none of them is seen to be none at once.
struct Wanted<'a> {
    places: HashMap<&'a [u8], usize>,
    /// One bit for each value of `mark`.
    marks: Vec<u64>,
}

/// Bits of [`mark`].
const MARK_BITS: u32 = 16;

impl<'a> Wanted<'a> {
    fn new(queries: &[&'a [u8]]) -> Wanted<'a> {
        let mut marks = vec![0; 1 << (MARK_BITS - 6)];
        for query in queries {
            let mark = mark(query);
            if let Some(word) = marks.get_mut(mark >> 6) {
                *word |= 1u64 << (mark & 63);
            }
        }
        Wanted { places: queries.iter().enumerate().map(|(place, query)| (*query, place)).collect(), marks }
    }

    fn place(&self, line: &[u8]) -> Option<usize> {
        let mark = mark(line);
        let may_be = self.marks.get(mark >> 6).is_some_and(|word| word >> (mark & 63) & 1 == 1);
        if may_be { self.places.get(line).copied() } else { None }
    }
}

/// A few bits of a line's length and its last bytes: different for most lines that differ, and quick. Whoever makes lines
/// of one mark makes the scan slower, never wrong.
fn mark(line: &[u8]) -> usize {
    let mut last = [0; 8];
    match line.last_chunk::<8>() {
        Some(chunk) => last = *chunk,
        None => last.iter_mut().zip(line).for_each(|(to, from)| *to = *from),
    }
    let mixed = (u64::from_le_bytes(last) ^ (line.len() as u64) << 56).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from(mixed >> (64 - MARK_BITS)).unwrap_or(0)
}

struct Scanning<'a> {
    normalisation: Normalisation,
    unended_waits: bool,
    wanted: &'a Wanted<'a>,
    /// For few queries and plain lines: a search for each.
    finders: Option<Vec<Finder<'static>>>,
    scanned: Scanned,
    room: Vec<u8>,
}

impl Scanning<'_> {
    fn line(&mut self, line: &[u8]) {
        let counts = &mut self.scanned.counts;
        let line = self.normalisation.apply(line, &mut self.room);
        counts.note(line);
        let place = line.ok().and_then(|line| self.wanted.place(line));
        if let Some(found) = place.and_then(|place| self.scanned.found.get_mut(place)) {
            *found = true;
        }
    }

    /// Lines that begin with a query, and only they, are looked at as lines.
    fn search(&mut self, finders: &[Finder<'static>], piece: &[u8]) {
        self.line(&piece[..memchr::memchr(b'\n', piece).unwrap_or(piece.len())]);
        if self.scanned.counts.lines == 0 {
            self.first_line_of(piece);
        }
        for (place, finder) in finders.iter().enumerate() {
            if self.scanned.found.get(place) == Some(&true) {
                continue;
            }
            for at in finder.find_iter(piece) {
                let rest = piece.get(at + 1..).unwrap_or(&[]);
                self.line(&rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())]);
                if self.scanned.found.get(place) == Some(&true) {
                    break;
                }
            }
        }
    }

    /// Goes on until one line is found: a file of empty lines has none.
    fn first_line_of(&mut self, piece: &[u8]) {
        for line in piece.split(|byte| *byte == b'\n') {
            self.line(line);
            if self.scanned.counts.lines > 0 {
                return;
            }
        }
    }
}

impl Visitor for Scanning<'_> {
    type Stop = Infallible;

    fn piece(&mut self, _: &Block, piece: &[u8], ended: bool) -> Result<(), Infallible> {
        if self.unended_waits && !ended {
            return Ok(());
        }
        if let Some(finders) = self.finders.take() {
            self.search(&finders, piece);
            self.finders = Some(finders);
            return Ok(());
        }
        raw_lines(piece).for_each(|line| self.line(line));
        Ok(())
    }

    fn too_long(&mut self, _: &Block) {
        self.scanned.counts.too_long += 1;
    }
}
