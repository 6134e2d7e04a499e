//! What an observer of the wire sees: a socket that keeps what was read from it, and the TLS records in that.

use std::io::{Read, Write};
use std::net::TcpStream;

/// A socket that keeps what was read from it.
#[derive(Debug)]
pub struct Tap(pub TcpStream, pub Vec<u8>);

impl Tap {
    pub fn on(stream: TcpStream) -> Tap {
        Tap(stream, Vec::new())
    }

    /// Lengths of the peer's records in order, headers included (RFC 8446 section 5.1).
    pub fn record_lengths(&self) -> Vec<usize> {
        let (mut rest, mut lengths) = (&self.1[..], Vec::new());
        while let [_, _, _, high, low, ..] = *rest {
            let length = 5 + usize::from(u16::from_be_bytes([high, low]));
            lengths.push(length);
            rest = &rest[length..];
        }
        lengths
    }
}

impl Read for Tap {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.0.read(into)?;
        self.1.extend_from_slice(&into[..bytes]);
        Ok(bytes)
    }
}

impl Write for Tap {
    fn write(&mut self, from: &[u8]) -> std::io::Result<usize> {
        self.0.write(from)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
