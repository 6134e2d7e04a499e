//! The evidence rule: what a finished handshake proves about the peer. One pure function over plain facts.
//! Knows no OpenSSL; `facts.rs` asks it.

use crate::identity::{CertificateNames, Evidence};

/// What a listener asks its peers to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// A key of the keyring.
    Psk,
    /// A client certificate.
    Certificate,
    /// One of the two.
    Either,
    /// Nothing.
    Nothing,
}

/// The protocol version of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 5246
    Tls12,
    /// RFC 8446
    Tls13,
    /// Anything else proves nothing here.
    Other,
}

/// What OpenSSL says of a finished handshake, in plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Protocol version.
    pub version: Version,
    /// `SSL_session_reused`: resumed, or in TLS 1.3 also "an external PSK was used".
    pub resumed: bool,
    /// The suite's handshake digest is SHA-256, the one that callback PSKs are bound to in TLS 1.3.
    pub sha256: bool,
    /// The suite's name says PSK (TLS 1.2 only).
    pub psk_suite: bool,
    /// What the PSK callback saw last. A claim, not a proof.
    pub claim: Option<Claim>,
    /// `SSL_get_psk_identity`: the identity whose key was used (TLS 1.2 only; never set in TLS 1.3).
    pub session_identity: Option<Vec<u8>>,
    /// The peer's certificate.
    pub certificate: Option<PeerCertificate>,
    /// `SSL_get_verify_result` says OK; it also does when there was no certificate.
    pub verified: bool,
}

/// An identity that a peer claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// As it came, up to a NUL.
    pub identity: Vec<u8>,
    /// Whether the keyring has it.
    pub known: bool,
}

/// A certificate that a peer showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Its names.
    pub names: CertificateNames,
    /// Its extended key usage names client authentication (RFC 5280 section 4.2.1.12). OpenSSL takes a
    /// certificate without that extension for good for anything; this house only where the configuration says so.
    pub for_clients: bool,
}

/// Why a finished handshake proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEvidence {
    /// No identity was offered.
    #[error("no PSK offered")]
    NoPsk,
    /// An identity was offered that the keyring lacks.
    #[error("unknown PSK identity")]
    UnknownIdentity,
    /// A known identity was offered, and the handshake went on without its key.
    #[error("PSK offered and not used")]
    PskNotUsed,
    /// No certificate was shown.
    #[error("no client certificate")]
    NoCertificate,
    /// The certificate did not verify.
    #[error("client certificate not verified")]
    NotVerified,
    /// The certificate is remembered from an older session, not shown in this one.
    #[error("session resumed")]
    Resumed,
    /// The certificate is for something else.
    #[error("client certificate without extended key usage clientAuth")]
    NotForClients,
}

/// What do these facts prove, to a listener that asks for this? Either one proof or none, never two.
///
/// # Errors
/// [`NoEvidence`]: the connection has to be closed before a byte of it is read.
pub fn judge(asks: Asks, facts: &Facts) -> Result<Evidence, NoEvidence> {
    match asks {
        Asks::Psk => psk(facts),
        Asks::Certificate => certificate(facts),
        Asks::Either => psk(facts).or_else(|why| match certificate(facts) {
            Err(NoEvidence::NoCertificate) if facts.claim.is_some() => Err(why),
            proven_or_not => proven_or_not,
        }),
        Asks::Nothing => Ok(Evidence::Unasked),
    }
}

fn psk(facts: &Facts) -> Result<Evidence, NoEvidence> {
    let claim = facts.claim.as_ref().ok_or(NoEvidence::NoPsk)?;
    if !claim.known {
        return Err(NoEvidence::UnknownIdentity);
    }
    // OpenSSL calls back for an identity and may then drop the PSK without a word: that it was *used* is seen elsewhere.
    let used = match facts.version {
        Version::Tls13 => facts.resumed && facts.sha256,
        Version::Tls12 => {
            !facts.resumed && facts.psk_suite && facts.session_identity.as_deref() == Some(claim.identity.as_slice())
        }
        Version::Other => false,
    };
    if !used || facts.certificate.is_some() {
        return Err(NoEvidence::PskNotUsed);
    }
    let identity = String::from_utf8(claim.identity.clone()).map_err(|_| NoEvidence::UnknownIdentity)?;
    Ok(Evidence::Psk { identity })
}

fn certificate(facts: &Facts) -> Result<Evidence, NoEvidence> {
    let shown = facts.certificate.as_ref().ok_or(NoEvidence::NoCertificate)?;
    if facts.resumed {
        Err(NoEvidence::Resumed)
    } else if !facts.verified || facts.psk_suite || facts.version == Version::Other {
        Err(NoEvidence::NotVerified)
    } else if !shown.for_clients {
        Err(NoEvidence::NotForClients)
    } else {
        Ok(Evidence::Certificate(shown.names.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const ASKS: [Asks; 4] = [Asks::Psk, Asks::Certificate, Asks::Either, Asks::Nothing];
    const VERSIONS: [Version; 3] = [Version::Tls12, Version::Tls13, Version::Other];
    const BOOLS: [bool; 2] = [false, true];

    #[derive(Clone, Copy, PartialEq)]
    enum Who {
        Nobody,
        Alice,
        Stranger,
    }
    use Who::{Alice, Nobody, Stranger};

    fn claim(who: Who) -> Option<Claim> {
        match who {
            Nobody => None,
            Alice => Some(Claim { identity: b"alice".to_vec(), known: true }),
            Stranger => Some(Claim { identity: b"mallory".to_vec(), known: false }),
        }
    }

    fn shown(for_clients: Option<bool>) -> Option<PeerCertificate> {
        let names =
            CertificateNames { dns: vec!["carol".to_owned()], uris: vec![], sha256: [0; 32], common_name: None };
        for_clients.map(|for_clients| PeerCertificate { names, for_clients })
    }

    fn said(asks: Asks, facts: &Facts) -> &'static str {
        match judge(asks, facts) {
            Ok(Evidence::Psk { identity }) if identity == "alice" => "alice",
            Ok(Evidence::Certificate(names)) if names.dns == ["carol"] => "carol",
            Ok(Evidence::Unasked) => "unasked",
            Ok(_) => "somebody else",
            Err(_) => "nobody",
        }
    }

    /// Every combination of facts, held against the whole list of those that prove something.
    #[test]
    fn evidence_rule_is_this_table() {
        let mut seen = std::collections::BTreeMap::new();
        for bits in 0..1 << 4 {
            let [resumed, sha256, psk_suite, verified] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            for version in VERSIONS {
                for called_for in [Nobody, Alice, Stranger] {
                    for session in [None, Some("alice"), Some("mallory")] {
                        for certificate in [None, Some(false), Some(true)] {
                            let facts = Facts {
                                version,
                                resumed,
                                sha256,
                                psk_suite,
                                claim: claim(called_for),
                                session_identity: session.map(|name| name.as_bytes().to_vec()),
                                certificate: shown(certificate),
                                verified,
                            };
                            for asks in ASKS {
                                use Asks::{Certificate, Either, Nothing, Psk};
                                use Version::{Tls12, Tls13};
                                let row =
                                    (version, resumed, sha256, psk_suite, called_for, session, certificate, verified);
                                let expected = match (asks, row) {
                                    (Nothing, _) => "unasked",
                                    (Psk | Either, (Tls13, true, true, _, Alice, _, None, _)) => "alice",
                                    (Psk | Either, (Tls12, false, _, true, Alice, Some("alice"), None, _)) => "alice",
                                    (
                                        Certificate | Either,
                                        (Tls12 | Tls13, false, _, false, _, _, Some(true), true),
                                    ) => "carol",
                                    _ => "nobody",
                                };
                                assert_eq!(said(asks, &facts), expected, "{asks:?} {facts:?}");
                                *seen.entry(expected).or_insert(0) += 1;
                            }
                        }
                    }
                }
            }
        }
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), ["alice", "carol", "nobody", "unasked"]);
    }

    /// A connection that one listener would take for alice is never one that another would take for carol.
    #[test]
    fn no_handshake_proves_two_things() {
        for version in VERSIONS {
            for [resumed, sha256] in BOOLS.map(|a| BOOLS.map(|b| [a, b])).concat() {
                for psk_suite in BOOLS {
                    let facts = Facts {
                        version,
                        resumed,
                        sha256,
                        psk_suite,
                        claim: claim(Alice),
                        session_identity: Some(b"alice".to_vec()),
                        certificate: shown(Some(true)),
                        verified: true,
                    };
                    assert!(said(Asks::Psk, &facts) == "nobody" || said(Asks::Certificate, &facts) == "nobody");
                }
            }
        }
    }

    fn full_handshake() -> Facts {
        Facts {
            version: Version::Tls13,
            resumed: false,
            sha256: true,
            psk_suite: false,
            claim: None,
            session_identity: None,
            certificate: None,
            verified: true,
        }
    }

    #[rstest]
    #[case(Asks::Psk, full_handshake(), NoEvidence::NoPsk)]
    #[case(Asks::Psk, Facts { claim: claim(Stranger), ..full_handshake() }, NoEvidence::UnknownIdentity)]
    #[case(Asks::Psk, Facts { claim: claim(Alice), ..full_handshake() }, NoEvidence::PskNotUsed)]
    #[case(Asks::Either, full_handshake(), NoEvidence::NoCertificate)]
    #[case(Asks::Either, Facts { claim: claim(Alice), ..full_handshake() }, NoEvidence::PskNotUsed)]
    #[case(Asks::Either, Facts { certificate: shown(Some(false)), ..full_handshake() }, NoEvidence::NotForClients)]
    #[case(Asks::Certificate, Facts { certificate: shown(Some(true)), resumed: true, ..full_handshake() }, NoEvidence::Resumed)]
    #[case(Asks::Certificate, Facts { certificate: shown(Some(true)), verified: false, ..full_handshake() }, NoEvidence::NotVerified)]
    fn a_denial_says_why(#[case] asks: Asks, #[case] facts: Facts, #[case] why: NoEvidence) {
        assert_eq!(judge(asks, &facts), Err(why));
    }
}
