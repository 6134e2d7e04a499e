//! A key that cannot be printed and is wiped on drop.
//! Knows nothing of where keys come from or what they open.

use zeroize::Zeroize;

/// Secret bytes: no `Display`, a `Debug` that says only the length, wiped on drop.
///
/// OpenSSL keeps copies of its own; this type bounds what *we* leave behind.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the bytes over. A `Vec` with spare capacity is moved to an exact box first, and the old one wiped.
    #[must_use]
    pub fn new(mut bytes: Vec<u8>) -> Secret {
        let exact: Box<[u8]> = bytes.as_slice().into();
        bytes.zeroize();
        Secret(exact)
    }

    /// Decodes hexadecimal digits of either case. `None` when the length is odd or a character is no hex digit.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Secret> {
        let hex = hex.as_bytes();
        if hex.len() % 2 != 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(hex.len() / 2);
        for pair in hex.chunks_exact(2) {
            match (nibble(pair[0]), nibble(pair[1])) {
                (Some(high), Some(low)) => bytes.push(high << 4 | low),
                _ => {
                    bytes.zeroize();
                    return None;
                }
            }
        }
        Some(Secret::new(bytes))
    }

    /// Hexadecimal digits, lower case; as secret as the bytes.
    #[must_use]
    pub fn to_hex(&self) -> Secret {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
        Secret::new(self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect())
    }

    /// The bytes, for the one call that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Equal bytes of equal length, compared in constant time (the length is no secret).
#[cfg(feature = "daemon")]
impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        use subtle::ConstantTimeEq;
        self.0.ct_eq(&other.0).into()
    }
}

#[cfg(feature = "daemon")]
impl Eq for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_byte() {
        assert_eq!(format!("{:?}", Secret::new(b"hunter2 hunter2".to_vec())), "Secret(15 bytes)");
    }

    #[rstest::rstest]
    #[case("00ffA0", Some(&[0u8, 255, 160][..]))]
    #[case("", Some(&[][..]))]
    #[case("0", None)]
    #[case("0g", None)]
    #[case("é", None)]
    fn hex_is_decoded_or_refused(#[case] hex: &str, #[case] bytes: Option<&[u8]>) {
        assert_eq!(Secret::from_hex(hex).as_ref().map(Secret::expose), bytes);
        if let Some(bytes) = bytes {
            let digits = Secret::new(bytes.to_vec()).to_hex();
            assert_eq!(digits.expose(), hex.to_lowercase().as_bytes());
        }
    }

    #[cfg(feature = "daemon")]
    #[test]
    fn equality_is_of_bytes_and_length() {
        let key = Secret::new(vec![1, 2, 3]);
        assert_eq!(key, Secret::new(vec![1, 2, 3]));
        assert_ne!(key, Secret::new(vec![1, 2, 4]));
        assert_ne!(key, Secret::new(vec![1, 2]));
    }
}
