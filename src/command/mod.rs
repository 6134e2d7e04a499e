//! What the three programs do with their arguments: what was typed, then what was meant.

#[cfg(feature = "daemon")]
mod audit;
#[cfg(feature = "daemon")]
pub mod control;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod lookup;
#[cfg(feature = "manuals")]
pub mod manuals;
#[cfg(feature = "daemon")]
mod psk;
#[cfg(feature = "daemon")]
mod startup;
