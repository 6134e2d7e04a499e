//! The cipher policy, by name: which TLS versions, suites and groups a listener or a client may use.
//! Words only; `tls/` and `client/` hand them to OpenSSL.
//!
//! Why these and no others is argued in `docs/decisions/0002-cipher-policy.md`.

/// A profile of TLS versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// TLS 1.2 and 1.3, forward secrecy and AEAD only.
    #[default]
    Intermediate,
    /// TLS 1.3 only.
    Modern,
}

impl Profile {
    /// Every profile with its name in the configuration.
    pub const NAMES: &'static [(&'static str, Profile)] =
        &[("intermediate", Profile::Intermediate), ("modern", Profile::Modern)];
}

/// TLS 1.3 suites wherever a PSK may be used. OpenSSL's callback PSKs are bound to SHA-256: a SHA-384 suite
/// would make it skip the PSK without a word, so none is offered.
pub const SUITES_PSK: &str = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";

/// TLS 1.3 suites where certificates alone decide.
pub const SUITES_CERTIFICATE: &str = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";

/// TLS 1.2 suites for PSK: the one AEAD suite with ECDHE that OpenSSL 3.0 and 3.5 share (RFC 7905).
pub const CIPHERS_PSK: &str = "ECDHE-PSK-CHACHA20-POLY1305";

/// TLS 1.2 suites for certificates (RFC 5289, RFC 7905).
pub const CIPHERS_CERTIFICATE: &str = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
    ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:\
    ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";

/// TLS 1.2 suites where both are welcome. PSK stands first: with server preference a PSK client that also
/// offers ECDHE-ECDSA would otherwise be asked for a certificate and refused.
pub const CIPHERS_EITHER: &str = "ECDHE-PSK-CHACHA20-POLY1305:\
    ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
    ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:\
    ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";

/// Key exchange groups, in order of preference.
pub const GROUPS: &str = "X25519:P-256:P-384";

/// OpenSSL's security level: 112 bits and more (RSA from 2048 bits, no SHA-1 signatures).
pub const SECURITY_LEVEL: u32 = 2;

/// TLS 1.3 records are padded to a multiple of this many bytes, so that a single reply has one length whatever it says.
pub const RECORD_PADDING_BYTES: usize = 64;
