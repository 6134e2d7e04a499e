//! The one fenced file of this room: a hint to the processor, and wider instructions where it has them.
#![allow(unsafe_code)]

/// Bytes that come from memory together.
const CACHE_LINE: usize = 64;

/// Asks for the cache lines of `entries[place..place + COUNT]`; what is outside is ignored.
#[inline]
pub(super) fn prefetch<const COUNT: usize, E>(entries: &[E], place: usize) {
    let hint = |offset: usize| {
        #[cfg(target_arch = "x86_64")]
        if let Some(entry) = entries.get(place + offset) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: prefetching is a hint without effect on memory or registers, and never faults; SSE, which it
            // needs, is part of every x86_64. The pointer comes from a reference and is valid anyway.
            #[allow(unused_unsafe)]
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(entry).cast());
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (entries, place, offset);
    };
    (0..COUNT).step_by(CACHE_LINE / size_of::<E>()).for_each(hint);
    hint(COUNT - 1);
}

/// Lines that are hashed at once, each in a lane of its own.
pub(super) const LANES: usize = 8;

/// Bytes of the longest line that has a lane.
const LONGEST: usize = 8 * WORDS - 1;

/// Words of eight bytes that a lane holds, its last one with the length.
pub(super) const WORDS: usize = 32;

/// Words of the lines, lane beside lane. Kept from one call to the next: to clear it costs more than it is worth.
type Words = [[u64; LANES]; WORDS];

/// Whether the processor has the instructions that [`hash`] is made of.
fn has_lanes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// SipHash-1-3 with 128 bits of so many lines, none longer than [`LONGEST`]; the same bits as the library's. `None` on a
/// processor without lanes.
pub(super) fn hash(key: [u8; 16], lines: [&[u8]; LANES], words: &mut Words) -> Option<[u128; LANES]> {
    if !has_lanes() || lines.iter().any(|line| line.len() > LONGEST) {
        return None;
    }
    for (lane, line) in lines.iter().enumerate() {
        let mut count = 0;
        for (word, piece) in words.iter_mut().zip(line.chunks_exact(8)) {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(piece);
            word[lane] = u64::from_le_bytes(bytes);
            count += 1;
        }
        words[count][lane] = last_word(line);
    }
    let counts = lines.map(|line| line.len() as u64 / 8 + 1);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has AVX2, as was asked above.
    return Some(unsafe { avx2::hash(key, words, counts) });
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// The bytes after the last whole word, and the length above them.
#[inline]
fn last_word(line: &[u8]) -> u64 {
    let rest = line.len() % 8;
    let bytes = match line.last_chunk() {
        // One load that reaches back into the word before: to copy by length costs as much as several rounds.
        Some(last) => u64::from_le_bytes(*last) >> 8 >> (8 * (7 - rest)),
        None => line.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    bytes | (line.len() as u64) << 56
}

#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe)] // Which of these instructions is unsafe to name depends on the compiler's age.
mod avx2 {
    // No instruction stands in a closure: older compilers make those without the wider instructions.
    use super::{LANES, Words};
    use std::arch::x86_64::*;

    /// Four lanes of the four words of SipHash's state.
    type State = [__m256i; 4];

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) unsafe fn hash(key: [u8; 16], words: &Words, counts: [u64; LANES]) -> [u128; LANES] {
        // SAFETY: AVX2 is there, by this function's own promise; what is loaded or stored are arrays of ours, of the size
        // of the vector or larger, by instructions that ask for no alignment.
        unsafe {
            let halves = [0, 8].map(|from| {
                let mut half = [0; 8];
                half.copy_from_slice(&key[from..from + 8]);
                u64::from_le_bytes(half)
            });
            let begun = [
                all(halves[0] ^ 0x736f_6d65_7073_6575),
                all(halves[1] ^ 0x646f_7261_6e64_6f83),
                all(halves[0] ^ 0x6c79_6765_6e65_7261),
                all(halves[1] ^ 0x7465_6462_7974_6573),
            ];
            let mut states = [begun, begun];
            let common = counts.into_iter().min().unwrap_or(0);
            let most = counts.into_iter().max().unwrap_or(0);
            let counts = load(&counts);
            for (place, word) in (0..most).zip(words) {
                let before = states;
                for (state, word) in states.iter_mut().zip(load(word)) {
                    state[3] = _mm256_xor_si256(state[3], word);
                    round(state);
                    state[0] = _mm256_xor_si256(state[0], word);
                }
                if place >= common {
                    // Lanes whose line has ended keep the state that they had.
                    for ((state, before), count) in states.iter_mut().zip(before).zip(counts) {
                        let goes_on = _mm256_cmpgt_epi64(count, all(place));
                        for (now, before) in state.iter_mut().zip(before) {
                            *now = _mm256_blendv_epi8(before, *now, goes_on);
                        }
                    }
                }
            }
            let low = half(&mut states, 2, 0xEE);
            let high = half(&mut states, 1, 0xDD);
            std::array::from_fn(|lane| u128::from(high[lane]) << 64 | u128::from(low[lane]))
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn half(states: &mut [State; 2], into: usize, mark: u64) -> [u64; LANES] {
        let mut bits = [0u64; LANES];
        // SAFETY: as in `hash`.
        unsafe {
            for state in states.iter_mut() {
                state[into] = _mm256_xor_si256(state[into], all(mark));
            }
            for _ in 0..3 {
                for state in states.iter_mut() {
                    round(state);
                }
            }
            for ([v0, v1, v2, v3], bits) in states.iter().zip(bits.chunks_exact_mut(LANES / 2)) {
                let folded = _mm256_xor_si256(_mm256_xor_si256(*v0, *v1), _mm256_xor_si256(*v2, *v3));
                _mm256_storeu_si256(bits.as_mut_ptr().cast(), folded);
            }
        }
        bits
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn round([v0, v1, v2, v3]: &mut State) {
        // SAFETY: as in `hash`.
        unsafe {
            *v0 = _mm256_add_epi64(*v0, *v1);
            *v1 = _mm256_xor_si256(rotated::<13, 51>(*v1), *v0);
            *v0 = _mm256_shuffle_epi32::<0b10_11_00_01>(*v0);
            *v2 = _mm256_add_epi64(*v2, *v3);
            *v3 = _mm256_xor_si256(rotated::<16, 48>(*v3), *v2);
            *v0 = _mm256_add_epi64(*v0, *v3);
            *v3 = _mm256_xor_si256(rotated::<21, 43>(*v3), *v0);
            *v2 = _mm256_add_epi64(*v2, *v1);
            *v1 = _mm256_xor_si256(rotated::<17, 47>(*v1), *v2);
            *v2 = _mm256_shuffle_epi32::<0b10_11_00_01>(*v2);
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn rotated<const LEFT: i32, const RIGHT: i32>(lanes: __m256i) -> __m256i {
        // SAFETY: as in `hash`.
        unsafe { _mm256_or_si256(_mm256_slli_epi64::<LEFT>(lanes), _mm256_srli_epi64::<RIGHT>(lanes)) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn all(word: u64) -> __m256i {
        // SAFETY: as in `hash`.
        unsafe { _mm256_set1_epi64x(i64::from_ne_bytes(word.to_ne_bytes())) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(lanes: &[u64; LANES]) -> [__m256i; 2] {
        let at = lanes.as_ptr().cast::<__m256i>();
        // SAFETY: as in `hash`.
        unsafe { [_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))] }
    }
}
