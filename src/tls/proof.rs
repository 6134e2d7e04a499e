//! What a finished handshake rested on, kept to be asked again when keys, CAs or CRLs change under an open session.
//! Knows acceptors, old and new; who the proof makes somebody is `identity/`'s business.

use crate::identity::{Evidence, Keyring};
use crate::tls::acceptor::Acceptor;
use crate::tls::certificate;
use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::ssl::SslRef;
use openssl::stack::Stack;
use openssl::x509::{X509, X509StoreContext, X509StoreContextRef};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The key or certificate behind a session's evidence.
#[derive(Clone)]
pub struct Proof {
    /// The acceptor that took it.
    mark: Arc<()>,
    keyring: Option<Arc<Keyring>>,
    certificate: Option<(X509, Arc<Stack<X509>>)>,
}

impl Proof {
    /// Of a finished handshake with this acceptor.
    ///
    /// # Errors
    /// When OpenSSL cannot keep the peer's chain.
    pub(crate) fn of(acceptor: &Acceptor, ssl: &SslRef) -> Result<Proof, ErrorStack> {
        let mut chain = Stack::new()?;
        for certificate in ssl.peer_cert_chain().into_iter().flatten() {
            chain.push(certificate.to_owned())?;
        }
        let certificate = ssl.peer_certificate().map(|certificate| (certificate, Arc::new(chain)));
        Ok(Proof { mark: Arc::clone(&acceptor.mark), keyring: acceptor.keyring.clone(), certificate })
    }

    /// When it ends by itself: the end of the peer's certificate. `None` for what has no end.
    #[must_use]
    pub fn ends(&self) -> Option<SystemTime> {
        let (certificate, _) = self.certificate.as_ref()?;
        let since = Asn1Time::from_unix(0).ok()?.diff(certificate.not_after()).ok()?;
        let seconds = u64::try_from(i64::from(since.days) * 86_400 + i64::from(since.secs)).ok()?;
        Some(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// Whether a newer acceptor would take the same proof: the identity still has the same key, or the certificate still
    /// leads to a trusted CA, is not revoked and has not run out. In doubt it would not.
    #[must_use]
    pub fn holds(&self, newer: &Acceptor, evidence: &Evidence) -> bool {
        if Arc::ptr_eq(&self.mark, &newer.mark) {
            return true;
        }
        if newer.eku && self.certificate.as_ref().is_some_and(|(leaf, _)| !certificate::is_for_clients(leaf, true)) {
            return false;
        }
        match evidence {
            Evidence::Unasked => true,
            Evidence::Psk { identity } => {
                let keys = self.keyring.as_ref().zip(newer.keyring.as_ref());
                let keys = keys.and_then(|(old, new)| old.key(identity.as_bytes()).zip(new.key(identity.as_bytes())));
                keys.is_some_and(|(old, new)| old == new)
            }
            Evidence::Certificate(_) => self.certificate.as_ref().is_some_and(|(certificate, chain)| {
                X509StoreContext::new()
                    .and_then(|mut context| {
                        context.init(newer.context.cert_store(), certificate, chain, X509StoreContextRef::verify_cert)
                    })
                    .unwrap_or(false)
            }),
        }
    }
}
