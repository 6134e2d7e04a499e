//! Changing a keyring file: one line comes, another gets a last day, a third goes, and every other byte stays as it was. One atomic
//! step: whoever reads, or is cut off, finds the old file or the new one. Knows files and lines; who may change them is the
//! kernel's business.

use crate::identity::key_line::{self, KeyLine, LineComplaint};
use crate::identity::keyring::{self, KeyringFault};
use crate::identity::private_file::{self, MAX_BYTES, Reader};
use crate::secret::Secret;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A keyring file that is being changed. Nobody else of us changes it meanwhile; nothing is changed before [`KeyringFile::save`].
#[derive(Debug)]
pub struct KeyringFile {
    /// The file itself, behind whatever links led to it.
    path: PathBuf,
    /// Holds the lock.
    lock: File,
    /// The lines without their LF; keys are in them.
    lines: Vec<Secret>,
}

/// Why a keyring cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeFault {
    /// It is no good keyring as it is.
    #[error(transparent)]
    Keyring(#[from] KeyringFault),
    /// The file system says no.
    #[error("{}: {what}: {error}", path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// An identity that no keyring takes.
    #[error(transparent)]
    Identity(#[from] LineComplaint),
    /// So long that no daemon would read it.
    #[error(
        "the keyring would have {0} bytes; at most {MAX_BYTES} are read: a listener with another keyring takes more"
    )]
    TooLong(usize),
    /// An identity that should be new is there.
    #[error(
        "{0}: the keyring has a key of this identity already; `linekeepctl psk rotate {0}` puts a new one beside it"
    )]
    Taken(String),
    /// An identity that should be there is not.
    #[error("{0}: the keyring has no key of this identity; `linekeepctl psk list` shows which it has")]
    Missing(String),
}

/// What stands in one line, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The identity.
    pub identity: String,
    /// Of its key, in bytes.
    pub key_bytes: usize,
    /// From then on it is no key.
    pub until: Option<SystemTime>,
    /// The identity that it counts as, if that is another.
    pub stands_for: Option<String>,
}

impl KeyringFile {
    /// Opens a keyring for changing and locks it; an empty one is made where `may_make` is given, with that group and mode.
    ///
    /// # Errors
    /// Every fault of the file as it is.
    pub fn open(path: &Path, may_make: Option<Made>) -> Result<KeyringFile, Vec<ChangeFault>> {
        let fault = |what| move |error| vec![ChangeFault::System { path: path.to_owned(), what, error }];
        if let (Some(made), false) = (may_make, path.exists()) {
            make(path, made).map_err(fault("cannot be made"))?;
        }
        let path = path.canonicalize().map_err(fault("cannot be opened"))?;
        let fault = |what| {
            let path = path.clone();
            move |error| vec![ChangeFault::System { path, what, error }]
        };
        let lock = lock(&path).map_err(fault("cannot be locked"))?;
        // Its owner may be the daemon's user, whom we need not be; what matters here is that nobody else could have written it.
        let owner = lock.metadata().map_err(fault("cannot be read"))?;
        let reader = Reader { uid: owner.uid(), gid: owner.gid() };
        let content = private_file::read(&path, reader).map_err(|fault| vec![ChangeFault::Keyring(fault.into())])?;
        let (_, faults) = keyring::lines(content.expose(), &path);
        if !faults.is_empty() {
            return Err(faults.into_iter().map(ChangeFault::from).collect());
        }
        let mut lines: Vec<Secret> =
            content.expose().split(|byte| *byte == b'\n').map(|line| Secret::new(line.to_vec())).collect();
        // What stands behind the last LF, if it is nothing, is no line.
        if lines.last().is_some_and(Secret::is_empty) {
            lines.pop();
        }
        Ok(KeyringFile { path, lock, lines })
    }

    /// The file, behind whatever links led to it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every key, in the order of the file.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let listed = |line: KeyLine<'_>| Listed {
            identity: line.identity.to_owned(),
            key_bytes: line.key.len(),
            until: line.until,
            stands_for: line.stands_for.map(str::to_owned),
        };
        self.lines.iter().filter_map(|line| key_line::read(line.expose())?.ok()).map(listed).collect()
    }

    /// Adds a key at the end.
    ///
    /// # Errors
    /// When the identity is taken, or the line would be none.
    pub fn add(&mut self, identity: &str, key: &Secret, stands_for: Option<&str>) -> Result<(), Vec<ChangeFault>> {
        key_line::check_identity(identity.as_bytes()).map_err(|complaint| vec![complaint.into()])?;
        if self.list().iter().any(|listed| listed.identity == identity) {
            return Err(vec![ChangeFault::Taken(identity.to_owned())]);
        }
        let stands_for = stands_for.map_or(String::new(), |named| format!(" for={named}"));
        let line = Secret::new([identity.as_bytes(), b":", key.to_hex().expose(), stands_for.as_bytes()].concat());
        self.lines.push(line);
        self.check()
    }

    /// Gives every key that counts as `identity` a last moment, unless it has an earlier one.
    ///
    /// # Errors
    /// When there is none.
    pub fn end(&mut self, identity: &str, until: SystemTime) -> Result<(), Vec<ChangeFault>> {
        let mut found = false;
        for line in &mut self.lines {
            let Some(Ok(read)) = key_line::read(line.expose()) else { continue };
            if read.identity != identity && read.stands_for != Some(identity) {
                continue;
            }
            found = true;
            if read.until.is_some_and(|earlier| earlier <= until) {
                continue;
            }
            let stands_for = read.stands_for.map_or(String::new(), |named| format!(" for={named}"));
            let until = format!(" until={}", humantime::format_rfc3339_seconds(until));
            let hex = read.key.to_hex();
            let parts = [read.identity.as_bytes(), b":", hex.expose(), stands_for.as_bytes(), until.as_bytes()];
            *line = Secret::new(parts.concat());
        }
        if found { self.check() } else { Err(vec![ChangeFault::Missing(identity.to_owned())]) }
    }

    /// Takes away the key of an identity and every one that stands for it. Returns their identities.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&mut self, identity: &str) -> Result<Vec<String>, Vec<ChangeFault>> {
        let mut gone = Vec::new();
        self.lines.retain(|line| {
            let Some(Ok(read)) = key_line::read(line.expose()) else { return true };
            let goes = read.identity == identity || read.stands_for == Some(identity);
            if goes {
                gone.push(read.identity.to_owned());
            }
            !goes
        });
        if gone.is_empty() { Err(vec![ChangeFault::Missing(identity.to_owned())]) } else { Ok(gone) }
    }

    /// Writes the new file beside the old one, with its owner, group and mode, and puts it in its place.
    ///
    /// # Errors
    /// When the file system says no; the old file is there then, as it was.
    pub fn save(&self) -> Result<(), ChangeFault> {
        let fault = |what| move |error| ChangeFault::System { path: self.path.clone(), what, error };
        let like = self.lock.metadata().map_err(fault("cannot be read"))?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let name = self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let beside = folder.join(format!(".{name}.{}", std::process::id()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            fchown(&file, Some(like.uid()), Some(like.gid()))?;
            file.set_permissions(PermissionsExt::from_mode(like.mode() & 0o7777))?;
            for line in &self.lines {
                file.write_all(line.expose())?;
                file.write_all(b"\n")?;
            }
            file.sync_all()?;
            std::fs::rename(&beside, &self.path)?;
            // So that the new name is there after a crash, too.
            File::open(folder)?.sync_all()
        })();
        written.map_err(|error| {
            let _ = std::fs::remove_file(&beside);
            fault("cannot be written anew")(error)
        })
    }

    /// That it is still a good keyring.
    fn check(&self) -> Result<(), Vec<ChangeFault>> {
        // Room for all of it beforehand: a buffer that grows leaves copies of keys behind.
        let mut text = Vec::with_capacity(self.lines.iter().map(|line| line.len() + 1).sum());
        for line in &self.lines {
            text.extend_from_slice(line.expose());
            text.push(b'\n');
        }
        let text = Secret::new(text);
        if text.len() as u64 > MAX_BYTES {
            return Err(vec![ChangeFault::TooLong(text.len())]);
        }
        let (_, faults) = keyring::lines(text.expose(), &self.path);
        if faults.is_empty() { Ok(()) } else { Err(faults.into_iter().map(ChangeFault::from).collect()) }
    }
}

/// Group and mode of a keyring that is made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Its group; `None` keeps the maker's own.
    pub gid: Option<u32>,
}

fn make(path: &Path, made: Made) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if let Some(gid) = made.gid {
        fchown(&file, None, Some(gid))?;
        file.set_permissions(PermissionsExt::from_mode(0o640))?;
    }
    file.sync_all()
}

/// Locks the file that has this name. Between opening and locking another may have put a new file there: then once more.
fn lock(path: &Path) -> io::Result<File> {
    const TRIES: usize = 1000;
    for _ in 0..TRIES {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        flock(&file, FlockOperation::LockExclusive)?;
        let (locked, named) = (file.metadata()?, std::fs::metadata(path)?);
        if (locked.dev(), locked.ino()) == (named.dev(), named.ino()) {
            return Ok(file);
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "others change it without a pause"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const KEY: &str = "00112233445566778899aabbccddeeff";
    const OTHER: &str = "ffeeddccbbaa99887766554433221100";

    fn keyring(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        (folder, path)
    }

    fn secret(hex: &str) -> Secret {
        Secret::from_hex(hex).unwrap()
    }

    #[test]
    fn every_other_byte_stays_as_it_was() {
        let before = format!("# our keys\r\n\n  alice:{KEY}  \n\t# bob left\ncarol:{OTHER} for=bob until=2030-01-01");
        let (_folder, path) = keyring(&before);
        let mut file = KeyringFile::open(&path, None).unwrap();
        file.add("dora", &secret(&"ab".repeat(32)), None).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before, "nothing before it is saved");
        file.save().unwrap();
        let after = std::fs::read_to_string(&path).unwrap();
        assert_eq!(after, format!("{before}\ndora:{}\n", "ab".repeat(32)));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        drop(file);
        assert_eq!(KeyringFile::open(&path, None).unwrap().remove("dora").unwrap(), ["dora"]);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn rotating_ends_the_old_key_and_leaves_the_new_one() {
        let (_folder, path) = keyring(&format!("alice:{KEY}\nbob:{OTHER}\n"));
        let mut file = KeyringFile::open(&path, None).unwrap();
        let end = key_line::moment("2030-01-01T12:00:00Z").unwrap();
        file.end("alice", end).unwrap();
        file.add("alice.2", &secret(&"cd".repeat(32)), Some("alice")).unwrap();
        file.save().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected =
            format!("alice:{KEY} until=2030-01-01T12:00:00Z\nbob:{OTHER}\nalice.2:{} for=alice\n", "cd".repeat(32));
        assert_eq!(text, expected);
        assert_eq!(file.list()[2].stands_for.as_deref(), Some("alice"));
        assert_eq!(file.remove("alice").unwrap(), ["alice", "alice.2"], "all keys of a client that goes");
    }

    #[rstest]
    #[case::taken("alice", "ab", "has a key of this identity already")]
    #[case::same_key("dora", "00", "the same key as in line 1")]
    #[case::bad_identity("do ra", "ab", "may hold letters")]
    fn what_would_be_no_good_keyring_is_never_written(#[case] identity: &str, #[case] key: &str, #[case] why: &str) {
        let key = if key == "00" { KEY.to_owned() } else { key.repeat(16) };
        let (_folder, path) = keyring(&format!("alice:{KEY}\n"));
        let mut file = KeyringFile::open(&path, None).unwrap();
        let faults = file.add(identity, &secret(&key), None).unwrap_err();
        assert!(faults[0].to_string().contains(why), "{faults:?}");
    }

    #[test]
    fn bounded_a_keyring_that_no_daemon_would_read_is_never_written() {
        let (_folder, path) = keyring(&format!("#{}\nalice:{KEY}\n", "x".repeat((1 << 20) - 60)));
        let mut file = KeyringFile::open(&path, None).unwrap();
        let faults = file.add("bob", &secret(&"ab".repeat(32)), None).unwrap_err();
        assert!(faults[0].to_string().contains("at most 1048576"), "{faults:?}");
    }

    /// Two at once wait for one another, and neither writes what it read before the other wrote.
    #[test]
    fn two_who_change_it_at_once_lose_nothing() {
        let (_folder, path) = keyring("");
        std::thread::scope(|scope| {
            for writer in 0..4u8 {
                let path = &path;
                scope.spawn(move || {
                    for number in 0..10u8 {
                        let mut file = KeyringFile::open(path, None).unwrap();
                        let key = Secret::new([[writer, number]; 16].concat());
                        file.add(&format!("w{writer}-{number}"), &key, None).unwrap();
                        file.save().unwrap();
                    }
                });
            }
        });
        assert_eq!(KeyringFile::open(&path, None).unwrap().list().len(), 40);
    }

    #[test]
    fn a_link_is_followed_and_stays_one() {
        let (folder, path) = keyring(&format!("alice:{KEY}\n"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut file = KeyringFile::open(&link, None).unwrap();
        file.add("bob", &secret(OTHER), None).unwrap();
        file.save().unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(std::fs::read_to_string(&path).unwrap().contains("bob:"));
    }
}
