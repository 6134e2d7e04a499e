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
        with_acceptor.flat_map(|(name, acceptor)| paper_warnings(name, acceptor, now)).collect()
    }

    /// The files of certificates and CRLs in service.
    pub fn papers(&self) -> impl Iterator<Item = &Paper> {
        self.doors.iter().filter_map(|door| door.acceptor.as_ref()).flat_map(|acceptor| acceptor.papers())
    }

    /// Who that makes somebody, in this generation.
    ///
    /// # Errors
    /// Why it makes them nobody, as a word for the record.
    pub fn admit(&self, presented: &Presented) -> Result<Client, &'static str> {
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
        self.register.admit(&presented.evidence, &door.listener).map_err(Denied::word)
    }
}
