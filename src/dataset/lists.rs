//! All lists in service, and answers from those that a client may ask.

use super::list::{Check, Core, List};
use super::summary::Summary;
use crate::index::{Fingerprint, Fingerprinter};
use crate::normalise::{Case, Normalisation};
use crate::protocol::{Answer, Reason};
use std::sync::Arc;

/// Queries that are hashed together; larger batches are hashed one by one.
const TOGETHER: usize = 64;

/// Every configured list, each with what stands for it now.
pub struct Lists {
    pub(super) lists: Vec<List>,
    fingerprinter: Fingerprinter,
}

/// The lists that a client may ask.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Places of lists, by what makes two spellings one line in them.
    groups: Vec<(Normalisation, Vec<usize>)>,
}

impl Selection {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Their places, in the order of the configuration.
    fn places(&self) -> Vec<usize> {
        let mut places: Vec<usize> = self.groups.iter().flat_map(|(_, places)| places).copied().collect();
        places.sort_unstable();
        places
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.iter().map(|(_, places)| places.len()).sum()
    }
}

/// Room that look-ups reuse, so that answering allocates nothing.
#[derive(Default)]
pub struct Scratch {
    fingerprints: Vec<Fingerprint>,
    /// Which query each fingerprint is of: a query that is no line under a normalisation has none.
    of: Vec<usize>,
    found: Vec<bool>,
    hits: Vec<bool>,
    room: Vec<u8>,
}

/// One list's answers to a batch.
pub struct FromList {
    /// The list.
    pub name: Arc<str>,
    /// The number of the content that these answers are true of; of its last one where nothing can be said.
    pub generation: u64,
    /// For each query whether it has it; or why nothing can be said.
    pub found: Result<Vec<bool>, Reason>,
}

impl Lists {
    pub(super) fn new(lists: Vec<List>, fingerprinter: Fingerprinter) -> Lists {
        Lists { lists, fingerprinter }
    }

    /// The lists of these names; `None` selects all. A name that is none of a list selects nothing.
    #[must_use]
    pub fn select(&self, names: Option<&[Arc<str>]>) -> Selection {
        let mut selection = Selection::default();
        for (place, list) in self.lists.iter().enumerate() {
            let dataset = &list.core.dataset;
            if names.is_none_or(|names| names.contains(&dataset.name)) {
                let rule = dataset.normalisation;
                match selection.groups.iter_mut().find(|(of, _)| *of == rule) {
                    Some((_, places)) => places.push(place),
                    None => selection.groups.push((rule, vec![place])),
                }
            }
        }
        selection
    }

    /// Answers each query over the selected lists: `EXISTS` where a good list has it, an error where one is in doubt and
    /// none has it, `NOT FOUND` where all are good and none has it. Waits only where a list has to be looked at first.
    ///
    /// # Panics
    /// When `queries` and `answers` are not of one length.
    pub async fn answer_batch(
        &self,
        selection: &Selection,
        queries: &[&[u8]],
        answers: &mut [Answer],
        scratch: &mut Scratch,
    ) {
        assert_eq!(queries.len(), answers.len(), "one answer a query");
        let mut found = std::mem::take(&mut scratch.found);
        found.clear();
        found.resize(queries.len(), false);
        let mut doubt = None;
        let mut later = Vec::new();
        for (rule, places) in &selection.groups {
            self.fingerprint(rule, queries, scratch);
            for core in self.cores(places) {
                match core.check() {
                    Check::Good(generation) => {
                        scratch.hits.clear();
                        scratch.hits.resize(scratch.fingerprints.len(), false);
                        generation.look_up(&scratch.fingerprints, &mut scratch.hits);
                        for (place, hit) in scratch.of.iter().zip(&scratch.hits) {
                            if let Some(found) = found.get_mut(*place) {
                                *found |= hit;
                            }
                        }
                    }
                    Check::Doubt(reason) => doubt = doubt.or(Some(reason)),
                    Check::Look => later.push(core),
                }
            }
        }
        for core in later {
            // What is found already can only be confirmed.
            if found.iter().all(|found| *found) {
                break;
            }
            match Asked::of(core, queries, &found).answer().await {
                Ok((_, hits)) => hits.into_iter().for_each(|place| {
                    if let Some(found) = found.get_mut(place) {
                        *found = true;
                    }
                }),
                Err(reason) => doubt = doubt.or(Some(reason)),
            }
        }
        for (answer, found) in answers.iter_mut().zip(&found) {
            *answer = match (found, doubt) {
                (true, _) => Answer::Exists,
                (false, Some(reason)) => Answer::Error(reason),
                (false, None) => Answer::NotFound,
            };
        }
        scratch.found = found;
    }

    /// What each selected list says to each query, in the order of the configuration.
    pub async fn answer_each(&self, selection: &Selection, queries: &[&[u8]]) -> Vec<FromList> {
        let mut all = Vec::new();
        let mut scratch = Scratch::default();
        for core in self.cores(&selection.places()) {
            let found = match core.check() {
                Check::Good(generation) => {
                    self.fingerprint(&core.dataset.normalisation, queries, &mut scratch);
                    let mut hits = vec![false; scratch.fingerprints.len()];
                    generation.look_up(&scratch.fingerprints, &mut hits);
                    let places = scratch.of.iter().zip(hits).filter_map(|(place, hit)| hit.then_some(*place));
                    Ok((generation.number, flags(queries.len(), places)))
                }
                Check::Doubt(reason) => Err(reason),
                Check::Look => {
                    let asked = Asked::of(core, queries, &vec![false; queries.len()]);
                    asked.answer().await.map(|(number, hits)| (number, flags(queries.len(), hits.into_iter())))
                }
            };
            let name = Arc::clone(&core.dataset.name);
            let (generation, found) = match found {
                Ok((generation, found)) => (generation, Ok(found)),
                Err(reason) => (core.standing.load().number, Err(reason)),
            };
            all.push(FromList { name, generation, found });
        }
        all
    }

    /// How many lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Lines of all lists that answer, as last counted.
    #[must_use]
    pub fn lines(&self) -> u64 {
        let lines = |list: &List| {
            let standing = list.core.standing.load();
            if standing.generation.is_some() || standing.fault.is_none() { standing.counts.lines } else { 0 }
        };
        self.lists.iter().map(lines).sum()
    }

    /// Memory of all indexes in service.
    #[must_use]
    pub fn memory(&self) -> u64 {
        let bytes =
            |list: &List| list.core.standing.load().generation.as_ref().map_or(0, |generation| generation.bytes());
        self.lists.iter().map(bytes).sum()
    }

    /// What status says of each.
    #[must_use]
    pub fn summary(&self) -> Vec<Summary> {
        self.lists.iter().map(|list| Summary::of(&list.core)).collect()
    }

    fn cores<'a>(&'a self, places: &'a [usize]) -> impl Iterator<Item = &'a Arc<Core>> {
        places.iter().filter_map(|place| self.lists.get(*place)).map(|list| &list.core)
    }

    fn fingerprint(&self, rule: &Normalisation, queries: &[&[u8]], scratch: &mut Scratch) {
        scratch.fingerprints.clear();
        scratch.of.clear();
        if rule.case == Case::Keep && queries.len() <= TOGETHER {
            // Queries that stay where they are can be hashed together, which is several times faster.
            let mut lines: [&[u8]; TOGETHER] = [b""; TOGETHER];
            for (place, query) in queries.iter().enumerate() {
                if let Ok(line) = rule.cut(query) {
                    lines[scratch.of.len()] = line;
                    scratch.of.push(place);
                }
            }
            self.fingerprinter.fingerprint_batch(&lines[..scratch.of.len()], &mut scratch.fingerprints);
            return;
        }
        for (place, query) in queries.iter().enumerate() {
            if let Ok(line) = rule.apply(query, &mut scratch.room) {
                scratch.fingerprints.push(self.fingerprinter.fingerprint(line));
                scratch.of.push(place);
            }
        }
    }
}

fn flags(length: usize, places: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut flags = vec![false; length];
    for place in places {
        if let Some(flag) = flags.get_mut(place) {
            *flag = true;
        }
    }
    flags
}

/// Queries on their way to a list's keeper, and back.
struct Asked {
    of: Vec<usize>,
    answer: tokio::sync::oneshot::Receiver<Result<(u64, Vec<bool>), Reason>>,
}

impl Asked {
    /// Those that are not found yet.
    fn of(core: &Arc<Core>, queries: &[&[u8]], found: &[bool]) -> Asked {
        let (mut of, mut lines, mut room) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (query, found)) in queries.iter().zip(found).enumerate() {
            if let (false, Ok(line)) = (*found, core.dataset.normalisation.apply(query, &mut room)) {
                of.push(place);
                lines.push(line.to_vec());
            }
        }
        Asked { of, answer: core.ask(lines) }
    }

    /// The number of the content, and the places of the queries that it has.
    async fn answer(self) -> Result<(u64, Vec<usize>), Reason> {
        // A keeper that is gone without a word leaves the list in doubt.
        let (number, hits) = self.answer.await.unwrap_or(Err(Reason::ListUnavailable))?;
        Ok((number, self.of.into_iter().zip(hits).filter_map(|(place, hit)| hit.then_some(place)).collect()))
    }
}
