//! The keyring: which PSK identity has which key, until when, and for whom. One file, one line a key; `key_line.rs` reads one.
//! Knows the file's form; that a peer holds a key is proved by TLS, never compared here.

use crate::identity::key_line::{self, KeyLine, LineComplaint};
use crate::identity::private_file::{self, PrivateFileFault, Reader};
use crate::secret::Secret;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Identities and their keys; at least one.
///
/// Sorted by a keyed hash of the identity, so that a look-up does the same for an identity that is there and for one that is
/// not: it ends at an entry, and reads that entry whole. What a table does for a hit alone would take longer, by
/// tenths of a microsecond, and thousands of handshakes would tell who exists.
#[derive(Debug)]
pub struct Keyring {
    hasher: RandomState,
    hashes: Vec<u64>,
    entries: Vec<Entry>,
}

/// One key of a keyring.
#[derive(Debug)]
pub struct Entry {
    identity: String,
    key: Secret,
    until: Option<SystemTime>,
    stands_for: Option<String>,
}

impl Entry {
    /// The identity that a peer names.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &Secret {
        &self.key
    }

    /// From then on it is no key.
    #[must_use]
    pub fn until(&self) -> Option<SystemTime> {
        self.until
    }

    /// The identity that it counts as: that of `for=`, else its own.
    #[must_use]
    pub fn counts_as(&self) -> &str {
        self.stands_for.as_deref().unwrap_or(&self.identity)
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}

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
    #[error("{}: no key in it; a line is identity:hex, and `linekeepctl psk new NAME` makes one", .0.display())]
    Empty(PathBuf),
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
        let (lines, faults) = lines(text, path);
        if !faults.is_empty() {
            return Err(faults);
        }
        if lines.is_empty() {
            return Err(vec![KeyringFault::Empty(path.to_owned())]);
        }
        let entry = |line: KeyLine<'_>| Entry {
            identity: line.identity.to_owned(),
            key: line.key,
            until: line.until,
            stands_for: line.stands_for.map(str::to_owned),
        };
        Ok(Keyring::of(lines.into_iter().map(|(_, line)| entry(line)).collect()))
    }

    fn of(mut entries: Vec<Entry>) -> Keyring {
        loop {
            let hasher = RandomState::new();
            entries.sort_by_cached_key(|entry| hasher.hash_one(entry.identity.as_bytes()));
            let hashes: Vec<u64> = entries.iter().map(|entry| hasher.hash_one(entry.identity.as_bytes())).collect();
            // Two identities with one hash would hide each other; another draw parts them.
            if hashes.windows(2).all(|pair| pair[0] != pair[1]) {
                return Keyring { hasher, hashes, entries };
            }
        }
    }

    /// The entry of an identity, if it is there. Takes the same steps whether it is or not, up to the last comparison.
    #[must_use]
    pub fn entry(&self, identity: &[u8]) -> Option<&Entry> {
        self.nearest(identity).filter(|entry| entry.identity.as_bytes() == identity)
    }

    /// The key of an identity, whether or not its time is over.
    #[must_use]
    pub fn key(&self, identity: &[u8]) -> Option<&Secret> {
        self.entry(identity).map(Entry::key)
    }

    /// The entry where the identity is, or would be: found by the same steps in either case. `None` only of a keyring without any.
    pub(crate) fn nearest(&self, identity: &[u8]) -> Option<&Entry> {
        let hash = self.hasher.hash_one(identity);
        let place = self.hashes.partition_point(|found| *found < hash);
        self.entries.get(place).or(self.entries.first())
    }

    /// Every identity, in no order.
    pub fn identities(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(Entry::identity)
    }

    /// Every entry, in no order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// Every line that is a key, with its number counted from 1, and every fault.
pub(crate) fn lines<'t>(text: &'t [u8], path: &Path) -> (Vec<(usize, KeyLine<'t>)>, Vec<KeyringFault>) {
    let (mut lines, mut complaints) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        match key_line::read(line) {
            None => {}
            Some(Ok(line)) => lines.push((number, line)),
            Some(Err(complaint)) => complaints.push((number, complaint)),
        }
    }
    complaints.extend(doubles(&lines));
    complaints.sort_by_key(|(line, _)| *line);
    let fault = |(line, complaint)| KeyringFault::Line { path: path.to_owned(), line, complaint };
    (lines, complaints.into_iter().map(fault).collect())
}

/// Identities and keys that stand twice, each with the line where it stood first.
fn doubles(lines: &[(usize, KeyLine<'_>)]) -> Vec<(usize, LineComplaint)> {
    let (mut identities, mut keys) = (HashMap::new(), HashMap::new());
    let mut complaints = Vec::new();
    for (number, line) in lines {
        let first = *identities.entry(line.identity).or_insert(*number);
        if first != *number {
            complaints.push((*number, LineComplaint::SameIdentity(first)));
        }
        let first = *keys.entry(line.key.expose()).or_insert(*number);
        if first != *number {
            complaints.push((*number, LineComplaint::SameKey(first)));
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
    #[case::identity_of_129(format!("{}:{KEY}", "a".repeat(129)), LineComplaint::IdentityLength(129))]
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
    #[case::unknown_attribute(format!("alice:{KEY} till=2026-12-24"), LineComplaint::Attribute(1))]
    #[case::attribute_without_a_value(format!("alice:{KEY} until"), LineComplaint::Attribute(1))]
    #[case::second_attribute(format!("alice:{KEY} for=bob x=y"), LineComplaint::Attribute(2))]
    #[case::twice(format!("alice:{KEY} for=bob for=carol"), LineComplaint::Attribute(2))]
    #[case::no_moment(format!("alice:{KEY} until=tomorrow"), LineComplaint::Until)]
    #[case::local_time(format!("alice:{KEY} until=2026-12-24T18:00:00"), LineComplaint::Until)]
    #[case::for_nobody(format!("alice:{KEY} for="), LineComplaint::For)]
    #[case::for_itself(format!("alice:{KEY} for=alice"), LineComplaint::For)]
    fn a_doubtful_line_is_refused(#[case] text: String, #[case] expected: LineComplaint) {
        assert_eq!(complaint(&text), expected);
    }

    #[rstest]
    #[case(format!("a:{KEY}"))]
    #[case(format!("{}:{}", "a".repeat(128), "ab".repeat(64)))]
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

    #[test]
    fn attributes_say_until_when_and_for_whom() {
        let text = format!("alice:{KEY} until=2026-12-24\nalice.2:{OTHER}  for=alice\t\r\n");
        let keyring = parse(&text).unwrap();
        let alice = keyring.entry(b"alice").unwrap();
        let end = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_798_070_400);
        assert_eq!((alice.until(), alice.counts_as()), (Some(end), "alice"));
        assert!(alice.is_over(end) && !alice.is_over(end - std::time::Duration::from_secs(1)));
        let second = keyring.entry(b"alice.2").unwrap();
        assert_eq!((second.until(), second.counts_as()), (None, "alice"));
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
    #[case::key_as_attribute(format!("alice:{KEY} {OTHER}"))]
    #[case::key_behind_an_attribute(format!("alice:{KEY} for={OTHER}:{OTHER} until={OTHER}"))]
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
            "[A-Za-z0-9._@-]{1,128}", proptest::collection::vec(proptest::prelude::any::<u8>(), 32..=64), 1..8)) {
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
