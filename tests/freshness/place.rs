//! Where a writer works: a list that is a link to a folder of files, room beside it, and the list's history.

use super::chance::Chance;
use super::truth::{LastLine, Truth};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// The states of a list, one after each change that could be seen from outside.
pub struct History {
    begun: AtomicUsize,
    done: AtomicUsize,
    states: Mutex<Vec<Arc<Truth>>>,
    /// Whether old states are kept; a long run by one thread needs the last alone.
    whole: bool,
}

impl History {
    /// How many changes are over: asked before a question is sent.
    pub fn done(&self) -> usize {
        self.done.load(SeqCst)
    }

    /// How many changes have at least begun: asked after an answer came.
    pub fn begun(&self) -> usize {
        self.begun.load(SeqCst)
    }

    pub fn last(&self) -> Arc<Truth> {
        Arc::clone(self.states.lock().unwrap().last().unwrap())
    }

    pub fn states(&self) -> Vec<Arc<Truth>> {
        self.states.lock().unwrap().clone()
    }

    /// Whether every single state is kept: then a step of two swaps is two changes.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    fn end(&self, truth: Truth) {
        let mut states = self.states.lock().unwrap();
        if !self.whole {
            states.clear();
        }
        states.push(Arc::new(truth));
        self.done.fetch_add(1, SeqCst);
    }
}

pub struct Place {
    root: PathBuf,
    last_line: LastLine,
    pub history: Arc<History>,
    made: usize,
}

impl Place {
    /// One to three files in a folder `v0`, to which `list` leads.
    pub fn new(root: &Path, last_line: LastLine, whole: bool, chance: &mut Chance) -> Place {
        let place = Place {
            root: root.to_owned(),
            last_line,
            history: Arc::new(History {
                begun: AtomicUsize::new(0),
                done: AtomicUsize::new(0),
                states: Mutex::new(Vec::new()),
                whole,
            }),
            made: 0,
        };
        std::fs::create_dir(root.join("aside")).unwrap();
        std::fs::create_dir(root.join("v0")).unwrap();
        for name in &["a.txt", "b.txt", "c.txt"][..=chance.below(3)] {
            std::fs::write(root.join("v0").join(name), chance.lines(20)).unwrap();
        }
        std::fs::write(place.outside(), chance.lines(5)).unwrap();
        symlink("v0", place.list()).unwrap();
        place.history.states.lock().unwrap().push(Arc::new(place.truth()));
        place
    }

    /// One system call, or a few, that can be seen in the list: noted before and after.
    pub fn change<T>(&self, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.history.begun.fetch_add(1, SeqCst);
        let changed = change();
        self.history.end(self.truth());
        changed
    }

    fn truth(&self) -> Truth {
        Truth::of(&self.list(), self.last_line)
    }

    pub fn list(&self) -> PathBuf {
        self.root.join("list")
    }

    /// A file that is part of the list only while a link in it leads here.
    pub fn outside(&self) -> PathBuf {
        self.root.join("outside.txt")
    }

    /// The files of the list as a writer may open them.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.list()).into_iter().flatten();
        let mut files: Vec<PathBuf> =
            entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
        files.retain(|path| !path.file_name().unwrap().as_encoded_bytes().starts_with(b"."));
        files.sort();
        files
    }

    /// A name beside the list that nobody has had before.
    pub fn aside(&mut self) -> PathBuf {
        self.made += 1;
        self.root.join("aside").join(self.made.to_string())
    }

    pub fn file_aside(&mut self, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.aside();
        std::fs::write(&path, content)?;
        Ok(path)
    }

    /// A new folder beside the list's own.
    pub fn folder_aside(&mut self) -> io::Result<PathBuf> {
        self.made += 1;
        let path = self.root.join(format!("v{}", self.made));
        std::fs::create_dir(&path)?;
        Ok(path)
    }

    /// Lets the list lead to another folder, in one step; the old one is removed.
    pub fn repoint(&mut self, folder: &Path) -> io::Result<()> {
        let old = std::fs::read_link(self.list()).map(|old| self.root.join(old));
        let link = self.aside();
        symlink(folder.file_name().unwrap(), &link)?;
        self.change(|| std::fs::rename(&link, self.list()))?;
        // Files of both folders lose a link, and their ctime tells.
        old.map_or(Ok(()), |old| self.change(|| std::fs::remove_dir_all(old)))
    }
}
