//! One generation of loaded lists, and exact answers from it.

use crate::index::{Fingerprint, Fingerprinter, Index};
use crate::normalise::LineEnding;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::SystemTime;

/// Every list, loaded whole. Immutable.
pub struct Lists {
    lists: Vec<List>,
    fingerprinter: Fingerprinter,
}

/// One loaded list.
pub(super) struct List {
    pub(super) name: Arc<str>,
    pub(super) line_ending: LineEnding,
    pub(super) index: Index,
    pub(super) files: usize,
    pub(super) lines: u64,
    pub(super) loaded_at: SystemTime,
}

/// What status says of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// Files that it was read from.
    pub files: usize,
    /// Lines read.
    pub lines: u64,
    /// Different ones among them.
    pub distinct: u64,
    /// Memory that its index takes.
    pub bytes: u64,
    /// When it was read.
    pub loaded_at: SystemTime,
}

/// The lists that a client may ask, in one generation.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Places of lists, by what ends their lines.
    lf: Vec<usize>,
    crlf: Vec<usize>,
}

impl Selection {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lf.is_empty() && self.crlf.is_empty()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lf.len() + self.crlf.len()
    }
}

/// Room that look-ups reuse, so that answering allocates nothing.
#[derive(Default)]
pub struct Scratch(Vec<Fingerprint>);

impl Lists {
    pub(super) fn new(lists: Vec<List>, fingerprinter: Fingerprinter) -> Lists {
        Lists { lists, fingerprinter }
    }

    /// The lists of these names; `None` selects all. A name that this generation does not have selects nothing.
    #[must_use]
    pub fn select(&self, names: Option<&[Arc<str>]>) -> Selection {
        let mut selection = Selection::default();
        for (place, list) in self.lists.iter().enumerate() {
            if names.is_none_or(|names| names.contains(&list.name)) {
                match list.line_ending {
                    LineEnding::Lf => selection.lf.push(place),
                    LineEnding::Auto => selection.crlf.push(place),
                }
            }
        }
        selection
    }

    /// The selected lists one by one, each with its name, in the configuration's order.
    pub fn each<'a>(&'a self, selection: &'a Selection) -> impl Iterator<Item = (&'a Arc<str>, Selection)> {
        self.lists.iter().enumerate().filter_map(|(place, list)| {
            // Places stand in order: they were selected so.
            let among = |places: &[usize]| places.binary_search(&place).is_ok();
            if among(&selection.lf) {
                Some((&list.name, Selection { lf: vec![place], crlf: Vec::new() }))
            } else if among(&selection.crlf) {
                Some((&list.name, Selection { lf: Vec::new(), crlf: vec![place] }))
            } else {
                None
            }
        })
    }

    /// Sets `found[i]` where a selected list has `queries[i]`, each list by its own line ending, and leaves the others as
    /// they are: the caller clears `found` before. What is found already is not looked up again.
    ///
    /// # Panics
    /// When `queries` and `found` are not of one length.
    pub fn answer_batch(&self, selection: &Selection, queries: &[&[u8]], found: &mut [bool], scratch: &mut Scratch) {
        let fingerprints = &mut scratch.0;
        fingerprints.clear();
        if !selection.lf.is_empty() {
            fingerprints.extend(queries.iter().map(|query| self.fingerprinter.fingerprint(query)));
            self.look_up(&selection.lf, fingerprints, found);
        }
        if selection.crlf.is_empty() {
            return;
        }
        let stripped = |query: &[u8]| self.fingerprinter.fingerprint(LineEnding::Auto.strip(query));
        if fingerprints.is_empty() {
            fingerprints.extend(queries.iter().map(|query| stripped(query)));
        } else {
            // Without a CR at its end a query is the same line to both kinds of list.
            for ((fingerprint, query), found) in fingerprints.iter_mut().zip(queries).zip(found.iter()) {
                if !found && query.ends_with(b"\r") {
                    *fingerprint = stripped(query);
                }
            }
        }
        self.look_up(&selection.crlf, fingerprints, found);
    }

    fn look_up(&self, places: &[usize], fingerprints: &[Fingerprint], found: &mut [bool]) {
        for list in places.iter().filter_map(|place| self.lists.get(*place)) {
            list.index.contains_batch(fingerprints, found);
        }
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

    /// Lines of all lists.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lists.iter().map(|list| list.lines).sum()
    }

    /// Memory of all indexes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lists.iter().map(|list| list.index.bytes()).sum()
    }

    /// What to say of lists without a line. They are whole, so their answer is no; often it is a download that failed.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let empty = self.lists.iter().filter(|list| list.lines == 0);
        empty.map(|list| format!("list {}: not one line in it; every answer from it is no", list.name)).collect()
    }

    /// What status says of each.
    #[must_use]
    pub fn summary(&self) -> Vec<Summary> {
        let summary = |list: &List| Summary {
            name: list.name.to_string(),
            files: list.files,
            lines: list.lines,
            distinct: list.index.len() as u64,
            bytes: list.index.bytes(),
            loaded_at: list.loaded_at,
        };
        self.lists.iter().map(summary).collect()
    }
}
