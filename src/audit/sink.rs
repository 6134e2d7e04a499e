//! Where records go: what every sink does, and what the local ones share: one datagram socket, found again when its daemon comes
//! back, given up on when it stalls, with a count of what was missed. Runs on the audit thread only: nothing here may be called
//! from a thread that answers.

use crate::audit::Record;
use crate::event::Event;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A place that takes records.
pub(super) trait Sink {
    /// Writes one record. Returns what the other sinks should be told: that this one failed, or what it missed.
    fn write(&mut self, record: &Record) -> Vec<Event>;

    /// Called now and then, also when nothing is to be written.
    fn tend(&mut self) -> Vec<Event> {
        Vec::new()
    }

    /// Called once, last: finishes what is under way until then, and says what it never took.
    fn close(&mut self, _until: Instant) -> Vec<Event> {
        Vec::new()
    }
}

/// Standard error.
pub(super) struct Stderr;

impl Sink for Stderr {
    fn write(&mut self, record: &Record) -> Vec<Event> {
        // Nobody is left to be told when standard error itself is gone.
        let _ = io::stderr().lock().write_all(format!("{}\n", record.line).as_bytes());
        Vec::new()
    }
}

/// A daemon that stalls longer than this counts as failed.
pub(super) const STALL: Duration = Duration::from_millis(200);

/// How long a failed daemon is left alone before the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// A connection to a local daemon.
pub(super) trait Connection: Sized {
    /// The daemon in records.
    const NAME: &'static str;

    fn connect(socket: &Path) -> io::Result<Self>;

    fn send(&mut self, record: &Record) -> io::Result<()>;

    fn socket(&self) -> BorrowedFd<'_>;
}

/// A local daemon that may stall, go and come back.
pub(super) struct Local<C> {
    socket: PathBuf,
    connection: Option<C>,
    failed: Option<Instant>,
    missed: u64,
}

impl<C: Connection> Local<C> {
    pub(super) fn new(socket: &Path) -> Local<C> {
        Local { socket: socket.to_owned(), connection: None, failed: None, missed: 0 }
    }

    fn send(&mut self, record: &Record) -> io::Result<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(C::connect(&self.socket)?),
        };
        connection.send(record).inspect_err(|error| {
            // A stalled daemon has not gone. Another connection would find room that the stall leaves to each sender, and
            // would seem to say that it is over.
            if error.kind() != io::ErrorKind::WouldBlock {
                self.connection = None;
            }
        })
    }

    fn rests(&self) -> bool {
        self.failed.is_some_and(|since| since.elapsed() < RETRY)
    }

    /// Whether the daemon is there and takes records; waits for neither. A stopped one can still be connected to.
    fn is_back(&mut self) -> bool {
        let Ok(connection) = C::connect(&self.socket) else { return false };
        let back = self.connection.iter().chain([&connection]).all(|connection| has_room(connection.socket()));
        if back {
            self.connection = Some(connection);
        }
        back
    }

    fn told_missed(&mut self) -> Vec<Event> {
        match std::mem::take(&mut self.missed) {
            0 => Vec::new(),
            count => vec![Event::RecordsLost { sink: C::NAME, count }],
        }
    }

    #[cfg(test)]
    pub(super) fn forget_failure(&mut self) {
        self.failed = None;
    }
}

fn has_room(socket: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut asked, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

impl<C: Connection> Sink for Local<C> {
    fn write(&mut self, record: &Record) -> Vec<Event> {
        if self.rests() {
            self.missed += 1;
            return Vec::new();
        }
        // A restarted daemon leaves a dead connection behind: the first failure is worth one new connection.
        let had_connection = self.connection.is_some();
        let mut sent = self.send(record);
        if had_connection && sent.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            sent = self.send(record);
        }
        match sent {
            Ok(()) => {
                self.failed = None;
                self.told_missed()
            }
            Err(error) => {
                let news = self.failed.is_none();
                self.failed = Some(Instant::now());
                self.missed += 1;
                let error = format!("{}: {error}", self.socket.display());
                if news { vec![Event::SinkFailed { sink: C::NAME, error }] } else { Vec::new() }
            }
        }
    }

    /// Says what was missed once the daemon is back, also when nothing else happens that would be recorded.
    fn tend(&mut self) -> Vec<Event> {
        if self.missed == 0 || self.rests() || !self.is_back() {
            return Vec::new();
        }
        self.failed = None;
        self.told_missed()
    }

    fn close(&mut self, _until: Instant) -> Vec<Event> {
        self.told_missed()
    }
}
