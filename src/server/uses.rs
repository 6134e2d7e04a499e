//! When each key was first and last used. In memory, and in a small file of the state folder, so that a restart forgets nothing: whoever
//! wonders whether an old key may go should get an answer that is older than yesterday. Knows identities and times.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The file's name in the state folder.
pub const FILE: &str = "key-uses.json";

/// The file is written at most so often, and at stop.
const SAVED_EVERY: Duration = Duration::from_secs(60);

/// Identities that are kept at most. Only keys of a keyring are ever noted, so this bounds what years of rotation leave behind.
const MOST: usize = 100_000;

/// When a key was used, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// For the first time that is known of.
    pub first: u64,
    /// For the last time.
    pub last: u64,
}

/// The uses of all keys, by identity.
#[derive(Debug, Default)]
pub struct Uses(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    file: Option<PathBuf>,
    uses: BTreeMap<String, Use>,
    changed: bool,
    saved: Option<Instant>,
}

impl Uses {
    /// Of a state folder, with what it holds. Without a folder they are forgotten at stop.
    ///
    /// # Errors
    /// The uses begin empty, and why: what the file holds is no reason not to serve.
    pub fn open(folder: Option<&Path>) -> (Uses, Option<String>) {
        let Some(folder) = folder else { return (Uses::default(), None) };
        let file = folder.join(FILE);
        let (uses, fault) = match load(&file) {
            Ok(uses) => (uses, None),
            Err(error) => {
                (BTreeMap::new(), Some(format!("{}: {error}; first and last uses of keys begin anew", file.display())))
            }
        };
        (Uses(Mutex::new(Book { file: Some(file), uses, changed: false, saved: None })), fault)
    }

    /// Notes that a key was used now.
    pub fn note(&self, identity: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut book = self.book();
        if let Some(used) = book.uses.get_mut(identity) {
            if used.last != now {
                used.last = now;
                book.changed = true;
            }
        } else if book.uses.len() < MOST {
            book.uses.insert(identity.to_owned(), Use { first: now, last: now });
            book.changed = true;
        }
    }

    /// Forgets what is no longer `the_same`: a key that comes under the name of an earlier one was never used.
    pub fn keep(&self, the_same: impl Fn(&str) -> bool) {
        // Judged before the lock is held: threads that answer wait for it.
        let gone: Vec<String> = self.all().into_keys().filter(|identity| !the_same(identity)).collect();
        let mut book = self.book();
        for identity in gone {
            book.changed |= book.uses.remove(&identity).is_some();
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Use> {
        self.book().uses.clone()
    }

    /// Writes the file if it is time; `at_once` does not wait for that. Not for threads that answer.
    ///
    /// # Errors
    /// What the system said; the next call tries again, after the usual time.
    pub fn save(&self, at_once: bool) -> Result<(), String> {
        let (file, text) = {
            let mut book = self.book();
            let due = at_once || book.saved.is_none_or(|saved| saved.elapsed() >= SAVED_EVERY);
            let Some(file) = book.file.clone().filter(|_| book.changed && due) else { return Ok(()) };
            let text = serde_json::to_vec(&book.uses).map_err(|error| error.to_string())?;
            book.saved = Some(Instant::now());
            book.changed = false;
            (file, text)
        };
        replace(&file, &text).map_err(|error| {
            self.book().changed = true;
            format!("{}: {error}", file.display())
        })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a state folder holds; of one without the file, nothing.
///
/// # Errors
/// When the file cannot be read or is none of ours.
pub fn load(file: &Path) -> io::Result<BTreeMap<String, Use>> {
    match std::fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error),
    }
}

fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut new = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    new.write_all(text)?;
    new.sync_all()?;
    std::fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_outlives_the_process_and_the_first_stays_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let (uses, fault) = Uses::open(Some(folder.path()));
        assert!(fault.is_none());
        uses.note("alice");
        uses.save(false).unwrap();
        let (again, _) = Uses::open(Some(folder.path()));
        let first = again.all()["alice"].first;
        assert_eq!(again.all(), uses.all());
        again.note("alice");
        assert_eq!(again.all()["alice"].first, first);
    }

    #[test]
    fn a_damaged_file_is_told_and_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "not ours").unwrap();
        let (uses, fault) = Uses::open(Some(folder.path()));
        assert!(fault.unwrap().contains(FILE));
        uses.note("alice");
        uses.save(true).unwrap();
        assert_eq!(load(&folder.path().join(FILE)).unwrap().len(), 1);
    }

    #[test]
    fn a_folder_that_is_gone_is_told_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let (uses, _) = Uses::open(Some(&folder.path().join("gone")));
        uses.note("alice");
        assert!(uses.save(true).is_err());
        std::fs::create_dir(folder.path().join("gone")).unwrap();
        uses.save(true).unwrap();
    }
}
