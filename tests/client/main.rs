//! The client against real TLS servers made from the openssl crate: the library, and the program as people run it.

#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod explained;
mod library;
mod program;
mod server;
