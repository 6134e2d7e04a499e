//! Changing a keyring file: one line comes, another gets a last day, a third goes, and every other byte stays as it was.
//! Knows lines; that they change in one atomic step is `locked_file.rs`'s business, and who may change them the kernel's.

use crate::identity::key_line::{self, KeyLine, LineComplaint};
use crate::identity::keyring::{self, KeyringFault};
pub use crate::identity::locked_file::Made;
use crate::identity::locked_file::{self, LockedFile};
use crate::identity::private_file::{self, MAX_BYTES, Reader};
use crate::secret::Secret;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A keyring file that is being changed. Nobody else of us changes it meanwhile; nothing is changed before [`KeyringFile::save`].
#[derive(Debug)]
pub struct KeyringFile {
    file: LockedFile,
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
    /// An identity that should be new is there.
    #[error(
        "{0}: the keyring has a key of this identity already; `linekeepctl psk rotate {0}` puts a new one beside it"
    )]
    Taken(String),
    /// An identity that should be there is not.
    #[error("{0}: the keyring has no key of this identity; `linekeepctl psk list` shows which it has")]
    Missing(String),
    /// One key, two identities: each holder could pass for the other (RFC 9257 section 4.1).
    #[error("the same key as that of {0}; every client needs a key of its own")]
    SameKey(String),
    /// So long that nobody would read it any more.
    #[error(
        "{}: with this change it would have {found} bytes; at most {MAX_BYTES} are read. `linekeepctl psk prune` makes room, \
         or a listener with another keyring",
        path.display()
    )]
    TooLong {
        /// The keyring.
        path: PathBuf,
        /// Its length in bytes.
        found: usize,
    },
}

/// A key that is to come.
#[derive(Debug)]
pub struct NewKey {
    /// Its identity.
    pub identity: String,
    /// The key.
    pub key: Secret,
    /// The identity that it counts as, if that is another.
    pub stands_for: Option<String>,
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
        let fault = |error| vec![ChangeFault::System { path: path.to_owned(), what: "cannot be opened", error }];
        let file = LockedFile::open(path, may_make).map_err(fault)?;
        Ok(KeyringFile { lines: read(file.path(), file.file())?, file })
    }

    /// Every key of a keyring, in the order of the file. Waits for nobody: it is always one whole file that has the name.
    ///
    /// # Errors
    /// Every fault of the file.
    pub fn look(path: &Path) -> Result<Vec<Listed>, Vec<ChangeFault>> {
        let fault = |error| vec![ChangeFault::System { path: path.to_owned(), what: "cannot be opened", error }];
        let file = locked_file::open(path).map_err(fault)?;
        Ok(listed(&read(path, &file)?))
    }

    /// The file, behind whatever links led to it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Every key, in the order of the file.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        listed(&self.lines)
    }

    /// Adds keys at the end, all or none.
    ///
    /// # Errors
    /// Every fault, with the place in `keys` of the one whose it is.
    pub fn add(&mut self, keys: &[NewKey]) -> Result<(), Vec<(usize, ChangeFault)>> {
        let there: Vec<_> = self.lines.iter().filter_map(|line| key_line::read(line.expose())?.ok()).collect();
        let mut identities: HashSet<&str> = there.iter().map(|line| line.identity).collect();
        let mut holders: HashMap<&[u8], &str> = there.iter().map(|line| (line.key.expose(), line.identity)).collect();
        let (mut lines, mut faults) = (Vec::new(), Vec::new());
        for (place, NewKey { identity, key, stands_for }) in keys.iter().enumerate() {
            let good =
                key_line::check_identity(identity.as_bytes()).map(|_| ()).and_then(|()| key_line::check_key(key));
            faults.extend(good.err().map(|complaint| (place, complaint.into())));
            if !identities.insert(identity) {
                faults.push((place, ChangeFault::Taken(identity.clone())));
            }
            if let Some(holder) = holders.insert(key.expose(), identity) {
                faults.push((place, ChangeFault::SameKey(holder.to_owned())));
            }
            let stands_for = stands_for.as_ref().map_or(String::new(), |named| format!(" for={named}"));
            let hex = key.to_hex();
            lines.push(Secret::new([identity.as_bytes(), b":", hex.expose(), stands_for.as_bytes()].concat()));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let before = self.lines.len();
        self.lines.extend(lines);
        self.check().map_err(|faults| {
            self.lines.truncate(before);
            faults.into_iter().map(|fault| (keys.len().saturating_sub(1), fault)).collect()
        })
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

    /// Takes away the key of an identity and, unless `alone`, every one that stands for it. Returns their identities.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove(&mut self, identity: &str, alone: bool) -> Result<Vec<String>, Vec<ChangeFault>> {
        let gone = self.take(|line| line.identity == identity || !alone && line.stands_for == Some(identity));
        if gone.is_empty() { Err(vec![ChangeFault::Missing(identity.to_owned())]) } else { Ok(gone) }
    }

    /// Takes away every key whose time is over. Returns their identities.
    pub fn prune(&mut self, now: SystemTime) -> Vec<String> {
        self.take(|line| line.until.is_some_and(|until| now >= until))
    }

    fn take(&mut self, goes: impl Fn(&KeyLine<'_>) -> bool) -> Vec<String> {
        let mut gone = Vec::new();
        self.lines.retain(|line| {
            let Some(Ok(read)) = key_line::read(line.expose()) else { return true };
            let goes = goes(&read);
            if goes {
                gone.push(read.identity.to_owned());
            }
            !goes
        });
        gone
    }

    /// Puts the changed file in the place of the old one, with its owner, group and mode.
    ///
    /// # Errors
    /// When the file system says no; the old file is there then, as it was.
    pub fn save(self) -> Result<(), ChangeFault> {
        let path = self.path().to_owned();
        let fault = |error| ChangeFault::System { path, what: "cannot be written anew", error };
        self.file.replace(self.lines.iter().map(Secret::expose)).map_err(fault)
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
        if u64::try_from(text.len()).is_ok_and(|length| length > MAX_BYTES) {
            return Err(vec![ChangeFault::TooLong { path: self.path().to_owned(), found: text.len() }]);
        }
        let (_, faults) = keyring::lines(text.expose(), self.path());
        if faults.is_empty() { Ok(()) } else { Err(faults.into_iter().map(ChangeFault::from).collect()) }
    }
}

/// The lines of a keyring that is open, if it is a good one.
fn read(path: &Path, file: &File) -> Result<Vec<Secret>, Vec<ChangeFault>> {
    let fault = |error| vec![ChangeFault::System { path: path.to_owned(), what: "cannot be read", error }];
    // Its owner may be the daemon's user, whom we need not be; what matters here is that nobody else could have written it.
    let owner = file.metadata().map_err(fault)?;
    let reader = Reader { uid: owner.uid(), gid: owner.gid() };
    let content = private_file::read(path, reader).map_err(|fault| vec![ChangeFault::Keyring(fault.into())])?;
    let (_, faults) = keyring::lines(content.expose(), path);
    if !faults.is_empty() {
        return Err(faults.into_iter().map(ChangeFault::from).collect());
    }
    let mut lines: Vec<Secret> =
        content.expose().split(|byte| *byte == b'\n').map(|line| Secret::new(line.to_vec())).collect();
    // What stands behind the last LF, if it is nothing, is no line.
    if lines.last().is_some_and(Secret::is_empty) {
        lines.pop();
    }
    Ok(lines)
}

fn listed(lines: &[Secret]) -> Vec<Listed> {
    let listed = |line: KeyLine<'_>| Listed {
        identity: line.identity.to_owned(),
        key_bytes: line.key.len(),
        until: line.until,
        stands_for: line.stands_for.map(str::to_owned),
    };
    lines.iter().filter_map(|line| key_line::read(line.expose())?.ok()).map(listed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::os::unix::fs::PermissionsExt;

    const KEY: &str = "00112233445566778899aabbccddeeff";
    const OTHER: &str = "ffeeddccbbaa99887766554433221100";

    fn keyring(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        (folder, path)
    }

    fn new(identity: &str, hex: &str, stands_for: Option<&str>) -> NewKey {
        let (identity, stands_for) = (identity.to_owned(), stands_for.map(str::to_owned));
        NewKey { identity, key: Secret::from_hex(hex).unwrap(), stands_for }
    }

    #[test]
    fn every_other_byte_stays_as_it_was() {
        let before = format!("# our keys\r\n\n  alice:{KEY}  \n\t# bob left\ncarol:{OTHER} for=bob until=2030-01-01");
        let (_folder, path) = keyring(&before);
        let mut file = KeyringFile::open(&path, None).unwrap();
        file.add(&[new("dora", &"ab".repeat(32), None)]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before, "nothing before it is saved");
        file.save().unwrap();
        let after = std::fs::read_to_string(&path).unwrap();
        assert_eq!(after, format!("{before}\ndora:{}\n", "ab".repeat(32)));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(KeyringFile::open(&path, None).unwrap().remove("dora", false).unwrap(), ["dora"]);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn rotating_ends_the_old_key_and_leaves_the_new_one() {
        let (_folder, path) = keyring(&format!("alice:{KEY}\nbob:{OTHER}\n"));
        let mut file = KeyringFile::open(&path, None).unwrap();
        let end = key_line::moment("2030-01-01T12:00:00Z").unwrap();
        file.end("alice", end).unwrap();
        file.add(&[new("alice.2", &"cd".repeat(32), Some("alice"))]).unwrap();
        file.save().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected =
            format!("alice:{KEY} until=2030-01-01T12:00:00Z\nbob:{OTHER}\nalice.2:{} for=alice\n", "cd".repeat(32));
        assert_eq!(text, expected);
        let mut file = KeyringFile::open(&path, None).unwrap();
        assert_eq!(file.list()[2].stands_for.as_deref(), Some("alice"));
        assert!(file.prune(end - std::time::Duration::from_secs(1)).is_empty());
        assert_eq!(file.prune(end), ["alice"], "the key that is over, and not the one that stands for it");
        assert_eq!(file.list().iter().map(|key| key.identity.as_str()).collect::<Vec<_>>(), ["bob", "alice.2"]);
        drop(file);
        let remove = |alone| KeyringFile::open(&path, None).unwrap().remove("alice", alone).unwrap();
        assert_eq!(remove(false), ["alice", "alice.2"], "all keys of a client that goes");
        assert_eq!(remove(true), ["alice"]);
    }

    #[rstest]
    #[case::taken("alice", "ab", "has a key of this identity already")]
    #[case::same_key("dora", "00", "the same key as that of alice")]
    #[case::short_key("dora", "", "the key has 0 bytes")]
    #[case::bad_identity("do ra", "ab", "may hold letters")]
    fn what_would_be_no_good_keyring_is_never_written(#[case] identity: &str, #[case] key: &str, #[case] why: &str) {
        let key = if key == "00" { KEY.to_owned() } else { key.repeat(16) };
        let (_folder, path) = keyring(&format!("alice:{KEY}\n"));
        let mut file = KeyringFile::open(&path, None).unwrap();
        let faults = file.add(&[new("zoe", &"ee".repeat(32), None), new(identity, &key, None)]).unwrap_err();
        assert!(faults.len() == 1 && faults[0].0 == 1 && faults[0].1.to_string().contains(why), "{faults:?}");
        assert_eq!(file.list().len(), 1, "nor is half of it");
    }

    /// The limit that the daemon reads to holds for what is written, or one key more would lock everybody out.
    #[test]
    fn bounded_a_keyring_never_grows_past_what_is_read() {
        let (_folder, path) = keyring(&format!("alice:{KEY}\n"));
        let many = |count: u32| -> Vec<NewKey> {
            (0..count).map(|number| new(&format!("client-{number:08}"), &format!("{number:0128x}"), None)).collect()
        };
        let mut file = KeyringFile::open(&path, None).unwrap();
        let faults = file.add(&many(8000)).unwrap_err();
        assert!(matches!(faults[..], [(7999, ChangeFault::TooLong { .. })]), "{faults:?}");
        assert_eq!(file.list().len(), 1);
        file.add(&many(7000)).unwrap();
        file.save().unwrap();
        assert_eq!(KeyringFile::look(&path).unwrap().len(), 7001);
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
                        let identity = format!("w{writer}-{number}");
                        file.add(&[NewKey { identity, key, stands_for: None }]).unwrap();
                        file.save().unwrap();
                    }
                });
            }
        });
        assert_eq!(KeyringFile::open(&path, None).unwrap().list().len(), 40);
    }

    #[test]
    fn who_only_looks_waits_for_nobody() {
        let (_folder, path) = keyring(&format!("alice:{KEY}\n"));
        let mut changing = KeyringFile::open(&path, None).unwrap();
        changing.add(&[new("bob", OTHER, None)]).unwrap();
        assert_eq!(KeyringFile::look(&path).unwrap().len(), 1, "what is not saved is not there");
        changing.save().unwrap();
        assert_eq!(KeyringFile::look(&path).unwrap().len(), 2);
    }

    #[test]
    fn a_link_is_followed_and_stays_one() {
        let (folder, path) = keyring(&format!("alice:{KEY}\n"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut file = KeyringFile::open(&link, None).unwrap();
        file.add(&[new("bob", OTHER, None)]).unwrap();
        file.save().unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(std::fs::read_to_string(&path).unwrap().contains("bob:"));
    }
}
