//! Lists against the truth.
