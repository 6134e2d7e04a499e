//! The one fenced file of the benches: a file mapped into memory, and a processor that waits. Knows nothing else.
#![allow(unsafe_code)]

use memmap2::{Advice, Mmap};
use std::fs::File;
use std::path::Path;

/// Maps a file that the benches wrote.
pub(crate) fn map(path: &Path) -> Mmap {
    let file = File::open(path).unwrap();
    // SAFETY: a mapped file must not change while it is looked at. This one was written by this very process into a
    // folder of its own with a name that nobody else knows, and nothing writes to it before the folder is removed.
    let map = unsafe { Mmap::map(&file) }.unwrap();
    map.advise(Advice::Sequential).unwrap();
    map
}

/// Returns when everything before it is done: without it, the processor begins the next look-up while this one still
/// waits for memory, as it guesses the branches between them right.
#[inline]
pub(crate) fn wait() {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: lfence touches neither memory nor registers; SSE2, which it needs, is part of every x86_64.
        #[allow(unused_unsafe)]
        unsafe {
            std::arch::x86_64::_mm_lfence();
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}
