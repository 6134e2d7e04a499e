//! Proof that no thread was started yet: forking and the sandbox both need a process of one thread.

use std::fs;
use std::io;

/// Proof that this process had one thread when it was asked. The start-up's one named point takes it; nothing before
/// that point may start a thread.
#[derive(Debug)]
pub struct Alone(());

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NotAlone {
    /// Somebody started a thread.
    #[error(
        "{0} threads run before the point of the start-up where the first may be started; this is a defect, please report it"
    )]
    Threads(usize),
    /// The kernel does not tell.
    #[error("/proc/self/task cannot be read, so it is not known whether threads run already: {0}; is /proc mounted?")]
    Unknown(io::Error),
}

impl Alone {
    /// Counts this process's threads.
    ///
    /// # Errors
    /// [`NotAlone`], when there is more than one or they cannot be counted.
    pub fn prove() -> Result<Alone, NotAlone> {
        match fs::read_dir("/proc/self/task").map_err(NotAlone::Unknown)?.count() {
            1 => Ok(Alone(())),
            threads => Err(NotAlone::Threads(threads)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_thread_is_noticed() {
        // The test runner itself has several.
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = wait.recv();
        });
        assert!(matches!(Alone::prove(), Err(NotAlone::Threads(2..))));
        drop(stop);
        thread.join().unwrap();
    }
}
