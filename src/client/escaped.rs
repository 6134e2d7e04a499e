//! Bytes of unknown origin, made safe to show to a person. Knows no terminal: it only decides which characters stay.

use std::fmt::{self, Display, Write};

/// Shows bytes with everything escaped that could move a cursor, forge a line or turn the direction of writing:
/// control and format characters as `\u{..}` (or `\n`, `\t`, `\r`, `\0`), bytes that are no UTF-8 as `\xNN`, a backslash doubled.
///
/// ```
/// use linekeep::client::Escaped;
/// assert_eq!(Escaped(b"zo\xc3\xab\x1b[2J\xff").to_string(), r"zoë\u{1b}[2J\xff");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\'' | '"' => f.write_char(character)?,
                    _ => write!(f, "{}", character.escape_debug())?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(b"plain 'quoted' \"text\"", "plain 'quoted' \"text\"")]
    #[case(b"a\nb\tc\rd\0", r"a\nb\tc\rd\0")]
    #[case("\u{9b}31m\u{7f}".as_bytes(), r"\u{9b}31m\u{7f}")]
    #[case("right\u{202e}left\u{2028}".as_bytes(), r"right\u{202e}left\u{2028}")]
    #[case(b"\\x41", r"\\x41")]
    #[case(b"\xc3\x28", r"\xc3(")]
    fn nothing_shown_can_steer_a_terminal(#[case] bytes: &[u8], #[case] shown: &str) {
        assert_eq!(Escaped(bytes).to_string(), shown);
    }
}
