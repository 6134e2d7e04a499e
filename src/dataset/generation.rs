//! A generation of one list: the index of what was read, and what an `appends` list got since. The memory of all
//! generations of all lists stays under one ceiling.

use crate::index::{Fingerprint, Index};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// Memory of a line in the tail: a set of 16-byte entries is between half and wholly full, with a byte beside each.
const TAIL_BYTES: u64 = 40;

/// A tail longer than this, and than an eighth of the index, is worth a new index.
const LONG_TAIL: u64 = 1 << 16;

/// What is in service of one list.
pub(super) struct Generation {
    /// 1 at the list's first load, one more each time its content was taken anew.
    pub(super) number: u64,
    index: Index,
    /// Lines that came behind what the index holds.
    tail: RwLock<HashSet<Fingerprint>>,
    tail_length: AtomicU64,
    pub(super) loaded_at: SystemTime,
    pub(super) took: Duration,
    held: Held,
}

impl Generation {
    pub(super) fn new(number: u64, index: Index, took: Duration, memory: &Arc<Memory>) -> Arc<Generation> {
        Arc::new(Generation {
            number,
            held: memory.hold(index.bytes()),
            index,
            tail: RwLock::default(),
            tail_length: AtomicU64::new(0),
            loaded_at: SystemTime::now(),
            took,
        })
    }

    /// Sets `found[i]` where `fingerprints[i]` is in it, and leaves the others.
    pub(super) fn look_up(&self, fingerprints: &[Fingerprint], found: &mut [bool]) {
        self.index.contains_batch(fingerprints, found);
        if self.tail_length.load(Relaxed) > 0 {
            let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
            for (fingerprint, found) in fingerprints.iter().zip(found) {
                *found = *found || tail.contains(fingerprint);
            }
        }
    }

    /// Takes lines that came behind. `false`, and nothing is taken, when the memory ceiling leaves no room for them.
    pub(super) fn grow(&self, fingerprints: &[Fingerprint]) -> bool {
        if !self.held.grow(fingerprints.len() as u64 * TAIL_BYTES) {
            return false;
        }
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        let before = tail.len();
        tail.extend(fingerprints);
        let doubles = fingerprints.len() - (tail.len() - before);
        self.held.shrink(doubles as u64 * TAIL_BYTES);
        self.tail_length.store(tail.len() as u64, Relaxed);
        true
    }

    /// Whether anything came behind what the index holds.
    pub(super) fn has_tail(&self) -> bool {
        self.tail_length.load(Relaxed) > 0
    }

    /// Whether the tail is long enough for a new index.
    pub(super) fn tail_is_long(&self) -> bool {
        self.tail_length.load(Relaxed) > LONG_TAIL.max(self.index.len() as u64 / 8)
    }

    /// Different lines; those that came behind and were there before count twice.
    pub(super) fn distinct(&self) -> u64 {
        self.index.len() as u64 + self.tail_length.load(Relaxed)
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.held.bytes.load(Relaxed)
    }
}

/// The ceiling over the generations of all lists, old and new.
pub struct Memory {
    ceiling: AtomicU64,
    held: AtomicU64,
    /// One index is built at a time: each may take all the room that is left.
    building: Mutex<()>,
}

/// Memory that a generation takes, given back with it.
struct Held {
    memory: Arc<Memory>,
    bytes: AtomicU64,
}

impl Memory {
    /// Nothing is held yet. The ceiling is in bytes.
    #[must_use]
    pub fn new(ceiling: u64) -> Arc<Memory> {
        Arc::new(Memory { ceiling: AtomicU64::new(ceiling), held: AtomicU64::new(0), building: Mutex::new(()) })
    }

    /// Sets another ceiling; what is held stays.
    pub fn set_ceiling(&self, ceiling: u64) {
        self.ceiling.store(ceiling, Relaxed);
    }

    /// Bytes that generations hold now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// Waits until no other index is built. With it: the bytes that are left.
    pub(super) fn build(&self) -> (MutexGuard<'_, ()>, u64) {
        let guard = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        (guard, self.ceiling.load(Relaxed).saturating_sub(self.held()))
    }

    fn hold(self: &Arc<Memory>, bytes: u64) -> Held {
        self.held.fetch_add(bytes, Relaxed);
        Held { memory: Arc::clone(self), bytes: AtomicU64::new(bytes) }
    }
}

impl Held {
    fn grow(&self, bytes: u64) -> bool {
        let before = self.memory.held.fetch_add(bytes, Relaxed);
        if before + bytes > self.memory.ceiling.load(Relaxed) {
            self.memory.held.fetch_sub(bytes, Relaxed);
            return false;
        }
        self.bytes.fetch_add(bytes, Relaxed);
        true
    }
}

impl Held {
    fn shrink(&self, bytes: u64) {
        self.memory.held.fetch_sub(bytes, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.held.fetch_sub(self.bytes.load(Relaxed), Relaxed);
    }
}
