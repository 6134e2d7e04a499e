//! What proves who is who, read from files: pre-shared keys, certificates with their keys, trusted CAs.
//! A file with a secret in it that others can read is refused: whoever else reads it is this client too.

use crate::secret::Secret;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The fewest bytes that a pre-shared key may have: below, a recorded handshake could be tested against guesses.
pub const MIN_KEY_BYTES: usize = 16;
/// The most bytes that a pre-shared key may have: what RFC 4279 section 5.3 requires everybody to support.
pub const MAX_KEY_BYTES: usize = 64;
/// The most bytes that an identity may have: RFC 4279 section 5.3 has everybody take 128, of which common tools keep one for a final NUL.
pub const MAX_IDENTITY_BYTES: usize = 128;

/// No credential file of ours is longer; a wrong path (a device, a list) is found out before memory is.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {fault}")]
pub struct CredentialError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it and what to do.
    pub fault: String,
}

/// A pre-shared key and the identity it goes by.
#[derive(Clone, Debug)]
pub struct PreSharedKey {
    identity: String,
    key: Secret,
}

impl PreSharedKey {
    /// Takes an identity of 1 to [`MAX_IDENTITY_BYTES`] bytes without white space, control characters or `:`,
    /// and a key of [`MIN_KEY_BYTES`] to [`MAX_KEY_BYTES`] bytes.
    ///
    /// # Errors
    /// Says which of these rules is broken.
    pub fn new(identity: &str, key: Secret) -> Result<PreSharedKey, String> {
        if identity.is_empty() || identity.len() > MAX_IDENTITY_BYTES {
            return Err(format!(
                "the identity has {} bytes; 1 to {MAX_IDENTITY_BYTES} are allowed (RFC 4279 section 5.3)",
                identity.len()
            ));
        }
        if let Some(bad) = identity.chars().find(|c| c.is_whitespace() || c.is_control() || *c == ':') {
            return Err(format!("the identity holds {bad:?}; white space, control characters and `:` are not allowed"));
        }
        if !(MIN_KEY_BYTES..=MAX_KEY_BYTES).contains(&key.len()) {
            return Err(format!(
                "the key of `{identity}` has {} bytes; {MIN_KEY_BYTES} to {MAX_KEY_BYTES} are allowed, 32 recommended: `openssl rand -hex 32` makes one",
                key.len()
            ));
        }
        Ok(PreSharedKey { identity: identity.to_owned(), key })
    }

    /// Reads a key file: one key in hexadecimal, or `identity:hexadecimal` lines as in a keyring.
    /// Empty lines and lines that begin with `#` are skipped.
    ///
    /// `identity` chooses the line of that identity; it is needed for a bare key and where the file holds several.
    ///
    /// # Errors
    /// When the file cannot be read, others can read it, or it does not yield exactly one key. A key is never quoted.
    pub fn from_file(path: &Path, identity: Option<&str>) -> Result<PreSharedKey, CredentialError> {
        let fault = |fault: String| CredentialError { path: path.to_owned(), fault };
        let bytes = read_secret(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| fault("holds bytes that are not UTF-8 text".to_owned()))?;
        let mut chosen = None;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (named, hex) = match line.split_once(':') {
                Some((named, hex)) => (Some(named), hex),
                None => (None, line),
            };
            if named.is_some() && identity.is_some() && named != identity {
                continue;
            }
            let Some(name) = named.or(identity) else {
                return Err(fault(format!("line {number} is a key without an identity; say which one it is of")));
            };
            if chosen.is_some() {
                return Err(fault(match identity {
                    Some(identity) => format!("line {number} is a second key for `{identity}`; leave one"),
                    None => format!("line {number} is a second key; say which identity to use"),
                }));
            }
            let key = Secret::from_hex(hex)
                .ok_or_else(|| fault(format!("line {number}: the key is not an even number of hexadecimal digits")))?;
            chosen = Some(PreSharedKey::new(name, key).map_err(|why| fault(format!("line {number}: {why}")))?);
        }
        chosen.ok_or_else(|| {
            fault(match identity {
                Some(identity) => format!("holds no key for `{identity}`"),
                None => "holds no key; one line `identity:hexadecimal` is expected".to_owned(),
            })
        })
    }

    /// The identity.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    pub(super) fn key(&self) -> &Secret {
        &self.key
    }
}

/// A client certificate, its intermediates and its private key.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    pub(super) certificate: X509,
    pub(super) intermediates: Vec<X509>,
    pub(super) key: PKey<Private>,
}

impl ClientCertificate {
    /// Reads a PEM chain, the client's own certificate first, and its PEM private key.
    ///
    /// # Errors
    /// When a file cannot be read or parsed, others can read the key, the key is encrypted, or the two do not belong together.
    pub fn from_files(chain: &Path, private_key: &Path) -> Result<ClientCertificate, CredentialError> {
        let mut certificates = read_certificates(chain)?.into_iter();
        let fault = |fault: &str| CredentialError { path: private_key.to_owned(), fault: fault.to_owned() };
        let certificate = certificates
            .next()
            .ok_or_else(|| CredentialError { path: chain.to_owned(), fault: "holds no PEM certificate".to_owned() })?;
        let pem = read_secret(private_key)?;
        let mut asked = false;
        // The callback answers for OpenSSL's own, which would stop a service to ask for a passphrase on its terminal.
        let key = PKey::private_key_from_pem_callback(&pem, |_| {
            asked = true;
            Ok(0)
        });
        let key = match key {
            Ok(key) => key,
            Err(_) if asked => return Err(fault("the private key is encrypted; a key without a passphrase is needed")),
            Err(_) => return Err(fault("holds no PEM private key")),
        };
        let belongs = certificate.public_key().is_ok_and(|public| public.public_eq(&key));
        if !belongs {
            return Err(fault(&format!("this private key does not belong to the certificate in {}", chain.display())));
        }
        Ok(ClientCertificate { certificate, intermediates: certificates.collect(), key })
    }
}

/// Who may sign a server's certificate.
#[derive(Clone, Debug)]
pub struct TrustedCas(pub(super) Option<Vec<X509>>);

impl TrustedCas {
    /// The CAs that the operating system trusts.
    #[must_use]
    pub fn system() -> TrustedCas {
        TrustedCas(None)
    }

    /// The CA certificates of a PEM file, and no others.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn from_file(path: &Path) -> Result<TrustedCas, CredentialError> {
        Ok(TrustedCas(Some(read_certificates(path)?)))
    }
}

fn read_certificates(path: &Path) -> Result<Vec<X509>, CredentialError> {
    let fault = |fault: &str| CredentialError { path: path.to_owned(), fault: fault.to_owned() };
    let pem = read(path, |_| Ok(()))?;
    let certificates =
        X509::stack_from_pem(&pem).map_err(|_| fault("holds a PEM certificate that cannot be decoded"))?;
    if certificates.is_empty() {
        return Err(fault("holds no PEM certificate"));
    }
    Ok(certificates)
}

fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    read(path, |mode| match mode & 0o077 {
        0 => Ok(()),
        _ => Err(format!(
            "others than its owner may use this secret (mode {:04o}); `chmod 600 {}` and think about whether it is still one",
            mode & 0o7777,
            path.display()
        )),
    })
}

/// Judges the mode of the file that is read, not of whatever bears its name a moment later.
fn read(path: &Path, judge: impl FnOnce(u32) -> Result<(), String>) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let fault = |fault: String| CredentialError { path: path.to_owned(), fault };
    let unreadable = |error: io::Error| fault(format!("cannot be read: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    judge(metadata.mode()).map_err(fault)?;
    // Room for all of it from the start: a buffer that grows leaves copies of a secret behind.
    let size = usize::try_from(metadata.len().min(MAX_FILE_BYTES)).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(fault(format!("is longer than {MAX_FILE_BYTES} bytes; is it the right file?")));
    }
    Ok(bytes)
}
