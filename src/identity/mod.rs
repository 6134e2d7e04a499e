//! Who is it? From evidence (a proven key or certificate) to a client with rights, or a denial with its reason.
//! Knows keyring files and the configuration's clients; how evidence is won from a handshake is `tls/`'s business.

pub mod key_line;
pub mod keyring;
pub mod keyring_file;
mod locked_file;
pub mod private_file;
mod register;

pub use key_line::LineComplaint;
pub use keyring::{Entry, Keyring, KeyringFault};
pub use private_file::{PrivateFileFault, Reader};
pub use register::{Client, Denied, Register};

use std::fmt::{self, Display};

/// What a peer has proved. Made by the evidence rule of `tls/` alone, never from what a peer merely claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It holds the keyring's key of this identity.
    Psk {
        /// The identity, as it stands in the keyring.
        identity: String,
    },
    /// It holds the private key of this certificate, which a trusted CA signed and none has revoked.
    Certificate(CertificateNames),
    /// The listener asks nobody who they are.
    Unasked,
}

/// The names in a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateNames {
    /// subjectAltName, dNSName; lower case.
    pub dns: Vec<String>,
    /// subjectAltName, uniformResourceIdentifier.
    pub uris: Vec<String>,
    /// SHA-256 of the DER.
    pub sha256: [u8; 32],
    /// The subject's common name, if it has just one.
    pub common_name: Option<String>,
}

/// Longest alternative name that serves as a client's name, in bytes.
const MAX_NAME_BYTES: usize = 255;

impl CertificateNames {
    /// The one name for records, in the words of the configuration: the first `uri:`, else the first `dns:`, else `sha256:`.
    /// An alternative name that a record would have to escape, or that is longer than 255 bytes, is passed over:
    /// two certificates never get one name by clean-up.
    #[must_use]
    pub fn shown(&self) -> String {
        let speakable = |name: &&String| {
            (1..=MAX_NAME_BYTES).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\'`<>".contains(&byte))
        };
        if let Some(uri) = self.uris.iter().find(speakable) {
            format!("uri:{uri}")
        } else if let Some(dns) = self.dns.iter().find(speakable) {
            format!("dns:{dns}")
        } else {
            let hex: String = self.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("sha256:{hex}")
        }
    }
}

/// The evidence in records: `psk:alice`, `certificate:dns:alice.example`, `unasked`.
impl Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Psk { identity } => write!(f, "psk:{identity}"),
            Evidence::Certificate(names) => write!(f, "certificate:{}", names.shown()),
            Evidence::Unasked => f.write_str("unasked"),
        }
    }
}
