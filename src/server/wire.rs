//! A connection's bytes, over TCP or a UNIX socket, with TLS or plain. Knows sockets, no meaning.

use crate::proxy_header::{self, FIRST_BYTES};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_openssl::SslStream;

/// Bytes that one turn may take from the wire: two reads of OpenSSL's, each a record at most.
///
/// TLS messages that bring no application data (key updates, say) are handled inside one read of OpenSSL's, one after
/// another, for as long as there are any. A peer that sends nothing else would hold its thread: here it has to let go.
const TURN_BYTES: usize = 2 * (16 * 1024 + 256);

/// A connection's socket, which lets others have their turn.
pub struct Wire {
    socket: Socket,
    /// Bytes taken since the turn began.
    taken: usize,
    opening: Opening,
}

/// The first bytes of a connection, until it is known whether they are a PROXY header.
#[derive(Default)]
struct Opening {
    bytes: [u8; FIRST_BYTES],
    heard: usize,
    is_proxy_header: Arc<AtomicBool>,
    /// Whether what comes are queries, without TLS.
    is_plain: bool,
}

impl Opening {
    /// Without TLS nothing else would end a connection that begins with a PROXY header: it would be answered as if it were
    /// queries. There a query may begin like one, so it has to be whole, and to come in one piece as all balancers send it.
    fn hear_plain(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() || self.heard > 0 {
            return Ok(());
        }
        self.heard = FIRST_BYTES;
        if proxy_header::leads(bytes) {
            self.is_proxy_header.store(true, Relaxed);
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a PROXY header where queries are spoken"));
        }
        Ok(())
    }

    fn hear(&mut self, bytes: &[u8]) {
        let space = &mut self.bytes[self.heard..];
        let more = bytes.len().min(space.len());
        if more > 0 {
            space[..more].copy_from_slice(&bytes[..more]);
            self.heard += more;
            self.is_proxy_header.store(proxy_header::begins(&self.bytes[..self.heard]), Relaxed);
        }
    }
}

enum Socket {
    Tcp(TcpStream),
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
        let socket = match self {
            Accepted::Tcp(socket) => Socket::Tcp(TcpStream::from_std(socket)?),
            Accepted::Unix(socket) => Socket::Unix(UnixStream::from_std(socket)?),
        };
        Ok(Wire { socket, taken: 0, opening: Opening::default() })
    }
}

impl Wire {
    /// Says, also when the wire itself is gone, whether it began with a PROXY header.
    pub fn proxy_header(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.opening.is_proxy_header)
    }

    /// Says that queries come without TLS before them: a PROXY header then ends the connection.
    pub fn expect_plain(&mut self) {
        self.opening.is_plain = true;
    }

    /// Begins a turn: it may take about two records before it has to let others have theirs.
    pub fn begin_turn(&mut self) {
        self.taken = 0;
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
    ($wire:expr, $socket:ident => $call:expr) => {
        match &mut $wire.socket {
            Socket::Tcp($socket) => $call,
            Socket::Unix($socket) => $call,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken >= TURN_BYTES {
            self.begin_turn();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = on_socket!(&mut *self, socket => Pin::new(socket).poll_read(cx, buffer));
        let bytes = &buffer.filled()[before..];
        self.taken += bytes.len();
        if self.opening.is_plain {
            self.opening.hear_plain(bytes)?;
        } else if self.opening.heard < FIRST_BYTES {
            self.opening.hear(bytes);
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_socket!(self.get_mut(), socket => Pin::new(socket).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::io::Write;

    /// A peer that always has more to say gets a turn, then the others do, then it goes on where it was.
    #[tokio::test]
    async fn bounded_no_peer_holds_its_thread_whatever_it_sends() {
        let (mut peer, ours) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let said = vec![7; 3 * TURN_BYTES];
        let writing = std::thread::spawn({
            let said = said.clone();
            move || peer.write_all(&said).unwrap()
        });
        let mut wire = Accepted::Unix(ours).into_wire().unwrap();
        let (mut heard, mut turns) = (Vec::new(), 0);
        while heard.len() < said.len() {
            turns += 1;
            let mut in_this_turn = 0;
            poll_fn(|cx| {
                loop {
                    let mut space = [0; 4096];
                    let mut buffer = ReadBuf::new(&mut space);
                    match Pin::new(&mut wire).poll_read(cx, &mut buffer) {
                        Poll::Ready(read) => read.unwrap(),
                        Poll::Pending => return if in_this_turn > 0 { Poll::Ready(()) } else { Poll::Pending },
                    }
                    in_this_turn += buffer.filled().len();
                    heard.extend_from_slice(buffer.filled());
                    if buffer.filled().is_empty() || heard.len() == said.len() {
                        return Poll::Ready(());
                    }
                }
            })
            .await;
            assert!(in_this_turn < TURN_BYTES + 4096, "{in_this_turn} bytes in one turn");
        }
        writing.join().unwrap();
        assert_eq!(heard, said);
        assert!(turns >= 3);
    }
}
