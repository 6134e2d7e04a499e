//! Why a list is not taken into service: which list, which path, what is wrong with it and what to do.

use super::load::RESCANS;
use crate::config::Dataset;
use crate::index::Full;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is wrong with a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("list {list}: {path}: {why}", path = path.display())]
pub struct Fault {
    /// The list.
    pub list: Arc<str>,
    /// The file, folder or pattern.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
    pub(super) kind: Kind,
}

/// What can be done about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Another look may find something else: missing, unreadable.
    Outside,
    /// The content is what is wrong; the same content stays so.
    Content,
    /// It changes faster than it can be read.
    Changing,
    /// There is no memory for an index.
    Full,
}

impl Fault {
    pub(super) fn new(dataset: &Dataset, path: &Path, why: &impl ToString) -> Fault {
        Fault::of(dataset, Some(path), why.to_string(), Kind::Outside)
    }

    /// A guard is broken.
    pub(super) fn guard(dataset: &Dataset, why: String) -> Fault {
        Fault::of(dataset, None, why, Kind::Content)
    }

    pub(super) fn full(dataset: &Dataset, path: &Path, full: &Full) -> Fault {
        Fault::of(dataset, Some(path), format!("{full}; raise [server] max-index-bytes"), Kind::Full)
    }

    pub(super) fn changing(dataset: &Dataset) -> Fault {
        let why = format!(
            "changed while it was read, {} times in a row; write a new file and rename it over the old one",
            RESCANS + 1
        );
        Fault::of(dataset, None, why, Kind::Changing)
    }

    pub(super) fn unsettled(dataset: &Dataset) -> Fault {
        let why = "its time of change does not come to rest, or lies in the future; look at the clock, then `touch` it";
        Fault::of(dataset, None, why.into(), Kind::Changing)
    }

    fn of(dataset: &Dataset, path: Option<&Path>, why: String, kind: Kind) -> Fault {
        let path = path.or(dataset.paths.first().map(PathBuf::as_path)).unwrap_or(Path::new(""));
        Fault { list: Arc::clone(&dataset.name), path: path.to_owned(), why, kind }
    }
}
