//! One file, read in a stream: every line to its fingerprint, in memory that does not depend on the length of lines.
//! No mmap of files that others write: truncating one would end the process.

use crate::config::LineEnding;
use crate::index::{Fingerprint, Fingerprinter, Full, Part, Streaming};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Bytes read at a time.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// What a file came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

/// Why a file was not read whole.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// The kernel says so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A folder, a device, a pipe.
    #[error("is no plain file")]
    NotAFile,
    /// Somebody wrote to it meanwhile, twice in a row.
    #[error("changed while it was read; write a new file and rename it over the old one")]
    Changed,
    /// The memory ceiling is reached.
    #[error("{0}; raise [server] max-index-bytes")]
    Full(#[from] Full),
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(file: &Metadata) -> Stamp {
        Stamp {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// Its length in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

/// Opens a plain file without waiting: a pipe would hold the daemon up for ever.
pub(super) fn open(path: &Path) -> Result<(File, Stamp), ReadFault> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(ReadFault::NotAFile);
    }
    Ok((file, Stamp::of(&found)))
}

/// Reads every line of `input` into `part`.
pub(super) fn read_lines(
    mut input: impl Read,
    chunk: &mut [u8],
    ending: LineEnding,
    fingerprinter: &Fingerprinter,
    part: &mut Part,
) -> Result<Count, ReadFault> {
    let mut line = Line::new(fingerprinter, ending);
    let mut count = Count::default();
    loop {
        let filled = match input.read(chunk) {
            Ok(0) => break,
            Ok(filled) => filled,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        count.bytes += filled as u64;
        let mut rest = &chunk[..filled];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            part.push(line.end(&rest[..end]))?;
            count.lines += 1;
            rest = &rest[end + 1..];
        }
        line.go_on(rest);
    }
    // A last line without a newline is a line, as it is to grep.
    if line.begun {
        part.push(line.end(b""))?;
        count.lines += 1;
    }
    Ok(count)
}

/// The line that is being read.
struct Line<'a> {
    fingerprinter: &'a Fingerprinter,
    ending: LineEnding,
    pieces: Streaming,
    /// A CR that may turn out to belong to the line's end.
    held_back: bool,
    begun: bool,
}

impl<'a> Line<'a> {
    fn new(fingerprinter: &'a Fingerprinter, ending: LineEnding) -> Line<'a> {
        Line { fingerprinter, ending, pieces: fingerprinter.begin(), held_back: false, begun: false }
    }

    /// A piece that does not end the line.
    fn go_on(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        self.begun = true;
        if std::mem::take(&mut self.held_back) {
            self.pieces.write(b"\r");
        }
        let piece = match (self.ending, piece.strip_suffix(b"\r")) {
            (LineEnding::Crlf, Some(before)) => {
                self.held_back = true;
                before
            }
            _ => piece,
        };
        self.pieces.write(piece);
    }

    /// The last piece; the next line begins.
    fn end(&mut self, piece: &[u8]) -> Fingerprint {
        if !self.begun {
            return self.fingerprinter.fingerprint(self.ending.strip(piece));
        }
        self.go_on(piece);
        let fingerprint = self.pieces.finish();
        *self = Line::new(self.fingerprinter, self.ending);
        fingerprint
    }
}
