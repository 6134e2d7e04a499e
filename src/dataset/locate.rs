//! What a list's paths name at one moment: the plain files, with their stamps, and the folders that decided which files
//! there are. Looking again is cheap, and tells whether anything changed.

use super::stamp::{Kind, Moment, Stamp, World};
use crate::config::MAX_FILES;
use glob::{MatchOptions, Pattern};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What a list's paths name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// The plain files, in a fixed order. Two paths to one file stand here twice.
    pub(super) files: Vec<Seen>,
    /// Folders whose entries decided which files there are.
    folders: Vec<Seen>,
    /// A pattern with wildcards in the middle: only looking everywhere again tells whether it matches something new.
    scattered: bool,
    /// What is wrong with paths.
    pub(super) faults: Vec<(PathBuf, String)>,
}

/// A path and what it named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
}

impl Sight {
    /// Looks at every path.
    pub(super) fn look(world: &dyn World, paths: &[PathBuf]) -> Sight {
        let mut sight = Sight::default();
        for path in paths {
            if let Err(why) = sight.add(world, path) {
                sight.faults.push((path.clone(), why));
            }
        }
        if sight.files.len() > MAX_FILES {
            let path = paths.first().cloned().unwrap_or_default();
            sight.faults.push((path, format!("{} files; a list has at most {MAX_FILES}", sight.files.len())));
        }
        sight
    }

    /// Whether everything is as it was seen. One stat a file and folder, and nothing else unless a pattern needs it.
    pub(super) fn holds(&self, world: &dyn World, paths: &[PathBuf]) -> bool {
        if !self.faults.is_empty() || self.scattered {
            return self.faults.is_empty() && *self == Sight::look(world, paths);
        }
        self.all().all(|seen| world.stat(&seen.path).is_ok_and(|stamp| stamp == seen.stamp))
    }

    /// Whether looking again means looking everywhere.
    pub(super) fn is_scattered(&self) -> bool {
        self.scattered
    }

    /// Whether every change after that moment would show.
    pub(super) fn settled_at(&self, moment: Moment) -> bool {
        self.all().all(|seen| seen.stamp.settled_at(moment))
    }

    /// Whether these files are all still there, and changed by growth alone, if at all. There may be new ones beside them.
    pub(super) fn grew_from<'a>(&self, mut files: impl Iterator<Item = &'a Seen>) -> bool {
        let now: HashMap<&Path, &Stamp> = self.files.iter().map(|seen| (seen.path.as_path(), &seen.stamp)).collect();
        let grew = |old: &Seen| {
            now.get(old.path.as_path())
                .is_some_and(|now| **now == old.stamp || now.same_file(&old.stamp) && now.size() > old.stamp.size())
        };
        self.faults.is_empty() && files.all(grew)
    }

    /// Whether something was changed in the future: the clock was set back since.
    pub(super) fn is_ahead_of(&self, moment: Moment) -> bool {
        self.all().any(|seen| seen.stamp.is_ahead_of(moment))
    }

    /// The files to read: each once, however many paths name it.
    pub(super) fn distinct(&self) -> Vec<&Seen> {
        let mut distinct: Vec<&Seen> = Vec::new();
        let mut known = HashSet::new();
        for seen in &self.files {
            if known.insert(seen.stamp.identity()) {
                distinct.push(seen);
            }
        }
        distinct
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.distinct().iter().map(|seen| seen.stamp.size()).sum()
    }

    /// When the oldest file was last modified.
    pub(super) fn oldest(&self) -> Option<Moment> {
        self.files.iter().map(|seen| seen.stamp.modified()).min()
    }

    fn all(&self) -> impl Iterator<Item = &Seen> {
        self.files.iter().chain(&self.folders)
    }

    fn add(&mut self, world: &dyn World, path: &Path) -> Result<(), String> {
        if is_pattern(path) {
            return self.add_pattern(world, path);
        }
        let stamp = world.stat(path).map_err(|error| error.to_string())?;
        if stamp.kind() != Kind::Folder {
            if stamp.kind() == Kind::Other {
                return Err("is no plain file".into());
            }
            self.files.push(Seen { path: path.to_owned(), stamp });
            return Ok(());
        }
        self.folders.push(Seen { path: path.to_owned(), stamp });
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(|error| error.to_string())? {
            let entry = entry.map_err(|error| error.to_string())?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                names.push(entry.path());
            }
        }
        names.sort();
        if !self.add_plain(world, names)? {
            return Err("this folder holds no plain file whose name does not begin with a dot".into());
        }
        Ok(())
    }

    /// Adds the plain files among them; whether there was one. A link to nothing is a fault, not a file less: somebody
    /// meant it to be part of the list.
    fn add_plain(&mut self, world: &dyn World, paths: Vec<PathBuf>) -> Result<bool, String> {
        let mut any = false;
        for path in paths {
            let stamp = world.stat(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            if stamp.kind() == Kind::File {
                any = true;
                self.files.push(Seen { path, stamp });
            }
        }
        Ok(any)
    }

    /// The plain files that a pattern matches. As in a shell, and as in a folder, a wildcard does not match a leading dot:
    /// an editor's `.list.txt.swp` is not part of the list.
    fn add_pattern(&mut self, world: &dyn World, pattern: &Path) -> Result<(), String> {
        let folder = pattern.parent().unwrap_or(Path::new("/"));
        if has_wildcard(folder) {
            self.scattered = true;
        } else if let Ok(stamp) = world.stat(folder) {
            self.folders.push(Seen { path: folder.to_owned(), stamp });
        }
        let mut paths = expand(pattern)?;
        paths.sort();
        if !self.add_plain(world, paths)? {
            return Err("this pattern matches no file".into());
        }
        Ok(())
    }
}

/// What a pattern matches, part by part. Names are whatever bytes a folder holds: the library's own walk ends the process at
/// one that is not UTF-8.
fn expand(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    let mut paths = vec![PathBuf::new()];
    for part in pattern {
        if !has_wildcard(Path::new(part)) {
            paths.iter_mut().for_each(|path| path.push(part));
            paths.retain(|path| path.symlink_metadata().is_ok());
            continue;
        }
        let wanted = part.to_str().ok_or("a pattern has to be UTF-8")?;
        let wanted = Pattern::new(wanted).map_err(|error| format!("is no pattern: {error}"))?;
        let mut matched = Vec::new();
        for folder in paths.iter().filter(|path| path.is_dir()) {
            for entry in std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
                let entry = entry.map_err(|error| error.to_string())?;
                if wanted.matches_with(&entry.file_name().to_string_lossy(), options) {
                    matched.push(entry.path());
                }
            }
            if matched.len() > MAX_FILES * 4 {
                return Err(format!("this pattern matches more than {} paths", MAX_FILES * 4));
            }
        }
        paths = matched;
    }
    Ok(paths)
}

/// A path with a wildcard is a pattern, unless a file of just that name exists.
fn is_pattern(path: &Path) -> bool {
    has_wildcard(path) && !path.exists()
}

fn has_wildcard(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte))
}
