//! A line of the trail as it is written: `EPOCH NUMBER TIME TAG BODY`, in one spelling only, and the fields of a body.
//! Reads what an attacker may have written: nothing here panics, and nothing is taken in a second spelling.

use super::chain::{Tag, hex, tag_from_hex};
use std::borrow::Cow;

/// The body's first word in the line that opens a file.
const OPENED: &str = "event=trail-opened";

/// The body's first word in the line that ends an epoch.
const CLOSED: &str = "event=trail-closed";

/// No line of a trail is longer, its line end left out.
pub(super) const MAX_LINE_BYTES: usize = 8192;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The daemon's start that wrote it.
    pub epoch: u64,
    /// Its number within the epoch, from 0.
    pub number: u64,
    /// When, RFC 3339 in UTC.
    pub time: &'a str,
    /// What proves it and all before.
    pub tag: Tag,
    /// What happened, as in the log.
    pub body: &'a str,
}

impl<'a> Line<'a> {
    /// Reads a line, its line end left out.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Line<'a>> {
        let mut words = std::str::from_utf8(line).ok()?.splitn(5, ' ');
        let mut word = || words.next();
        let (epoch, number, time) = (count(word()?)?, count(word()?)?, word()?);
        Some(Line { epoch, number, time, tag: tag_from_hex(word()?)?, body: word()? })
    }

    /// Writes it, with its line end.
    pub(super) fn push(&self, to: &mut Vec<u8>) {
        let Line { epoch, number, time, tag, body } = self;
        to.extend_from_slice(format!("{epoch} {number} {time} {} {body}\n", hex(tag)).as_bytes());
    }

    /// Whether it ends an epoch.
    #[must_use]
    pub fn closes(&self) -> bool {
        first_word(self.body) == CLOSED
    }
}

/// A number without sign or leading zeros.
pub(super) fn count(digits: &str) -> Option<u64> {
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

fn first_word(body: &str) -> &str {
    body.split(' ').next().unwrap_or_default()
}

/// What the first line of a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The file's number.
    pub file: u64,
    /// The epoch of the last record before, 0 if there is none.
    pub former_epoch: u64,
    /// How many records that epoch has had.
    pub former_count: u64,
    /// The tag of the last of them.
    pub former_tag: Tag,
    /// How the file before ended.
    pub former_end: String,
}

impl Header {
    /// The words for [`Header::former_end`].
    pub const FIRST: &'static str = "none";
    /// The file before was full, or its day over.
    pub const CUT: &'static str = "continued";
    /// The daemon before stopped and said so.
    pub const CLOSED: &'static str = "closed";
    /// It did not.
    pub const UNCLEAN: &'static str = "crash-or-cut";

    pub(super) fn body(&self) -> String {
        let Header { file, former_epoch, former_count, former_tag, former_end } = self;
        let tag = hex(former_tag);
        format!(
            "{OPENED} form=linekeep-trail/1 file={file} former-epoch={former_epoch} former-count={former_count} \
             former-tag={tag} former-end={former_end}"
        )
    }

    /// Reads the body of a file's first line.
    #[must_use]
    pub fn parse(body: &str) -> Option<Header> {
        if first_word(body) != OPENED || field(body, "form")? != "linekeep-trail/1" {
            return None;
        }
        let number = |name| count(&field(body, name)?);
        Some(Header {
            file: number("file")?,
            former_epoch: number("former-epoch")?,
            former_count: number("former-count")?,
            former_tag: tag_from_hex(&field(body, "former-tag")?)?,
            former_end: field(body, "former-end")?.into_owned(),
        })
    }
}

/// The body of the line that ends an epoch.
pub(super) fn closed() -> String {
    format!("{CLOSED} severity=notice message=\"the trail ends here as it should\"")
}

/// One field of a body.
#[must_use]
pub fn field<'a>(body: &'a str, name: &str) -> Option<Cow<'a, str>> {
    fields(body).find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The fields of a body in order: names, and values taken out of their quotes.
pub fn fields(body: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (name, behind) = rest.trim_start_matches(' ').split_once('=')?;
        let (value, behind) = match behind.strip_prefix('"') {
            None => {
                let end = behind.find(' ').unwrap_or(behind.len());
                let (value, behind) = behind.split_at(end);
                (Cow::Borrowed(value), behind)
            }
            Some(quoted) => {
                let (value, behind) = unquote(quoted);
                (Cow::Owned(value), behind)
            }
        };
        rest = behind;
        Some((name, value))
    })
}

/// Takes a value up to its closing quote back to what was told, and returns what follows it.
fn unquote(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = quoted;
    while let Some(letter) = rest.chars().next() {
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        match letter {
            '"' => break,
            '\\' => rest = unescape(rest, &mut value),
            _ => value.push(letter),
        }
    }
    (value, rest)
}

/// What stands behind a backslash.
fn unescape<'a>(rest: &'a str, value: &mut String) -> &'a str {
    let Some(letter) = rest.chars().next() else { return rest };
    let behind = rest.get(letter.len_utf8()..).unwrap_or_default();
    match letter {
        'n' => value.push('\n'),
        'r' => value.push('\r'),
        't' => value.push('\t'),
        'u' => {
            let number = behind.strip_prefix('{').and_then(|behind| behind.split_once('}'));
            let letter = number.and_then(|(digits, _)| char::from_u32(u32::from_str_radix(digits, 16).ok()?));
            if let (Some(letter), Some((_, behind))) = (letter, number) {
                value.push(letter);
                return behind;
            }
        }
        other => value.push(other),
    }
    behind
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_has_one_spelling(epoch: u64, number: u64, tag: [u8; 32], body in "[^\n]{0,80}") {
            let line = Line { epoch, number, time: "2026-11-23T04:05:06.000000Z", tag, body: &body };
            let mut written = Vec::new();
            line.push(&mut written);
            prop_assert_eq!(written.pop(), Some(b'\n'));
            prop_assert_eq!(Line::parse(&written), Some(line));
        }

        #[test]
        fn bounded_no_line_makes_it_panic(line in any::<Vec<u8>>(), body in "\\PC{0,60}") {
            let _ = Line::parse(&line);
            let _ = Header::parse(&body);
            prop_assert!(fields(&body).count() <= body.len());
        }
    }

    #[test]
    fn fields_come_back_as_they_were_told() {
        let body = "event=x a=\"q\\\"\\u{202e}\\n\\\\\" b=7 message=\"m m\"";
        let found: Vec<(&str, Cow<'_, str>)> = fields(body).collect();
        assert_eq!(found[1], ("a", "q\"\u{202e}\n\\".into()));
        assert_eq!(field(body, "b").as_deref(), Some("7"));
        assert_eq!(field(body, "message").as_deref(), Some("m m"));
        assert_eq!(field(body, "c"), None);
    }
}
