//! The words of the line protocol and their bytes: requests in, answers out.
//! Pure: never touches a socket, never panics, whatever the peer sends. `docs/protocol.md` is the description for people.

mod answer;
mod request;

pub use answer::{Answer, NotAnAnswer, Reason};
pub use request::{Decoder, Invalid, READ_BYTES, Request, Text};
