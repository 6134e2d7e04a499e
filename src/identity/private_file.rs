//! Reading a file that nobody else may read: a keyring, a private key.
//! Knows files and permissions, nothing of what stands in them.

use crate::secret::Secret;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// No private file is longer than this, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// Who will read the file in service. A check run by root asks on the daemon's behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The daemon's user.
    pub uid: u32,
    /// The daemon's own group; supplementary groups do not count.
    pub gid: u32,
}

impl Reader {
    /// This process, by its effective user and group.
    #[must_use]
    pub fn this_process() -> Reader {
        Reader { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() }
    }

    /// This process, where the service manager hands it a file: that belongs to root and root's group, and an access list
    /// lets this process read it, which shows as a right of the group (acl(5), the mask).
    #[must_use]
    pub fn of_credential() -> Reader {
        Reader { gid: 0, ..Reader::this_process() }
    }
}

/// A private file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {complaint}", path.display())]
pub struct PrivateFileFault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub complaint: Complaint,
}

/// What is wrong with a private file, and what mends it.
#[derive(Debug, thiserror::Error)]
pub enum Complaint {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// A folder, a pipe, a device.
    #[error("not a regular file")]
    NotAFile,
    /// Longer than any keyring or key.
    #[error("{found} bytes; at most {MAX_BYTES} are read")]
    TooLong {
        /// Its length in bytes.
        found: u64,
    },
    /// It grew between its measuring and its reading: somebody is still writing it.
    #[error("it changed while it was being read; try again when it is written whole")]
    Changing,
    /// Somebody else could change its permissions at any time.
    #[error("owned by user {found}; it has to belong to root or to user {allowed}: chown {allowed} FILE")]
    Owner {
        /// Its owner.
        found: u32,
        /// The daemon's user.
        allowed: u32,
    },
    /// Everybody on the machine may read, write or run it.
    #[error("mode {found:04o} gives others access; allowed is none: chmod o= FILE")]
    Others {
        /// Its permission bits.
        found: u32,
    },
    /// Its group may do more than read.
    #[error("mode {found:04o} lets its group do more than read: chmod g-wx FILE")]
    GroupMayWrite {
        /// Its permission bits.
        found: u32,
    },
    /// A group that is not the daemon's may read it.
    #[error(
        "mode {mode:04o} lets group {found} read it; only the daemon's own group {allowed} may: \
         chgrp {allowed} FILE, or chmod g= FILE"
    )]
    ForeignGroup {
        /// Its permission bits.
        mode: u32,
        /// Its group.
        found: u32,
        /// The daemon's own group.
        allowed: u32,
    },
}

/// Reads a private file whole. Its bytes are wiped when the returned [`Secret`] is dropped.
///
/// # Errors
/// [`PrivateFileFault`] when it cannot be read, is no regular file, is longer than [`MAX_BYTES`], or when
/// anybody but root and `reader` could read or change it.
pub fn read(path: &Path, reader: Reader) -> Result<Secret, PrivateFileFault> {
    read_checked(path, reader).map_err(|complaint| PrivateFileFault { path: path.to_owned(), complaint })
}

fn read_checked(path: &Path, reader: Reader) -> Result<Secret, Complaint> {
    // O_NONBLOCK: opening a pipe that nobody writes to would otherwise wait for ever.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from)?);
    // Asked of the descriptor: what was checked is what is read, whatever happens to the name meanwhile.
    let metadata = file.metadata()?;
    let found = Found {
        regular: metadata.is_file(),
        bytes: metadata.len(),
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
    };
    check(found, reader)?;
    // One spare byte tells a file that grew. The buffer never moves, so no copy of it stays behind.
    let capacity = usize::try_from(found.bytes + 1).unwrap_or(usize::MAX);
    let mut content = Vec::with_capacity(capacity);
    let read = file.take(found.bytes + 1).read_to_end(&mut content);
    let content = Secret::new(content);
    read?;
    if content.len() as u64 > found.bytes { Err(Complaint::Changing) } else { Ok(content) }
}

/// What fstat(2) said.
#[derive(Clone, Copy)]
struct Found {
    regular: bool,
    bytes: u64,
    mode: u32,
    uid: u32,
    gid: u32,
}

fn check(found: Found, reader: Reader) -> Result<(), Complaint> {
    let (group, others) = (found.mode >> 3 & 0o7, found.mode & 0o7);
    if !found.regular {
        Err(Complaint::NotAFile)
    } else if found.bytes > MAX_BYTES {
        Err(Complaint::TooLong { found: found.bytes })
    } else if found.uid != 0 && found.uid != reader.uid {
        Err(Complaint::Owner { found: found.uid, allowed: reader.uid })
    } else if others != 0 {
        Err(Complaint::Others { found: found.mode })
    } else if group & !0o4 != 0 {
        Err(Complaint::GroupMayWrite { found: found.mode })
    } else if group != 0 && found.gid != reader.gid {
        Err(Complaint::ForeignGroup { mode: found.mode, found: found.gid, allowed: reader.gid })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::os::unix::fs::PermissionsExt;

    const DAEMON: Reader = Reader { uid: 120, gid: 130 };
    const GOOD: Found = Found { regular: true, bytes: 100, mode: 0o600, uid: 120, gid: 130 };

    #[rstest]
    #[case::own(GOOD, "")]
    #[case::read_only(Found { mode: 0o400, ..GOOD }, "")]
    #[case::of_root(Found { uid: 0, gid: 0, ..GOOD }, "")]
    #[case::of_root_for_the_group(Found { uid: 0, mode: 0o640, ..GOOD }, "")]
    #[case::folder(Found { regular: false, ..GOOD }, "not a regular file")]
    #[case::at_the_limit(Found { bytes: MAX_BYTES, ..GOOD }, "")]
    #[case::over_the_limit(Found { bytes: MAX_BYTES + 1, ..GOOD }, "1048577 bytes")]
    #[case::of_another_user(Found { uid: 1000, ..GOOD }, "owned by user 1000")]
    #[case::read_by_all(Found { mode: 0o644, ..GOOD }, "chmod o=")]
    #[case::written_by_all(Found { mode: 0o602, ..GOOD }, "mode 0602")]
    #[case::run_by_all(Found { mode: 0o601, ..GOOD }, "chmod o=")]
    #[case::written_by_the_group(Found { mode: 0o660, ..GOOD }, "chmod g-wx")]
    #[case::run_by_the_group(Found { mode: 0o650, ..GOOD }, "chmod g-wx")]
    #[case::read_by_a_foreign_group(Found { mode: 0o640, gid: 1000, ..GOOD }, "chgrp 130")]
    #[case::of_a_credential_that_is_a_file(Found { uid: 0, mode: 0o440, gid: 0, ..GOOD }, "chgrp 130")]
    #[case::foreign_group_without_a_right(Found { gid: 1000, ..GOOD }, "")]
    fn a_private_file_is_private(#[case] found: Found, #[case] complaint: &str) {
        match check(found, DAEMON) {
            Ok(()) => assert_eq!(complaint, ""),
            Err(said) => {
                assert!(!complaint.is_empty() && said.to_string().contains(complaint), "{said}");
            }
        }
    }

    #[test]
    fn what_is_read_is_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        std::fs::write(&path, b"bytes").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(read(&path, Reader::this_process()).unwrap().expose(), b"bytes");

        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o604)).unwrap();
        let fault = read(&path, Reader::this_process()).unwrap_err().to_string();
        assert!(fault.contains("keyring: mode 0604"), "{fault}");
    }

    #[test]
    fn a_pipe_is_refused_at_once_instead_of_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let fault = read(&path, Reader::this_process()).unwrap_err();
        assert!(matches!(fault.complaint, Complaint::NotAFile), "{fault}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let fault = read(Path::new("/nonexistent/keyring"), Reader::this_process()).unwrap_err().to_string();
        assert!(fault.starts_with("/nonexistent/keyring: cannot be read: No such file"), "{fault}");
    }
}
