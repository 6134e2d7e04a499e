//! Configurations as nobody would type them: understood or refused, never a panic; and every fault points into the
//! file and says itself in one line that does nothing to a terminal.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use linekeep::config::{self, Freshness, Search};
use std::collections::HashSet;
use std::path::Path;

fuzz_target!(|text: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(text) else { return Corpus::Reject };
    match config::parse(text, Path::new("/etc/linekeep/linekeep.toml")) {
        Ok(config) => {
            assert!(!config.listeners.is_empty() && !config.datasets.is_empty(), "nothing to do");
            assert!(distinct(config.listeners.iter().map(|listener| &listener.name)), "two listeners of one name");
            assert!(distinct(config.datasets.iter().map(|dataset| &dataset.name)), "two datasets of one name");
            for list in &config.datasets {
                let on_query = list.freshness == Freshness::OnQuery;
                assert!(on_query || list.search != Search::Scan, "a scan of what is not looked at: {list:?}");
                let lines = list.guards.min_lines..=list.guards.max_lines.unwrap_or(u64::MAX);
                assert!(!lines.is_empty(), "no generation is good: {list:?}");
            }
            assert!(distinct(config.clients.iter().map(|client| &client.name)), "two clients of one name");
            let identities = config.clients.iter().flat_map(|client| &client.psk_identities);
            assert!(distinct(identities), "two clients of one identity");
        }
        Err(faults) => {
            assert!(!faults.0.is_empty(), "refused without a fault");
            for fault in &faults.0 {
                let line = fault.line.checked_sub(1).and_then(|before| text.split('\n').nth(before));
                let line = line.unwrap_or_else(|| panic!("outside the file: {fault:?}"));
                assert!((1..=line.chars().count() + 1).contains(&fault.column), "outside its line: {fault:?}");
                assert!(!fault.to_string().chars().any(char::is_control), "acts upon the terminal: {fault:?}");
            }
        }
    }
    Corpus::Keep
});

fn distinct<T: std::hash::Hash + Eq>(mut all: impl Iterator<Item = T>) -> bool {
    let mut seen = HashSet::new();
    all.all(|one| seen.insert(one))
}
