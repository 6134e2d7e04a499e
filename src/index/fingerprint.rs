//! Fingerprints: 128 bits of a PRF under a secret key.

use super::machine::{LANES, WORDS, hash};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::fmt;
use std::hash::Hasher;
use zeroize::Zeroize;

/// So few lines cost less one by one.
const FEW: usize = 3;

/// A line's fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub(super) u128);

impl Fingerprint {
    /// Its bits, for sums over fingerprints. They never leave the process.
    #[must_use]
    pub fn bits(self) -> u128 {
        self.0
    }
}

/// Makes fingerprints under one secret key. The key is drawn once a process; nobody outside can search for lines that
/// collide without it.
///
/// The key is wiped on drop. A hasher at work holds it too, for the time of one line, on the stack or in a
/// [`Streaming`]; those copies are overwritten by whatever comes next there, not wiped.
#[derive(Clone)]
pub struct Fingerprinter {
    key: [u8; 16],
}

impl Fingerprinter {
    /// Under this key, which has to come from a cryptographic random source. The caller wipes its own copy.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Fingerprinter {
        Fingerprinter { key }
    }

    /// The fingerprint of a line.
    #[must_use]
    pub fn fingerprint(&self, line: &[u8]) -> Fingerprint {
        let mut streaming = self.begin();
        streaming.write(line);
        streaming.finish()
    }

    /// The fingerprints of many lines, the same as [`Fingerprinter::fingerprint`] of each. `out` is cleared first.
    pub fn fingerprint_batch(&self, lines: &[&[u8]], out: &mut Vec<Fingerprint>) {
        out.clear();
        let mut words = [[0; LANES]; WORDS];
        for lines in lines.chunks(LANES) {
            let mut lanes = [&b""[..]; LANES];
            lanes[..lines.len()].copy_from_slice(lines);
            match if lines.len() < FEW { None } else { hash(self.key, lanes, &mut words) } {
                Some(bits) => out.extend(bits.into_iter().take(lines.len()).map(Fingerprint)),
                None => out.extend(lines.iter().map(|line| self.fingerprint(line))),
            }
        }
    }

    /// Begins a line that comes in pieces, so that a line of any length needs no memory of its own.
    #[must_use]
    pub fn begin(&self) -> Streaming {
        // Made anew for each line: a hasher kept ready would be a second copy of the key, and not one that can be wiped.
        Streaming(SipHasher13::new_with_key(&self.key))
    }
}

impl Drop for Fingerprinter {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter")
    }
}

/// A line that comes in pieces.
#[derive(Clone)]
pub struct Streaming(SipHasher13);

impl Streaming {
    /// The next piece.
    pub fn write(&mut self, piece: &[u8]) {
        self.0.write(piece);
    }

    /// The fingerprint of all pieces together.
    #[must_use]
    pub fn finish(&self) -> Fingerprint {
        Fingerprint(self.0.finish128().as_u128())
    }
}
