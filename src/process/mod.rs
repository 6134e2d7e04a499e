//! The process itself: who it is, what it gives up, how it detaches, threads, signals. Knows the kernel and where the
//! configuration's files are, nothing of queries.

mod alone;
mod detach;
mod fences;
mod herald;
mod inherited;
mod landlock;
mod limits;
mod privileges;
mod signals;

pub use alone::{Alone, NotAlone};
pub use detach::{DEFAULT_PID_FILE, DetachFault, Side, Word, detach, forget_pid_file};
pub use fences::{fence_memory, put_up};
pub use herald::{Herald, SIGN_OF_LIFE};
pub use inherited::{Inherited, InheritedFault};
pub use landlock::enclose;
pub use limits::{Descriptors, raise_descriptor_limit};
pub use privileges::{DEFAULT_USER, Rights, RightsFault};
pub use signals::wishes;

/// Exit status of a defect (sysexits.h, EX_SOFTWARE).
const SOFTWARE: u8 = 70;
