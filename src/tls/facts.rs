//! Asks OpenSSL what it knows of a finished handshake. Decides nothing.

use crate::tls::certificate;
use crate::tls::evidence::{Facts, PeerCertificate, Version};
use crate::tls::psk;
use openssl::hash::MessageDigest;
use openssl::ssl::{SslCipherRef, SslRef, SslVersion};
use openssl::x509::X509VerifyResult;

impl Facts {
    /// The facts of this handshake; `eku` says whether a certificate has to name its use. What OpenSSL cannot tell counts as absent, which proves nothing.
    #[must_use]
    pub fn of(ssl: &SslRef, eku: bool) -> Facts {
        let cipher = ssl.current_cipher();
        let digest = cipher.and_then(SslCipherRef::handshake_digest);
        Facts {
            version: match ssl.version2() {
                Some(SslVersion::TLS1_2) => Version::Tls12,
                Some(SslVersion::TLS1_3) => Version::Tls13,
                _ => Version::Other,
            },
            resumed: ssl.session_reused(),
            sha256: digest.is_some_and(|digest| digest.type_() == MessageDigest::sha256().type_()),
            psk_suite: cipher.is_some_and(|cipher| cipher.name().contains("PSK")),
            claim: psk::claim(ssl),
            session_identity: ssl.psk_identity().map(<[u8]>::to_vec),
            certificate: ssl.peer_certificate().and_then(|shown| {
                let for_clients = certificate::is_for_clients(&shown, eku);
                certificate::names(&shown).ok().map(|names| PeerCertificate { names, for_clients })
            }),
            verified: ssl.verify_result() == X509VerifyResult::OK,
        }
    }
}
