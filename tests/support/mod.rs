//! What the tests share. Each test program uses a part of it.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::panic, clippy::cast_possible_wrap)]

pub mod daemon;
pub mod peers;
pub mod pki;
pub mod tap;
