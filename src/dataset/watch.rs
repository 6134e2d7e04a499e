//! A second witness beside the stamps: the kernel stamps a write when it begins, and tells inotify when it ends. A long write
//! that began before we read, and goes on behind us, leaves no other trace (inotify(7), `IN_MODIFY`).
//!
//! A watch is asked one thing: has any of the files been written to since? It is never read; one that has heard something is
//! replaced together with the generation that it guards.

use super::locate::Sight;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::os::fd::OwnedFd;

/// Watches the files of one generation.
pub(super) struct Watch(OwnedFd);

impl Watch {
    /// Over every file of the sight. `None` where the kernel grants no more watches (`fs.inotify.max_user_instances`): then
    /// stamps alone vouch for the files.
    pub(super) fn over(sight: &Sight) -> Option<Watch> {
        let watch = Watch(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?);
        for seen in sight.distinct() {
            inotify::add_watch(&watch.0, &seen.path, WatchFlags::MODIFY).ok()?;
        }
        Some(watch)
    }

    /// Whether no write ended since. In doubt one did.
    pub(super) fn is_silent(&self) -> bool {
        rustix::io::ioctl_fionread(&self.0).is_ok_and(|waiting| waiting == 0)
    }
}
