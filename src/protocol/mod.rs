//! The words of the line protocol and their bytes: requests in, answers out.
//! Pure: never touches a socket, never panics, whatever the peer sends. `docs/protocol.md` is the description for people.

mod answer;
mod explained;
mod form;
mod request;

pub use answer::{Answer, NotAnAnswer, Reason};
pub use explained::{Explained, ListAt, MAX_EXPLAINED_BYTES, MAX_LIST_BYTES, MAX_LISTS, MAX_NAME_BYTES};
pub use form::Form;
pub use request::{Decoder, Invalid, READ_BYTES, Request, Text};
