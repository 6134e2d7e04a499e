//! What makes two spellings one line: letter case, white space, line end, comments. One definition, for the lines of a
//! list and for the queries that ask for them. Pure: knows bytes, no files and no sockets.
//!
//! It is one step after another: the CR of the line end, white space, nothing left, comment, letter case. A byte from
//! 0x80 on never changes, so UTF-8 stays UTF-8.

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
    /// A to Z become a to z; every other byte stays. A comment mark is compared likewise.
    IgnoreAscii,
}

/// What becomes of white space at both ends of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whitespace {
    /// It stays.
    Keep,
    /// It is taken off.
    Trim,
}

impl Whitespace {
    /// Space, tab, CR, form feed and vertical tab: what C's `isspace` knows within a line.
    #[must_use]
    pub const fn is_white(byte: u8) -> bool {
        matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
    }
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
    /// The mark of these bytes; `None` unless they are 1 to 8 and hold neither LF nor CR.
    #[must_use]
    pub fn new(mark: &[u8]) -> Option<Mark> {
        let mut bytes = [0; 8];
        bytes.get_mut(..mark.len())?.copy_from_slice(mark);
        let fits = !mark.is_empty() && !mark.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        fits.then_some(Mark { bytes, length: u8::try_from(mark.len()).ok()? })
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }

    /// Whether the line begins with it. Where letter case makes no difference, it makes none here: else of two spellings
    /// of one line one would be a comment.
    fn begins(&self, line: &[u8], case: Case) -> bool {
        let Some(beginning) = line.get(..usize::from(self.length)) else { return false };
        match case {
            Case::Keep => beginning == self.bytes(),
            Case::IgnoreAscii => beginning.eq_ignore_ascii_case(self.bytes()),
        }
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
    /// What comes out stays as it is when it goes through once more, but for the line end, which is taken off once: of
    /// two CRs before an LF the first is the line's own.
    ///
    /// # Errors
    /// Why it is no line of the list. A query of that kind is not in the list either.
    #[inline]
    pub fn apply<'a>(&self, line: &'a [u8], room: &'a mut Vec<u8>) -> Result<&'a [u8], Skipped> {
        let line = self.cut(line)?;
        if self.case == Case::IgnoreAscii && has_upper_case(line) {
            room.clear();
            room.extend(line.iter().map(u8::to_ascii_lowercase));
            return Ok(room);
        }
        Ok(line)
    }

    /// The same but for letters, which stay as they are: with [`Case::Keep`] that is all there is to do.
    ///
    /// # Errors
    /// As [`Normalisation::apply`].
    #[inline]
    pub fn cut<'a>(&self, line: &'a [u8]) -> Result<&'a [u8], Skipped> {
        let mut line = self.line_ending.strip(line);
        if self.whitespace == Whitespace::Trim {
            line = trimmed(line);
        }
        if line.is_empty() {
            return Err(Skipped::Empty);
        }
        if self.comment.is_some_and(|mark| mark.begins(line, self.case)) {
            return Err(Skipped::Comment);
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
    let black = |byte: &u8| !Whitespace::is_white(*byte);
    let Some(first) = line.iter().position(black) else { return &[] };
    let last = line.iter().rposition(black).unwrap_or(first);
    line.get(first..=last).unwrap_or(&[])
}

/// Blocks without a way out in their middle: the compiler makes vector code of them, which takes a seventh of the time on lines of 107 bytes.
fn has_upper_case(line: &[u8]) -> bool {
    line.chunks(32).any(|block| block.iter().fold(false, |found, byte| found | byte.is_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// Bytes of which something happens to each, and enough of them together.
    fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
        let one = prop_oneof![
            8 => proptest::sample::select(b" \t\r\x0b\x0c#/aAzZ@[`{\0\x1f\x7f\x85\xa0\xc3\x89".to_vec()),
            1 => any::<u8>().prop_filter("a line holds no LF", |byte| *byte != b'\n'),
        ];
        proptest::collection::vec(one, 0..most)
    }

    fn normalisation() -> impl Strategy<Value = Normalisation> {
        let case = prop_oneof![Just(Case::Keep), Just(Case::IgnoreAscii)];
        let whitespace = prop_oneof![Just(Whitespace::Keep), Just(Whitespace::Trim)];
        let line_ending = prop_oneof![Just(LineEnding::Auto), Just(LineEnding::Lf)];
        let comment = proptest::option::of(bytes(4).prop_filter_map("no mark", |mark| Mark::new(&mark)));
        (case, whitespace, line_ending, comment).prop_map(|(case, whitespace, line_ending, comment)| Normalisation {
            case,
            whitespace,
            line_ending,
            comment,
        })
    }

    fn applied(normalisation: Normalisation, line: &[u8]) -> Result<Vec<u8>, Skipped> {
        normalisation.apply(line, &mut Vec::new()).map(<[u8]>::to_vec)
    }

    /// The same, said as slowly as it can be.
    fn naive(normalisation: Normalisation, line: &[u8]) -> Result<Vec<u8>, Skipped> {
        let mut line = line.to_vec();
        if normalisation.line_ending == LineEnding::Auto && line.ends_with(b"\r") {
            line.pop();
        }
        let white = [0x20, 0x09, 0x0d, 0x0c, 0x0b];
        if normalisation.whitespace == Whitespace::Trim {
            while line.first().is_some_and(|first| white.contains(first)) {
                line.remove(0);
            }
            while line.last().is_some_and(|last| white.contains(last)) {
                line.pop();
            }
        }
        let lower = |bytes: &[u8]| -> Vec<u8> {
            let same = normalisation.case == Case::Keep;
            bytes.iter().map(|byte| if !same && (65..=90).contains(byte) { byte + 32 } else { *byte }).collect()
        };
        match normalisation.comment {
            _ if line.is_empty() => Err(Skipped::Empty),
            Some(mark) if lower(&line).starts_with(&lower(mark.bytes())) => Err(Skipped::Comment),
            _ => Ok(lower(&line)),
        }
    }

    proptest! {
        #[test]
        fn exact_normalisation_equals_its_slow_definition(normalisation in normalisation(), line in bytes(80)) {
            prop_assert_eq!(applied(normalisation, &line), naive(normalisation, &line));
        }

        /// The line end is taken off once; all the rest may be applied again without a difference. So with `auto` and `keep`
        /// alone, and for lines that end in two CRs alone, twice is not once.
        #[test]
        fn exact_what_is_normalised_stays(normalisation in normalisation(), line in bytes(80)) {
            if let Ok(once) = applied(normalisation, &line) {
                let content = Normalisation { line_ending: LineEnding::Lf, ..normalisation };
                prop_assert_eq!(&applied(content, &once), &Ok(once.clone()));
                let own_cr = normalisation.line_ending == LineEnding::Auto && once.ends_with(b"\r");
                prop_assert_eq!(applied(normalisation, &once) == Ok(once), !own_cr);
                prop_assert!(!own_cr || normalisation.whitespace == Whitespace::Keep && line.ends_with(b"\r\r"));
            }
        }

        /// Whatever spelling a client and a file choose, both come to one line, or both to none.
        #[test]
        fn exact_spellings_that_the_keys_call_one_are_one(
            normalisation in normalisation(), line in bytes(40), upper: bool, before in "[ \t\r\x0b\x0c]{0,3}", after in "[ \t\r\x0b\x0c]{0,3}",
        ) {
            let mut other = line.clone();
            if normalisation.case == Case::IgnoreAscii {
                other = if upper { other.to_ascii_uppercase() } else { other.to_ascii_lowercase() };
            }
            if normalisation.whitespace == Whitespace::Trim {
                other = [before.as_bytes(), &other, after.as_bytes()].concat();
            }
            if normalisation.line_ending == LineEnding::Auto && !line.ends_with(b"\r") {
                other.push(b'\r');
            }
            prop_assert_eq!(applied(normalisation, &other), applied(normalisation, &line));
        }

        /// And no others: with every key at "keep", and `lf`, bytes are compared.
        #[test]
        fn exact_bytes_stay_where_nothing_was_asked(line in bytes(80)) {
            let plain = Normalisation { line_ending: LineEnding::Lf, ..Normalisation::default() };
            prop_assert!(plain.keeps_bytes() && Normalisation::default().keeps_bytes());
            prop_assert_eq!(applied(plain, &line), if line.is_empty() { Err(Skipped::Empty) } else { Ok(line) });
        }

        #[test]
        fn exact_no_byte_beyond_ascii_changes(normalisation in normalisation(), line in bytes(80)) {
            if let Ok(normal) = applied(normalisation, &line) {
                let beyond = |bytes: &[u8]| bytes.iter().copied().filter(|byte| !byte.is_ascii()).collect::<Vec<_>>();
                prop_assert_eq!(beyond(&normal), beyond(&line));
                prop_assert!(normal.len() <= line.len());
            }
        }

        /// Where raw bytes may be searched, a line is the raw one but for a CR at its end.
        #[test]
        fn exact_raw_bytes_are_searched_only_where_they_are_the_lines(normalisation in normalisation(), line in bytes(80)) {
            let raw = normalisation.line_ending.strip(&line);
            if normalisation.keeps_bytes() && !raw.is_empty() {
                prop_assert_eq!(applied(normalisation, &line), Ok(raw.to_vec()));
            }
        }

        #[test]
        fn room_is_taken_only_where_bytes_change(normalisation in normalisation(), line in bytes(80)) {
            let mut room = b"untouched".to_vec();
            let normal = normalisation.apply(&line, &mut room).map(<[u8]>::to_vec);
            prop_assert_eq!(&normal, &naive(normalisation, &line));
            let changed = normal.is_ok_and(|normal| !line.windows(normal.len()).any(|part| part == normal));
            prop_assert_eq!(room != b"untouched", changed);
        }
    }

    #[rstest]
    #[case::one_cr(Normalisation::default(), b"a\r", Ok(b"a".as_slice()))]
    #[case::the_second_cr_is_its_own(Normalisation::default(), b"a\r\r", Ok(b"a\r".as_slice()))]
    #[case::cr_inside(Normalisation::default(), b"a\rb", Ok(b"a\rb".as_slice()))]
    #[case::only_a_cr(Normalisation::default(), b"\r", Err(Skipped::Empty))]
    #[case::only_two(Normalisation::default(), b"\r\r", Ok(b"\r".as_slice()))]
    #[case::to_grep(Normalisation { line_ending: LineEnding::Lf, ..all() }, b"\xc9\r\r", Ok(b"\xc9".as_slice()))]
    #[case::white_and_nothing_else(all(), b" \t\r\x0c\x0b", Err(Skipped::Empty))]
    #[case::white_inside(all(), b" a \t b ", Ok(b"a \t b".as_slice()))]
    #[case::nul_is_not_white(all(), b"\0a\0", Ok(b"\0a\0".as_slice()))]
    #[case::nor_are_others(all(), b"\xc2\xa0a\xc2\x85\x1f", Ok(b"\xc2\xa0a\xc2\x85\x1f".as_slice()))]
    #[case::indented_comment(all(), b"  rem: x", Err(Skipped::Comment))]
    #[case::comment_of_any_case(all(), b"Rem: x", Err(Skipped::Comment))]
    #[case::comment_alone(all(), b"REM:", Err(Skipped::Comment))]
    #[case::part_of_a_mark(all(), b"REM", Ok(b"rem".as_slice()))]
    #[case::mark_inside(all(), b"a rem: x", Ok(b"a rem: x".as_slice()))]
    #[case::letters(all(), b"@AZ[`az{ \xc3\x89", Ok(b"@az[`az{ \xc3\x89".as_slice()))]
    fn exact_lines_as_the_documents_have_them(
        #[case] normalisation: Normalisation,
        #[case] line: &[u8],
        #[case] normal: Result<&[u8], Skipped>,
    ) {
        assert_eq!(normalisation.apply(line, &mut Vec::new()), normal);
    }

    /// Everything switched on.
    fn all() -> Normalisation {
        let comment = Mark::new(b"REM:");
        Normalisation { case: Case::IgnoreAscii, whitespace: Whitespace::Trim, line_ending: LineEnding::Auto, comment }
    }

    #[test]
    fn a_mark_is_one_to_eight_bytes_of_one_line() {
        assert_eq!(Mark::new(b"12345678").unwrap().bytes(), b"12345678");
        assert_eq!(Mark::new("\u{20ac}".as_bytes()).unwrap().bytes().len(), 3);
        for none in [b"".as_slice(), b"123456789", b"\n", b"#\r"] {
            assert_eq!(Mark::new(none), None);
        }
    }
}
