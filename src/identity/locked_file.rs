//! A private file that one changes at a time, in one atomic step: whoever reads it, or is cut off, finds the old file or the new
//! one whole. Knows files, locks and permissions, nothing of what stands in them.

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Others that change the file are waited for this often, and this long each time: ten seconds.
const TRIES: usize = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// A file that nobody else of us changes meanwhile.
#[derive(Debug)]
pub(super) struct LockedFile {
    path: PathBuf,
    file: File,
    /// Whether it was made for this change, so that it goes again if the change comes to nothing.
    made: bool,
}

/// Group and mode of a file that is made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Its group, which may read it; `None` keeps the maker's own, which may not.
    pub gid: Option<u32>,
}

impl LockedFile {
    /// Locks the file that has this name, behind whatever links lead to it; where there is none and `may_make` is given, an empty
    /// one. Between opening and locking another may have put a new file there, or taken away one that came to nothing:
    /// then once more.
    pub(super) fn open(named: &Path, may_make: Option<Made>) -> io::Result<LockedFile> {
        let mut made = false;
        for _ in 0..TRIES {
            let opened = named.canonicalize().and_then(|path| Ok((open(&path)?, path)));
            let (file, path) = match (opened, may_make) {
                (Ok(opened), _) => opened,
                (Err(error), Some(may_make)) if error.kind() == io::ErrorKind::NotFound => {
                    made = make(named, may_make)?;
                    continue;
                }
                (Err(error), _) => return Err(error),
            };
            if let Some(mut locked) = LockedFile::lock(file, path)? {
                locked.made = made && locked.file.metadata()?.len() == 0;
                return Ok(locked);
            }
            std::thread::sleep(PAUSE);
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "others are changing it and did not come to an end; try again"))
    }

    /// `None` if another has the lock, or the name stands for another file by now.
    fn lock(file: File, path: PathBuf) -> io::Result<Option<LockedFile>> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let locked = file.metadata()?;
        let is_named = |named: std::fs::Metadata| (locked.dev(), locked.ino()) == (named.dev(), named.ino());
        let named = std::fs::metadata(&path).is_ok_and(is_named);
        Ok(named.then_some(LockedFile { path, file, made: false }))
    }

    /// The file, behind whatever links led to it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file that is locked.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Writes the new file beside the old one, with its owner, group and mode, and puts it in its place.
    pub(super) fn replace<'t>(mut self, lines: impl Iterator<Item = &'t [u8]>) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // One name for all, as only the holder of the lock writes it: what a writer that was killed left there, with keys in
        // it, goes with the next change.
        let beside = folder.join(format!(".{name}.new"));
        let like = self.file.metadata()?;
        let written = write(&beside, &like, lines).and_then(|()| std::fs::rename(&beside, &self.path));
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        } else {
            self.made = false;
            // So that the new name is there after a crash, too.
            File::open(folder)?.sync_all()?;
        }
        written
    }
}

impl Drop for LockedFile {
    /// Still under the lock: whoever waits for it finds no file of this name then, and makes one.
    fn drop(&mut self) {
        if self.made {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens a file that is there.
pub(super) fn open(path: &Path) -> io::Result<File> {
    // O_NONBLOCK: a pipe that nobody writes to would otherwise be waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Whether it was made; not if another was first. It has its group and mode before it has its name: whoever finds it copies them.
fn make(path: &Path, made: Made) -> io::Result<bool> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    if path.is_symlink() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "a link that leads nowhere"));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.made.{}.{}", std::process::id(), MADE.fetch_add(1, Relaxed)));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let named = (|| {
        if let Some(gid) = made.gid {
            fchown(&file, None, Some(gid))?;
            file.set_permissions(PermissionsExt::from_mode(0o640))?;
        }
        std::fs::hard_link(&beside, path)
    })();
    std::fs::remove_file(&beside)?;
    match named {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn write<'t>(path: &Path, like: &std::fs::Metadata, lines: impl Iterator<Item = &'t [u8]>) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    fchown(&file, Some(like.uid()), Some(like.gid()))?;
    file.set_permissions(PermissionsExt::from_mode(like.mode() & 0o7777))?;
    for line in lines {
        file.write_all(line)?;
        file.write_all(b"\n")?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn some_made() -> Option<Made> {
        Some(Made { gid: None })
    }

    #[test]
    fn all_or_nothing_what_a_killed_writer_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        std::fs::write(&path, "old\n").unwrap();
        std::fs::write(folder.path().join(".keyring.new"), "half of a ne").unwrap();
        LockedFile::open(&path, None).unwrap().replace([&b"new"[..]].into_iter()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(names(folder.path()), ["keyring"]);
    }

    #[test]
    fn all_or_nothing_a_change_that_comes_to_nothing_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        drop(LockedFile::open(&path, some_made()).unwrap());
        assert!(names(folder.path()).is_empty());
        std::fs::write(&path, "").unwrap();
        drop(LockedFile::open(&path, some_made()).unwrap());
        assert_eq!(names(folder.path()), ["keyring"], "one that was there stays, empty or not");
        assert_eq!(LockedFile::open(&folder.path().join("none"), None).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// Whoever changed a file that lost its name would change what nobody reads, and lose the change that took its place.
    #[test]
    fn all_or_nothing_a_file_that_lost_its_name_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        std::fs::write(&path, "old\n").unwrap();
        let opened_before = open(&path).unwrap();
        let first = LockedFile::open(&path, None).unwrap();
        assert!(LockedFile::lock(open(&path).unwrap(), path.clone()).unwrap().is_none(), "two have the lock");
        first.replace([&b"new"[..]].into_iter()).unwrap();
        assert!(LockedFile::lock(opened_before, path.clone()).unwrap().is_none(), "a file without a name");
        assert!(LockedFile::lock(open(&path).unwrap(), path).unwrap().is_some());
    }

    #[test]
    fn least_privilege_owner_group_and_mode_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        std::fs::write(&path, "old\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o440)).unwrap();
        // Only root may give a file away; the mode is kept for anybody.
        let (uid, gid) = if rustix::process::geteuid().is_root() {
            (4321, 1234)
        } else {
            (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
        };
        std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
        LockedFile::open(&path, None).unwrap().replace([&b"new"[..]].into_iter()).unwrap();
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777, found.len()), (uid, gid, 0o440, 4));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        let error = LockedFile::open(&link, some_made()).unwrap_err().to_string();
        assert!(error.contains("leads nowhere"), "{error}");
    }

    /// Each makes the file if it is not there, gives half of their changes up, and leaves its own byte with the others.
    #[test]
    fn all_or_nothing_many_who_make_and_give_up_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        let gid = if rustix::process::geteuid().is_root() { 1234 } else { rustix::process::getegid().as_raw() };
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for turn in 0..6 {
                        let file = LockedFile::open(path, Some(Made { gid: Some(gid) })).unwrap();
                        if turn % 2 == 0 {
                            continue;
                        }
                        let before = std::fs::read_to_string(file.path()).unwrap();
                        let line = format!("{writer}-{turn}");
                        file.replace(before.lines().chain([line.as_str()]).map(str::as_bytes)).unwrap();
                    }
                });
            }
        });
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 24);
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!((found.gid(), found.mode() & 0o7777), (gid, 0o640), "whoever of them made it");
        assert_eq!(names(folder.path()), ["keyring"]);
    }
}
