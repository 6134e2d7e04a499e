//! What tells one state of a file from another, and when that can be trusted. The kernel's stat and its clock sit behind
//! one seam, so that tests can look through a coarser clock. Knows nothing of lists.
//!
//! The rule. A file system stamps a change with the kernel's coarse clock. If a file's change time is *earlier* than that
//! clock at the moment when reading began, then every change that begins later gets another stamp: an unchanged stamp proves
//! unchanged bytes, but for writes that had begun and were not over (`watch.rs` hears those). If it is not earlier, the file was changed within this very tick and may be changed again in it without a
//! trace (git calls that "racily clean"): then we wait for the next tick before we read.
//!
//! What no stamp tells: writes through a shared mapping before the kernel notices them, files on servers elsewhere, and a
//! clock that was set back to the very tick of an earlier change.

use rustix::fs::{AtFlags, CWD, FileType, Statx, StatxFlags, StatxTimestamp, statx};
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Seconds and nanoseconds since 1970, on the clock that stamps files.
pub type Moment = (i64, i64);

/// What tells one state of a file or folder from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    device: (u32, u32),
    inode: u64,
    /// The inode of a file that is gone goes to the next new file; this tells them apart where the file system keeps it.
    born: Moment,
    size: u64,
    modified: Moment,
    changed: Moment,
    kind: Kind,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A plain file.
    File,
    /// A folder.
    Folder,
    /// A pipe, a device, a socket: never part of a list.
    Other,
}

/// Where stamps and time come from.
pub trait World: Send + Sync {
    /// The state of what a path names.
    ///
    /// # Errors
    /// The kernel's.
    fn stat(&self, path: &Path) -> io::Result<Stamp>;

    /// The state of an open file.
    ///
    /// # Errors
    /// The kernel's.
    fn fstat(&self, file: &File) -> io::Result<Stamp>;

    /// The clock that stamps files.
    fn now(&self) -> Moment;
}

/// What is asked of the kernel about a file.
const ASKED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// The kernel itself.
pub struct Kernel;

impl World for Kernel {
    fn stat(&self, path: &Path) -> io::Result<Stamp> {
        Ok(Stamp::of(&statx(CWD, path, AtFlags::empty(), ASKED)?))
    }

    fn fstat(&self, file: &File) -> io::Result<Stamp> {
        Ok(Stamp::of(&statx(file, c"", AtFlags::EMPTY_PATH, ASKED)?))
    }

    fn now(&self) -> Moment {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        (now.tv_sec, now.tv_nsec)
    }
}

impl Stamp {
    fn of(found: &Statx) -> Stamp {
        let moment = |time: StatxTimestamp| (time.tv_sec, i64::from(time.tv_nsec));
        let knows_birth = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
        Stamp {
            device: (found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            born: if knows_birth { moment(found.stx_btime) } else { (0, 0) },
            size: found.stx_size,
            modified: moment(found.stx_mtime),
            changed: moment(found.stx_ctime),
            kind: match FileType::from_raw_mode(found.stx_mode.into()) {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Folder,
                _ => Kind::Other,
            },
        }
    }

    /// Its length in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What it is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// When its bytes were last changed, as far as anybody admits: writers may set this.
    pub(super) fn modified(&self) -> Moment {
        self.modified
    }

    /// Which file it is, in whatever state.
    pub(super) fn identity(&self) -> ((u32, u32), u64, Moment) {
        (self.device, self.inode, self.born)
    }

    /// Whether both are the same file, in whatever state.
    pub(super) fn same_file(&self, other: &Stamp) -> bool {
        self.identity() == other.identity()
    }

    /// Whether every change after `moment` gets another stamp than this.
    pub(super) fn settled_at(&self, moment: Moment) -> bool {
        // File systems that keep whole seconds (FAT keeps even ones) show it by their nanoseconds.
        let whole_seconds = self.changed.1 == 0 && self.modified.1 == 0;
        if whole_seconds { self.changed.0 + 2 < moment.0 } else { self.changed < moment }
    }

    /// Whether it was changed in the future, by more than clocks differ.
    pub(super) fn is_ahead_of(&self, moment: Moment) -> bool {
        self.changed.0 > moment.0 + 2
    }

    /// The stamp of a file that was changed so much later; for tests.
    #[cfg(test)]
    pub(super) fn later(mut self, nanoseconds: i64) -> Stamp {
        self.changed.1 += nanoseconds;
        self
    }

    /// The same stamp as a clock of that tick would have made it; for tests.
    #[cfg(test)]
    pub(super) fn ticked(mut self, tick: i64) -> Stamp {
        self.modified = ticked(self.modified, tick);
        self.changed = ticked(self.changed, tick);
        self
    }
}

/// One nanosecond is left standing: an even second would look like a file system without nanoseconds.
#[cfg(test)]
pub(super) fn ticked(moment: Moment, tick: i64) -> Moment {
    (moment.0, moment.1 - moment.1 % tick + 1)
}

/// How long a stamp may take to settle: three seconds cover file systems that keep whole seconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks until everything that `look` sees is settled: then nothing that it saw can change again without a trace. `None`
/// when that does not come: something keeps changing, or was changed in the future.
pub(super) fn settled<T>(
    world: &dyn World,
    mut look: impl FnMut() -> T,
    is_settled: impl Fn(&T, Moment) -> bool,
) -> Option<T> {
    let begun = Instant::now();
    loop {
        let now = world.now();
        let seen = look();
        if is_settled(&seen, now) {
            return Some(seen);
        }
        if begun.elapsed() > PATIENCE {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
