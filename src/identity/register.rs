//! The register of clients: whom a proof names, and what that client may ask.
//! Knows the configuration's clients and listeners; proofs come in as [`Evidence`].

use crate::config::{self, CertificateName, Mode, Protection, Unlisted};
use crate::identity::{CertificateNames, Evidence};
use std::collections::HashMap;
use std::sync::Arc;

/// Somebody who was let in. Made by [`Register::admit`] alone, so that holding one is the proof of having been let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    name: Arc<str>,
    datasets: Option<Vec<Arc<str>>>,
}

impl Client {
    /// The name that rights and records follow.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The datasets that it may ask; `None` means every one.
    #[must_use]
    pub fn datasets(&self) -> Option<&[Arc<str>]> {
        self.datasets.as_deref()
    }

    /// Whether it may ask this dataset.
    #[must_use]
    pub fn may_ask(&self, dataset: &str) -> bool {
        self.datasets().is_none_or(|allowed| allowed.iter().any(|name| **name == *dataset))
    }
}

/// Why somebody who proved who they are is still not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No `[[client]]` has this identity or certificate, and the listener refuses such.
    NotListed,
    /// The certificate's names belong to several clients.
    Ambiguous,
    /// Nobody lists this identity, but a client *named* like it exists: it would be taken for that client.
    NameTaken,
    /// No proof, on a listener that asks for one.
    NoProof,
}

impl Denied {
    /// The word in records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Denied::NotListed => "not-listed",
            Denied::Ambiguous => "several-clients-match",
            Denied::NameTaken => "name-of-another-client",
            Denied::NoProof => "no-proof",
        }
    }
}

/// The clients of the configuration, by what proves them.
#[derive(Clone, Debug, Default)]
pub struct Register {
    by_name: HashMap<Arc<str>, Client>,
    by_identity: HashMap<String, Client>,
    by_certificate: HashMap<CertificateName, Client>,
}

impl Register {
    /// A register of these clients; the configuration has seen to it that no identity or certificate name stands in two.
    #[must_use]
    pub fn new(clients: &[config::Client]) -> Register {
        let mut register = Register::default();
        for listed in clients {
            let client = Client { name: listed.name.clone(), datasets: listed.datasets.clone() };
            for identity in &listed.psk_identities {
                register.by_identity.insert(identity.clone(), client.clone());
            }
            for certificate in &listed.certificates {
                register.by_certificate.insert(certificate.clone(), client.clone());
            }
            register.by_name.insert(listed.name.clone(), client);
        }
        register
    }

    /// Who is it, and may it come in?
    ///
    /// # Errors
    /// [`Denied`], with the reason for the record; the peer is told nothing.
    pub fn admit(&self, evidence: &Evidence, listener: &config::Listener) -> Result<Client, Denied> {
        match evidence {
            Evidence::Psk { identity } => match self.by_identity.get(identity) {
                Some(client) => Ok(client.clone()),
                None => self.unlisted(identity.clone(), listener.unlisted),
            },
            Evidence::Certificate(names) => match self.of_certificate(names)? {
                Some(client) => Ok(client.clone()),
                None => self.unlisted(names.shown(), listener.unlisted),
            },
            Evidence::Unasked => match &listener.protection {
                Protection::Plain { client } | Protection::Tls { mode: Mode::None { client, .. }, .. } => {
                    let unrestricted = || Client { name: client.clone(), datasets: None };
                    Ok(self.by_name.get(client).cloned().unwrap_or_else(unrestricted))
                }
                Protection::Tls { .. } => Err(Denied::NoProof),
            },
        }
    }

    fn of_certificate(&self, names: &CertificateNames) -> Result<Option<&Client>, Denied> {
        let dns = names.dns.iter().cloned().map(CertificateName::Dns);
        let uris = names.uris.iter().cloned().map(CertificateName::Uri);
        let digest = std::iter::once(CertificateName::Sha256(names.sha256));
        let mut found = dns.chain(uris).chain(digest).filter_map(|name| self.by_certificate.get(&name));
        let first = found.next();
        match first {
            Some(first) if found.any(|other| other.name != first.name) => Err(Denied::Ambiguous),
            _ => Ok(first),
        }
    }

    /// Rights follow names, so nobody may come in under the name of a listed client without being listed as that client.
    fn unlisted(&self, name: String, unlisted: Unlisted) -> Result<Client, Denied> {
        match unlisted {
            Unlisted::Refuse => Err(Denied::NotListed),
            Unlisted::Allow if self.by_name.contains_key(name.as_str()) => Err(Denied::NameTaken),
            Unlisted::Allow => Ok(Client { name: name.into(), datasets: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allowlist::Allowlist;
    use crate::cipher_policy::Profile;
    use crate::config::{Bind, Listener, ServerCertificate};
    use crate::protocol::Text;
    use rstest::rstest;

    fn listener(mode: Mode, unlisted: Unlisted) -> Listener {
        Listener {
            name: "wire".into(),
            bind: Bind::Tcp("127.0.0.1:0".parse().unwrap()),
            allow: Allowlist::default(),
            trusted_proxies: Allowlist::default(),
            protection: Protection::Tls { profile: Profile::Intermediate, mode },
            unlisted,
            text: Text::Utf8,
        }
    }

    fn psk(unlisted: Unlisted) -> Listener {
        listener(Mode::Psk { keyring: "keyring".into() }, unlisted)
    }

    fn open(client: &str) -> Listener {
        let server = ServerCertificate { certificate: "s.pem".into(), private_key: "s.key".into() };
        listener(Mode::None { server, client: client.into() }, Unlisted::Refuse)
    }

    fn register() -> Register {
        let client = |name: &str, identities: &[&str], certificates: &[CertificateName], datasets: Option<&[&str]>| {
            config::Client {
                name: name.into(),
                psk_identities: identities.iter().map(|&identity| identity.to_owned()).collect(),
                certificates: certificates.to_vec(),
                datasets: datasets.map(|names| names.iter().map(|&name| name.into()).collect()),
            }
        };
        Register::new(&[
            client("siem", &["siem-1", "siem-2"], &[CertificateName::Dns("siem.example".into())], Some(&["hashes"])),
            client(
                "feeds",
                &[],
                &[CertificateName::Uri("spiffe://x/feeds".into()), CertificateName::Sha256([7; 32])],
                None,
            ),
        ])
    }

    fn by_key(identity: &str) -> Evidence {
        Evidence::Psk { identity: identity.to_owned() }
    }

    fn by_certificate(dns: &[&str], uris: &[&str], digest: u8) -> Evidence {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Evidence::Certificate(CertificateNames { dns: owned(dns), uris: owned(uris), sha256: [digest; 32] })
    }

    #[rstest]
    #[case::first_key(by_key("siem-1"), Ok("siem"))]
    #[case::second_key(by_key("siem-2"), Ok("siem"))]
    #[case::a_clients_name_is_no_identity(by_key("siem"), Err(Denied::NotListed))]
    #[case::stranger(by_key("mallory"), Err(Denied::NotListed))]
    #[case::by_dns(by_certificate(&["siem.example"], &[], 0), Ok("siem"))]
    #[case::by_uri(by_certificate(&["other.example"], &["spiffe://x/feeds"], 0), Ok("feeds"))]
    #[case::by_digest(by_certificate(&[], &[], 7), Ok("feeds"))]
    #[case::twice_the_same(by_certificate(&[], &["spiffe://x/feeds"], 7), Ok("feeds"))]
    #[case::two_clients(by_certificate(&["siem.example"], &["spiffe://x/feeds"], 0), Err(Denied::Ambiguous))]
    #[case::unknown_certificate(by_certificate(&["x.example"], &[], 0), Err(Denied::NotListed))]
    #[case::dns_is_no_uri(by_certificate(&["spiffe://x/feeds"], &["siem.example"], 0), Err(Denied::NotListed))]
    #[case::no_proof(Evidence::Unasked, Err(Denied::NoProof))]
    fn nobody_unknown_by_register(#[case] evidence: Evidence, #[case] expected: Result<&str, Denied>) {
        let admitted = register().admit(&evidence, &psk(Unlisted::Refuse));
        assert_eq!(admitted.as_ref().map(|client| &**client.name()).map_err(|denied| *denied), expected);
    }

    #[rstest]
    #[case::own_name(by_key("mallory"), Ok("mallory"))]
    #[case::uri_first(by_certificate(&["x.example"], &["spiffe://x/y"], 0), Ok("uri:spiffe://x/y"))]
    #[case::dns_next(by_certificate(&["x.example"], &[], 0), Ok("dns:x.example"))]
    #[case::unspeakable_names_passed_over(by_certificate(&["a\nb", "c d"], &["u:\u{202e}"], 1),
        Ok("sha256:0101010101010101010101010101010101010101010101010101010101010101"))]
    #[case::a_listed_clients_name(by_key("siem"), Err(Denied::NameTaken))]
    #[case::a_listed_client_keeps_its_rights(by_key("siem-1"), Ok("siem"))]
    #[case::two_clients_stay_doubtful(by_certificate(&["siem.example"], &[], 7), Err(Denied::Ambiguous))]
    #[case::no_proof(Evidence::Unasked, Err(Denied::NoProof))]
    fn an_unlisted_client_has_its_own_name_and_nobody_elses(
        #[case] evidence: Evidence,
        #[case] expected: Result<&str, Denied>,
    ) {
        let admitted = register().admit(&evidence, &psk(Unlisted::Allow));
        assert_eq!(admitted.as_ref().map(|client| &**client.name()).map_err(|denied| *denied), expected);
    }

    #[test]
    fn rights_follow_the_client() {
        let register = register();
        let siem = register.admit(&by_key("siem-1"), &psk(Unlisted::Refuse)).unwrap();
        assert!(siem.may_ask("hashes") && !siem.may_ask("addresses"));
        let feeds = register.admit(&by_certificate(&[], &[], 7), &psk(Unlisted::Refuse)).unwrap();
        assert!(feeds.may_ask("addresses") && feeds.datasets().is_none());
    }

    #[test]
    fn on_an_open_listener_everybody_is_the_configured_client() {
        let listed = register().admit(&Evidence::Unasked, &open("siem")).unwrap();
        assert!(&**listed.name() == "siem" && !listed.may_ask("addresses"));
        let unlisted = register().admit(&Evidence::Unasked, &open("lan")).unwrap();
        assert!(&**unlisted.name() == "lan" && unlisted.may_ask("addresses"));
        let mut plain = open("x");
        plain.protection = Protection::Plain { client: "local".into() };
        assert_eq!(&**register().admit(&Evidence::Unasked, &plain).unwrap().name(), "local");
    }
}
