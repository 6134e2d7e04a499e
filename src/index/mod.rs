//! The sorted vector of fingerprints.
