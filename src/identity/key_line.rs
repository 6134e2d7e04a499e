//! One line of a keyring: `identity:hex`, then blanks and attributes. `until=2026-12-24T18:00:00Z`: from then on it is no key.
//! `for=NAME`: it proves the same as the identity NAME, so that an old and a new key can be valid side by side.
//! Knows text alone. No complaint holds a byte of the line: somebody may have swapped identity and key.

use crate::secret::Secret;
use std::time::SystemTime;

/// Length of an identity in bytes: what every peer takes (RFC 4279 section 5.3).
pub const IDENTITY_BYTES: std::ops::RangeInclusive<usize> = 1..=128;

/// Length of a key in bytes: at least 128 bits (RFC 9257 section 6), at most what every peer takes (RFC 4279 section 5.3).
pub const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// What is wrong with one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineComplaint {
    /// No colon.
    #[error("no colon; a line is identity:hex")]
    NoColon,
    /// The identity's length.
    #[error("the identity has {0} bytes; allowed are 1 to 128 (RFC 4279 section 5.3)")]
    IdentityLength(usize),
    /// The identity's characters.
    #[error("the identity may hold letters, digits and . _ @ - only; what is wrong stands at its byte {0}")]
    IdentityCharacter(usize),
    /// The key's digits.
    #[error("the key is not written as pairs of hexadecimal digits")]
    NotHex,
    /// The key's length.
    #[error("the key has {0} bytes; allowed are 16 to 64 (RFC 9257 section 6, RFC 4279 section 5.3)")]
    KeyLength(usize),
    /// One identity, two keys.
    #[error("the same identity as in line {0}")]
    SameIdentity(usize),
    /// One key, two identities: each holder could pass for the other (RFC 9257 section 4.1).
    #[error("the same key as in line {0}; every client needs a key of its own")]
    SameKey(usize),
    /// Something behind the key.
    #[error("what stands behind the key as number {0} is none of until=DATE and for=NAME, or there twice")]
    Attribute(usize),
    /// No moment behind `until=`.
    #[error("until= needs a date or a moment in UTC, such as 2026-12-24 or 2026-12-24T18:00:00Z")]
    Until,
    /// No identity behind `for=`.
    #[error("for= needs the identity, another one, whose client this key belongs to")]
    For,
}

/// A line that is a key.
#[derive(Debug)]
pub(crate) struct KeyLine<'t> {
    pub(crate) identity: &'t str,
    pub(crate) key: Secret,
    pub(crate) until: Option<SystemTime>,
    pub(crate) stands_for: Option<&'t str>,
}

/// Reads one line, without its LF. `None` for blank lines and comments.
pub(crate) fn read(line: &[u8]) -> Option<Result<KeyLine<'_>, LineComplaint>> {
    let line = line.trim_ascii();
    (!line.is_empty() && !line.starts_with(b"#")).then(|| read_key(line))
}

fn read_key(line: &[u8]) -> Result<KeyLine<'_>, LineComplaint> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(LineComplaint::NoColon)?;
    let (identity, rest) = (&line[..colon], &line[colon + 1..]);
    let identity = check_identity(identity)?;
    let mut words = rest.split(u8::is_ascii_whitespace);
    let hex = words.next().and_then(|hex| std::str::from_utf8(hex).ok());
    // A blank behind the colon leaves no digits before it, though there may be some behind.
    let hex = hex.filter(|hex| !hex.is_empty() || rest.is_empty());
    let key = hex.and_then(Secret::from_hex).ok_or(LineComplaint::NotHex)?;
    check_key(&key)?;
    let mut read = KeyLine { identity, key, until: None, stands_for: None };
    for (number, word) in (1..).zip(words.filter(|word| !word.is_empty())) {
        let (name, value) = std::str::from_utf8(word)
            .ok()
            .and_then(|word| word.split_once('='))
            .ok_or(LineComplaint::Attribute(number))?;
        match name {
            "until" if read.until.is_none() => read.until = Some(moment(value).ok_or(LineComplaint::Until)?),
            "for" if read.stands_for.is_none() => {
                let named = check_identity(value.as_bytes()).ok().filter(|named| *named != identity);
                read.stands_for = Some(named.ok_or(LineComplaint::For)?);
            }
            _ => return Err(LineComplaint::Attribute(number)),
        }
    }
    Ok(read)
}

/// An identity as a keyring takes it.
///
/// # Errors
/// Its length or its alphabet.
pub fn check_identity(identity: &[u8]) -> Result<&str, LineComplaint> {
    if !IDENTITY_BYTES.contains(&identity.len()) {
        return Err(LineComplaint::IdentityLength(identity.len()));
    }
    match identity.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"._@-".contains(byte)) {
        Some(at) => Err(LineComplaint::IdentityCharacter(at + 1)),
        None => std::str::from_utf8(identity).map_err(|_| LineComplaint::IdentityCharacter(1)),
    }
}

/// A key as a keyring takes it.
///
/// # Errors
/// Its length.
pub fn check_key(key: &Secret) -> Result<(), LineComplaint> {
    if KEY_BYTES.contains(&key.len()) { Ok(()) } else { Err(LineComplaint::KeyLength(key.len())) }
}

/// A date, meaning its first second in UTC, or a moment in UTC.
#[must_use]
pub fn moment(text: &str) -> Option<SystemTime> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    humantime::parse_rfc3339(&whole).ok()
}
