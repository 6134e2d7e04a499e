//! The one fenced file of this room: a hint to the processor.
#![allow(unsafe_code)]

/// Asks for the cache line of `entries[place]`; a place outside is ignored.
#[inline]
pub(super) fn prefetch<T>(entries: &[T], place: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(entry) = entries.get(place) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching is a hint without effect on memory or registers, and never faults; SSE, which it needs,
        // is part of every x86_64. The pointer comes from a reference and is valid anyway.
        #[allow(unused_unsafe)]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(entry).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (entries, place);
}
