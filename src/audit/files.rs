//! The files of a trail: their names, their order, their lines. Reads; trail.rs writes.

use super::chain::Master;
use super::written::{Line, MAX_LINE_BYTES};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// One file of a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailFile {
    /// Its number, by its name.
    pub number: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// The name of a file begun on this day, `2026-11-23`.
pub(super) fn name(number: u64, day: &str) -> String {
    format!("trail-{number:08}-{day}.log")
}

/// Number and day out of a name.
fn parse(name: &str) -> Option<(u64, &str)> {
    let (number, day) = name.strip_prefix("trail-")?.strip_suffix(".log")?.split_once('-')?;
    let whole = number.len() >= 8 && number.bytes().all(|digit| digit.is_ascii_digit());
    Some((number.parse().ok().filter(|_| whole)?, day))
}

impl TrailFile {
    /// The day on which it was begun, by its name.
    #[must_use]
    pub fn day(&self) -> &str {
        self.path.file_name().and_then(|name| parse(name.to_str()?)).map_or("", |(_, day)| day)
    }

    /// Hands over every line with its number, from 1, and whether its line end is there. Stops when told `false`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn lines(&self, mut each: impl FnMut(u64, &[u8], bool) -> bool) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(1 << 16, File::open(&self.path)?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            // One byte more than a line may have: what has it is none, and what follows it is the next one.
            let read = (&mut reader).take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            let ended = line.last() == Some(&b'\n');
            let whole = ended || read > MAX_LINE_BYTES;
            let text = if ended { &line[..read - 1] } else { &line[..] };
            if !each(number, text, whole) {
                break;
            }
        }
        Ok(())
    }
}

/// The files of a trail, in order.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> io::Result<Vec<TrailFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(parse).map(|(number, _)| number);
        files.extend(number.map(|number| TrailFile { number, path }));
    }
    files.sort_by(|one, other| (one.number, &one.path).cmp(&(other.number, &other.path)));
    Ok(files)
}

/// How a trail ends.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// The last whole line, with its line end left out.
    pub last: Option<String>,
    /// Whether anything stands behind it: half a line, or what is none.
    pub torn: bool,
}

impl End {
    /// The last line, read.
    #[must_use]
    pub fn line(&self) -> Option<Line<'_>> {
        Line::parse(self.last.as_ref()?.as_bytes())
    }
}

/// Looks for the last whole line. Reads the ends of files alone.
///
/// # Errors
/// When a file cannot be read.
pub fn end(files: &[TrailFile]) -> io::Result<End> {
    const TAIL: u64 = 1 << 16;
    let mut torn = false;
    for file in files.iter().rev() {
        let mut file = File::open(&file.path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        let mut lines: Vec<&[u8]> = tail.split(|byte| *byte == b'\n').collect();
        torn |= lines.pop().is_none_or(|behind| !behind.is_empty());
        for line in lines.into_iter().rev() {
            if Line::parse(line).is_some() {
                return Ok(End { last: String::from_utf8(line.to_vec()).ok(), torn });
            }
            torn = true;
        }
        // A file without a line of its own.
        torn = true;
    }
    Ok(End { last: None, torn })
}

/// The newest checkpoint that can be made from a trail: its last position, and with the key its proof.
#[must_use]
pub fn head(end: &End, master: Option<&Master>) -> Option<(super::Position, Option<super::Tag>)> {
    let line = end.line()?;
    let position = super::Position { epoch: line.epoch, count: line.number.checked_add(1)?, tag: line.tag };
    Some((position, master.map(|master| master.checkpoint(&position))))
}
