//! What a reload changed, in words: two generations compared, section by section, key by key, paper by paper.
//! Knows generations; says names of clients and identities, never a byte of a key.

use super::state::{Door, State};
use crate::config::Config;
use crate::dataset::Summary;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Every difference, one sentence each, in the order of the configuration. Lists live on by themselves, so what the old ones
/// were is said apart.
#[must_use]
pub(super) fn between(old: &State, old_lists: &[Summary], new: &State) -> Vec<String> {
    let mut changes = of_sections(&old.config, &new.config);
    for (old, new) in old.doors.iter().zip(&new.doors) {
        of_doors(old, new, &mut changes);
    }
    of_lists(old_lists, &new.lists.summary(), &mut changes);
    changes
}

fn of_sections(old: &Config, new: &Config) -> Vec<String> {
    let mut changes = Vec::new();
    if old.server != new.server {
        changes.push("[server] changed".to_owned());
    }
    named("listener", &old.listeners, &new.listeners, |listener| &listener.name, &mut changes);
    named("client", &old.clients, &new.clients, |client| &client.name, &mut changes);
    named("dataset", &old.datasets, &new.datasets, |dataset| &dataset.name, &mut changes);
    changes
}

/// What came, what went and what is another under the same name.
fn named<T: PartialEq>(what: &str, old: &[T], new: &[T], name: impl Fn(&T) -> &str, changes: &mut Vec<String>) {
    let by_name = |all: &[T]| all.iter().map(|one| name(one).to_owned()).zip(0..).collect::<BTreeMap<_, usize>>();
    let (before, after) = (by_name(old), by_name(new));
    for (name, at) in &after {
        match before.get(name) {
            None => changes.push(format!("{what} {name} added")),
            Some(was) if old.get(*was) != new.get(*at) => changes.push(format!("{what} {name} changed")),
            Some(_) => {}
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        changes.push(format!("{what} {name} removed"));
    }
}

fn of_doors(old: &Door, new: &Door, changes: &mut Vec<String>) {
    let (Some(before), Some(after)) = (&old.acceptor, &new.acceptor) else { return };
    let listener = &new.listener.name;
    if let (Some(before), Some(after)) = (before.keyring(), after.keyring()) {
        let mut keys = Vec::new();
        for entry in after.entries() {
            let (identity, was) = (entry.identity(), before.entry(entry.identity().as_bytes()));
            match was {
                None => keys.push(format!("listener {listener}: key of {identity} added")),
                Some(was) if was.key() != entry.key() => {
                    keys.push(format!("listener {listener}: key of {identity} is another"));
                }
                Some(was) if was.until() != entry.until() => {
                    let end = entry.until().map(humantime::format_rfc3339_seconds);
                    let end = end.map_or("has no end any more".to_owned(), |end| format!("ends at {end}"));
                    keys.push(format!("listener {listener}: key of {identity} {end}"));
                }
                Some(was) if was.counts_as() != entry.counts_as() => {
                    keys.push(format!("listener {listener}: key of {identity} now stands for {}", entry.counts_as()));
                }
                Some(_) => {}
            }
        }
        let gone = before.identities().filter(|identity| after.key(identity.as_bytes()).is_none());
        keys.extend(gone.map(|identity| format!("listener {listener}: key of {identity} removed")));
        keys.sort();
        changes.append(&mut keys);
    }
    for paper in after.papers() {
        let was = before.papers().iter().find(|was| was.path() == paper.path());
        if was.is_some_and(|was| !was.same_as(paper)) {
            let path = paper.path().display();
            let left = paper.days_left(SystemTime::now()).map_or(String::new(), |days| format!(", {days} days left"));
            changes.push(format!("listener {listener}: {path} renewed{left}"));
        }
    }
}

fn of_lists(old: &[Summary], new: &[Summary], changes: &mut Vec<String>) {
    for list in new {
        let was = old.iter().find(|was| was.name == list.name);
        if let Some(was) = was.filter(|was| was.generation != list.generation) {
            changes.push(format!(
                "list {}: generation {} with {} lines after generation {} with {}",
                list.name, list.generation, list.lines, was.generation, was.lines
            ));
        }
    }
}
