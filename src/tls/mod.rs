//! The door: from a connected stream to a TLS stream and the proof of who is at its other end.
//! Knows keyrings and proofs of `identity/`; whether a proven peer may come in is decided there, not here.
//!
//! A listener's [`Acceptor`] is built anew at every reload and swapped whole. For each connection [`Acceptor::handshake`]
//! runs OpenSSL, gathers what it says as [`Facts`], and has [`evidence::judge`] decide what they prove.
//! That a PSK callback was called for somebody proves nothing; `docs/decisions/0004-evidence-rule.md` tells why.

pub mod acceptor;
pub mod certificate;
pub mod evidence;
mod facts;
mod fault;
mod ffi;
pub mod handshake;
pub mod paper;
mod proof;
pub mod psk;
mod server_certificate;
mod trust;

pub use acceptor::Acceptor;
pub use evidence::{Asks, Facts, NoEvidence};
pub use fault::BuildFault;
pub use handshake::{HandshakeFailure, Handshaken};
pub use paper::Paper;
pub use proof::Proof;
pub use psk::DecoyKeys;
