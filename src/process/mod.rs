//! The process itself: descriptors, threads, signals. Knows the kernel, nothing of queries.

mod alone;
mod limits;
mod signals;

pub use alone::{Alone, NotAlone};
pub use limits::{Descriptors, raise_descriptor_limit};
pub use signals::wishes;
