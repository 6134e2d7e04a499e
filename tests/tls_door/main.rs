//! The door, tried by real peers over real sockets: the openssl crate, the `openssl s_client` program, Python's ssl module.
//! `door.rs` is the server's side, `peers.rs` the clients', `house.rs` keys and certificates made for one test.
#![cfg(feature = "daemon")]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod build;
mod certificates;
mod door;
mod forger;
mod forms;
mod house;
mod modes;
mod peers;
mod records;
mod sessions;
mod wrong_setups;
