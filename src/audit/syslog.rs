//! The local syslog, RFC 3164 by the `syslog` crate, facility AUTHPRIV. The crate neither reconnects nor gives up on a daemon that
//! stalls: its connection here does both, with `sink.rs`.

use crate::audit::Record;
use crate::audit::sink::{Connection, STALL};
use crate::event::Severity;
use std::fmt;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use syslog::{Facility, Formatter3164, Logger};

/// A connection to the local syslog.
pub(super) struct Syslog(Logger<Datagrams, Formatter3164>);

impl Connection for Syslog {
    const NAME: &'static str = "syslog";

    fn connect(socket: &Path) -> io::Result<Syslog> {
        Ok(Syslog(Logger { formatter: formatter(), backend: Datagrams(connected(socket)?) }))
    }

    fn send(&mut self, record: &Record) -> io::Result<()> {
        let sent = match record.severity {
            Severity::Error => self.0.err(&record.line),
            Severity::Warning => self.0.warning(&record.line),
            Severity::Notice => self.0.notice(&record.line),
            Severity::Info => self.0.info(&record.line),
        };
        sent.map_err(|error| match error {
            syslog::Error::Write(error) | syslog::Error::Io(error) => error,
            error @ syslog::Error::Initialization(_) => io::Error::other(error),
        })
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.0.backend.0.as_fd()
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

/// A datagram socket to a local daemon, whose sends give up after a while.
pub(super) fn connected(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(STALL))?;
    Ok(socket)
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
    use crate::audit::sink::{Local, Sink};
    use crate::event::Event;
    use std::time::Duration;

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
        let mut sink = Local::<Syslog>::new(&path);
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
        let mut sink = Local::<Syslog>::new(&path);
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
        let mut sink = Local::<Syslog>::new(&path);
        assert!(matches!(sink.write(&record(Severity::Notice, "one"))[..], [Event::SinkFailed { sink: "syslog", .. }]));
        assert!(sink.write(&record(Severity::Notice, "two")).is_empty());
        let daemon = UnixDatagram::bind(&path).unwrap();
        sink.forget_failure();
        assert!(matches!(sink.write(&record(Severity::Notice, "three"))[..], [Event::RecordsLost { count: 2, .. }]));
        assert!(received(&daemon).ends_with(": three"));
    }

    #[test]
    fn one_decision_one_record_what_was_missed_is_said_though_nothing_else_happens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = Local::<Syslog>::new(&path);
        assert_eq!(sink.write(&record(Severity::Notice, "one")).len(), 1);
        sink.forget_failure();
        assert!(sink.tend().is_empty(), "still gone");
        let _daemon = UnixDatagram::bind(&path).unwrap();
        assert!(matches!(sink.tend()[..], [Event::RecordsLost { sink: "syslog", count: 1 }]));
        assert!(sink.tend().is_empty(), "said once");
    }

    /// What stalls is the daemon's queue, or the share of it that the kernel leaves to one sender; another sender has one anew.
    #[rstest::rstest]
    #[case::its_queue(1)]
    #[case::our_share(40_000)]
    fn one_decision_one_record_nothing_is_said_to_be_over_while_the_daemon_stalls(#[case] bytes: usize) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let stalled = UnixDatagram::bind(&path).unwrap();
        let mut sink = Local::<Syslog>::new(&path);
        let failures = (0..100_000).find(|_| !sink.write(&record(Severity::Notice, &"x".repeat(bytes))).is_empty());
        assert!(failures.is_some(), "the stalled daemon was noticed");
        sink.forget_failure();
        assert!(sink.tend().is_empty(), "it can be connected to, and takes nothing");
        stalled.set_nonblocking(true).unwrap();
        while stalled.recv(&mut [0; 8192]).is_ok() {}
        assert!(matches!(sink.tend()[..], [Event::RecordsLost { count: 1, .. }]));
        let until = std::time::Instant::now();
        assert!(sink.close(until).is_empty(), "said once");
    }

    #[test]
    fn a_stalled_syslog_holds_the_thread_for_a_bounded_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let _never_reads = UnixDatagram::bind(&path).unwrap();
        let mut connection = Syslog::connect(&path).unwrap();
        let failure = (0..100_000).find_map(|_| connection.send(&record(Severity::Notice, &"x".repeat(2000))).err());
        let kind = failure.expect("the stalled daemon was noticed").kind();
        assert_eq!(kind, io::ErrorKind::WouldBlock, "told apart from one that is gone");
    }
}
