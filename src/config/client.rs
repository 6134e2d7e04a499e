//! `[[client]]`: who asks, from where, when, how fast, and which lists they may ask.

use super::fault::Gathering;
use super::key::{self, Described, Key};
use super::table::Table;
use super::{CertificateName, Client, Rate};
use crate::allowlist::Allowlist;
use std::sync::Arc;
use std::time::SystemTime;
use toml::Spanned;

const NAME: Key<String> =
    Key { name: "name", default: None, allowed: key::NAME, meaning: "Its name in records.", read: key::name };
const PSK_IDENTITIES: Key<Vec<Spanned<String>>> = Key {
    name: "psk-identities",
    default: Some("[]"),
    allowed: "an array of identities, each 1 to 127 of the characters A-Z a-z 0-9 . _ @ -",
    meaning: "Identities of the keyring that are this client. Two, while a key is rotated.",
    read: key::identities,
};
const CERTIFICATES: Key<Vec<Spanned<CertificateName>>> = Key {
    name: "certificates",
    default: Some("[]"),
    allowed: "an array of \"dns:NAME\", \"uri:URI\" (subjectAltName), \"sha256:HEX\" (of the certificate) or \"cn:NAME\"",
    meaning: "Certificates that are this client. `cn:` goes by the subject's common name, which nothing makes unique: for certificates \
        that have no other name. One with several common names has none.",
    read: key::certificate_names,
};
const DATASETS: Key<Vec<Spanned<String>>> = Key {
    name: "datasets",
    default: None,
    allowed: "an array of names of [[dataset]] sections",
    meaning: "The lists that it may ask; the answer is over all of them. Without this key, every list; with `[]`, none.",
    read: key::names,
};

const NETWORKS: Key<Vec<ipnet::IpNet>> = Key {
    name: "networks",
    default: None,
    allowed: "an array of at least one address or range",
    meaning: "Where it may come from, within what the listener's `allow` lets in. Without this key, anywhere there. A client with \
        networks cannot come by a UNIX socket.",
    read: key::ranges,
};
const QUERIES_PER_SECOND: Key<u64> = Key {
    name: "queries-per-second",
    default: None,
    allowed: "a whole number from 1 to 10000000",
    meaning: "How fast it may ask, over all its connections together. What is more is answered `ERROR: rate limited`, and the connection lives.",
    read: key::number::<1, 10_000_000>,
};
const BURST: Key<u64> = Key {
    name: "burst",
    default: None,
    allowed: "a whole number from 1 to 10000000, with queries-per-second",
    meaning: "How many queries it may ask at once after a pause. Without this key, those of one second.",
    read: key::number::<1, 10_000_000>,
};
const MAX_CONNECTIONS: Key<u64> = Key {
    name: "max-connections",
    default: None,
    allowed: "a whole number from 1 to 1000000",
    meaning: "Its connections at a time. One more is closed once it has proved who it is. A reload that lowers it ends none.",
    read: key::number::<1, 1_000_000>,
};
const MOMENT: &str = "a date, or a date and time with its offset, such as 2026-12-24 or 2026-12-24T18:00:00Z";
const NOT_BEFORE: Key<SystemTime> = Key {
    name: "not-before",
    default: None,
    allowed: MOMENT,
    meaning: "It may come from then on. A date alone means its first second, UTC.",
    read: key::moment,
};
const EXPIRES: Key<SystemTime> = Key {
    name: "expires",
    default: None,
    allowed: MOMENT,
    meaning: "From then on it may not: open sessions end at that moment. A date alone means its first second, UTC.",
    read: key::moment,
};
const ENABLED: Key<bool> = Key {
    name: "enabled",
    default: Some("true"),
    allowed: "true or false",
    meaning: "Whether it may come at all. A reload with `false` ends its sessions, and nothing else of it has to be deleted.",
    read: key::boolean,
};

pub(super) const CLIENT: &[Described] = &[
    NAME.described(),
    PSK_IDENTITIES.described(),
    CERTIFICATES.described(),
    NETWORKS.described(),
    DATASETS.described(),
    QUERIES_PER_SECOND.described(),
    BURST.described(),
    MAX_CONNECTIONS.described(),
    NOT_BEFORE.described(),
    EXPIRES.described(),
    ENABLED.described(),
];

/// A client as its keys say, with the places that faults about several sections need.
pub(super) struct PlacedClient {
    pub(super) name: String,
    pub(super) name_at: usize,
    pub(super) psk_identities: Vec<Spanned<String>>,
    pub(super) certificates: Vec<Spanned<CertificateName>>,
    pub(super) datasets: Option<Vec<Spanned<String>>>,
    pub(super) networks: Option<Allowlist>,
    pub(super) rate: Option<Rate>,
    pub(super) max_connections: Option<usize>,
    pub(super) not_before: Option<SystemTime>,
    pub(super) expires: Option<SystemTime>,
    pub(super) enabled: bool,
}

impl PlacedClient {
    pub(super) fn meant(self) -> Client {
        Client {
            name: self.name.into(),
            psk_identities: self.psk_identities.into_iter().map(Spanned::into_inner).collect(),
            certificates: self.certificates.into_iter().map(Spanned::into_inner).collect(),
            datasets: self.datasets.map(|names| names.into_iter().map(|name| Arc::from(name.into_inner())).collect()),
            networks: self.networks,
            rate: self.rate,
            max_connections: self.max_connections,
            not_before: self.not_before,
            expires: self.expires,
            enabled: self.enabled,
        }
    }
}

pub(super) fn client(table: &Table<'_, '_>, faults: &mut Gathering<'_>) -> Option<PlacedClient> {
    let name = table.take(&NAME, faults);
    let psk_identities = table.value(&PSK_IDENTITIES, faults);
    let certificates = table.value(&CERTIFICATES, faults);
    let datasets = table.optional(&DATASETS, faults);
    let networks = table.optional(&NETWORKS, faults);
    let per_second = table.optional(&QUERIES_PER_SECOND, faults);
    let burst = table.optional(&BURST, faults);
    let max_connections = table.optional(&MAX_CONNECTIONS, faults);
    let not_before = table.optional(&NOT_BEFORE, faults);
    let expires = table.optional(&EXPIRES, faults);
    let enabled = table.value(&ENABLED, faults);
    if table.place_of(&QUERIES_PER_SECOND).is_none() {
        table.forbid(&BURST, "without queries-per-second there is no limit to burst through", faults);
    }
    if let (Some(not_before), Some(expires)) = (&not_before, &expires) {
        if expires.value <= not_before.value {
            let at = expires.at.unwrap_or(table.at);
            let found = humantime::format_rfc3339_seconds(expires.value).to_string();
            table.fault(at, EXPIRES.name, found, "a moment behind not-before, or it may never come", faults);
        }
    }
    let (name, psk_identities, certificates) = (name?, psk_identities?, certificates?);
    // A limit that cannot be read is a fault of the file, which is refused whole: no client is ever made without it.
    Some(PlacedClient {
        name_at: name.at.unwrap_or(table.at),
        name: name.value,
        psk_identities,
        certificates,
        datasets: datasets.map(|datasets| datasets.value),
        networks: networks.map(|ranges| Allowlist::new(ranges.value)),
        rate: per_second.map(|per_second| Rate {
            per_second: per_second.value,
            burst: burst.map_or(per_second.value, |burst| burst.value),
        }),
        max_connections: max_connections.map(|most| usize::try_from(most.value).unwrap_or(usize::MAX)),
        not_before: not_before.map(|moment| moment.value),
        expires: expires.map(|moment| moment.value),
        enabled: enabled?,
    })
}
