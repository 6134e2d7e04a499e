//! From a server's name to a connected socket, before any TLS.

use super::error::Error;
use super::options::{Options, Protection, Server};
use crate::protocol::Form;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout_at};

/// Anything that carries bytes both ways: a socket, or TLS over one.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A transport of whatever kind.
pub(super) type Wire = Box<dyn Transport>;

/// Connects, trying the server's addresses one after another until `deadline`.
pub(super) async fn connect(options: &Options, deadline: Instant) -> Result<Wire, Error> {
    if options.form != Form::Plain && matches!(options.protection, Protection::Plain) {
        return Err(Error::ExplainWithoutTls { server: options.server.to_string() });
    }
    match &options.server {
        Server::Unix(path) => Ok(Box::new(connect_unix(path, options).await?)),
        Server::Tcp { host, port } => Ok(Box::new(connect_tcp(host, *port, options, deadline).await?)),
    }
}

async fn connect_unix(path: &Path, options: &Options) -> Result<UnixStream, Error> {
    UnixStream::connect(path).await.map_err(|source| Error::Connect {
        server: options.server.to_string(),
        tried: source.to_string(),
        source,
    })
}

async fn connect_tcp(host: &str, port: u16, options: &Options, deadline: Instant) -> Result<TcpStream, Error> {
    let server = || options.server.to_string();
    let timed_out =
        |step| Error::ConnectTimeout { server: options.server.to_string(), step, after: options.connect_timeout };
    let mut addresses: Vec<SocketAddr> = timeout_at(deadline, lookup_host((host, port)))
        .await
        .map_err(|_| timed_out("finding its address"))?
        .map_err(|source| Error::Resolve { host: host.to_owned(), source })?
        .collect();
    if let Some(from) = options.source {
        addresses.retain(|address| address.is_ipv4() == from.is_ipv4());
        if addresses.is_empty() {
            return Err(Error::SourceFamily { server: server(), from });
        }
    }
    if matches!(options.protection, Protection::Plain) {
        if let Some(&address) = addresses.iter().find(|address| !address.ip().to_canonical().is_loopback()) {
            return Err(Error::PlainBeyondLoopback { server: server(), address });
        }
    }
    let mut tried = Vec::new();
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let mut waiting = addresses.len();
    for address in addresses {
        // Each gets its share of the time left, so that one black hole does not use up the others'.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = Instant::now() + left / u32::try_from(waiting).unwrap_or(u32::MAX);
        waiting -= 1;
        last = match timeout_at(share, connect_address(address, options.source)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        tried.push(format!("{address}: {last}"));
    }
    if Instant::now() >= deadline {
        return Err(timed_out("connecting"));
    }
    Err(Error::Connect { server: server(), tried: tried.join("; "), source: last })
}

async fn connect_address(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0)).map_err(|error| {
            io::Error::new(error.kind(), format!("{source} cannot be used as this end's address: {error}"))
        })?;
    }
    let stream = socket.connect(address).await?;
    // A single request is one small segment that nothing follows: Nagle's algorithm would only delay the next.
    stream.set_nodelay(true)?;
    Ok(stream)
}
