//! A connection's bytes, over TCP or a UNIX socket, with TLS or plain. Knows sockets, no meaning.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_openssl::SslStream;

/// A socket.
pub enum Wire {
    /// TCP.
    Tcp(TcpStream),
    /// UNIX.
    Unix(UnixStream),
}

/// A socket between two runtimes: accepted on one, served on another.
pub enum Accepted {
    /// TCP.
    Tcp(std::net::TcpStream),
    /// UNIX.
    Unix(std::os::unix::net::UnixStream),
}

impl Accepted {
    /// Gives the socket to the runtime that runs this.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn into_wire(self) -> io::Result<Wire> {
        Ok(match self {
            Accepted::Tcp(socket) => Wire::Tcp(TcpStream::from_std(socket)?),
            Accepted::Unix(socket) => Wire::Unix(UnixStream::from_std(socket)?),
        })
    }
}

/// What a session talks over, with the socket underneath for parting.
pub trait Conversation: AsyncRead + AsyncWrite + Unpin {
    /// The socket underneath.
    fn wire(&mut self) -> &mut Wire;
}

impl Conversation for Wire {
    fn wire(&mut self) -> &mut Wire {
        self
    }
}

impl Conversation for SslStream<Wire> {
    fn wire(&mut self) -> &mut Wire {
        self.get_mut()
    }
}

/// Runs the same call on whichever socket it is.
macro_rules! on_socket {
    ($self:ident, $socket:ident => $call:expr) => {
        match $self.get_mut() {
            Wire::Tcp($socket) => $call,
            Wire::Unix($socket) => $call,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, socket => Pin::new(socket).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_socket!(self, socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self, socket => Pin::new(socket).poll_shutdown(cx))
    }
}
