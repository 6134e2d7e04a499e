//! One event, one record; one record, one line: logfmt, every value escaped and capped, whatever a peer or a file name held.

use crate::event::{Event, Severity};
use std::fmt::Write;
use std::time::SystemTime;

/// A record is never longer than this.
pub const MAX_RECORD_BYTES: usize = 4096;

/// A value is never longer than this many characters before escaping.
const MAX_VALUE_CHARS: usize = 256;

/// What sinks write: an event with its time, its fields by their names in records, and its line.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it was told.
    pub time: SystemTime,
    /// The event's name.
    pub event: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Names and values in order. Values are as they were told: whoever writes them escapes them.
    pub fields: Vec<(String, String)>,
    /// In words for people.
    pub message: &'static str,
    /// The whole as one line without a line end: `event=... severity=... key=value ... message="..."`.
    pub line: String,
}

impl Record {
    /// The record of this event.
    #[must_use]
    pub fn new(event: &Event, time: SystemTime) -> Record {
        let mut fields = Vec::new();
        event.fields(|name, value| fields.push((name.replace('_', "-"), value.to_string())));
        let mut line = format!("event={} severity={}", event.name(), event.severity().name());
        for (name, value) in fields.iter().map(|(name, value)| (name.as_str(), value.as_str())) {
            let _ = write!(line, " {name}=");
            push_value(&mut line, value);
        }
        line.push_str(" message=");
        push_value(&mut line, event.message());
        truncate(&mut line);
        Record { time, event: event.name(), severity: event.severity(), fields, message: event.message(), line }
    }
}

/// Bare where every character is harmless, else quoted with escapes.
fn push_value(line: &mut String, value: &str) {
    if !value.is_empty() && value.chars().count() <= MAX_VALUE_CHARS && value.chars().all(is_bare) {
        line.push_str(value);
        return;
    }
    line.push('"');
    for (position, letter) in value.chars().enumerate() {
        if position == MAX_VALUE_CHARS {
            line.push_str("[...]");
            break;
        }
        push_escaped(line, letter);
    }
    line.push('"');
}

/// A value as one line without quotes, bounded, nothing in it that acts upon whoever shows it.
pub(super) fn escaped(value: &str) -> String {
    let mut line = String::new();
    for (position, letter) in value.chars().enumerate() {
        if position == MAX_VALUE_CHARS {
            line.push_str("[...]");
            break;
        }
        push_escaped(&mut line, letter);
    }
    line
}

fn is_bare(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-._:/@+,%[]".contains(letter)
}

/// Letters and digits of any script stay readable. All else beyond ASCII is escaped: controls, line and
/// paragraph separators, bidirectional marks and what a terminal or a log viewer might act upon.
fn push_escaped(line: &mut String, letter: char) {
    match letter {
        '"' => line.push_str("\\\""),
        '\\' => line.push_str("\\\\"),
        '\n' => line.push_str("\\n"),
        '\r' => line.push_str("\\r"),
        '\t' => line.push_str("\\t"),
        ' '..='~' => line.push(letter),
        _ if letter.is_alphanumeric() => line.push(letter),
        _ => {
            let _ = write!(line, "\\u{{{:x}}}", u32::from(letter));
        }
    }
}

fn truncate(line: &mut String) {
    if line.len() > MAX_RECORD_BYTES {
        let mut end = MAX_RECORD_BYTES - "[...]".len();
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push_str("[...]");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn failed(identity: &str) -> String {
        let event = Event::HandshakeFailed {
            connection: 7,
            listener: "main".into(),
            source: "192.0.2.1:4".into(),
            proxy: "none".into(),
            reason: "no proof".into(),
            alert: "sent:51".into(),
            identity: identity.into(),
        };
        Record::new(&event, SystemTime::UNIX_EPOCH).line
    }

    #[test]
    fn a_record_reads_like_this() {
        assert_eq!(
            failed("mallory"),
            "event=handshake-failed severity=warning connection=7 listener=main source=192.0.2.1:4 proxy=none \
             reason=\"no proof\" alert=sent:51 identity=mallory message=\"handshake failed\""
        );
    }

    #[rstest::rstest]
    #[case("a\nevent=client-admitted", "identity=\"a\\nevent=client-admitted\"")]
    #[case("", "identity=\"\"")]
    #[case("x\" y=\"z", "identity=\"x\\\" y=\\\"z\"")]
    #[case("\u{1b}[2J", "identity=\"\\u{1b}[2J\"")]
    #[case("\u{202e}abc\u{2028}", "identity=\"\\u{202e}abc\\u{2028}\"")]
    #[case("zoë", "identity=\"zoë\"")]
    #[case("\u{fffd}", "identity=\"\\u{fffd}\"")]
    fn one_decision_one_record_cannot_be_forged(#[case] identity: &str, #[case] field: &str) {
        assert!(failed(identity).contains(field), "{}", failed(identity));
    }

    proptest! {
        #[test]
        fn bounded_one_line_whatever_is_in_it(identity in any::<String>(), repeat in 1usize..200) {
            let line = failed(&identity.repeat(repeat));
            prop_assert!(line.len() <= MAX_RECORD_BYTES);
            prop_assert!(!line.chars().any(acts_upon_a_reader));
        }

        /// What stands in the quotes can be taken back to what was given: escaping loses nothing below the cap.
        #[test]
        fn escaping_is_reversible(identity in "[\\x00-\\x7f]{0,100}") {
            let line = failed(&identity);
            let start = line.find("identity=").unwrap() + "identity=".len();
            let field = &line[start..line.rfind(" message=").unwrap()];
            let plain = match field.strip_prefix('"') {
                None => field.to_owned(),
                Some(quoted) => unescape(quoted.strip_suffix('"').unwrap()),
            };
            prop_assert_eq!(plain, identity);
        }
    }

    fn acts_upon_a_reader(letter: char) -> bool {
        letter.is_control()
            || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    }

    fn unescape(text: &str) -> String {
        let mut plain = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter != '\\' {
                plain.push(letter);
                continue;
            }
            match letters.next().unwrap() {
                'n' => plain.push('\n'),
                'r' => plain.push('\r'),
                't' => plain.push('\t'),
                'u' => {
                    let digits: String = letters.by_ref().skip(1).take_while(|letter| *letter != '}').collect();
                    plain.push(char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap());
                }
                other => plain.push(other),
            }
        }
        plain
    }
}
