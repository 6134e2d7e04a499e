//! The index: keyed fingerprints of lines in a sorted vector. Immutable; a [`Builder`] writes, an [`Index`] reads.
//! Pure: knows bytes and numbers, no files and no lists.
//!
//! A look-up takes the fingerprint's top bits to a small directory, guesses the place by interpolation, and compares
//! the few entries around it: one access to memory in the common case (`docs/decisions/0003-index.md`).
//!
//! With n lines, of whose fingerprints b bits are compared, an absent query is answered "present" with probability at
//! most n * 2^-b, because the fingerprint is a PRF (SipHash-1-3, 128 bits) under a secret that no peer knows. Below
//! 122,880 lines b = 128. From there 96 bits are stored and the directory's 2^17 slots or more imply the others, so
//! b >= 113; as slots grow with the list, n * 2^-b stays below 2^-89.

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
