//! Where records go. Each sink says by itself when it fails and when it works again, and counts what it missed.
//! Runs on the audit thread only: nothing here may be called from a thread that answers.

use crate::audit::Record;
use crate::event::{Event, Severity};
use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use syslog::{Facility, Formatter3164, Logger};

/// A place that takes records.
pub(super) trait Sink {
    /// Writes one record. Returns what the other sinks should be told: that this one failed, or what it missed.
    fn write(&mut self, record: &Record) -> Vec<Event>;
}

/// Standard error; systemd hands it to the journal.
pub(super) struct Stderr;

impl Sink for Stderr {
    fn write(&mut self, record: &Record) -> Vec<Event> {
        // Nobody is left to be told when standard error itself is gone.
        let _ = io::stderr().lock().write_all(format!("{}\n", record.line).as_bytes());
        Vec::new()
    }
}

/// A daemon that stalls longer than this counts as failed.
const STALL: Duration = Duration::from_millis(200);

/// How long a failed syslog is left alone before the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// The local syslog, RFC 3164 by the `syslog` crate, facility AUTHPRIV. The crate neither reconnects nor gives up on a
/// daemon that stalls; this sink does both.
pub(super) struct Syslog {
    socket: PathBuf,
    connection: Option<Logger<Datagrams, Formatter3164>>,
    failed: Option<Instant>,
    missed: u64,
}

impl Syslog {
    pub(super) fn new(socket: &Path) -> Syslog {
        Syslog { socket: socket.to_owned(), connection: None, failed: None, missed: 0 }
    }

    fn send(&mut self, record: &Record) -> Result<(), String> {
        let logger = match &mut self.connection {
            Some(logger) => logger,
            None => {
                let datagrams = Datagrams::connect(&self.socket).map_err(|error| error.to_string())?;
                self.connection.insert(Logger { formatter: formatter(), backend: datagrams })
            }
        };
        let sent = match record.severity {
            Severity::Error => logger.err(&record.line),
            Severity::Warning => logger.warning(&record.line),
            Severity::Notice => logger.notice(&record.line),
            Severity::Info => logger.info(&record.line),
        };
        sent.map_err(|error| {
            self.connection = None;
            error.to_string()
        })
    }
}

impl Sink for Syslog {
    fn write(&mut self, record: &Record) -> Vec<Event> {
        if self.failed.is_some_and(|since| since.elapsed() < RETRY) {
            self.missed += 1;
            return Vec::new();
        }
        // A restarted daemon leaves a dead connection behind: the first failure is worth one new connection.
        let had_connection = self.connection.is_some();
        let mut sent = self.send(record);
        if sent.is_err() && had_connection {
            sent = self.send(record);
        }
        match sent {
            Ok(()) => {
                self.failed = None;
                match std::mem::take(&mut self.missed) {
                    0 => Vec::new(),
                    count => vec![Event::RecordsLost { sink: "syslog", count }],
                }
            }
            Err(error) => {
                let news = self.failed.is_none();
                self.failed = Some(Instant::now());
                self.missed += 1;
                let error = format!("{}: {error}", self.socket.display());
                if news { vec![Event::SinkFailed { sink: "syslog", error }] } else { Vec::new() }
            }
        }
    }
}

/// No host name: with one, journald and rsyslog would see a second header.
fn formatter() -> Formatter3164 {
    Formatter3164 {
        facility: Facility::LOG_AUTHPRIV,
        hostname: None,
        process: "linekeepd".into(),
        pid: std::process::id(),
    }
}

/// A datagram socket that gives up on a stalled reader.
struct Datagrams(UnixDatagram);

impl Datagrams {
    fn connect(path: &Path) -> io::Result<Datagrams> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(STALL))?;
        Ok(Datagrams(socket))
    }
}

impl Write for Datagrams {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        self.0.send(message)
    }

    /// One datagram a record; the default would send a datagram for every piece of the format.
    fn write_fmt(&mut self, message: fmt::Arguments<'_>) -> io::Result<()> {
        self.0.send(message.to_string().as_bytes()).map(drop)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(severity: Severity, line: &str) -> Record {
        let (fields, line) = (Vec::new(), line.to_owned());
        Record { time: std::time::SystemTime::UNIX_EPOCH, event: "x", severity, fields, message: "", line }
    }

    fn received(socket: &UnixDatagram) -> String {
        let mut datagram = [0; 8192];
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let length = socket.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_record_is_one_datagram_of_authpriv() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut sink = Syslog::new(&path);
        assert!(sink.write(&record(Severity::Warning, "event=x")).is_empty());
        let datagram = received(&daemon);
        // AUTHPRIV is facility 10, warning is severity 4 (RFC 3164 section 4.1.1).
        assert!(datagram.starts_with("<84>"), "{datagram}");
        assert!(datagram.ends_with(&format!(" linekeepd[{}]: event=x", std::process::id())), "{datagram}");
    }

    #[test]
    fn a_restarted_syslog_is_found_again_without_a_loss() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let first = UnixDatagram::bind(&path).unwrap();
        let mut sink = Syslog::new(&path);
        assert!(sink.write(&record(Severity::Notice, "one")).is_empty());
        drop(first);
        std::fs::remove_file(&path).unwrap();
        let second = UnixDatagram::bind(&path).unwrap();
        assert!(sink.write(&record(Severity::Notice, "two")).is_empty());
        assert!(received(&second).ends_with(": two"));
    }

    #[test]
    fn one_decision_one_record_what_was_missed_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = Syslog::new(&path);
        assert!(matches!(sink.write(&record(Severity::Notice, "one"))[..], [Event::SinkFailed { sink: "syslog", .. }]));
        assert!(sink.write(&record(Severity::Notice, "two")).is_empty());
        let daemon = UnixDatagram::bind(&path).unwrap();
        sink.failed = None;
        assert!(matches!(sink.write(&record(Severity::Notice, "three"))[..], [Event::RecordsLost { count: 2, .. }]));
        assert!(received(&daemon).ends_with(": three"));
    }

    #[test]
    fn a_stalled_syslog_holds_the_thread_for_a_bounded_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let _never_reads = UnixDatagram::bind(&path).unwrap();
        let mut sink = Syslog::new(&path);
        let failures = (0..100_000).find(|_| !sink.write(&record(Severity::Notice, &"x".repeat(2000))).is_empty());
        assert!(failures.is_some(), "the stalled daemon was noticed");
    }
}
