//! How much is measured: the full form for the report that is kept, the quick one to see that it works.
//! Knows numbers alone.

use crate::way::Mode;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) struct Form {
    pub(crate) quick: bool,
    pub(crate) lines: u64,
    /// Of each mix. The memory that these touch has to be more than the processor caches.
    pub(crate) queries: usize,
    pub(crate) modes: Vec<Mode>,
    pub(crate) samples: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measurement: Duration,
    /// Times that every contestant of a ratio is measured, in turn with the others.
    pub(crate) rounds: usize,
    /// The same for processes that build something.
    pub(crate) builds: usize,
}

impl Form {
    pub(crate) fn full() -> Form {
        Form {
            quick: false,
            lines: 10_000_000,
            queries: 1 << 20,
            modes: Mode::ALL.into(),
            samples: 20,
            warm_up: Duration::from_millis(200),
            measurement: Duration::from_millis(800),
            rounds: 15,
            builds: 5,
        }
    }

    pub(crate) fn quick() -> Form {
        Form {
            quick: true,
            lines: 1_000_000,
            queries: 1 << 18,
            modes: vec![Mode::Alone, Mode::Loop, Mode::Batch(64)],
            samples: 10,
            warm_up: Duration::from_millis(20),
            measurement: Duration::from_millis(100),
            rounds: 7,
            builds: 3,
        }
    }

    /// Where the report goes. A quick one never takes the place of the one that is kept.
    pub(crate) fn report_folder(&self) -> PathBuf {
        if self.quick { built_folder().join("performance") } else { home().join("docs/performance") }
    }

    pub(crate) fn command(&self) -> &'static str {
        if self.quick { "make bench QUICK=1" } else { "make bench" }
    }
}

/// The project's folder.
pub(crate) fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Cargo's target folder.
pub(crate) fn built_folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}
