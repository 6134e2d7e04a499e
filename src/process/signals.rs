//! Signals as wishes: HUP reloads, TERM and INT stop, a second TERM or INT ends at once.

use crate::server::Wish;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Wishes that wait at most. A HUP that finds the queue full is covered by the one that waits.
const WAITING: usize = 16;

/// Exit status when a second signal ends the process before it drained: as a shell says of SIGTERM.
const CUT_SHORT: i32 = 143;

/// Listens for signals on the runtime that calls this, from now on.
///
/// # Errors
/// When the kernel does not let us.
pub fn wishes() -> io::Result<mpsc::Receiver<Wish>> {
    let mut hup = signal(SignalKind::hangup())?;
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    super::fences::let_wishes_in()?;
    let (wish, wishes) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut stopping = false;
        loop {
            let next = tokio::select! {
                Some(()) = hup.recv() => Wish::Reload,
                Some(()) = term.recv() => Wish::Stop("SIGTERM"),
                Some(()) = int.recv() => Wish::Stop("SIGINT"),
                else => return,
            };
            if matches!(next, Wish::Stop(_)) {
                if stopping {
                    super::forget_pid_file();
                    std::process::exit(CUT_SHORT);
                }
                stopping = true;
            }
            let _ = wish.try_send(next);
        }
    });
    Ok(wishes)
}
