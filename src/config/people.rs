//! `[[dataset]]` and `[[client]]`: what may be asked, and who asks.

use super::fault::Gathering;
use super::key::{self, Described, Key};
use super::table::Table;
use super::{CertificateName, Client, Dataset, Freshness, Guards, Search, Stale, Writer};
use crate::normalise::{LineEnding, Normalisation};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;

const DATASET_NAME: Key<String> = Key {
    name: "name",
    default: None,
    allowed: key::NAME,
    meaning: "Its name, in records and in `datasets`.",
    read: key::name,
};
const PATHS: Key<Vec<PathBuf>> = Key {
    name: "paths",
    default: None,
    allowed: "a path or an array of paths: files, folders, or patterns with * ? [",
    meaning: "Where its lines are. A folder stands for the plain files right inside it whose names do not begin with a dot. \
        A path that stands for nothing is a fault. Files are read at start and on reload (SIGHUP, `linekeepctl reload`); \
        replace them by rename, so that a reload never meets half a file.",
    read: key::paths,
};
const LINE_ENDING: Key<LineEnding> = Key {
    name: "line-ending",
    default: Some("\"auto\""),
    allowed: "\"auto\" or \"lf\"",
    meaning: "`auto` drops one CR before the LF, in the files and in queries; with `lf` a CR is part of the line, as it is to grep.",
    read: |value| key::word(value, &[("auto", LineEnding::Auto), ("lf", LineEnding::Lf)]),
};

pub(super) const DATASET: &[Described] = &[DATASET_NAME.described(), PATHS.described(), LINE_ENDING.described()];

/// Something with a name, and where the name stands.
pub(super) struct Named<T> {
    pub(super) value: T,
    pub(super) name_at: usize,
}

pub(super) fn dataset(table: &Table<'_, '_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<Named<Dataset>> {
    let name = table.take(&DATASET_NAME, faults);
    let paths = table.value(&PATHS, faults);
    let line_ending = table.value(&LINE_ENDING, faults);
    let name = name?;
    let paths = paths?.iter().map(|path| folder.join(path)).collect();
    let value = Dataset {
        name: name.value.into(),
        paths,
        normalisation: Normalisation { line_ending: line_ending?, ..Normalisation::default() },
        freshness: Freshness::OnChange,
        writer: Writer::Any,
        search: Search::Auto,
        guards: Guards { min_lines: 1, max_lines: None, max_bytes: None, max_shrink_percent: None, max_age: None },
        stale: Stale::Error,
        required: false,
        recheck: std::time::Duration::from_secs(300),
    };
    Some(Named { value, name_at: name.at.unwrap_or(table.at) })
}

const CLIENT_NAME: Key<String> =
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
    &[CLIENT_NAME.described(), PSK_IDENTITIES.described(), CERTIFICATES.described(), DATASETS.described()];

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
    let name = table.take(&CLIENT_NAME, faults);
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
