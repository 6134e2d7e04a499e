//! One generation of everything that a reload replaces: configuration, doors with their keys and certificates,
//! the register of clients, the lists. Immutable; a reload builds a new one aside and swaps it in one step.

use super::admission::Source;
use crate::config::{self, Config, Protection};
use crate::dataset::{self, Lists};
use crate::identity::{Client, Denied, Entry, Evidence, Reader, Register};
use crate::secret::Secret;
use crate::tls::{Acceptor, DecoyKeys, Paper, Proof};
use ipnet::IpNet;
use std::sync::Arc;
use std::time::SystemTime;

/// A generation.
pub struct State {
    /// Which generation; grows by one with every reload.
    pub epoch: u64,
    /// What the configuration file said.
    pub config: Config,
    /// In the order of `config.listeners`, as long as the process lives.
    pub doors: Vec<Door>,
    /// The loaded lists.
    pub lists: Lists,
    register: Register,
}

/// A listener, ready to prove who comes.
pub struct Door {
    /// As configured.
    pub listener: config::Listener,
    /// Its keys and certificates; `None` without TLS.
    pub acceptor: Option<Arc<Acceptor>>,
}

/// Everything of a generation but the lists: keys and certificates are read and good.
pub struct Doors {
    config: Config,
    doors: Vec<Door>,
    register: Register,
    /// What is well for now and will not stay so, such as a certificate that expires soon.
    pub warnings: Vec<String>,
}

impl Doors {
    /// Reads every key and certificate that the configuration names.
    ///
    /// # Errors
    /// All faults of all listeners, each with the file and what is wrong with it; with them, what is wrong with lists.
    pub fn build(config: Config, decoys: &DecoyKeys) -> Result<Doors, Vec<String>> {
        let mut doors = Vec::new();
        let mut faults = Vec::new();
        let mut warnings = Vec::new();
        for listener in &config.listeners {
            let acceptor = match &listener.protection {
                Protection::Plain { .. } => None,
                Protection::Tls { profile, mode } => {
                    match Acceptor::build(*profile, mode, decoys, Reader::this_process()) {
                        Ok(acceptor) => {
                            warnings.extend(paper_warnings(&listener.name, &acceptor, SystemTime::now()));
                            Some(Arc::new(acceptor))
                        }
                        Err(found) => {
                            faults.extend(found.iter().map(|fault| format!("listener {}: {fault}", listener.name)));
                            continue;
                        }
                    }
                }
            };
            doors.push(Door { listener: listener.clone(), acceptor });
        }
        if !faults.is_empty() {
            // A bad key should not hide a missing list: whoever mends one wants to know of the other.
            faults.extend(dataset::check(&config.datasets).iter().map(ToString::to_string));
            return Err(faults);
        }
        let register = Register::new(&config.clients);
        warnings.extend(client_warnings(&config.clients, SystemTime::now()));
        warnings.extend(key_warnings(&doors, SystemTime::now()));
        warnings.extend(lonely(&config, &doors));
        warnings.extend(unreachable(&config));
        Ok(Doors { config, doors, register, warnings })
    }

    /// The configuration that these were built from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A whole generation, with its lists.
    #[must_use]
    pub fn into_state(self, epoch: u64, lists: Lists) -> State {
        State { epoch, config: self.config, doors: self.doors, lists, register: self.register }
    }
}

fn paper_warnings(listener: &str, acceptor: &Acceptor, now: SystemTime) -> Vec<String> {
    let of_papers = acceptor.papers().iter().flat_map(|paper| paper.warnings(now));
    of_papers.map(|warning| format!("listener {listener}: {warning}")).collect()
}

/// From this many days before its end a client or a key is warned about.
const CLIENT_WARN_DAYS: u64 = 7;

fn client_warnings(clients: &[config::Client], now: SystemTime) -> Vec<String> {
    let warning = |client: &config::Client| {
        let left = client.expires?.duration_since(now).ok()?.as_secs() / 86_400;
        let expires = humantime::format_rfc3339_seconds(client.expires?);
        (left < CLIENT_WARN_DAYS && client.enabled)
            .then(|| format!("client {} expires on {expires}, in {left} whole days", client.name))
    };
    clients.iter().filter_map(warning).collect()
}

fn key_warnings(doors: &[Door], now: SystemTime) -> Vec<String> {
    let mut warnings = Vec::new();
    for door in doors {
        let Some(keyring) = door.acceptor.as_ref().and_then(|acceptor| acceptor.keyring()) else { continue };
        for key in keyring.entries() {
            let Some(until) = key.until() else { continue };
            let end = humantime::format_rfc3339_seconds(until);
            let about = match until.duration_since(now).map(|left| left.as_secs() / 86_400) {
                Ok(CLIENT_WARN_DAYS..) => continue,
                Ok(days) => format!("is one until {end}, in {days} whole days"),
                Err(_) => format!("is none any more since {end}; `linekeepctl psk prune` takes its line away"),
            };
            warnings.push(format!("listener {}: the key of {} {about}", door.listener.name, key.identity()));
        }
    }
    warnings.sort();
    warnings
}

/// Keys without a client that are named, of one listener.
const LONELY_TOLD: usize = 20;

/// Identities that nobody can prove, and keys that let nobody in: both are a name typed wrong more often than not.
fn lonely(config: &Config, doors: &[Door]) -> Vec<String> {
    let with_keyring = || doors.iter().filter_map(|door| Some((&door.listener, door.acceptor.as_ref()?.keyring()?)));
    let mut warnings = Vec::new();
    for client in &config.clients {
        for identity in &client.psk_identities {
            if !with_keyring().any(|(_, keyring)| keyring.entries().iter().any(|key| key.counts_as() == identity)) {
                warnings.push(format!("client {}: no keyring has a key of its psk identity {identity}", client.name));
            }
        }
    }
    for (listener, keyring) in with_keyring().filter(|(listener, _)| listener.unlisted == config::Unlisted::Refuse) {
        let listed = |identity: &str| {
            config.clients.iter().any(|client| client.psk_identities.iter().any(|one| one == identity))
        };
        let strange = keyring.entries().iter().filter(|key| !listed(key.counts_as()));
        let mut strangers: Vec<&str> = strange.map(Entry::identity).collect();
        strangers.sort_unstable();
        let about = |identity: &str| {
            format!("listener {}: no [[client]] lists {identity}, so its key lets nobody in", listener.name)
        };
        let more = strangers.len().saturating_sub(LONELY_TOLD);
        warnings.extend(strangers.into_iter().take(LONELY_TOLD).map(about));
        if more > 0 {
            warnings.push(format!(
                "listener {}: nor do any clients list {more} more identities of its keyring",
                listener.name
            ));
        }
    }
    warnings
}

/// Clients whose networks no listener lets in: most likely one of the two was mistyped.
fn unreachable(config: &Config) -> Vec<String> {
    let lets_in = |network: &IpNet| {
        let with_addresses = config.listeners.iter().filter(|listener| matches!(listener.bind, config::Bind::Tcp(_)));
        let mut ranges = with_addresses.flat_map(|listener| listener.allow.ranges());
        ranges.any(|range| range.contains(network) || network.contains(range))
    };
    let lost = |client: &config::Client| {
        let networks = client.networks.as_ref()?;
        (!networks.ranges().iter().any(lets_in)).then(|| {
            format!("client {}: no listener's `allow` lets anybody of its networks ({networks}) in", client.name)
        })
    };
    config.clients.iter().filter_map(lost).collect()
}

/// A peer and what it showed: everything that is judged when it comes, and again after every reload.
pub struct Presented {
    /// Where it comes from.
    pub source: Source,
    /// The listener's place in the configuration.
    pub listener: usize,
    /// What it proved.
    pub evidence: Evidence,
    /// What that rests on; `None` without TLS.
    pub proof: Option<Proof>,
}

impl State {
    /// What is well for now and will not stay so, or has just ceased to be.
    #[must_use]
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let with_acceptor = self.doors.iter().filter_map(|door| Some((&door.listener.name, door.acceptor.as_ref()?)));
        let papers = with_acceptor.flat_map(|(name, acceptor)| paper_warnings(name, acceptor, now));
        papers.chain(client_warnings(&self.config.clients, now)).chain(key_warnings(&self.doors, now)).collect()
    }

    /// The files of certificates and CRLs in service.
    pub fn papers(&self) -> impl Iterator<Item = &Paper> {
        self.doors.iter().filter_map(|door| door.acceptor.as_ref()).flat_map(|acceptor| acceptor.papers())
    }

    /// Whether an identity has a key that it has in `other` as well.
    #[must_use]
    pub fn shares_key(&self, other: &State, identity: &str) -> bool {
        let keys = |state: &State| -> Vec<Secret> {
            let keyrings = state.doors.iter().filter_map(|door| door.acceptor.as_ref()?.keyring());
            keyrings.filter_map(|keyring| keyring.key(identity.as_bytes()).cloned()).collect()
        };
        let theirs = keys(other);
        keys(self).iter().any(|key| theirs.contains(key))
    }

    /// When what was shown ends by itself: a certificate, or a key with a last day.
    #[must_use]
    pub fn proof_ends(&self, presented: &Presented) -> Option<SystemTime> {
        match &presented.evidence {
            Evidence::Psk { identity } => self.key(presented.listener, identity)?.until(),
            Evidence::Certificate(_) | Evidence::Unasked => presented.proof.as_ref()?.ends(),
        }
    }

    /// The evidence by which a client is known: a key may stand for another identity.
    fn counts_as(&self, presented: &Presented) -> Evidence {
        match &presented.evidence {
            Evidence::Psk { identity } => {
                let key = self.key(presented.listener, identity);
                Evidence::Psk { identity: key.map_or(identity.as_str(), Entry::counts_as).to_owned() }
            }
            evidence => evidence.clone(),
        }
    }

    fn key(&self, listener: usize, identity: &str) -> Option<&Entry> {
        self.doors[listener].acceptor.as_ref()?.keyring()?.entry(identity.as_bytes())
    }

    /// Who that makes somebody, in this generation and at this moment.
    ///
    /// # Errors
    /// Why it makes them nobody, as a word for the record.
    pub fn admit(&self, presented: &Presented, now: SystemTime) -> Result<Client, &'static str> {
        let door = &self.doors[presented.listener];
        if let Source::Net(peer) = presented.source {
            if !door.listener.allow.permits(peer.ip()) {
                return Err("address-no-longer-allowed");
            }
        }
        let holds = match (&presented.proof, &door.acceptor) {
            (Some(proof), Some(acceptor)) => proof.holds(acceptor, &presented.evidence),
            (None, None) => true,
            // The listener went from plain to TLS or back.
            _ => false,
        };
        if !holds {
            return Err("proof-no-longer-good");
        }
        if self.proof_ends(presented).is_some_and(|end| now >= end) {
            return Err("proof-has-expired");
        }
        let source = match presented.source {
            Source::Net(peer) => Some(peer.ip()),
            Source::Unix { .. } => None,
        };
        self.register.admit(&self.counts_as(presented), &door.listener, source, now).map_err(Denied::word)
    }
}
