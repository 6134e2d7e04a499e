//! **linekeep** answers one question, for machines that have to trust the answer:
//! *is this exact line in this list?*
//!
//! This page is the tour: the rooms of the house, floor by floor. A room uses only
//! rooms on lower floors (`tests/house.rs` reads the imports and holds that).
//! To follow one query from socket to reply, open [`server::connection`]: its steps stand
//! there as consecutive lines, and each returns the proof that the next one needs.
//! To follow a list from its files to the answers, open [`dataset`]: its first table says which file does what.
//!
//! | floor | rooms |
//! | --- | --- |
//! | 0, words: pure, no I/O | [`index`], [`protocol`], [`event`], [`normalise`], [`allowlist`], [`proxy_header`], [`cipher_policy`], [`secret`] |
//! | 1, meaning | [`config`], [`metrics`] |
//! | 2, capabilities: know floors 0 and 1, not each other (tls may use identity) | [`dataset`], [`identity`], [`tls`], [`audit`] |
//! | 3, the two ends of the wire | [`server`], [`client`] |
//! | 4, the process | [`process`] |
//! | 5, what the programs do with their arguments | [`command`] |

#[cfg(feature = "daemon")]
pub mod allowlist;
pub mod cipher_policy;
#[cfg(feature = "daemon")]
pub mod event;
#[cfg(feature = "daemon")]
pub mod index;
#[cfg(feature = "daemon")]
pub mod normalise;
pub mod protocol;
#[cfg(feature = "daemon")]
pub mod proxy_header;
pub mod secret;

#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "daemon")]
pub mod metrics;

#[cfg(feature = "daemon")]
pub mod audit;
#[cfg(feature = "daemon")]
pub mod dataset;
#[cfg(feature = "daemon")]
pub mod identity;
#[cfg(feature = "daemon")]
pub mod tls;

pub mod client;
#[cfg(feature = "daemon")]
pub mod server;

#[cfg(feature = "daemon")]
pub mod process;

pub mod command;
