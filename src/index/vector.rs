//! The sorted vector, its directory, and the search in it.

use super::fingerprint::Fingerprint;
use super::prefetch::prefetch;

/// Slots of the directory at most: 2^17 offsets of 4 bytes stay in a second-level cache.
const MOST_SLOT_BITS: u32 = 17;

/// Entries that a slot should hold, at least, before the directory is made larger.
const ENTRIES_A_SLOT: usize = 8;

/// Look-ups whose memory accesses overlap. The processor keeps only so many misses open: from 32 on the batch was
/// slower again (`docs/decisions/0003-index.md`).
const GROUP: usize = 16;

impl Index {
    /// Of these, in whatever order, on so many threads.
    pub(super) fn of(parts: Vec<Vec<u128>>, _threads: usize) -> Index {
        let mut entries = parts.concat();
        entries.sort_unstable();
        entries.dedup();
        entries.shrink_to_fit();
        let slot_bits = slot_bits(entries.len());
        Index { directory: directory(&entries, slot_bits), entries, slot_bits }
    }
}

/// The directory grows with the entries, up to what the cache holds.
fn slot_bits(entries: usize) -> u32 {
    (entries / ENTRIES_A_SLOT).max(1).ilog2().min(MOST_SLOT_BITS)
}

/// Memory of an index of that many entries.
pub(super) fn bytes_of(entries: usize) -> usize {
    entries * size_of::<u128>() + ((1 << slot_bits(entries)) + 1) * size_of::<u32>()
}

/// `directory[slot]..directory[slot + 1]` are the entries whose top bits are `slot`.
fn directory(entries: &[u128], slot_bits: u32) -> Vec<u32> {
    let slots = 1usize << slot_bits;
    let mut directory = Vec::with_capacity(slots + 1);
    let mut place = 0;
    for slot in 0..slots {
        while entries.get(place).is_some_and(|entry| slot_of(*entry, slot_bits) < slot) {
            place += 1;
        }
        directory.push(u32::try_from(place).unwrap_or(u32::MAX));
    }
    directory.push(u32::try_from(entries.len()).unwrap_or(u32::MAX));
    directory
}

fn slot_of(entry: u128, slot_bits: u32) -> usize {
    // A shift by all 128 bits would not be defined: with one slot everything is in it.
    if slot_bits == 0 { 0 } else { usize::try_from(entry >> (128 - slot_bits)).unwrap_or(usize::MAX) }
}

/// The immutable set of fingerprints.
pub struct Index {
    entries: Vec<u128>,
    directory: Vec<u32>,
    slot_bits: u32,
}

/// Where a look-up will look: the slot's entries and the place in them that interpolation names.
#[derive(Clone, Copy, Default)]
struct Guess {
    first: usize,
    end: usize,
    place: usize,
}

impl Index {
    /// Whether the fingerprint is in it.
    #[must_use]
    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.search(fingerprint.0, self.guess(fingerprint.0))
    }

    /// Sets `found[i]` where `fingerprints[i]` is in it, and leaves the others as they are. What is found already is
    /// not looked up again. The memory accesses of many look-ups overlap.
    ///
    /// # Panics
    /// When the two are not of one length: what has no place for its answer would be answered "not found".
    pub fn contains_batch(&self, fingerprints: &[Fingerprint], found: &mut [bool]) {
        assert_eq!(fingerprints.len(), found.len(), "one answer a fingerprint");
        let mut guesses = [Guess::default(); GROUP];
        for (fingerprints, found) in fingerprints.chunks(GROUP).zip(found.chunks_mut(GROUP)) {
            for (guess, fingerprint) in guesses.iter_mut().zip(fingerprints) {
                *guess = self.guess(fingerprint.0);
                prefetch(&self.entries, guess.place);
            }
            for ((guess, fingerprint), found) in guesses.iter().zip(fingerprints).zip(found) {
                *found = *found || self.search(fingerprint.0, *guess);
            }
        }
    }

    /// Distinct fingerprints.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Memory that it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.entries.capacity() * size_of::<u128>() + self.directory.capacity() * size_of::<u32>()) as u64
    }

    #[inline]
    fn guess(&self, wanted: u128) -> Guess {
        let slot = slot_of(wanted, self.slot_bits);
        let first = self.directory.get(slot).copied().unwrap_or(0) as usize;
        let end = self.directory.get(slot + 1).copied().unwrap_or(0) as usize;
        // A PRF spreads evenly: the next 32 bits below the slot's say how far into the slot.
        let fraction = u64::try_from((wanted << self.slot_bits) >> 96).unwrap_or(0);
        let inside = (fraction * (end - first) as u64) >> 32;
        Guess { first, end, place: first + usize::try_from(inside).unwrap_or(0) }
    }

    #[inline]
    fn search(&self, wanted: u128, guess: Guess) -> bool {
        let slot = self.entries.get(guess.first..guess.end).unwrap_or(&[]);
        let below = |place: usize| slot.get(place).is_some_and(|entry| *entry < wanted);
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
