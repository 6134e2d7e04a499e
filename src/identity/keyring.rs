//! The keyring: which PSK identity has which key. One file, one line a key: `identity:hex`.
//! Knows the file's form; that a peer holds a key is proved by TLS, never compared here.

use crate::identity::private_file::{self, PrivateFileFault, Reader};
use crate::secret::Secret;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Length of an identity in bytes. RFC 4279 section 5.3 has every peer take 128; common tools keep one for a final NUL.
pub const IDENTITY_BYTES: std::ops::RangeInclusive<usize> = 1..=127;

/// Length of a key in bytes: at least 128 bits (RFC 9257 section 6), at most what every peer takes (RFC 4279 section 5.3).
pub const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// Identities and their keys; at least one.
#[derive(Debug)]
pub struct Keyring(HashMap<String, Secret>);

/// Why a keyring cannot be used. No message holds a byte of the file: somebody may have swapped identity and key.
#[derive(Debug, thiserror::Error)]
pub enum KeyringFault {
    /// The file cannot be read, or others can read it.
    #[error(transparent)]
    File(#[from] PrivateFileFault),
    /// A line is wrong.
    #[error("{}:{line}: {complaint}", path.display())]
    Line {
        /// The keyring.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        complaint: LineComplaint,
    },
    /// No key at all would lock every client out.
    #[error("{}: no key in it; a line is identity:hex", .0.display())]
    Empty(PathBuf),
}

/// What is wrong with one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineComplaint {
    /// No colon.
    #[error("no colon; a line is identity:hex")]
    NoColon,
    /// The identity's length.
    #[error("the identity has {0} bytes; allowed are 1 to 127 (RFC 4279 section 5.3)")]
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
}

impl Keyring {
    /// Reads a keyring file.
    ///
    /// # Errors
    /// Every fault of the file, as [`private_file::read`] and [`Keyring::parse`] tell them.
    pub fn load(path: &Path, reader: Reader) -> Result<Keyring, Vec<KeyringFault>> {
        let content = private_file::read(path, reader).map_err(|fault| vec![fault.into()])?;
        Keyring::parse(content.expose(), path)
    }

    /// Reads a keyring's text; `path` is for messages. Blanks around a line, blank lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// Every fault of every line; a text without a key.
    pub fn parse(text: &[u8], path: &Path) -> Result<Keyring, Vec<KeyringFault>> {
        let mut entries: Vec<(usize, &str, Secret)> = Vec::new();
        let mut complaints = Vec::new();
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match parse_line(line) {
                Ok((identity, key)) => entries.push((number, identity, key)),
                Err(complaint) => complaints.push((number, complaint)),
            }
        }
        complaints.extend(doubles(&entries));
        complaints.sort_by_key(|(line, _)| *line);
        if !complaints.is_empty() {
            let fault = |(line, complaint)| KeyringFault::Line { path: path.to_owned(), line, complaint };
            return Err(complaints.into_iter().map(fault).collect());
        }
        if entries.is_empty() {
            return Err(vec![KeyringFault::Empty(path.to_owned())]);
        }
        Ok(Keyring(entries.into_iter().map(|(_, identity, key)| (identity.to_owned(), key)).collect()))
    }

    /// The key of an identity. The look-up takes no care of timing: identities travel in clear and are no secret.
    #[must_use]
    pub fn key(&self, identity: &[u8]) -> Option<&Secret> {
        self.0.get(std::str::from_utf8(identity).ok()?)
    }

    /// Every identity, in no order.
    pub fn identities(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn parse_line(line: &[u8]) -> Result<(&str, Secret), LineComplaint> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or(LineComplaint::NoColon)?;
    let (identity, rest) = line.split_at(colon);
    if !IDENTITY_BYTES.contains(&identity.len()) {
        return Err(LineComplaint::IdentityLength(identity.len()));
    }
    if let Some(at) = identity.iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"._@-".contains(byte)) {
        return Err(LineComplaint::IdentityCharacter(at + 1));
    }
    let identity = std::str::from_utf8(identity).map_err(|_| LineComplaint::IdentityCharacter(1))?;
    let hex = rest.strip_prefix(b":").and_then(|hex| std::str::from_utf8(hex).ok());
    let key = hex.and_then(Secret::from_hex).ok_or(LineComplaint::NotHex)?;
    if !KEY_BYTES.contains(&key.len()) {
        return Err(LineComplaint::KeyLength(key.len()));
    }
    Ok((identity, key))
}

/// Identities and keys that stand twice, each with the line where it stood first.
fn doubles(entries: &[(usize, &str, Secret)]) -> Vec<(usize, LineComplaint)> {
    let (mut identities, mut keys) = (HashMap::new(), HashMap::new());
    let mut complaints = Vec::new();
    for (line, identity, key) in entries {
        let first = *identities.entry(*identity).or_insert(*line);
        if first != *line {
            complaints.push((*line, LineComplaint::SameIdentity(first)));
        }
        let first = *keys.entry(key.expose()).or_insert(*line);
        if first != *line {
            complaints.push((*line, LineComplaint::SameKey(first)));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const KEY: &str = "00112233445566778899aabbccddeeff";
    const OTHER: &str = "FFEEDDCCBBAA99887766554433221100";

    fn parse(text: &str) -> Result<Keyring, Vec<KeyringFault>> {
        Keyring::parse(text.as_bytes(), Path::new("/etc/keyring"))
    }

    fn complaint(text: &str) -> LineComplaint {
        match parse(text).unwrap_err().pop().unwrap() {
            KeyringFault::Line { complaint, .. } => complaint,
            fault => panic!("{fault}"),
        }
    }

    #[test]
    fn comments_blanks_and_line_endings_do_not_matter() {
        let text = format!("# keys\r\n\n  alice:{KEY}\r\n\tbob@example.org:{OTHER}");
        let keyring = parse(&text).unwrap();
        assert_eq!(keyring.key(b"alice").unwrap().expose()[..3], [0x00, 0x11, 0x22]);
        assert_eq!(keyring.key(b"bob@example.org").unwrap().len(), 16);
        assert!(keyring.key(b"carol").is_none());
        assert!(keyring.key(b"alice\xff").is_none());
        let mut identities: Vec<_> = keyring.identities().collect();
        identities.sort_unstable();
        assert_eq!(identities, ["alice", "bob@example.org"]);
    }

    #[rstest]
    #[case::no_colon("alice".to_owned(), LineComplaint::NoColon)]
    #[case::no_identity(format!(":{KEY}"), LineComplaint::IdentityLength(0))]
    #[case::identity_of_128(format!("{}:{KEY}", "a".repeat(128)), LineComplaint::IdentityLength(128))]
    #[case::blank(format!("al ice:{KEY}"), LineComplaint::IdentityCharacter(3))]
    #[case::control(format!("a\x1b:{KEY}"), LineComplaint::IdentityCharacter(2))]
    #[case::accent(format!("zoë:{KEY}"), LineComplaint::IdentityCharacter(3))]
    #[case::passphrase("alice:correct horse".to_owned(), LineComplaint::NotHex)]
    #[case::odd(format!("alice:{KEY}0"), LineComplaint::NotHex)]
    #[case::no_key("alice:".to_owned(), LineComplaint::KeyLength(0))]
    #[case::key_of_15(format!("alice:{}", &KEY[2..]), LineComplaint::KeyLength(15))]
    #[case::key_of_65(format!("alice:{}", "ab".repeat(65)), LineComplaint::KeyLength(65))]
    #[case::same_identity(format!("alice:{KEY}\nalice:{OTHER}"), LineComplaint::SameIdentity(1))]
    #[case::same_key(format!("alice:{KEY}\nbob:{}", KEY.to_uppercase()), LineComplaint::SameKey(1))]
    fn a_doubtful_line_is_refused(#[case] text: String, #[case] expected: LineComplaint) {
        assert_eq!(complaint(&text), expected);
    }

    #[rstest]
    #[case(format!("a:{KEY}"))]
    #[case(format!("{}:{}", "a".repeat(127), "ab".repeat(64)))]
    fn the_limits_themselves_are_allowed(#[case] text: String) {
        assert!(parse(&text).is_ok());
    }

    #[test]
    fn all_faults_are_told_at_once_with_file_and_line() {
        let text = format!("alice:{KEY}\nnonsense\n\nbob:xx\nalice:{KEY}\n");
        let faults: Vec<_> = parse(&text).unwrap_err().iter().map(ToString::to_string).collect();
        let starts = [
            "/etc/keyring:2: no colon",
            "/etc/keyring:4: the key is not",
            "/etc/keyring:5: the same identity",
            "/etc/keyring:5: the same key",
        ];
        assert_eq!(faults.len(), starts.len(), "{faults:#?}");
        for (fault, start) in faults.iter().zip(starts) {
            assert!(fault.starts_with(start), "{fault}");
        }
    }

    #[rstest]
    #[case("")]
    #[case("# nobody yet\n\n")]
    fn a_keyring_without_a_key_is_refused(#[case] text: &str) {
        assert!(matches!(parse(text).unwrap_err()[..], [KeyringFault::Empty(_)]));
    }

    #[rstest]
    #[case::swapped(format!("{KEY}:alice"))]
    #[case::blank_before_the_key(format!("alice: {KEY}"))]
    #[case::stunnel_word(format!("PSK {KEY}:{OTHER}"))]
    #[case::twice(format!("{KEY}:{KEY}\n{KEY}:{KEY}"))]
    #[case::without_identity(KEY.to_owned())]
    fn no_fault_shows_a_byte_of_a_key(#[case] text: String) {
        for fault in parse(&text).unwrap_err() {
            let said = format!("{fault} {fault:?}").to_lowercase();
            assert!(![KEY, OTHER].iter().any(|key| said.contains(&key.to_lowercase()[..8])), "{said}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = Keyring::parse(&text, Path::new("k"));
        }

        #[test]
        fn what_was_written_is_found(entries in proptest::collection::hash_map(
            "[A-Za-z0-9._@-]{1,127}", proptest::collection::vec(proptest::prelude::any::<u8>(), 32..=64), 1..8)) {
            let text: String = entries.iter().map(|(identity, key)| {
                format!("{identity}:{}\n", key.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            }).collect();
            let keyring = parse(&text).unwrap();
            for (identity, key) in &entries {
                proptest::prop_assert_eq!(keyring.key(identity.as_bytes()).unwrap().expose(), &key[..]);
            }
        }
    }
}
