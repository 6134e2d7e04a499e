//! The index: keyed fingerprints of lines in a sorted vector. Immutable; a [`Builder`] writes, an [`Index`] reads.
//! Pure: knows bytes and numbers, no files and no lists.
//!
//! A look-up takes the fingerprint's top bits to a small directory that stays in the cache, guesses the place by
//! interpolation, and searches the few entries around it: one access to memory in the common case.
//!
//! With n lines, an absent query is answered "present" with probability at most n * 2^-128, because the fingerprint is a
//! PRF (SipHash-1-3, 128 bits) under a secret that no peer knows: for a hundred million lines, below 2^-101.

mod builder;
mod entry;
mod fingerprint;
mod machine;
mod sorting;
mod vector;

pub use builder::{Builder, Full, Part};
pub use fingerprint::{Fingerprint, Fingerprinter, Streaming};
pub use vector::Index;

#[cfg(test)]
mod tests;
