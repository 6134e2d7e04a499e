//! PROXY header -> admit: a trusted proxy says whom it speaks for, and that client is then judged as if it had come by itself.
//! On the accepting thread, where admission's tables are; reads the header and not one byte behind it, under the handshake deadline.

use super::admission::{Permit, Source};
use super::connection::Doorkeeper;
use super::wire::Accepted;
use crate::event::Refusal;
use crate::proxy_header::{self, Heard, MAX_BYTES};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;
use tokio::io::AsyncReadExt;
use tokio::time::timeout_at;

/// A proxy's connection that has yet to say whom it is for.
pub(super) struct Introduction {
    pub(super) socket: TcpStream,
    pub(super) proxy: SocketAddr,
    pub(super) permit: Permit,
    pub(super) listener: usize,
    /// When it came: the handshake deadline counts from here, header and all.
    pub(super) at: Instant,
}

impl Introduction {
    /// Hears the header, then has the client judged and handed over.
    pub(super) async fn hear(self, keeper: Doorkeeper) {
        let Introduction { socket, proxy, permit, listener, at } = self;
        let deadline = at + keeper.shared.state.load().config.server.handshake_deadline;
        let heard = tokio::select! {
            biased;
            () = keeper.shared.stopped() => return,
            heard = timeout_at(deadline.into(), header(socket)) => heard,
        };
        let refuse = |detail: &str| keeper.refuse(listener, Source::Net(proxy), None, Refusal::ProxyHeader, detail);
        match heard {
            Ok(Ok((Heard::Client(client), socket))) => {
                keeper.admit_behind(Accepted::Tcp(socket), Source::net(client), proxy, permit, listener, at);
            }
            Ok(Ok((Heard::Itself, _))) => keeper.shared.metrics.proxy_checks.add(1),
            Ok(Ok((Heard::Malformed(why), _))) => refuse(why),
            Ok(Ok((Heard::Needs(_), _))) => refuse("the connection ended within the PROXY header"),
            // A balancer that only looks whether the port is open says nothing and goes.
            Ok(Err(Gone::Silent)) => keeper.shared.metrics.proxy_checks.add(1),
            Ok(Err(Gone::Broken(error))) => refuse(&error.to_string()),
            Err(_) => refuse("no PROXY header by the handshake deadline"),
        }
    }
}

/// A connection that ended before it said anything whole.
enum Gone {
    Silent,
    Broken(std::io::Error),
}

impl From<std::io::Error> for Gone {
    fn from(error: std::io::Error) -> Gone {
        Gone::Broken(error)
    }
}

/// Reads a header whole, as many bytes at a time as belong to it for certain.
async fn header(socket: TcpStream) -> Result<(Heard, TcpStream), Gone> {
    let mut socket = tokio::net::TcpStream::from_std(socket)?;
    let mut bytes = Vec::new();
    loop {
        let more = match proxy_header::hear(&bytes) {
            Heard::Needs(more) if bytes.len() + more <= MAX_BYTES => more,
            heard => return Ok((heard, socket.into_std()?)),
        };
        let had = bytes.len();
        match (&mut socket).take(more as u64).read_buf(&mut bytes).await {
            // Many checks end by a reset.
            Ok(0) | Err(_) if had == 0 => return Err(Gone::Silent),
            Ok(0) => return Ok((Heard::Needs(more), socket.into_std()?)),
            read => read?,
        };
    }
}
