//! Lists against the truth: what grep would say of the files.

mod breaker;
mod doubts;
mod files;
mod service;

use super::*;
use crate::config::{Dataset, Freshness, Guards, Search, Stale, Writer};
use crate::event::{Event, Teller};
use crate::index::Fingerprinter;
use crate::metrics::Metrics;
use crate::normalise::{LineEnding, Normalisation};
use crate::protocol::{Answer, Reason};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) fn fingerprinter() -> Fingerprinter {
    Fingerprinter::new([7; 16])
}

/// An on-reload list that nothing guards.
pub(super) fn list(paths: &[&Path]) -> Dataset {
    Dataset {
        name: "list".into(),
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        normalisation: Normalisation::default(),
        freshness: Freshness::OnReload,
        writer: Writer::Any,
        search: Search::Auto,
        guards: Guards { min_lines: 0, max_lines: None, max_bytes: None, max_shrink_percent: None, max_age: None },
        stale: Stale::Error,
        required: false,
        recheck: Duration::from_secs(300),
    }
}

fn lf(paths: &[&Path]) -> Dataset {
    Dataset { normalisation: Normalisation { line_ending: LineEnding::Lf, ..Normalisation::default() }, ..list(paths) }
}

fn fresh(paths: &[&Path], search: Search) -> Dataset {
    Dataset { freshness: Freshness::OnQuery, search, ..list(paths) }
}

/// What was told, to look at afterwards.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    fn names(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().iter().map(Event::name).collect()
    }
}

fn common_with(world: Arc<dyn World>, ceiling: u64) -> (Common, Told) {
    let told = Told::default();
    let teller = Teller::new({
        let told = told.clone();
        move |event| told.0.lock().unwrap().push(event)
    });
    let memory = Memory::new(ceiling);
    (Common { fingerprinter: fingerprinter(), memory, world, teller, metrics: Arc::new(Metrics::default()) }, told)
}

fn common() -> (Common, Told) {
    common_with(Arc::new(Kernel), 1 << 30)
}

fn open_all(datasets: &[Dataset]) -> Lists {
    open(datasets, &common().0, None).unwrap().lists
}

fn ask_all(lists: &Lists, queries: &[&[u8]]) -> Vec<Answer> {
    let mut answers = vec![Answer::Error(Reason::ServerBusy); queries.len()];
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(lists.answer_batch(&lists.select(None), queries, &mut answers, &mut Scratch::default()));
    answers
}

fn ask(lists: &Lists, query: &[u8]) -> Answer {
    ask_all(lists, &[query])[0]
}

fn has(lists: &Lists, query: &[u8]) -> bool {
    match ask(lists, query) {
        Answer::Exists => true,
        Answer::NotFound => false,
        Answer::Error(reason) => panic!("{reason:?}"),
    }
}

/// What grep -x would call lines: a scan, written without any of the code under test.
fn lines(content: &[u8], ending: LineEnding) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    if ending == LineEnding::Auto {
        for line in &mut lines {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
    }
    lines
}
