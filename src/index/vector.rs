//! The sorted vector, its directory, and the search in it.

use super::entry::{Entry, Narrow, Wide};
use super::fingerprint::Fingerprint;
use super::machine::prefetch;
use super::sorting::{slot_of, sorted};

/// From so many entries on they are narrow, below 2^17 slots at least: 96 bits stored and 17 implied are 113. Below,
/// such a directory would take more than narrow entries save.
pub(super) const LEAST_NARROW: usize = 122_880;

/// Slots of the directory of narrow entries, at least. Its offsets, of 4 bytes each, stay in a second-level cache.
const LEAST_SLOT_BITS: u32 = 17;

/// Narrow entries to a slot, at least, before the directory grows further: so the guess is good in lists of any length.
const NARROW_A_SLOT: usize = 64;

/// Wide entries to a slot, at least.
const WIDE_A_SLOT: usize = 8;

/// Entries around the guess that are compared without asking what the order says, as no processor can foresee that.
const WINDOW: usize = 12;

/// Look-ups whose memory accesses overlap (`docs/decisions/0003-index.md`).
const AHEAD: usize = 12;

/// The immutable set of fingerprints.
pub struct Index(Layout);

enum Layout {
    Wide(Sorted<Wide>),
    Narrow(Sorted<Narrow>),
}

impl Index {
    /// Of these, in whatever order, on so many threads.
    pub(super) fn of(parts: Vec<Vec<u128>>, threads: usize) -> Index {
        let lines = parts.iter().map(Vec::len).sum();
        Index(if lines < LEAST_NARROW {
            Layout::Wide(Sorted::of(parts, slot_bits(lines), threads))
        } else {
            Layout::Narrow(Sorted::of(parts, slot_bits(lines), threads))
        })
    }

    /// Whether the fingerprint is in it.
    #[must_use]
    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        match &self.0 {
            Layout::Wide(sorted) => sorted.contains(fingerprint.0),
            Layout::Narrow(sorted) => sorted.contains(fingerprint.0),
        }
    }

    /// Sets `found[i]` where `fingerprints[i]` is in it, and leaves the others as they are. What is found already is
    /// not looked up again. The memory accesses of many look-ups overlap.
    ///
    /// # Panics
    /// When the two are not of one length: what has no place for its answer would be answered "not found".
    pub fn contains_batch(&self, fingerprints: &[Fingerprint], found: &mut [bool]) {
        assert_eq!(fingerprints.len(), found.len(), "one answer a fingerprint");
        match &self.0 {
            Layout::Wide(sorted) => sorted.contains_batch(fingerprints, found),
            Layout::Narrow(sorted) => sorted.contains_batch(fingerprints, found),
        }
    }

    /// Distinct fingerprints.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Layout::Wide(sorted) => sorted.entries.len(),
            Layout::Narrow(sorted) => sorted.entries.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Memory that it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match &self.0 {
            Layout::Wide(sorted) => sorted.bytes(),
            Layout::Narrow(sorted) => sorted.bytes(),
        }
    }
}

/// The directory grows with the entries.
fn slot_bits(entries: usize) -> u32 {
    if entries < LEAST_NARROW {
        (entries / WIDE_A_SLOT).max(1).ilog2()
    } else {
        (entries / NARROW_A_SLOT).ilog2().max(LEAST_SLOT_BITS)
    }
}

/// Memory of an index of that many entries; never less for more of them.
pub(super) fn bytes_of(entries: usize) -> usize {
    let entry = if entries < LEAST_NARROW { size_of::<Wide>() } else { size_of::<Narrow>() };
    entries * entry + ((1 << slot_bits(entries)) + 1) * size_of::<u32>()
}

/// Bits of a fingerprint that are compared in an index of that many entries: those stored, and those that slots imply.
#[cfg(test)]
pub(super) fn bits_of(entries: usize) -> u32 {
    if entries < LEAST_NARROW { Wide::BITS } else { 3 * u32::BITS + slot_bits(entries) }
}

/// Entries of one width.
struct Sorted<E> {
    entries: Vec<E>,
    directory: Vec<u32>,
    slot_bits: u32,
}

/// Where a look-up will look: the slot's entries, the place among all that interpolation names, and the window around it.
#[derive(Clone, Copy, Default)]
struct Guess {
    first: usize,
    end: usize,
    place: usize,
    window: usize,
}

impl<E: Entry> Sorted<E> {
    fn of(parts: Vec<Vec<u128>>, slot_bits: u32, threads: usize) -> Sorted<E> {
        let (entries, directory) = sorted(parts, slot_bits, threads);
        Sorted { entries, directory, slot_bits }
    }

    fn bytes(&self) -> u64 {
        (self.entries.capacity() * size_of::<E>() + self.directory.capacity() * size_of::<u32>()) as u64
    }

    #[inline]
    fn contains(&self, fingerprint: u128) -> bool {
        self.search(fingerprint, self.guess(fingerprint))
    }

    fn contains_batch(&self, fingerprints: &[Fingerprint], found: &mut [bool]) {
        let slot =
            |fingerprint: &Fingerprint| prefetch::<1, u32>(&self.directory, slot_of(fingerprint.0, self.slot_bits));
        let aim = |fingerprint: &Fingerprint| {
            let guess = self.guess(fingerprint.0);
            prefetch::<WINDOW, E>(&self.entries, guess.window);
            guess
        };
        let mut ahead = [Guess::default(); AHEAD];
        fingerprints.iter().take(2 * AHEAD).for_each(slot);
        for (guess, fingerprint) in ahead.iter_mut().zip(fingerprints) {
            *guess = aim(fingerprint);
        }
        for (place, (fingerprint, found)) in fingerprints.iter().zip(found).enumerate() {
            let guess = ahead[place % AHEAD];
            fingerprints.get(place + 2 * AHEAD).map(slot);
            if let Some(next) = fingerprints.get(place + AHEAD) {
                ahead[place % AHEAD] = aim(next);
            }
            *found = *found || self.search(fingerprint.0, guess);
        }
    }

    #[inline]
    fn rest(&self, fingerprint: u128) -> u128 {
        fingerprint << self.slot_bits
    }

    #[inline]
    fn guess(&self, fingerprint: u128) -> Guess {
        let slot = slot_of(fingerprint, self.slot_bits);
        let first = self.directory.get(slot).copied().unwrap_or(0) as usize;
        let end = self.directory.get(slot + 1).copied().unwrap_or(0) as usize;
        // A PRF spreads evenly: the next 32 bits below the slot's say how far into the slot.
        let fraction = (self.rest(fingerprint) >> 96) as u64;
        let inside = (fraction * (end - first) as u64) >> 32;
        let place = first + usize::try_from(inside).unwrap_or(0);
        let last = self.entries.len().saturating_sub(WINDOW);
        let window = place.saturating_sub(WINDOW / 2).min(end.saturating_sub(WINDOW)).max(first).min(last);
        Guess { first, end, place, window }
    }

    /// Nearly always the window alone decides, by one branch that is nearly always taken.
    #[inline]
    fn search(&self, fingerprint: u128, guess: Guess) -> bool {
        let wanted = E::of(self.rest(fingerprint));
        let Some(window) = self.entries.get(guess.window..).and_then(|entries| entries.first_chunk::<WINDOW>()) else {
            return self.search_slot(wanted, guess);
        };
        let mut at = 0;
        for (place, entry) in window.iter().enumerate() {
            if entry.high() == wanted.high() {
                at = place;
            }
        }
        let (start, end) = (guess.window, guess.window + WINDOW);
        let [lowest, .., highest] = window;
        let candidate = window[at % WINDOW];
        // Beyond the slot stand entries that imply other bits: to be equal to one of them says nothing.
        let found = (candidate == wanted) & (start + at >= guess.first) & (start + at < guess.end);
        let absent = (candidate.high() != wanted.high())
            & ((start <= guess.first) | (lowest.high() < wanted.high()))
            & ((end >= guess.end) | (highest.high() > wanted.high()));
        if found | absent { found } else { self.search_slot(wanted, guess) }
    }

    /// However the slot's entries are distributed.
    #[cold]
    #[inline(never)]
    fn search_slot(&self, wanted: E, guess: Guess) -> bool {
        let slot = self.entries.get(guess.first..guess.end).unwrap_or(&[]);
        let below = |place: usize| slot.get(place).is_some_and(|entry| entry.whole() < wanted.whole());
        let at = seek(slot.len(), guess.place.saturating_sub(guess.first), below);
        slot.get(at) == Some(&wanted)
    }
}

/// The first place in `0..length` that is not `below`, or `length`; what is `below` comes first.
/// Steps of doubling width away from `guess`, then halving between: one or two steps where the guess is good,
/// O(log length) however bad it is.
#[inline]
pub(super) fn seek(length: usize, guess: usize, mut below: impl FnMut(usize) -> bool) -> usize {
    let guess = guess.min(length);
    let (mut low, mut high) = (0, length);
    let mut step = 2;
    if guess < length && below(guess) {
        low = guess + 1;
        while low + step < length {
            if !below(low + step) {
                high = low + step;
                break;
            }
            low += step + 1;
            step *= 2;
        }
    } else {
        high = guess;
        while high > step {
            if below(high - step) {
                low = high - step + 1;
                break;
            }
            high -= step;
            step *= 2;
        }
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
