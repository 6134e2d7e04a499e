//! Collecting fingerprints on several threads, under one memory ceiling.

use super::fingerprint::Fingerprint;
use super::vector::{Index, bytes_of, seek};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A part asks for this share of the ceiling at a time, so that the threads seldom touch the common count. What a part
/// has asked for and not used is lost to the others: the share is small against the whole.
const SHARE: usize = 256;

/// Lines that a part asks for at a time, at most.
const MOST_ASKED: usize = 4096;

/// Collects fingerprints for one [`Index`]; every reading thread fills a [`Part`] of its own.
pub struct Builder {
    room: Arc<Room>,
}

/// Lines that the ceiling leaves room for, over all parts.
struct Room {
    most: usize,
    taken: AtomicUsize,
}

/// What one thread collects.
pub struct Part {
    entries: Vec<u128>,
    /// How many of the common room are this part's.
    reserved: usize,
    room: Arc<Room>,
}

/// The ceiling of a [`Builder`] is reached.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("more than {0} lines, which is all that the memory ceiling leaves room for")]
pub struct Full(pub usize);

impl Builder {
    /// A builder of an index of at most `ceiling` bytes, its directory included. What is pushed twice counts twice here:
    /// only [`Builder::build`] sees that it is the same.
    #[must_use]
    pub fn new(ceiling: u64) -> Builder {
        Builder { room: Arc::new(Room { most: most_within(ceiling), taken: AtomicUsize::new(0) }) }
    }

    /// An empty part, for one thread.
    #[must_use]
    pub fn part(&self) -> Part {
        Part { entries: Vec::new(), reserved: 0, room: Arc::clone(&self.room) }
    }

    /// The index of what the parts hold, each line once; built on so many threads.
    #[must_use]
    pub fn build(self, parts: Vec<Part>, threads: usize) -> Index {
        Index::of(parts.into_iter().map(|mut part| std::mem::take(&mut part.entries)).collect(), threads)
    }
}

/// The longest list whose index takes no more than this.
pub(super) fn most_within(ceiling: u64) -> usize {
    let ceiling = usize::try_from(ceiling).unwrap_or(usize::MAX);
    // Places in the directory have 32 bits.
    seek(u32::MAX as usize, ceiling / size_of::<u128>(), |lines| bytes_of(lines + 1) <= ceiling)
}

impl Room {
    /// Takes some of what is left; 0 when nothing is.
    fn take(&self) -> usize {
        let asked = (self.most / SHARE).clamp(1, MOST_ASKED);
        let granted = |taken: usize| asked.min(self.most - taken);
        let before =
            self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| Some(taken + granted(taken)));
        before.map_or(0, granted)
    }
}

impl Part {
    /// Takes one more.
    ///
    /// # Errors
    /// [`Full`], when all parts together have reached the ceiling; what was taken before stays.
    pub fn push(&mut self, fingerprint: Fingerprint) -> Result<(), Full> {
        if self.entries.len() == self.reserved {
            match self.room.take() {
                0 => return Err(Full(self.room.most)),
                granted => self.reserved += granted,
            }
        }
        self.entries.push(fingerprint.0);
        Ok(())
    }

    /// How many it holds, doubles included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A part that is not built into an index leaves its room to the others.
impl Drop for Part {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.reserved, Ordering::Relaxed);
    }
}
