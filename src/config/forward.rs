//! `[[forward]]`: where records go beside the local log. Its keys are defined here and nowhere else.

use super::fault::Gathering;
use super::key::{self, Described, Key, Wrong};
use super::table::Table;
use super::{Forward, ForwardFormat, ForwardTo};
use std::path::Path;
use toml::de::DeValue;

const NAME: Key<String> =
    Key { name: "name", default: None, allowed: key::NAME, meaning: "Its name in records.", read: key::name };
const ADDRESS: Key<ForwardTo> = Key {
    name: "address",
    default: None,
    allowed: "\"tcp:HOST:PORT\" or \"unix:/path\"",
    meaning: "Who takes the records: over TCP, or a UNIX socket of datagrams or of a stream. Nothing is encrypted here: to another machine \
        leads a local relay that does.",
    read: address,
};
const FORMAT: Key<ForwardFormat> = Key {
    name: "format",
    default: Some("\"rfc5424\""),
    allowed: "\"rfc5424\" or \"ecs\"",
    meaning: "`rfc5424` is syslog with every field as structured data, each message preceded by its length on a stream (RFC 6587 section \
        3.4.1); `ecs` is one JSON object a line, with the names of the Elastic Common Schema.",
    read: |value| key::word(value, &[("rfc5424", ForwardFormat::Rfc5424), ("ecs", ForwardFormat::Ecs)]),
};

pub(super) const FORWARD: &[Described] = &[NAME.described(), ADDRESS.described(), FORMAT.described()];

fn address(value: &DeValue<'_>) -> Result<ForwardTo, Wrong> {
    let typed = key::text(value)?;
    let good = !typed.contains(|letter: char| letter.is_control() || letter.is_whitespace());
    match typed.split_once(':').filter(|_| good) {
        Some(("unix", path)) if path.starts_with('/') => Ok(ForwardTo::Unix(path.into())),
        Some(("tcp", peer)) => match peer.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
                Ok(ForwardTo::Tcp(peer.to_owned()))
            }
            _ => Err(key::wrong(value)),
        },
        _ => Err(key::wrong(value)),
    }
}

pub(super) fn forward(table: &Table<'_, '_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<(Forward, usize)> {
    let name = table.take(&NAME, faults);
    let to = table.value(&ADDRESS, faults).map(|to| match to {
        ForwardTo::Unix(path) => ForwardTo::Unix(folder.join(path)),
        tcp @ ForwardTo::Tcp(_) => tcp,
    });
    let format = table.value(&FORMAT, faults);
    let (name, to) = (name?, to?);
    Some((Forward { name: name.value, to, format: format? }, name.at.unwrap_or(table.at)))
}
