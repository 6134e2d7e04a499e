//! What makes two spellings one line: letter case, white space, line end, comments. One definition, for the lines of a
//! list and for the queries that ask for them. Pure: knows bytes, no files and no sockets.

/// How a list's lines, and the queries to it, are made comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Normalisation {
    /// What becomes of letters.
    pub case: Case,
    /// What becomes of white space at both ends.
    pub whitespace: Whitespace,
    /// What ends a line.
    pub line_ending: LineEnding,
    /// Lines that begin with this mark are none; `None` knows no comments.
    pub comment: Option<Mark>,
}

/// What becomes of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Case {
    /// They stay.
    Keep,
    /// A to Z become a to z; every other byte stays.
    IgnoreAscii,
}

/// What becomes of white space at both ends of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whitespace {
    /// It stays.
    Keep,
    /// Space, tab, CR, form feed and vertical tab are taken off.
    Trim,
}

/// What ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineEnding {
    /// LF or CR LF: one CR before the LF is dropped.
    Auto,
    /// LF; a CR before it is part of the line, as it is to grep.
    Lf,
}

impl LineEnding {
    /// The line without the CR that belongs to its end.
    #[must_use]
    pub fn strip(self, line: &[u8]) -> &[u8] {
        match self {
            LineEnding::Lf => line,
            LineEnding::Auto => line.strip_suffix(b"\r").unwrap_or(line),
        }
    }
}

/// What a comment begins with: 1 to 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    bytes: [u8; 8],
    length: u8,
}

impl Mark {
    /// The mark of these bytes; `None` unless they are 1 to 8 and hold no LF.
    #[must_use]
    pub fn new(mark: &[u8]) -> Option<Mark> {
        let mut bytes = [0; 8];
        bytes.get_mut(..mark.len())?.copy_from_slice(mark);
        let fits = !mark.is_empty() && !mark.contains(&b'\n');
        fits.then_some(Mark { bytes, length: u8::try_from(mark.len()).ok()? })
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

/// Why a line is not part of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// Nothing is left of it.
    Empty,
    /// It begins with the comment mark.
    Comment,
}

impl Default for Normalisation {
    fn default() -> Normalisation {
        Normalisation { case: Case::Keep, whitespace: Whitespace::Keep, line_ending: LineEnding::Auto, comment: None }
    }
}

impl Normalisation {
    /// The line as it is kept and looked for. `line` comes without its LF; `room` is used where bytes change.
    ///
    /// # Errors
    /// Why it is no line of the list. A query of that kind is in no list.
    #[inline]
    pub fn apply<'a>(&self, line: &'a [u8], room: &'a mut Vec<u8>) -> Result<&'a [u8], Skipped> {
        let mut line = self.line_ending.strip(line);
        if self.whitespace == Whitespace::Trim {
            line = trimmed(line);
        }
        if line.is_empty() {
            return Err(Skipped::Empty);
        }
        if self.comment.is_some_and(|mark| line.starts_with(mark.bytes())) {
            return Err(Skipped::Comment);
        }
        if self.case == Case::IgnoreAscii && line.iter().any(u8::is_ascii_uppercase) {
            room.clear();
            room.extend(line.iter().map(u8::to_ascii_lowercase));
            return Ok(room);
        }
        Ok(line)
    }

    /// Whether nothing but a CR at the end tells a normalised line from a raw one: then raw bytes can be searched.
    #[must_use]
    pub fn keeps_bytes(&self) -> bool {
        self.case == Case::Keep && self.whitespace == Whitespace::Keep && self.comment.is_none()
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    let white = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c);
    let Some(first) = line.iter().position(|byte| !white(byte)) else { return &[] };
    let last = line.iter().rposition(|byte| !white(byte)).unwrap_or(first);
    line.get(first..=last).unwrap_or(&[])
}
