//! One generation of everything that a reload replaces: configuration, doors with their keys and certificates,
//! the register of clients, the lists. Immutable; a reload builds a new one aside and swaps it in one step.

use super::admission::Source;
use crate::config::{self, Config, Protection};
use crate::dataset::{self, Lists};
use crate::identity::{Client, Denied, Evidence, Reader, Register};
use crate::tls::{Acceptor, DecoyKeys, Paper, Proof};
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
        warnings.extend(lonely(&config, &doors));
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

/// From this many days before its end a client is warned about.
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

/// Identities that nobody can prove, and keys that let nobody in: both are a name typed wrong more often than not.
fn lonely(config: &Config, doors: &[Door]) -> Vec<String> {
    let with_keyring = || doors.iter().filter_map(|door| Some((&door.listener, door.acceptor.as_ref()?.keyring()?)));
    let mut warnings = Vec::new();
    for client in &config.clients {
        for identity in &client.psk_identities {
            if !with_keyring().any(|(_, keyring)| keyring.key(identity.as_bytes()).is_some()) {
                warnings.push(format!("client {}: no keyring has a key of its psk identity {identity}", client.name));
            }
        }
    }
    for (listener, keyring) in with_keyring().filter(|(listener, _)| listener.unlisted == config::Unlisted::Refuse) {
        let listed = |identity: &str| {
            config.clients.iter().any(|client| client.psk_identities.iter().any(|one| one == identity))
        };
        let mut strangers: Vec<&str> = keyring.identities().filter(|identity| !listed(identity)).collect();
        strangers.sort_unstable();
        let about = |identity: &str| {
            format!("listener {}: no [[client]] lists {identity}, so its key lets nobody in", listener.name)
        };
        warnings.extend(strangers.into_iter().map(about));
    }
    warnings
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
        papers.chain(client_warnings(&self.config.clients, now)).collect()
    }

    /// The files of certificates and CRLs in service.
    pub fn papers(&self) -> impl Iterator<Item = &Paper> {
        self.doors.iter().filter_map(|door| door.acceptor.as_ref()).flat_map(|acceptor| acceptor.papers())
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
        if presented.proof.as_ref().and_then(Proof::ends).is_some_and(|end| now >= end) {
            return Err("proof-has-expired");
        }
        let source = match presented.source {
            Source::Net(peer) => Some(peer.ip()),
            Source::Unix { .. } => None,
        };
        self.register.admit(&presented.evidence, &door.listener, source, now).map_err(Denied::word)
    }
}
