//! Named lists: what stands for their files, and exact answers from it. Knows the configuration's datasets and the index.
//!
//! | file | what it is for |
//! | --- | --- |
//! | `stamp` | what tells one state of a file from another, and when that can be trusted |
//! | `watch` | the second witness: writes that end while nobody looks |
//! | `locate` | from a list's paths to its files |
//! | `reading` | files in pieces of whole lines, on several threads |
//! | `counting` | from raw lines to fingerprints and counts |
//! | `load` | from files to an index, proven unchanged meanwhile |
//! | `generation` | an index in service; the memory of all of them |
//! | `guard` | what a generation has to be |
//! | `list` | one list in service; the check before an answer |
//! | `keeper`, `asked`, `tail` | the one thread that changes what stands for it |
//! | `scan`, `choice` | answers by reading the files, and when that is better than an index |
//! | `lists` | all of them, and answers over those that a client may ask |

mod asked;
mod choice;
mod counting;
mod fault;
mod generation;
mod guard;
mod keeper;
mod list;
mod lists;
mod load;
mod locate;
mod network;
mod open;
mod reading;
mod scan;
mod stamp;
mod summary;
mod tail;
mod telling;
mod watch;

pub use fault::Fault;
pub use generation::Memory;
pub use list::Common;
pub use lists::{FromList, Lists, Scratch, Selection};
pub use open::{Opened, check, open};
pub use stamp::{Kernel, Moment, Stamp, World};
pub use summary::Summary;

#[cfg(test)]
mod tests;
