//! journald's native protocol (systemd, "Native Journal Protocol"): one datagram a record, its fields by name, so that
//! `journalctl LINEKEEP_EVENT=client-admitted` finds what it should. Every value is escaped and one line: no peer adds a field.

use crate::audit::Record;
use crate::audit::line::escaped;
use crate::audit::sink::Connection;
use crate::audit::syslog::connected;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// LOG_AUTHPRIV (RFC 5424 section 6.2.1, "security/authorization messages (private)").
const FACILITY: u8 = 10;

/// A connection to journald.
pub(super) struct Journal(UnixDatagram);

impl Connection for Journal {
    const NAME: &'static str = "journal";

    fn connect(socket: &Path) -> io::Result<Journal> {
        connected(socket).map(Journal)
    }

    fn send(&mut self, record: &Record) -> io::Result<()> {
        self.0.send(entry(record).as_bytes()).map(drop)
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn entry(record: &Record) -> String {
    let mut entry = format!(
        "MESSAGE={}\nPRIORITY={}\nSYSLOG_FACILITY={FACILITY}\nSYSLOG_IDENTIFIER=linekeepd\nLINEKEEP_EVENT={}\n",
        record.line,
        record.severity.number(),
        record.event
    );
    for (name, value) in &record.fields {
        entry.push_str("LINEKEEP_");
        entry.extend(name.chars().map(|letter| if letter == '-' { '_' } else { letter.to_ascii_uppercase() }));
        entry.push('=');
        entry.push_str(&escaped(value));
        entry.push('\n');
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use proptest::prelude::*;
    use std::time::SystemTime;

    fn failed(identity: &str) -> String {
        let event = Event::HandshakeFailed {
            connection: 7,
            listener: "main".into(),
            source: "192.0.2.1:4".into(),
            proxy: "none".into(),
            reason: "no proof".into(),
            alert: "sent:51".into(),
            identity: identity.into(),
        };
        entry(&Record::new(&event, SystemTime::UNIX_EPOCH))
    }

    #[test]
    fn an_entry_has_its_fields_by_name() {
        let entry = failed("mallory");
        for line in [
            "PRIORITY=4",
            "SYSLOG_FACILITY=10",
            "LINEKEEP_EVENT=handshake-failed",
            "LINEKEEP_SOURCE=192.0.2.1:4",
            "LINEKEEP_IDENTITY=mallory",
        ] {
            assert!(entry.lines().any(|found| found == line), "{line} in {entry}");
        }
        assert!(entry.starts_with("MESSAGE=event=handshake-failed "));
    }

    proptest! {
        #[test]
        fn one_decision_one_record_no_peer_adds_a_field(identity in any::<String>()) {
            let names = |entry: &str| entry.lines().map(|line| line.split('=').next().unwrap_or("").to_owned()).collect::<Vec<_>>();
            prop_assert_eq!(names(&failed(&identity)), names(&failed("mallory")));
        }
    }
}
