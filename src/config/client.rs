//! `[[client]]`: who asks, and which lists they may ask.

use super::fault::Gathering;
use super::key::{self, Described, Key};
use super::table::Table;
use super::{CertificateName, Client};
use std::sync::Arc;
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
    allowed: "an array of \"dns:NAME\", \"uri:URI\" (subjectAltName) or \"sha256:HEX\" (of the certificate)",
    meaning: "Certificates that are this client. Common names do not count: nothing makes them unique.",
    read: key::certificate_names,
};
const DATASETS: Key<Vec<Spanned<String>>> = Key {
    name: "datasets",
    default: None,
    allowed: "an array of names of [[dataset]] sections",
    meaning: "The lists that it may ask; the answer is over all of them. Without this key, every list; with `[]`, none.",
    read: key::names,
};

pub(super) const CLIENT: &[Described] =
    &[NAME.described(), PSK_IDENTITIES.described(), CERTIFICATES.described(), DATASETS.described()];

/// A client as its keys say, with the places that faults about several sections need.
pub(super) struct PlacedClient {
    pub(super) name: String,
    pub(super) name_at: usize,
    pub(super) psk_identities: Vec<Spanned<String>>,
    pub(super) certificates: Vec<Spanned<CertificateName>>,
    pub(super) datasets: Option<Vec<Spanned<String>>>,
}

impl PlacedClient {
    pub(super) fn meant(self) -> Client {
        Client {
            name: self.name.into(),
            psk_identities: self.psk_identities.into_iter().map(Spanned::into_inner).collect(),
            certificates: self.certificates.into_iter().map(Spanned::into_inner).collect(),
            datasets: self.datasets.map(|names| names.into_iter().map(|name| Arc::from(name.into_inner())).collect()),
        }
    }
}

pub(super) fn client(table: &Table<'_, '_>, faults: &mut Gathering<'_>) -> Option<PlacedClient> {
    let name = table.take(&NAME, faults);
    let psk_identities = table.value(&PSK_IDENTITIES, faults);
    let certificates = table.value(&CERTIFICATES, faults);
    let datasets = table.optional(&DATASETS, faults);
    let datasets_readable = datasets.is_some() || table.place_of(&DATASETS).is_none();
    let (name, psk_identities, certificates) = (name?, psk_identities?, certificates?);
    // A `datasets` that cannot be read must not turn into the right to ask everything.
    datasets_readable.then(|| PlacedClient {
        name_at: name.at.unwrap_or(table.at),
        name: name.value,
        psk_identities,
        certificates,
        datasets: datasets.map(|datasets| datasets.value),
    })
}
