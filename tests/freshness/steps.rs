//! What a writer can do to a list: every way of changing files that the daemon promises to notice.

use super::chance::Chance;
use super::place::Place;
use super::truth::Truth;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    AppendLine,
    AppendHalf,
    AppendMany,
    Replace,
    ReplaceTwice,
    ReplaceAndBack,
    ReplaceSameSizeAndMtime,
    EditInPlace,
    EditKeepMtime,
    Rewrite,
    TruncateToNothing,
    TruncateToMiddle,
    GrowByZeros,
    Delete,
    DeleteAndMakeAnew,
    NewFile,
    HardLinkOver,
    ExchangeNames,
    HideOrShow,
    LeadOutside,
    ChangeOutside,
    Dangle,
    Repoint,
    RepointToSameFiles,
    RemoveList,
    FolderInside,
    Chmod,
    Touch,
}

use Step::*;

/// Everything; the frequent ones stand twice.
pub const ANY: &[Step] = &[
    AppendLine,
    AppendLine,
    AppendHalf,
    AppendMany,
    Replace,
    Replace,
    ReplaceTwice,
    ReplaceAndBack,
    ReplaceSameSizeAndMtime,
    EditInPlace,
    EditInPlace,
    EditKeepMtime,
    EditKeepMtime,
    Rewrite,
    TruncateToNothing,
    TruncateToMiddle,
    GrowByZeros,
    Delete,
    DeleteAndMakeAnew,
    NewFile,
    NewFile,
    HardLinkOver,
    ExchangeNames,
    HideOrShow,
    LeadOutside,
    ChangeOutside,
    ChangeOutside,
    Dangle,
    Repoint,
    RepointToSameFiles,
    RemoveList,
    FolderInside,
    Chmod,
    Touch,
];

/// What a writer may do who keeps the word of `writer = "appends"`: rotation and whole files beside appending.
pub const APPENDS: &[Step] = &[
    AppendLine,
    AppendLine,
    AppendLine,
    AppendLine,
    AppendHalf,
    AppendHalf,
    AppendMany,
    Replace,
    ReplaceTwice,
    Delete,
    NewFile,
    NewFile,
    HideOrShow,
    Repoint,
    RepointToSameFiles,
    Chmod,
    Touch,
];

pub struct Writer {
    pub place: Place,
    pub chance: Chance,
    /// Beyond so many bytes a file is replaced by a small one.
    pub most_bytes: u64,
}

impl Writer {
    /// Does one of the steps, and tells which. One that cannot be done here fails and changes nothing, or half of it:
    /// the truth is read from the files.
    pub fn step(&mut self, steps: &[Step]) -> String {
        let gone = matches!(*self.place.history.last(), Truth::Gone(_));
        let step = if gone && !self.chance.one_in(4) { Repoint } else { self.chance.one_of(steps) };
        let files = self.place.files();
        let Some(file) = (!files.is_empty()).then(|| self.chance.one_of(&files)) else {
            return format!("{Repoint:?}: {:?}", self.repoint(false));
        };
        let large = fs::metadata(&file).is_ok_and(|found| found.len() > self.most_bytes);
        let step = if large { Replace } else { step };
        let done = self.take(step, &file, &files);
        format!("{step:?} {}: {done:?}", file.file_name().unwrap().to_string_lossy())
    }

    fn take(&mut self, step: Step, file: &Path, files: &[PathBuf]) -> io::Result<()> {
        match step {
            AppendLine => self.append(file, Chance::whole_line),
            AppendHalf => self.append(file, |chance| chance.line()[..3].to_vec()),
            AppendMany => self.append(file, |chance| chance.lines(500)),
            Replace => self.replace(file),
            ReplaceTwice => self.replace_twice(file),
            ReplaceAndBack => self.replace_and_back(file),
            ReplaceSameSizeAndMtime => self.replace_unseen(file),
            EditInPlace => self.edit(file),
            EditKeepMtime => self.edit_keep_mtime(file),
            Rewrite => self.rewrite(file),
            TruncateToNothing => self.resize(file, |_, _| 0),
            TruncateToMiddle => self.resize(file, |chance, size| chance.below(size) as u64),
            GrowByZeros => self.resize(file, |chance, size| (size + chance.below(20)) as u64),
            Delete => self.place.change(|| fs::remove_file(file)),
            DeleteAndMakeAnew => self.delete_and_make_anew(file),
            NewFile => self.new_file(),
            HardLinkOver => self.hard_link_over(file, files),
            ExchangeNames => self.exchange(file, files),
            HideOrShow => self.hide_or_show(file),
            LeadOutside => self.link_over(file, "../outside.txt"),
            ChangeOutside => self.change_outside(),
            Dangle => self.link_over(file, "../nowhere"),
            Repoint => self.repoint(false),
            RepointToSameFiles => self.repoint(true),
            RemoveList => self.place.change(|| fs::remove_file(self.place.list())),
            FolderInside => self.place.change(|| fs::create_dir(self.place.list().join("folder.txt"))),
            Chmod => {
                let mode = self.chance.one_of(&[0o600, 0o644, 0o640]);
                self.place.change(|| fs::set_permissions(file, Permissions::from_mode(mode)))
            }
            Touch => {
                let time = SystemTime::now() - Duration::from_secs(self.chance.below(5) as u64);
                let open = File::open(file)?;
                self.place.change(|| open.set_times(FileTimes::new().set_modified(time)))
            }
        }
    }

    fn small(&mut self) -> Vec<u8> {
        let count = self.chance.below(40);
        self.chance.lines(count)
    }

    fn append(&mut self, file: &Path, piece: impl FnOnce(&mut Chance) -> Vec<u8>) -> io::Result<()> {
        let piece = piece(&mut self.chance);
        let mut open = OpenOptions::new().append(true).open(file)?;
        self.place.change(|| open.write_all(&piece))
    }

    fn replace(&mut self, file: &Path) -> io::Result<()> {
        let content = self.small();
        let new = self.place.file_aside(&content)?;
        self.place.change(|| fs::rename(new, file))
    }

    /// Two swaps within one tick of any clock.
    fn replace_twice(&mut self, file: &Path) -> io::Result<()> {
        let (one, two) = (self.small(), self.small());
        let (one, two) = (self.place.file_aside(&one)?, self.place.file_aside(&two)?);
        if self.place.history.is_whole() {
            self.place.change(|| fs::rename(one, file))?;
            return self.place.change(|| fs::rename(two, file));
        }
        self.place.change(|| fs::rename(one, file).and_then(|()| fs::rename(two, file)))
    }

    fn replace_and_back(&mut self, file: &Path) -> io::Result<()> {
        let old = self.place.aside();
        self.place.change(|| fs::hard_link(file, &old))?;
        self.replace(file)?;
        self.place.change(|| fs::rename(old, file))
    }

    fn replace_unseen(&mut self, file: &Path) -> io::Result<()> {
        let mut content = fs::read(file)?;
        if let Some(at) = self.digit_in(&content) {
            content[at] = self.chance.one_of(b"0123456789");
        }
        let new = self.place.file_aside(&content)?;
        File::open(&new)?.set_times(FileTimes::new().set_modified(fs::metadata(file)?.modified()?))?;
        self.place.change(|| fs::rename(new, file))
    }

    fn digit_in(&mut self, content: &[u8]) -> Option<usize> {
        let digits: Vec<usize> = (0..content.len()).filter(|at| content[*at].is_ascii_digit()).collect();
        (!digits.is_empty()).then(|| self.chance.one_of(&digits))
    }

    fn edit(&mut self, file: &Path) -> io::Result<()> {
        let content = fs::read(file)?;
        let at = self.digit_in(&content).ok_or(io::ErrorKind::InvalidData)?;
        let new = self.chance.one_of(b"0123456789");
        let open = OpenOptions::new().write(true).open(file)?;
        self.place.change(|| open.write_all_at(&[new], at as u64))
    }

    fn edit_keep_mtime(&mut self, file: &Path) -> io::Result<()> {
        let modified = fs::metadata(file)?.modified()?;
        self.edit(file)?;
        let open = File::open(file)?;
        self.place.change(|| open.set_times(FileTimes::new().set_modified(modified)))
    }

    /// The same size, through nothing.
    fn rewrite(&mut self, file: &Path) -> io::Result<()> {
        let mut content = fs::read(file)?;
        for _ in 0..3 {
            if let Some(at) = self.digit_in(&content) {
                content[at] = self.chance.one_of(b"0123456789");
            }
        }
        let mut open = self.place.change(|| File::create(file))?;
        self.place.change(|| open.write_all(&content))
    }

    fn resize(&mut self, file: &Path, size: impl FnOnce(&mut Chance, usize) -> u64) -> io::Result<()> {
        let open = OpenOptions::new().write(true).open(file)?;
        let size = size(&mut self.chance, usize::try_from(open.metadata()?.len()).unwrap());
        self.place.change(|| open.set_len(size))
    }

    /// The file system may give the new file the old one's inode.
    fn delete_and_make_anew(&mut self, file: &Path) -> io::Result<()> {
        let content = self.small();
        self.place.change(|| fs::remove_file(file))?;
        let mut open = self.place.change(|| File::create(file))?;
        self.place.change(|| open.write_all(&content))
    }

    fn new_file(&mut self) -> io::Result<()> {
        let content = self.small();
        let new = self.place.file_aside(&content)?;
        let name = self.chance.one_of(&["a.txt", "b.txt", "c.txt"]);
        self.place.change(|| fs::rename(new, self.place.list().join(name)))
    }

    fn hard_link_over(&mut self, file: &Path, files: &[PathBuf]) -> io::Result<()> {
        let (other, link) = (self.chance.one_of(files), self.place.aside());
        self.place.change(|| fs::hard_link(other, &link))?;
        self.place.change(|| fs::rename(link, file))
    }

    fn exchange(&mut self, file: &Path, files: &[PathBuf]) -> io::Result<()> {
        let (other, between) = (self.chance.one_of(files), self.place.aside());
        self.place.change(|| fs::rename(file, &between))?;
        self.place.change(|| fs::rename(&other, file))?;
        self.place.change(|| fs::rename(between, other))
    }

    fn hide_or_show(&mut self, file: &Path) -> io::Result<()> {
        let hidden = self.place.list().join(".hidden");
        if hidden.exists() {
            return self.place.change(|| fs::rename(hidden, self.place.list().join("c.txt")));
        }
        self.place.change(|| fs::rename(file, hidden))
    }

    fn link_over(&mut self, file: &Path, target: &str) -> io::Result<()> {
        let link = self.place.aside();
        symlink(target, &link)?;
        self.place.change(|| fs::rename(link, file))
    }

    fn change_outside(&mut self) -> io::Result<()> {
        let outside = self.place.outside();
        if self.chance.one_in(2) { self.replace(&outside) } else { self.append(&outside, Chance::whole_line) }
    }

    /// Another folder: of new files, or of some of the very same files under other names.
    fn repoint(&mut self, same: bool) -> io::Result<()> {
        let old = self.place.files();
        let folder = self.place.folder_aside()?;
        for (file, name) in old.iter().zip(["b.txt", "c.txt", "a.txt"]) {
            if same && self.chance.one_in(2) {
                self.place.change(|| fs::hard_link(fs::canonicalize(file)?, folder.join(name)))?;
            }
        }
        if fs::read_dir(&folder)?.next().is_none() {
            fs::write(folder.join("a.txt"), self.small())?;
        }
        self.place.repoint(&folder)
    }
}
