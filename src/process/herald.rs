//! Says how it goes to whoever started the daemon: the waiting parent through its pipe, systemd through its socket
//! (sd_notify(3)). Knows neither what is served nor why.

use super::detach::Word;
use sd_notify::NotifyState;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// By how much each sign of life extends what systemd allows a start, in microseconds. Signs come every second.
const EXTENSION: u32 = 30_000_000;

/// Between two signs of life while the lists load.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Who is told.
#[derive(Debug)]
pub struct Herald {
    /// Until the parent was let go.
    parent: Mutex<Option<Word>>,
    watchdog: Option<Duration>,
}

impl Herald {
    /// Captures what systemd asked of this process; before it forks, as the environment names the process by its id.
    #[must_use]
    pub fn watchdog_asked() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }

    /// A herald for a process that a parent waits for, or not.
    #[must_use]
    pub fn new(parent: Option<Word>, watchdog: Option<Duration>) -> Herald {
        Herald { parent: Mutex::new(parent), watchdog }
    }

    /// How often systemd wants to hear that the process is alive.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// A sign of life while the lists load.
    ///
    /// # Errors
    /// When a parent waited and is gone: whoever asked for this start gave it up.
    pub fn loading(&self) -> io::Result<()> {
        // systemd listens to the process that it started, so where a parent waits, it passes the sign on.
        self.parent().as_ref().map_or_else(
            || {
                Herald::tell_loading();
                Ok(())
            },
            Word::loading,
        )
    }

    /// Asks systemd for more time to load, if it is there.
    pub fn tell_loading() {
        tell(&[NotifyState::ExtendTimeoutUsec(EXTENSION), NotifyState::Status("loading the lists")]);
    }

    /// Every port answers. Lets the parent go.
    ///
    /// # Errors
    /// When a parent waited and is gone.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        match self.parent().take() {
            Some(word) => word.ready(),
            None => {
                tell(&[NotifyState::Ready, NotifyState::Status(status)]);
                Ok(())
            }
        }
    }

    /// A reload begins; [`Herald::ready`] ends it.
    pub fn reloading(&self) {
        let Ok(now) = NotifyState::monotonic_usec_now() else { return };
        tell(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]);
    }

    /// The process stops.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// Every thread that answers is alive.
    pub fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// The start failed, with this exit status; the words were said on standard error.
    pub fn fault(&self, status: u8) {
        if let Some(word) = self.parent().take() {
            word.fault(status);
        }
    }

    fn parent(&self) -> std::sync::MutexGuard<'_, Option<Word>> {
        self.parent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without systemd there is nobody to tell, and a service manager that does not listen keeps nothing from being served.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
