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
    fn full() -> Form {
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

    fn quick() -> Form {
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

    /// From the words behind the program's name; none means the full form.
    pub(crate) fn of(words: &[&str]) -> Option<Form> {
        match words {
            [] => Some(Form::full()),
            ["quick"] => Some(Form::quick()),
            ["lines", lines] => {
                let lines = lines.parse().ok().filter(|lines| (1000..=100_000_000).contains(lines))?;
                Some(Form { lines, ..Form::full() })
            }
            _ => None,
        }
    }

    /// Whether its report is the one that is kept.
    fn is_full(&self) -> bool {
        !self.quick && self.lines == Form::full().lines
    }

    /// Where the report goes. No other form takes the place of the full one.
    pub(crate) fn report_folder(&self) -> PathBuf {
        if self.is_full() { home().join("docs/performance") } else { built_folder().join("performance") }
    }

    pub(crate) fn command(&self) -> String {
        match self {
            _ if self.is_full() => "make bench".into(),
            Form { quick: true, .. } => "make bench QUICK=1".into(),
            Form { lines, .. } => format!("make bench LINES={lines}"),
        }
    }

    /// What to know of a report that is not the full one.
    pub(crate) fn left_out(&self) -> &'static str {
        match self {
            _ if self.is_full() => "",
            Form { quick: true, .. } => {
                "**The quick form**: fewer lines, of which the processor's caches hold more; batches of 64 alone; few and \
                 short samples. It shows that everything works. What may be quoted is made by `make bench`.\n\n"
            }
            _ => "**Not the full form**: another number of lines. What may be quoted is made by `make bench`.\n\n",
        }
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
