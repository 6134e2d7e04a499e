//! Reload: everything is read anew and built aside, then swapped in one step. Any fault, and nothing changes; but for lists
//! whose files went bad: they stay as they were, are told, and hold nothing up.

use super::Stage;
use super::difference;
use super::shared::Shared;
use super::state::{Doors, State};
use crate::config::{self, Config, Places};
use crate::dataset;
use crate::event::Event;
use crate::tls::DecoyKeys;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// What a reload needs besides what it replaces.
pub struct Reloader {
    /// The configuration file.
    pub file: PathBuf,
    /// The folders that this process was granted for its life.
    pub granted: Places,
    /// Kept for the life of the process, so that unknown identities keep their decoy keys.
    pub decoys: DecoyKeys,
    /// Likewise the secret of the fingerprints, and what else all lists share.
    pub common: dataset::Common,
    /// Where the new generation goes.
    pub shared: Arc<Shared>,
}

/// What came of a reload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether the new generation is in service.
    pub reloaded: bool,
    /// Every fault. Of a reload that took effect: lists that could not be taken as they are; each stays as it was.
    pub faults: Vec<String>,
    /// What it changed, a sentence each; empty where nothing did, or where it was refused.
    pub changes: Vec<String>,
    /// What is well for now and will not stay so.
    pub warnings: Vec<String>,
    /// Lines in service now.
    pub lines: u64,
    /// How long it took.
    pub milliseconds: u64,
}

/// Somebody who waits for a reload that begins after they asked.
pub struct Request {
    /// Who, for the record.
    pub by: String,
    /// Where the outcome goes; nobody may be listening.
    pub reply: oneshot::Sender<Outcome>,
}

/// Changes that get a record of their own.
const TOLD_CHANGES: usize = 100;

/// Reloads that wait at most; more is refused as busy.
pub const WAITING: usize = 16;

/// Serves requests one reload at a time. Requests that came while one ran share the next: none is told of a reload
/// that began before it asked.
pub async fn serve(mut requests: mpsc::Receiver<Request>, reloader: Arc<Reloader>) {
    while let Some(first) = requests.recv().await {
        let mut waiting = vec![first];
        while let Ok(another) = requests.try_recv() {
            waiting.push(another);
        }
        let by = waiting.iter().map(|request| request.by.as_str()).collect::<Vec<_>>().join(",");
        let shared = Arc::clone(&reloader.shared);
        (shared.supervisor.tell)(Stage::Reloading);
        let outcome = {
            let reloader = Arc::clone(&reloader);
            // Reading lists takes seconds; it must not hold up the accepting thread.
            tokio::task::spawn_blocking(move || reloader.reload(&by)).await
        };
        shared.say_ready();
        let Ok(outcome) = outcome else { continue };
        for request in waiting {
            let _ = request.reply.send(outcome.clone());
        }
    }
}

impl Reloader {
    /// One reload, from reading the file to the swap.
    #[must_use]
    pub fn reload(&self, by: &str) -> Outcome {
        let begun = Instant::now();
        let before = self.shared.state.load_full();
        let lists_before = before.lists.summary();
        let built = self.build();
        let milliseconds = begun.elapsed().as_millis();
        let reloaded = built.is_ok();
        let (faults, changes, warnings) = match built {
            Ok(Built { state, faults, warnings }) => {
                let changes = difference::between(&before, &lists_before, &state);
                let (lists, lines, generation) = (state.lists.len(), state.lists.lines(), state.epoch);
                self.shared.enter(state);
                let after = self.shared.state.load();
                self.shared.uses.keep(|identity| before.shares_key(&after, identity));
                let list_faults = faults.len();
                let count = changes.len();
                self.tell(Event::Reloaded {
                    by: by.into(),
                    generation,
                    changes: count,
                    lists,
                    list_faults,
                    lines,
                    milliseconds,
                });
                self.tell_changes(by, generation, &changes);
                (faults, changes, warnings)
            }
            Err(faults) => {
                self.shared.metrics.reload_failures.add(1);
                for fault in &faults {
                    self.tell(Event::ReloadFailed { by: by.into(), fault: fault.clone() });
                }
                (faults, Vec::new(), Vec::new())
            }
        };
        for about in &warnings {
            self.tell(Event::Warned { about: about.clone() });
        }
        Outcome {
            reloaded,
            faults,
            changes,
            warnings,
            lines: self.shared.state.load().lists.lines(),
            milliseconds: u64::try_from(milliseconds).unwrap_or(u64::MAX),
        }
    }

    /// A record each, as many as anybody will read; the count of all stands in the record of the reload.
    fn tell_changes(&self, by: &str, generation: u64, changes: &[String]) {
        for change in changes.iter().take(TOLD_CHANGES) {
            self.tell(Event::ReloadChanged { by: by.into(), generation, change: change.clone() });
        }
        if let Some(more) = changes.len().checked_sub(TOLD_CHANGES).filter(|more| *more > 0) {
            let change = format!("and {more} more");
            self.tell(Event::ReloadChanged { by: by.into(), generation, change });
        }
    }

    fn build(&self) -> Result<Built, Vec<String>> {
        let config = config::load(&self.file).map_err(|faults| faults.lines())?;
        let now = self.shared.state.load();
        let mut faults = needs_restart(&now.config, &config);
        faults.extend(self.granted.beyond(&Places::of(&config, &self.file)));
        let datasets = config.datasets.clone();
        let doors = Doors::build(config, &self.decoys).map_err(|found| faults.extend(found));
        let Ok(doors) = doors else { return Err(faults) };
        if !faults.is_empty() {
            faults.extend(dataset::check(&datasets).iter().map(ToString::to_string));
            return Err(faults);
        }
        let ceiling = doors.config().server.max_index_bytes;
        self.common.memory.set_ceiling(ceiling);
        let opened = dataset::open(&datasets, &self.common, Some(&now.lists)).map_err(|faults| {
            self.common.memory.set_ceiling(now.config.server.max_index_bytes);
            faults.iter().map(ToString::to_string).collect::<Vec<_>>()
        })?;
        let mut warnings = doors.warnings.clone();
        warnings.extend(reload_shortage(opened.lists.memory(), ceiling));
        let faults = opened.faults.iter().map(ToString::to_string).collect();
        Ok(Built { state: doors.into_state(now.epoch + 1, opened.lists), faults, warnings })
    }

    fn tell(&self, event: Event) {
        self.shared.teller.tell(event);
    }
}

/// A new generation, ready for service.
struct Built {
    state: State,
    /// Of lists that could not be taken as they are.
    faults: Vec<String>,
    warnings: Vec<String>,
}

/// What to say when lists fit under the memory ceiling and the same lists could not be reloaded: the old and the new
/// ones are in memory together for a while.
#[must_use]
pub fn reload_shortage(bytes: u64, ceiling: u64) -> Option<String> {
    (bytes.saturating_mul(2) > ceiling).then(|| {
        format!(
            "the lists take {bytes} bytes; taking them anew needs as much again, and [server] max-index-bytes = {ceiling} \
             leaves too little: lists that change may not be taken"
        )
    })
}

/// What a running process cannot change: its sockets and its threads.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let mut fixed = Vec::new();
    let mut compare = |what: String, same: bool| {
        if !same {
            fixed.push(format!("{what}: changed; this needs a restart"));
        }
    };
    compare("[server] threads".into(), old.server.threads == new.server.threads);
    compare("[server] backlog".into(), old.server.backlog == new.server.backlog);
    compare("[server] state-folder".into(), old.server.state_folder == new.server.state_folder);
    compare("[log]".into(), old.log == new.log);
    compare("[[forward]]".into(), old.forwards == new.forwards);
    let audit = |config: &Config| config::Audit { queries: config::Queries::None, ..config.audit.clone() };
    compare("[audit] but for its queries".into(), audit(old) == audit(new));
    compare("[control]".into(), old.control == new.control);
    compare("the number of [[listener]]".into(), old.listeners.len() == new.listeners.len());
    for (old, new) in old.listeners.iter().zip(&new.listeners) {
        let same = old.name == new.name && old.bind == new.bind;
        compare(format!("[[listener]] {}: its name, place or address", old.name), same);
    }
    fixed
}
