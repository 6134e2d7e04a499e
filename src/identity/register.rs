//! The register of clients: whom a proof names, and what that client may ask.
//! Knows the configuration's clients and listeners; proofs come in as [`Evidence`].

use crate::config::{self, CertificateName, Mode, Protection, Rate, Unlisted};
use crate::identity::{CertificateNames, Evidence};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// Somebody who was let in. Made by [`Register::admit`] alone, so that holding one is the proof of having been let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client(Arc<config::Client>);

impl Client {
    /// The name that rights and records follow.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// The datasets that it may ask; `None` means every one.
    #[must_use]
    pub fn datasets(&self) -> Option<&[Arc<str>]> {
        self.0.datasets.as_deref()
    }

    /// Whether it may ask this dataset.
    #[must_use]
    pub fn may_ask(&self, dataset: &str) -> bool {
        self.datasets().is_none_or(|allowed| allowed.iter().any(|name| **name == *dataset))
    }

    /// How fast it may ask, over all its connections.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        self.0.rate
    }

    /// Its connections at a time.
    #[must_use]
    pub fn max_connections(&self) -> Option<usize> {
        self.0.max_connections
    }

    /// From then on it may not be here.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.0.expires
    }

    /// A client that nobody lists, by its own name and with every right.
    fn unlisted(name: Arc<str>) -> Client {
        Client(Arc::new(config::Client {
            name,
            psk_identities: Vec::new(),
            certificates: Vec::new(),
            datasets: None,
            networks: None,
            rate: None,
            max_connections: None,
            not_before: None,
            expires: None,
            enabled: true,
        }))
    }

    /// Whether it may be here now, coming from there; `None` is no address, as on a UNIX socket.
    fn may_come(&self, source: Option<IpAddr>, now: SystemTime) -> Result<(), Denied> {
        let listed = &*self.0;
        if !listed.enabled {
            Err(Denied::Disabled)
        } else if listed.not_before.is_some_and(|moment| now < moment) {
            Err(Denied::NotYet)
        } else if listed.expires.is_some_and(|moment| now >= moment) {
            Err(Denied::Expired)
        } else if !listed.networks.as_ref().is_none_or(|networks| source.is_some_and(|source| networks.permits(source)))
        {
            Err(Denied::Network)
        } else {
            Ok(())
        }
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
    /// The client is switched off.
    Disabled,
    /// The client may come, but later.
    NotYet,
    /// The client's time is over.
    Expired,
    /// The client may not come from there.
    Network,
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
            Denied::Disabled => "disabled",
            Denied::NotYet => "not-yet-valid",
            Denied::Expired => "expired",
            Denied::Network => "network",
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
            let client = Client(Arc::new(listed.clone()));
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

    /// Who is it, and may it come in, from there, now? `source` is `None` where there is no address, as on a UNIX socket.
    ///
    /// # Errors
    /// [`Denied`], with the reason for the record; the peer is told nothing.
    pub fn admit(
        &self,
        evidence: &Evidence,
        listener: &config::Listener,
        source: Option<IpAddr>,
        now: SystemTime,
    ) -> Result<Client, Denied> {
        let client = self.name(evidence, listener)?;
        client.may_come(source, now)?;
        Ok(client)
    }

    fn name(&self, evidence: &Evidence, listener: &config::Listener) -> Result<Client, Denied> {
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
                    Ok(self.by_name.get(client).cloned().unwrap_or_else(|| Client::unlisted(client.clone())))
                }
                Protection::Tls { .. } => Err(Denied::NoProof),
            },
        }
    }

    fn of_certificate(&self, names: &CertificateNames) -> Result<Option<&Client>, Denied> {
        let dns = names.dns.iter().cloned().map(CertificateName::Dns);
        let uris = names.uris.iter().cloned().map(CertificateName::Uri);
        let digest = std::iter::once(CertificateName::Sha256(names.sha256));
        let common_name = names.common_name.iter().cloned().map(CertificateName::Cn);
        let mut found =
            dns.chain(uris).chain(digest).chain(common_name).filter_map(|name| self.by_certificate.get(&name));
        let first = found.next();
        match first {
            Some(first) if found.any(|other| other.name() != first.name()) => Err(Denied::Ambiguous),
            _ => Ok(first),
        }
    }

    /// Rights follow names, so nobody may come in under the name of a listed client without being listed as that client.
    fn unlisted(&self, name: String, unlisted: Unlisted) -> Result<Client, Denied> {
        match unlisted {
            Unlisted::Refuse => Err(Denied::NotListed),
            Unlisted::Allow if self.by_name.contains_key(name.as_str()) => Err(Denied::NameTaken),
            Unlisted::Allow => Ok(Client::unlisted(name.into())),
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
            let unlisted = Client::unlisted(name.into());
            config::Client {
                psk_identities: identities.iter().map(|&identity| identity.to_owned()).collect(),
                certificates: certificates.to_vec(),
                datasets: datasets.map(|names| names.iter().map(|&name| name.into()).collect()),
                ..(*unlisted.0).clone()
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

    const HERE: &str = "192.0.2.1";

    fn admit(register: &Register, evidence: &Evidence, listener: &Listener) -> Result<Client, Denied> {
        register.admit(evidence, listener, Some(HERE.parse().unwrap()), SystemTime::UNIX_EPOCH)
    }

    fn by_key(identity: &str) -> Evidence {
        Evidence::Psk { identity: identity.to_owned() }
    }

    fn by_certificate(dns: &[&str], uris: &[&str], digest: u8) -> Evidence {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Evidence::Certificate(CertificateNames {
            dns: owned(dns),
            uris: owned(uris),
            sha256: [digest; 32],
            common_name: Some("Carol Common".into()),
        })
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
        let admitted = admit(&register(), &evidence, &psk(Unlisted::Refuse));
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
        let admitted = admit(&register(), &evidence, &psk(Unlisted::Allow));
        assert_eq!(admitted.as_ref().map(|client| &**client.name()).map_err(|denied| *denied), expected);
    }

    #[test]
    fn rights_follow_the_client() {
        let register = register();
        let siem = admit(&register, &by_key("siem-1"), &psk(Unlisted::Refuse)).unwrap();
        assert!(siem.may_ask("hashes") && !siem.may_ask("addresses"));
        let feeds = admit(&register, &by_certificate(&[], &[], 7), &psk(Unlisted::Refuse)).unwrap();
        assert!(feeds.may_ask("addresses") && feeds.datasets().is_none());
    }

    #[test]
    fn on_an_open_listener_everybody_is_the_configured_client() {
        let listed = admit(&register(), &Evidence::Unasked, &open("siem")).unwrap();
        assert!(&**listed.name() == "siem" && !listed.may_ask("addresses"));
        let unlisted = admit(&register(), &Evidence::Unasked, &open("lan")).unwrap();
        assert!(&**unlisted.name() == "lan" && unlisted.may_ask("addresses"));
        let mut plain = open("x");
        plain.protection = Protection::Plain { client: "local".into() };
        assert_eq!(&**admit(&register(), &Evidence::Unasked, &plain).unwrap().name(), "local");
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
    }

    #[rstest]
    #[case::anywhere_any_time(None, "203.0.113.1", 0, Ok(()))]
    #[case::within(Some("192.0.2.0/24"), "192.0.2.9", 150, Ok(()))]
    #[case::elsewhere(Some("192.0.2.0/24"), "203.0.113.1", 150, Err(Denied::Network))]
    #[case::mapped(Some("192.0.2.0/24"), "::ffff:192.0.2.9", 150, Ok(()))]
    #[case::no_address(Some("192.0.2.0/24"), "", 150, Err(Denied::Network))]
    #[case::too_early(Some("192.0.2.0/24"), "192.0.2.9", 99, Err(Denied::NotYet))]
    #[case::at_the_beginning(Some("192.0.2.0/24"), "192.0.2.9", 100, Ok(()))]
    #[case::the_last_moment(Some("192.0.2.0/24"), "192.0.2.9", 199, Ok(()))]
    #[case::over(Some("192.0.2.0/24"), "192.0.2.9", 200, Err(Denied::Expired))]
    fn nobody_unknown_by_place_and_time(
        #[case] networks: Option<&str>,
        #[case] source: &str,
        #[case] now: u64,
        #[case] expected: Result<(), Denied>,
    ) {
        let ranges = |range: &str| Allowlist::new(vec![crate::allowlist::parse_range(range).unwrap()]);
        let listed = config::Client {
            psk_identities: vec!["siem-1".into()],
            networks: networks.map(ranges),
            not_before: networks.map(|_| at(100)),
            expires: networks.map(|_| at(200)),
            ..(*Client::unlisted("siem".into()).0).clone()
        };
        let source = source.parse().ok();
        let admitted = |listed: &config::Client| {
            let register = Register::new(std::slice::from_ref(listed));
            register.admit(&by_key("siem-1"), &psk(Unlisted::Refuse), source, at(now)).map(drop)
        };
        assert_eq!(admitted(&listed), expected);
        assert_eq!(admitted(&config::Client { enabled: false, ..listed }), Err(Denied::Disabled));
    }

    #[test]
    fn a_common_name_counts_only_where_it_is_asked_for() {
        let by_common_name = by_certificate(&[], &[], 0);
        assert_eq!(admit(&register(), &by_common_name, &psk(Unlisted::Refuse)), Err(Denied::NotListed));
        let listed = config::Client {
            certificates: vec![CertificateName::Cn("Carol Common".into())],
            ..(*Client::unlisted("carol".into()).0).clone()
        };
        let register = Register::new(&[listed]);
        assert_eq!(&**admit(&register, &by_common_name, &psk(Unlisted::Refuse)).unwrap().name(), "carol");
    }
}
