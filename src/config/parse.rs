//! From text to meaning: every section, every fault, then what several sections say of one another.

use super::audit;
use super::client::{self, PlacedClient};
use super::dataset::{self, Named};
use super::fault::{Fault, Faults, Gathering};
use super::key::Described;
use super::listener::{self, Placed};
use super::table::{Table, did_you_mean};
use super::{Bind, Config, Control, Dataset, forward, penalties, sections};
use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::hash::Hash;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// A configuration file longer than this is none.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads and understands a configuration file. Relative paths in it come out absolute.
///
/// # Errors
/// Every fault in it.
pub fn load(file: &Path) -> Result<Config, Faults> {
    let whole = |found: String, allowed: &str| {
        let key = "the file".to_owned();
        Faults(vec![Fault { file: file.to_owned(), line: 0, column: 0, key, found, allowed: allowed.to_owned() }])
    };
    let readable = "a TOML file that this user can read";
    let unreadable = |error: std::io::Error| whole(error.to_string(), readable);
    // Paths have to mean the same after the daemon has left the folder that it was started in.
    let absolute = std::path::absolute(file).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // Bounded while reading: what the length of a device or a growing file says is no bound.
    File::open(file).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(whole("more than 1 MiB".into(), "at most 1 MiB"));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse_in(text, file, folder_of(&absolute)),
        Err(error) => {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            let mut faults = whole("bytes that are not UTF-8".into(), "UTF-8");
            faults.0.iter_mut().for_each(|fault| (fault.line, fault.column) = (line, 1));
            Err(faults)
        }
    }
}

/// Understands a configuration. Relative paths in it are taken from the folder of `file`. Pure: looks at no file.
///
/// # Errors
/// Every fault in it.
pub fn parse(text: &str, file: &Path) -> Result<Config, Faults> {
    parse_in(text, file, folder_of(file))
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn parse_in(text: &str, file: &Path, folder: &Path) -> Result<Config, Faults> {
    let mut faults = Gathering::new(file, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    errors.iter().for_each(|error| faults.syntax(error));
    // A broken file is read as far as it goes: what is missing may only be behind the break, what is wrong is not.
    let config = read(document.get_ref(), folder, &mut faults);
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults.into_faults()),
    }
}

const SECTIONS: [&str; 9] =
    ["server", "penalties", "log", "forward", "audit", "control", "listener", "dataset", "client"];

fn read(document: &DeTable<'_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<Config> {
    for key in document.keys() {
        if !SECTIONS.contains(&key.get_ref().as_ref()) {
            let allowed = did_you_mean(key.get_ref(), SECTIONS.into_iter());
            faults.add(key.span().start, key.get_ref().to_string(), "an unknown section or key", allowed);
        }
    }
    let server =
        once(document, "server", sections::SERVER, faults, |table, faults| sections::server(table, folder, faults));
    let penalties = once(document, "penalties", penalties::PENALTIES, faults, penalties::penalties);
    let log = once(document, "log", sections::LOG, faults, |table, faults| sections::log(table, folder, faults));
    let audit = once(document, "audit", audit::AUDIT, faults, |table, faults| audit::audit(table, folder, faults));
    let control =
        once(document, "control", sections::CONTROL, faults, |table, faults| sections::control(table, folder, faults));
    let listeners = each(document, "listener", listener::LISTENER, faults, |table, faults| {
        listener::listener(table, folder, faults)
    });
    let datasets =
        each(document, "dataset", dataset::DATASET, faults, |table, faults| dataset::dataset(table, folder, faults));
    let clients = each(document, "client", client::CLIENT, faults, client::client);
    let forwards =
        each(document, "forward", forward::FORWARD, faults, |table, faults| forward::forward(table, folder, faults));
    let mut forward_names = Once::of("name");
    for (forward, at) in &forwards {
        forward_names.take(forward.name.clone(), &format!("[[forward]] \"{}\"", forward.name), *at, faults);
    }
    require_some(document, "listener", faults);
    require_some(document, "dataset", faults);
    compare_listeners(&listeners, control.as_ref().and_then(Option::as_ref), faults);
    compare_datasets(&datasets, faults);
    compare_clients(&clients, &dataset_names(document), faults);
    Some(Config {
        server: server?,
        penalties: penalties?,
        log: log?,
        forwards: forwards.into_iter().map(|(forward, _)| forward).collect(),
        audit: audit?,
        control: control?,
        listeners: listeners.into_iter().map(|placed| placed.listener).collect(),
        datasets: datasets.into_iter().map(|named| named.value).collect(),
        clients: clients.into_iter().map(PlacedClient::meant).collect(),
    })
}

/// A section that stands once; left out, all its keys have their defaults.
fn once<T>(
    document: &DeTable<'_>,
    name: &str,
    known: &'static [Described],
    faults: &mut Gathering<'_>,
    read: impl FnOnce(&Table<'_, '_>, &mut Gathering<'_>) -> Option<T>,
) -> Option<T> {
    let section = format!("[{name}]");
    let left_out = DeTable::new();
    let (at, entries) = match entry(document, name) {
        None => (0, &left_out),
        Some((at, DeValue::Table(entries))) => (at, entries),
        Some((at, other)) => {
            faults.add(
                at,
                section.clone(),
                format!("a value of type {}", other.type_str()),
                format!("a section {section}"),
            );
            return None;
        }
    };
    let table = Table::new(section, at, entries, known, faults);
    read(&table, faults)
}

/// A section that may stand many times.
fn each<T>(
    document: &DeTable<'_>,
    name: &str,
    known: &'static [Described],
    faults: &mut Gathering<'_>,
    mut read: impl FnMut(&Table<'_, '_>, &mut Gathering<'_>) -> Option<T>,
) -> Vec<T> {
    let Some((at, value)) = entry(document, name) else { return Vec::new() };
    let mut all = Vec::new();
    let sections = value.as_array().into_iter().flat_map(|sections| sections.iter());
    let mut any = false;
    for (position, section) in sections.enumerate() {
        any = true;
        let Some(entries) = section.get_ref().as_table() else { continue };
        let named = entry(entries, "name").and_then(|(_, name)| name.as_str()).map(|name| format!("{name:?}"));
        let label = format!("[[{name}]] {}", named.unwrap_or_else(|| (position + 1).to_string()));
        let table = Table::new(label, section.span().start, entries, known, faults);
        all.extend(read(&table, faults));
    }
    if !any || value.as_array().is_some_and(|sections| sections.iter().any(|section| !section.get_ref().is_table())) {
        faults.add(
            at,
            format!("[[{name}]]"),
            format!("a value of type {}", value.type_str()),
            format!("sections [[{name}]]"),
        );
    }
    all
}

fn entry<'t, 'i>(entries: &'t DeTable<'i>, name: &str) -> Option<(usize, &'t DeValue<'i>)> {
    let (_, value) = entries.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((value.span().start, value.get_ref()))
}

fn require_some(document: &DeTable<'_>, name: &str, faults: &mut Gathering<'_>) {
    if entry(document, name).is_none() {
        faults.absent(0, format!("[[{name}]]"), "nothing", "at least one such section");
    }
}

/// Tells whatever is taken twice, at its second place.
struct Once<'a, K> {
    taken: HashMap<K, String>,
    key: &'a str,
}

impl<K: Eq + Hash + Display> Once<'_, K> {
    fn of(key: &str) -> Once<'_, K> {
        Once { taken: HashMap::new(), key }
    }

    fn take(&mut self, what: K, by: &str, at: usize, faults: &mut Gathering<'_>) {
        let shown = format!("{what}");
        if let Some(first) = self.taken.insert(what, by.to_owned()) {
            let allowed = format!("each one once; {first} has it already");
            faults.add(at, format!("{by} {}", self.key), shown, allowed);
        }
    }
}

fn compare_listeners(listeners: &[Placed], control: Option<&Control>, faults: &mut Gathering<'_>) {
    let mut names = Once::of("name");
    let control = control.map(|control| Bind::Unix { path: control.socket.clone(), mode: control.mode });
    let mut binds: Vec<(&Bind, String)> = control.iter().map(|bind| (bind, "[control] socket".to_owned())).collect();
    for Placed { listener, name_at, address_at } in listeners {
        let by = format!("[[listener]] \"{}\"", listener.name);
        names.take(listener.name.to_string(), &by, *name_at, faults);
        if let Some((_, first)) = binds.iter().find(|(other, _)| collide(other, &listener.bind)) {
            let found = match &listener.bind {
                Bind::Tcp(address) => address.to_string(),
                Bind::Unix { path, .. } => path.display().to_string(),
            };
            faults.add(*address_at, format!("{by} address"), found, format!("each one once; {first} has it already"));
        }
        binds.push((&listener.bind, by));
    }
}

/// Whether the kernel refuses to listen on both. A wildcard takes every address of its family, `[::]` IPv4's as well.
fn collide(one: &Bind, other: &Bind) -> bool {
    match (one, other) {
        (Bind::Unix { path: one, .. }, Bind::Unix { path: other, .. }) => one == other,
        (Bind::Tcp(one), Bind::Tcp(other)) if one.port() == other.port() && one.port() != 0 => {
            let (one_ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
            let covers = |wide: IpAddr, narrow: IpAddr| wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4());
            // Written alike in one family they may still differ in the IPv6 scope, and do not collide.
            let same = if one.is_ipv4() == other.is_ipv4() { one == other } else { one_ip == other_ip };
            same || covers(one_ip, other_ip) || covers(other_ip, one_ip)
        }
        _ => false,
    }
}

fn compare_datasets(datasets: &[Named<Dataset>], faults: &mut Gathering<'_>) {
    let mut names = Once::of("name");
    for Named { value: dataset, name_at } in datasets {
        names.take(dataset.name.to_string(), &format!("[[dataset]] \"{}\"", dataset.name), *name_at, faults);
    }
}

/// Every dataset that is named, those with faults as well: a client that names one is not to blame for them.
fn dataset_names<'t>(document: &'t DeTable<'_>) -> Vec<&'t str> {
    let sections = entry(document, "dataset").and_then(|(_, value)| value.as_array());
    let name = |section: &'t toml::Spanned<DeValue<'_>>| entry(section.get_ref().as_table()?, "name")?.1.as_str();
    sections.map_or_else(Vec::new, |sections| sections.iter().filter_map(name).collect())
}

fn compare_clients(clients: &[PlacedClient], datasets: &[&str], faults: &mut Gathering<'_>) {
    let (mut names, mut identities) = (Once::of("name"), Once::of("psk-identities"));
    let mut certificates = Once::of("certificates");
    for client in clients {
        let by = format!("[[client]] \"{}\"", client.name);
        names.take(client.name.clone(), &by, client.name_at, faults);
        for identity in &client.psk_identities {
            identities.take(identity.get_ref().clone(), &by, identity.span().start, faults);
        }
        for certificate in &client.certificates {
            certificates.take(certificate.get_ref().to_string(), &by, certificate.span().start, faults);
        }
        // Without any dataset, that is the fault, and not every name of one.
        for name in client.datasets.iter().flatten().filter(|_| !datasets.is_empty()) {
            let typed: &str = name.get_ref();
            if !datasets.contains(&typed) {
                let allowed = did_you_mean(typed, datasets.iter().copied());
                faults.absent(name.span().start, format!("{by} datasets"), format!("{typed:?}"), allowed);
            }
        }
    }
}
