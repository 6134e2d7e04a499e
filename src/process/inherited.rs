//! Listening sockets that the service manager opened before it started this process (sd_listen_fds(3)). Knows the kernel and
//! the sd-notify crate; which listener a socket is for, the start-up decides.
#![allow(unsafe_code)]

use super::alone::Alone;
use rustix::net::{AddressFamily, SocketType, sockopt};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The sockets that were handed over, each with the address where it listens.
#[derive(Debug)]
pub struct Inherited(Vec<(SocketAddr, TcpListener)>);

/// A descriptor that was handed over and is of no use.
#[derive(Debug, thiserror::Error)]
pub enum InheritedFault {
    /// The environment makes no sense, or promises what is not open.
    #[error(
        "LISTEN_PID or LISTEN_FDS in the environment: {0}; systemd sets them (sd_listen_fds(3)), nobody else should"
    )]
    Environment(io::Error),
    /// It is something else than promised.
    #[error(
        "systemd hands over descriptor {descriptor}, which is {found}, not a listening TCP socket: the socket unit takes ListenStream=ADDRESS:PORT alone, with Accept=no"
    )]
    NotListening {
        /// Its number.
        descriptor: RawFd,
        /// What it is instead.
        found: String,
    },
    /// The kernel does not tell what it is.
    #[error("descriptor {0}, handed over by systemd: {1}")]
    Kernel(RawFd, io::Error),
}

impl Inherited {
    /// Takes what was handed to this very process, and nothing that was meant for another: LISTEN_PID decides. To be asked
    /// before descriptors are closed and before the process detaches.
    ///
    /// # Errors
    /// [`InheritedFault`], at the first descriptor that is no listening TCP socket.
    pub fn take(_: &Alone) -> Result<Inherited, InheritedFault> {
        let descriptors = sd_notify::listen_fds().map_err(InheritedFault::Environment)?;
        descriptors.map(|descriptor| listening(own(descriptor))).collect::<Result<_, _>>().map(Inherited)
    }

    /// The socket on exactly this address, once.
    pub fn on(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let place = self.0.iter().position(|(bound, _)| *bound == address)?;
        Some(self.0.swap_remove(place).1)
    }

    /// Where those listen that nobody asked for.
    pub fn left_over(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(|(address, _)| *address)
    }

    /// Whether a descriptor is one of them.
    pub(super) fn holds(&self, descriptor: RawFd) -> bool {
        self.0.iter().any(|(_, socket)| socket.as_raw_fd() == descriptor)
    }
}

fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: it is open, as `listen_fds` has just set close-on-exec on it, and nobody in this process owns it: it was left by
    // the starter, the one thread there is (`Alone`) has opened nothing yet, and every number is asked for once.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

fn listening(descriptor: OwnedFd) -> Result<(SocketAddr, TcpListener), InheritedFault> {
    let number = descriptor.as_raw_fd();
    let fault = |found: &str| InheritedFault::NotListening { descriptor: number, found: found.into() };
    let Ok(domain) = sockopt::socket_domain(&descriptor) else { return Err(fault("no socket")) };
    let kernel = |error: io::Error| InheritedFault::Kernel(number, error);
    if ![AddressFamily::INET, AddressFamily::INET6].contains(&domain) {
        return Err(fault(if domain == AddressFamily::UNIX { "a UNIX socket" } else { "a socket of another family" }));
    }
    if sockopt::socket_type(&descriptor).map_err(|error| kernel(error.into()))? != SocketType::STREAM {
        return Err(fault("no stream socket"));
    }
    if !sockopt::socket_acceptconn(&descriptor).map_err(|error| kernel(error.into()))? {
        return Err(fault("a socket that does not listen"));
    }
    let socket = TcpListener::from(descriptor);
    Ok((socket.local_addr().map_err(kernel)?, socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpStream, UdpSocket};
    use std::os::unix::net::UnixListener;

    fn told(descriptor: impl Into<OwnedFd>) -> String {
        listening(descriptor.into()).map_or_else(|fault| fault.to_string(), |(address, _)| address.to_string())
    }

    #[test]
    fn a_listening_tcp_socket_is_taken_and_nothing_else() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let connected = TcpStream::connect(address).unwrap();
        assert_eq!(told(socket), address.to_string());
        assert!(told(connected).contains("does not listen"));
        assert!(told(UdpSocket::bind("127.0.0.1:0").unwrap()).contains("no stream socket"));
        assert!(told(std::fs::File::open("/dev/null").unwrap()).contains("no socket"));
        let folder = tempfile::tempdir().unwrap();
        assert!(told(UnixListener::bind(folder.path().join("socket")).unwrap()).contains("a UNIX socket"));
    }

    #[test]
    fn a_socket_is_given_once_and_only_by_its_whole_address() {
        let (address, socket) = listening(TcpListener::bind("127.0.0.1:0").unwrap().into()).unwrap();
        let mut inherited = Inherited(vec![(address, socket)]);
        assert!(inherited.on(SocketAddr::from(([0, 0, 0, 0], address.port()))).is_none());
        assert_eq!(inherited.left_over().collect::<Vec<_>>(), [address]);
        assert!(inherited.on(address).is_some() && inherited.on(address).is_none());
        assert_eq!(inherited.left_over().count(), 0);
    }
}
