//! Who is it? From evidence (a proven key or certificate) to a client with rights, or a denial with its reason.
//! Knows keyring files and the configuration's clients; how evidence is won from a handshake is `tls/`'s business.

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

/// The names in a verified client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateNames {
    /// subjectAltName, dNSName; lower case.
    pub dns: Vec<String>,
    /// subjectAltName, uniformResourceIdentifier.
    pub uris: Vec<String>,
    /// SHA-256 of the DER.
    pub sha256: [u8; 32],
}
