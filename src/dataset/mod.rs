//! Named lists: from files to one immutable generation of indexes, and look-ups over the lists that a client may ask.
//! Knows the configuration's datasets and the index; when to load is its caller's business.

mod lists;
mod locate;
mod reading;

pub use lists::{Lists, Scratch, Selection, Summary};
pub use reading::ReadFault;

use crate::config::Dataset;
use crate::event::{Event, Teller};
use crate::index::{Builder, Fingerprinter, Part};
use lists::List;
use reading::{CHUNK_BYTES, Count, Stamp, open, read_lines};
use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Why a list was not loaded: which list, which path, and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("list {list}: {path}: {why}", path = path.display())]
pub struct LoadFault {
    /// The list.
    pub list: Arc<str>,
    /// The file, folder or pattern.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

impl LoadFault {
    fn new(dataset: &Dataset, path: &Path, why: &impl ToString) -> LoadFault {
        LoadFault { list: Arc::clone(&dataset.name), path: path.to_owned(), why: why.to_string() }
    }
}

/// Loads every list whole, within `ceiling` bytes of index in all. Then tells one event a list.
///
/// # Errors
/// Every fault of every list; then nothing is loaded.
pub fn load(
    datasets: &[Dataset],
    fingerprinter: &Fingerprinter,
    ceiling: u64,
    teller: &Teller,
) -> Result<Lists, Vec<LoadFault>> {
    let mut lists = Vec::new();
    let mut events = Vec::new();
    let mut faults = Vec::new();
    let mut room = ceiling;
    for dataset in datasets {
        match load_one(dataset, fingerprinter, room) {
            Ok((list, event)) => {
                room = room.saturating_sub(list.index.bytes());
                events.push(event);
                lists.push(list);
            }
            Err(found) => faults.extend(found),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    // Told only now: while another list is at fault, none of them is loaded.
    events.into_iter().for_each(|event| teller.tell(event));
    Ok(Lists::new(lists, fingerprinter.clone()))
}

/// Looks whether every file of every list is there and may be read, without reading it.
#[must_use]
pub fn check(datasets: &[Dataset]) -> Vec<LoadFault> {
    let mut faults = Vec::new();
    for dataset in datasets {
        let (files, lost) = locate::locate(dataset);
        faults.extend(lost);
        faults.extend(files.iter().filter_map(|file| open(file).err().map(|why| LoadFault::new(dataset, file, &why))));
    }
    faults
}

fn load_one(dataset: &Dataset, fingerprinter: &Fingerprinter, room: u64) -> Result<(List, Event), Vec<LoadFault>> {
    let begun = Instant::now();
    let (files, mut faults) = locate::locate(dataset);
    let builder = Builder::new(room);
    let mut reader = Reader {
        dataset,
        fingerprinter,
        builder: &builder,
        parts: Vec::new(),
        chunk: vec![0; CHUNK_BYTES],
        seen: HashSet::new(),
    };
    let mut whole = Count::default();
    let mut hopeless = !faults.is_empty();
    for file in &files {
        // Of a list that cannot come to anything it is still worth knowing whether its other files can be opened.
        let read = if hopeless { open(file).map(|_| Count::default()) } else { reader.read(file) };
        match read {
            Ok(count) => {
                whole.lines += count.lines;
                whole.bytes += count.bytes;
            }
            Err(why) => {
                hopeless |= matches!(why, ReadFault::Full(_));
                faults.push(LoadFault::new(dataset, file, &why));
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let files = reader.seen.len();
    let parts = reader.parts;
    let index = builder.build(parts, 2);
    let event = Event::ListLoaded {
        list: Arc::clone(&dataset.name),
        files,
        lines: whole.lines,
        distinct: index.len() as u64,
        bytes: whole.bytes,
        milliseconds: begun.elapsed().as_millis(),
    };
    let list = List {
        name: Arc::clone(&dataset.name),
        line_ending: dataset.line_ending,
        index,
        files,
        lines: whole.lines,
        loaded_at: SystemTime::now(),
    };
    Ok((list, event))
}

/// Reads a list's files, one after another, into one builder.
struct Reader<'a> {
    dataset: &'a Dataset,
    fingerprinter: &'a Fingerprinter,
    builder: &'a Builder,
    /// One a file: a file that changed takes its own with it.
    parts: Vec<Part>,
    chunk: Vec<u8>,
    /// The states of files that were read: a file that two paths name is read once. The whole state and not only the
    /// inode, as the inode of a file that was replaced meanwhile may already be that of another.
    seen: HashSet<Stamp>,
}

impl Reader<'_> {
    /// Reads a file whole. One that changed meanwhile is read once more, then given up: half of an old file and half of
    /// a new one is no list.
    fn read(&mut self, path: &Path) -> Result<Count, ReadFault> {
        let (file, before) = open(path)?;
        if !self.seen.insert(before) {
            return Ok(Count::default());
        }
        match self.read_once(path, &file, before)? {
            Some(count) => Ok(count),
            None => {
                let (file, before) = open(path)?;
                self.seen.insert(before);
                self.read_once(path, &file, before)?.ok_or(ReadFault::Changed)
            }
        }
    }

    /// `None` when the file, or what its path names, changed meanwhile. What it brought is taken out again.
    fn read_once(&mut self, path: &Path, file: &std::fs::File, before: Stamp) -> Result<Option<Count>, ReadFault> {
        let mut part = self.builder.part();
        // A file that grows as fast as it is read has no end; one byte more than it had is enough to know.
        let within = file.take(before.size().saturating_add(1));
        let count = read_lines(within, &mut self.chunk, self.dataset.line_ending, self.fingerprinter, &mut part)?;
        let after = Stamp::of(&file.metadata()?);
        let named = Stamp::of(&std::fs::metadata(path)?);
        if after == before && named == before && count.bytes == before.size() {
            self.parts.push(part);
            return Ok(Some(count));
        }
        self.seen.remove(&before);
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
