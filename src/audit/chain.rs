//! The arithmetic of the trail: keys, tags, checkpoints, digests of queries. Pure; docs/audit.md says the same in words.
//! HMAC-SHA256 and comparison in constant time come from libraries; which bytes go in, in which order, is said here.

use crate::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A record's tag: it stands for the record and, with it, for every one before.
pub type Tag = [u8; 32];

/// Bytes of the master key.
pub const KEY_BYTES: usize = 32;

/// Bytes of a query's digest in its record.
const DIGEST_BYTES: usize = 16;

/// How far an epoch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which epoch: the number of the daemon's start.
    pub epoch: u64,
    /// How many records it has.
    pub count: u64,
    /// The tag of the last one.
    pub tag: Tag,
}

/// The master key, from which all others are derived.
#[derive(Clone, Debug)]
pub struct Master(Secret);

impl Master {
    /// Reads the content of a key file: 64 hexadecimal digits and a line end.
    ///
    /// # Errors
    /// What the file should hold.
    pub fn read(content: &Secret) -> Result<Master, String> {
        let digits = std::str::from_utf8(content.expose()).map(str::trim_end).unwrap_or_default();
        match Secret::from_hex(digits) {
            Some(key) if key.len() == KEY_BYTES => Ok(Master(key)),
            _ => Err(format!(
                "{} characters found; it has to hold {} hexadecimal digits and nothing else: linekeepctl audit key new FILE",
                digits.chars().count(),
                KEY_BYTES * 2
            )),
        }
    }

    /// The key of an epoch's chain.
    #[must_use]
    pub fn chain(&self, epoch: u64) -> ChainKey {
        ChainKey { epoch, key: self.derive("audit-chain", epoch) }
    }

    /// What proves that a checkpoint comes from a holder of the key.
    #[must_use]
    pub fn checkpoint(&self, at: &Position) -> Tag {
        let key = self.derive("audit-checkpoint", at.epoch);
        mac(&key, &[b"checkpoint", &at.epoch.to_be_bytes(), &at.count.to_be_bytes(), &at.tag])
    }

    /// The digest that stands for a query on one day (days since 1970-01-01, UTC), in hexadecimal.
    #[must_use]
    pub fn digest(&self, day: u64, query: &[u8]) -> String {
        let digest = mac(&self.derive("query-pseudonym", day), &[query]);
        hex(&digest[..DIGEST_BYTES])
    }

    fn derive(&self, label: &str, epoch: u64) -> Zeroizing<Tag> {
        let whole = [b"linekeep/v1/", label.as_bytes(), &epoch.to_be_bytes()].concat();
        Zeroizing::new(hmac(self.0.expose(), &[&whole]))
    }
}

/// The key of one epoch's chain.
pub struct ChainKey {
    epoch: u64,
    key: Zeroizing<Tag>,
}

impl ChainKey {
    /// What stands before the first record of the epoch.
    #[must_use]
    pub fn genesis(&self) -> Tag {
        mac(&self.key, &[b"genesis", &self.epoch.to_be_bytes()])
    }

    /// The tag of a record that follows `former`.
    #[must_use]
    pub fn tag(&self, number: u64, former: &Tag, time: &str, body: &str) -> Tag {
        let parts: [&[u8]; 6] =
            [b"rec", &self.epoch.to_be_bytes(), &number.to_be_bytes(), former, time.as_bytes(), body.as_bytes()];
        mac(&self.key, &parts)
    }
}

/// Whether two tags are one, in constant time.
pub(super) fn same(one: &Tag, other: &Tag) -> bool {
    one.ct_eq(other).into()
}

/// Each part behind its length, so that no two lists of parts are the same bytes.
fn mac(key: &Tag, parts: &[&[u8]]) -> Tag {
    let mut pieces = Vec::with_capacity(parts.len() * 2);
    let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
    for (length, part) in lengths.iter().zip(parts) {
        pieces.extend([&length[..], part]);
    }
    hmac(key, &pieces)
}

fn hmac(key: &[u8], pieces: &[&[u8]]) -> Tag {
    // No key here is longer than a block, and a shorter one is filled up with zeros (RFC 2104 section 2).
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().into()
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// A tag as it is written: 64 lower-case digits, in one spelling only.
#[must_use]
pub fn tag_from_hex(digits: &str) -> Option<Tag> {
    let lower = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if !lower {
        return None;
    }
    Secret::from_hex(digits)?.expose().try_into().ok()
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.epoch, self.count, hex(&self.tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// RFC 4231 sections 4.2 to 4.5, those with keys of a block at most.
    #[rstest]
    #[case(&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")]
    #[case(
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )]
    #[case(&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe")]
    fn the_mac_is_hmac_sha256(#[case] key: &[u8], #[case] message: &[u8], #[case] expected: &str) {
        assert_eq!(hex(&hmac(key, &[message])), expected);
        let (one, other) = message.split_at(message.len() / 2);
        assert_eq!(hex(&hmac(key, &[one, other])), expected);
    }

    #[test]
    fn no_two_things_have_one_tag() {
        let master = Master::read(&Secret::new(b"07".repeat(32))).unwrap();
        let (one, two) = (master.chain(1), master.chain(2));
        let former = one.genesis();
        let tags = [
            former,
            two.genesis(),
            one.tag(0, &former, "t", "body"),
            one.tag(1, &former, "t", "body"),
            two.tag(0, &former, "t", "body"),
            one.tag(0, &former, "tb", "ody"),
            one.tag(0, &two.genesis(), "t", "body"),
            master.checkpoint(&Position { epoch: 1, count: 0, tag: former }),
        ];
        for (place, tag) in tags.iter().enumerate() {
            assert!(!tags[..place].contains(tag), "{place}");
        }
        assert_ne!(master.digest(1, b"query"), master.digest(2, b"query"));
    }

    #[rstest]
    #[case("")]
    #[case(&"ab".repeat(31))]
    #[case(&"zz".repeat(32))]
    #[case(&format!("{}\n{}", "ab".repeat(32), "ab".repeat(32)))]
    fn a_key_file_of_another_form_is_refused(#[case] content: &str) {
        let refused = Master::read(&Secret::new(content.as_bytes().to_vec())).unwrap_err();
        assert!(refused.contains("64 hexadecimal digits"), "{refused}");
    }
}
