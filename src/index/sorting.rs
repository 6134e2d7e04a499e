//! Many fingerprints in any order to sorted entries and their directory, on several threads.
//!
//! A PRF spreads evenly, so that its top bits sort almost for nothing: one pass deals the fingerprints to buckets in the
//! vector that stays, then every bucket is dealt to its slots and sorted in the cache. Other distributions are slower.

use super::entry::Entry;
use std::sync::Mutex;

/// A bucket has 2^8 slots, so that one byte beside an entry says which is its own.
const BUCKET_SLOT_BITS: u32 = 8;

/// Fingerprints that are given back to the kernel at a time while the entries are written: a multiple of a page, and
/// few calls. So fingerprints and entries are never both whole in memory.
const GIVEN_BACK: usize = 1 << 18;

/// The fingerprint's top bits: its place in a directory of `2^bits`.
#[inline]
pub(super) fn slot_of(fingerprint: u128, bits: u32) -> usize {
    // A shift by all 128 bits would not be defined: with one slot everything is in it.
    usize::try_from(fingerprint.checked_shr(128 - bits).unwrap_or(0)).unwrap_or(usize::MAX)
}

/// The distinct entries of these fingerprints, sorted, and the directory of their `2^slot_bits` slots: entries of slot
/// `s` are at `directory[s]..directory[s + 1]`.
pub(super) fn sorted<E: Entry>(parts: Vec<Vec<u128>>, slot_bits: u32, threads: usize) -> (Vec<E>, Vec<u32>) {
    let bucket_bits = slot_bits.saturating_sub(BUCKET_SLOT_BITS);
    let buckets = 1 << bucket_bits;
    let mut heaps = heaps(parts, threads.max(1), buckets);
    each(threads, heaps.iter_mut(), || |heap: &mut Heap| heap.count(bucket_bits));
    let sizes: Vec<usize> = (0..buckets).map(|bucket| heaps.iter().map(|heap| heap.counts[bucket]).sum()).collect();
    let total = sizes.iter().sum();

    let mut entries = vec![E::default(); total];
    let mut slots = vec![0u8; total];
    let dealt = lanes(&mut heaps, &mut entries, &mut slots);
    each(threads, dealt.into_iter(), || |(heap, lanes): (&mut Heap, Vec<Lane<E>>)| heap.deal(lanes, slot_bits));
    drop(heaps);

    let mut directory = vec![0u32; (1 << slot_bits) + 1];
    let mut kept = vec![0usize; buckets];
    let jobs = jobs(&sizes, &mut entries, &slots, directory.chunks_mut(1 << (slot_bits - bucket_bits)), &mut kept);
    each(threads, jobs.into_iter(), || {
        let mut scratch = Vec::new();
        move |job: Bucket<E>| job.sort(&mut scratch)
    });
    drop(slots);
    close_gaps(&mut entries, &sizes, &kept);
    let mut place = 0;
    for slot in &mut directory {
        place += std::mem::replace(slot, place);
    }
    (entries, directory)
}

/// Runs every job on one of so many threads, this one among them. Where the system grants fewer, they do it all.
fn each<J: Send, W: FnMut(J)>(
    threads: usize,
    jobs: impl ExactSizeIterator<Item = J> + Send,
    worker: impl Fn() -> W + Sync,
) {
    let helpers = threads.min(jobs.len()).saturating_sub(1);
    let jobs = Mutex::new(jobs);
    let next = || jobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let work = || {
        let mut worker = worker();
        while let Some(job) = next() {
            worker(job);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..helpers {
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
}

/// The parts that one thread deals, and how many of them belong to every bucket.
struct Heap {
    parts: Vec<Vec<u128>>,
    counts: Vec<usize>,
}

/// One heap a thread, as even as whole parts allow.
fn heaps(mut parts: Vec<Vec<u128>>, threads: usize, buckets: usize) -> Vec<Heap> {
    parts.retain(|part| !part.is_empty());
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    let mut heaps: Vec<Heap> = Vec::new();
    heaps.resize_with(threads.min(parts.len()), || Heap { parts: Vec::new(), counts: vec![0; buckets] });
    for part in parts {
        if let Some(least) = heaps.iter_mut().min_by_key(|heap| heap.parts.iter().map(Vec::len).sum::<usize>()) {
            least.parts.push(part);
        }
    }
    heaps
}

/// Where one heap's entries of one bucket go, and their slots.
struct Lane<'a, E> {
    entries: std::slice::IterMut<'a, E>,
    slots: std::slice::IterMut<'a, u8>,
}

/// Parts the room into lanes, bucket by bucket and heap by heap.
fn lanes<'a, E: Entry>(
    heaps: &'a mut [Heap],
    mut entries: &'a mut [E],
    mut slots: &'a mut [u8],
) -> Vec<(&'a mut Heap, Vec<Lane<'a, E>>)> {
    let buckets = heaps.first().map_or(0, |heap| heap.counts.len());
    let mut dealt: Vec<_> = heaps.iter_mut().map(|heap| (heap, Vec::with_capacity(buckets))).collect();
    for bucket in 0..buckets {
        for (heap, lanes) in &mut dealt {
            let count = heap.counts[bucket];
            let mine = entries.split_at_mut(count);
            let mine_too = slots.split_at_mut(count);
            (entries, slots) = (mine.1, mine_too.1);
            lanes.push(Lane { entries: mine.0.iter_mut(), slots: mine_too.0.iter_mut() });
        }
    }
    dealt
}

impl Heap {
    fn count(&mut self, bucket_bits: u32) {
        for fingerprint in self.parts.iter().flatten() {
            self.counts[slot_of(*fingerprint, bucket_bits)] += 1;
        }
    }

    fn deal<E: Entry>(&mut self, mut lanes: Vec<Lane<E>>, slot_bits: u32) {
        let bucket_slot_bits = slot_bits.min(BUCKET_SLOT_BITS);
        for mut part in self.parts.drain(..) {
            while !part.is_empty() {
                let from = part.len().saturating_sub(GIVEN_BACK);
                for fingerprint in &part[from..] {
                    let slot = slot_of(*fingerprint, slot_bits);
                    let lane = &mut lanes[slot >> bucket_slot_bits];
                    if let (Some(entry), Some(beside)) = (lane.entries.next(), lane.slots.next()) {
                        *entry = E::of(fingerprint.checked_shl(slot_bits).unwrap_or(0));
                        *beside = slot.to_le_bytes()[0];
                    }
                }
                part.truncate(from);
                part.shrink_to_fit();
            }
        }
        // One that found no place would be a silent no. The lanes have room for exactly all of them.
        assert!(lanes.iter().all(|lane| lane.entries.len() == 0), "a lane is short by what another has too much");
    }
}

/// One bucket to sort.
struct Bucket<'a, E> {
    entries: &'a mut [E],
    slots: &'a [u8],
    /// Takes how many distinct entries every slot has.
    counts: &'a mut [u32],
    /// Takes how many there are in all; they are the bucket's first.
    kept: &'a mut usize,
}

fn jobs<'a, E: Entry>(
    sizes: &[usize],
    mut entries: &'a mut [E],
    mut slots: &'a [u8],
    counts: std::slice::ChunksMut<'a, u32>,
    kept: &'a mut [usize],
) -> Vec<Bucket<'a, E>> {
    let mut jobs = Vec::with_capacity(sizes.len());
    for ((size, counts), kept) in sizes.iter().zip(counts).zip(kept) {
        let mine = entries.split_at_mut(*size);
        let mine_too = slots.split_at(*size);
        (entries, slots) = (mine.1, mine_too.1);
        jobs.push(Bucket { entries: mine.0, slots: mine_too.0, counts, kept });
    }
    jobs
}

impl<E: Entry> Bucket<'_, E> {
    fn sort(self, scratch: &mut Vec<E>) {
        let mut places = [0usize; 1 << BUCKET_SLOT_BITS];
        for slot in self.slots {
            places[usize::from(*slot)] += 1;
        }
        let mut place = 0;
        for slot in &mut places {
            place += std::mem::replace(slot, place);
        }
        scratch.clear();
        scratch.resize(self.entries.len(), E::default());
        for (entry, slot) in self.entries.iter().zip(self.slots) {
            let place = &mut places[usize::from(*slot)];
            scratch[*place] = *entry;
            *place += 1;
        }
        // Every place now stands at its slot's end.
        let (mut first, mut kept) = (0, 0);
        for (end, count) in places.into_iter().zip(self.counts) {
            let slot = &mut scratch[first..end];
            first = end;
            slot.sort_unstable_by_key(|entry| entry.whole());
            let begun = kept;
            for entry in slot {
                if kept == begun || self.entries[kept - 1] != *entry {
                    self.entries[kept] = *entry;
                    kept += 1;
                }
            }
            *count = u32::try_from(kept - begun).unwrap_or(u32::MAX);
        }
        *self.kept = kept;
    }
}

/// Moves the buckets together where doubles were dropped.
fn close_gaps<E: Entry>(entries: &mut Vec<E>, sizes: &[usize], kept: &[usize]) {
    let (mut from, mut to) = (0, 0);
    for (size, kept) in sizes.iter().zip(kept) {
        if from != to {
            entries.copy_within(from..from + kept, to);
        }
        from += size;
        to += kept;
    }
    entries.truncate(to);
    entries.shrink_to_fit();
}
