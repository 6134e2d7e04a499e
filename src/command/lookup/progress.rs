//! How far a long look-up is, on standard error. Looked at once every few thousand answers, so that it costs nothing.

use super::When;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Answers between two looks at the clock.
const ANSWERS_A_LOOK: u64 = 4096;
/// What takes less needs no bar.
const SHORT: Duration = Duration::from_secs(2);
/// Between two drawings of the bar.
const DRAWN_EVERY: Duration = Duration::from_millis(100);
/// Between two lines where standard error is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Progress of a look-up.
pub(super) struct Progress {
    when: When,
    started: Instant,
    told: Instant,
    lines: u64,
    bytes: u64,
    terminal: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn new(when: When) -> Progress {
        let terminal = io::stderr().is_terminal();
        // Where answers scroll by on the same terminal, they are the progress.
        let unwanted = when == When::Auto && (!terminal || io::stdout().is_terminal());
        let when = if unwanted { When::Never } else { when };
        let now = Instant::now();
        Progress { when, started: now, told: now, lines: 0, bytes: 0, terminal, bar: None }
    }

    /// Counts one answered line of so many bytes.
    pub(super) fn answered(&mut self, bytes: usize) {
        self.lines += 1;
        self.bytes += bytes as u64;
        if self.lines % ANSWERS_A_LOOK == 0 && self.when != When::Never {
            self.look();
        }
    }

    fn look(&mut self) {
        if self.when == When::Auto && self.started.elapsed() < SHORT {
            return;
        }
        if self.told.elapsed() < if self.terminal { DRAWN_EVERY } else { LINE_EVERY } {
            return;
        }
        self.told = Instant::now();
        if !self.terminal {
            super::report::complain(&format_args!("{} lines answered", self.lines));
            return;
        }
        let words = self.words();
        let bar = self.bar.get_or_insert_with(bar);
        bar.set_position(self.bytes);
        bar.set_message(words);
    }

    /// Counted from the start of the look-up, not from the moment when the bar appeared.
    fn words(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        #[allow(clippy::cast_precision_loss, reason = "for people's eyes")]
        let (lines, bytes) = (self.lines as f64, self.bytes as f64);
        let rate = format!("{} lines, {:.0} thousand a second", HumanCount(self.lines), lines / seconds / 1000.0);
        match self.bar.as_ref().and_then(ProgressBar::length) {
            #[allow(clippy::cast_precision_loss, reason = "for people's eyes")]
            Some(total) if bytes > 0.0 => {
                format!("{rate}, {:.0} s left", (total as f64 / bytes - 1.0).max(0.0) * seconds)
            }
            _ => rate,
        }
    }

    /// Writes to standard error without tearing the bar.
    pub(super) fn beside(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// A bar where the end is known (standard input is a file), a count where it is not.
fn bar() -> ProgressBar {
    let total = stdin_bytes();
    let bar = match total {
        Some(bytes) => ProgressBar::new(bytes),
        None => ProgressBar::new_spinner(),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let template = match total {
        Some(_) => "{bar:30} {percent}% {msg}",
        None => "{spinner} {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// The length of standard input, where it is a file.
fn stdin_bytes() -> Option<u64> {
    let file = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    let metadata = file.metadata().ok()?;
    metadata.is_file().then_some(metadata.len())
}
