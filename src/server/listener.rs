//! Listening sockets: bound before any thread starts, accepted by one loop each on the accepting thread.

use super::admission::Source;
use super::connection::{self, Doorkeeper};
use super::wire::Accepted;
use crate::config::{self, Bind};
use crate::event::Event;
use rustix::io::Errno;
use std::io;
use std::net::{self, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

/// A bound socket that listens but is not yet accepted from.
pub struct Bound {
    socket: Socket,
    /// Where it listens; with port 0, the port that the kernel chose.
    pub address: String,
}

enum Socket {
    Tcp(net::TcpListener),
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// A socket file of ours, taken away when the listener is dropped, unless somebody put another in its place.
struct SocketFile {
    path: PathBuf,
    ours: Option<(u64, u64)>,
}

impl SocketFile {
    fn new(path: &Path) -> SocketFile {
        SocketFile { path: path.into(), ours: identity(path) }
    }
}

/// Device and inode of what the path names.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.ours.is_some() && identity(&self.path) == self.ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A socket that could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindFault {
    /// The address is taken.
    #[error("{0}: another process listens here already (`ss -tlnp` names it)")]
    InUse(String),
    /// The path holds something that is no socket of a daemon that is gone.
    #[error("{0}: is there already and is no socket; move it away or choose another path")]
    NotASocket(PathBuf),
    /// The folder of a socket file is missing.
    #[error("{}: its folder is not there; make it, so that the daemon's user may write in it, or choose another path", .0.display())]
    NoFolder(PathBuf),
    /// Anything else.
    #[error("{address}: cannot listen: {error}")]
    Other {
        /// The address or path.
        address: String,
        /// What the kernel says.
        error: io::Error,
    },
}

impl BindFault {
    fn new(address: impl Into<String>, error: io::Error) -> BindFault {
        let address = address.into();
        if error.kind() == io::ErrorKind::AddrInUse {
            BindFault::InUse(address)
        } else {
            BindFault::Other { address, error }
        }
    }
}

/// Binds one listener, or takes the TCP socket `handed` over for it. `backlog` is the kernel's queue before accept(2).
///
/// # Errors
/// [`BindFault`], with the address.
pub fn bind(listener: &config::Listener, backlog: u32, handed: Option<net::TcpListener>) -> Result<Bound, BindFault> {
    match &listener.bind {
        Bind::Tcp(address) => {
            let fault = |error| BindFault::new(address.to_string(), error);
            let socket = handed.map_or_else(|| net::TcpListener::bind(address), Ok).map_err(fault)?;
            socket.set_nonblocking(true).map_err(fault)?;
            set_backlog(&socket, backlog).map_err(fault)?;
            let address = socket.local_addr().map_err(fault)?.to_string();
            Ok(Bound { socket: Socket::Tcp(socket), address })
        }
        Bind::Unix { path, mode } => {
            let (socket, file) = bind_file(path, *mode)?;
            set_backlog(&socket, backlog).map_err(|error| BindFault::new(path.display().to_string(), error))?;
            Ok(Bound { socket: Socket::Unix(socket, file), address: format!("unix:{}", path.display()) })
        }
    }
}

/// The standard library listens with a queue of its own choice; listen(2) may be called again to change it.
fn set_backlog(socket: &impl AsFd, backlog: u32) -> io::Result<()> {
    Ok(rustix::net::listen(socket, i32::try_from(backlog).unwrap_or(i32::MAX))?)
}

/// Binds a socket file that nobody can reach before its mode is set. A socket that a dead daemon left is replaced;
/// one that still answers is not.
fn bind_file(path: &Path, mode: u32) -> Result<(std::os::unix::net::UnixListener, SocketFile), BindFault> {
    let fault = |error| BindFault::new(path.display().to_string(), error);
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(BindFault::NotASocket(path.into())),
        Ok(_) if !is_dead(path) => return Err(BindFault::InUse(path.display().to_string())),
        Ok(_) => std::fs::remove_file(path).map_err(fault)?,
        Err(_) => {}
    }
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = std::os::unix::net::UnixListener::bind(path);
    rustix::process::umask(before);
    let socket = match bound {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(BindFault::NoFolder(path.into())),
        bound => bound.map_err(fault)?,
    };
    let file = SocketFile::new(path);
    socket.set_nonblocking(true).map_err(fault)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(fault)?;
    Ok((socket, file))
}

/// Whether nobody listens on a socket file any more. Only the kernel's plain word counts (connect(2), ECONNREFUSED): a
/// daemon that may not be asked, or is too busy to answer, is alive. Asked without waiting.
fn is_dead(path: &Path) -> bool {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let asked = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .and_then(|socket| connect(&socket, &SocketAddrUnix::new(path)?));
    asked == Err(Errno::CONNREFUSED)
}

/// Binds the control socket, with its group if one is configured.
///
/// # Errors
/// [`BindFault`], with the path.
pub fn bind_control(control: &config::Control) -> Result<BoundControl, BindFault> {
    let (socket, file) = bind_file(&control.socket, control.mode)?;
    if let Some(group) = &control.group {
        let fault = |error| BindFault::new(format!("{}: group {group}", control.socket.display()), error);
        let gid = gid_of(group).map_err(fault)?;
        std::os::unix::fs::chown(&control.socket, None, Some(gid)).map_err(fault)?;
    }
    Ok(BoundControl { socket, file })
}

/// A group by its number, or by its name in the local group(5) file.
fn gid_of(group: &str) -> io::Result<u32> {
    if let Ok(gid) = group.parse() {
        return Ok(gid);
    }
    let groups = std::fs::read_to_string("/etc/group")?;
    let gid = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok())?
    });
    gid.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such group in /etc/group"))
}

/// The control socket, bound.
pub struct BoundControl {
    socket: std::os::unix::net::UnixListener,
    file: SocketFile,
}

impl BoundControl {
    /// Gives the socket to the runtime that runs this; the second part takes the file away when dropped.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn into_listener(self) -> io::Result<(UnixListener, impl Drop)> {
        Ok((UnixListener::from_std(self.socket)?, self.file))
    }
}

/// Accepts until the server stops. Never ends on an error: whatever the kernel says is counted and tried again, and the
/// first of a row is recorded.
///
/// # Errors
/// Only when the runtime cannot watch the socket at all.
pub async fn accept(bound: Bound, listener: usize, keeper: Doorkeeper) -> io::Result<()> {
    let shared = Arc::clone(&keeper.shared);
    let socket = Accepting::new(bound.socket)?;
    let mut patience = Patience::default();
    let mut reserve = Reserve::new();
    loop {
        match socket.next().await {
            Ok((accepted, source)) => {
                if patience.was_tried() {
                    let (listener, failures) = (shared.listener_name(listener), u64::from(patience.failures));
                    shared.teller.tell(Event::AcceptRestored { listener, failures, closed: patience.closed });
                }
                patience = Patience::default();
                connection::arrive(accepted, source, listener, &keeper);
            }
            Err(error) => {
                shared.metrics.accept_errors.add(1);
                let pause = patience.after(&error);
                if patience.is_news() {
                    let listener = shared.listener_name(listener);
                    shared.teller.tell(Event::AcceptFailed { listener, error: error.to_string() });
                }
                if is_out_of_descriptors(&error) {
                    let turned_away = reserve.close_waiting(&socket);
                    shared.metrics.closed_without_descriptor.add(turned_away);
                    patience.closed += turned_away;
                }
                if let Some(pause) = pause {
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener, #[allow(dead_code, reason = "held for its Drop")] SocketFile),
}

impl Accepting {
    fn new(socket: Socket) -> io::Result<Accepting> {
        Ok(match socket {
            Socket::Tcp(socket) => Accepting::Tcp(TcpListener::from_std(socket)?),
            Socket::Unix(socket, file) => Accepting::Unix(UnixListener::from_std(socket)?, file),
        })
    }

    async fn next(&self) -> io::Result<(Accepted, Source)> {
        match self {
            Accepting::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let stream = stream.into_std()?;
                tune(&stream);
                Ok((Accepted::Tcp(stream), Source::net(peer)))
            }
            Accepting::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Accepted::Unix(stream.into_std()?), Source::Unix { uid }))
            }
        }
    }
}

/// A dead peer is noticed after this long without a byte, whatever the idle time.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// What fails here costs speed, not truth; a connection that is already gone is noticed at the first read.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_socket_keepalive(stream, true);
    let _ = rustix::net::sockopt::set_tcp_keepidle(stream, KEEPALIVE);
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// A descriptor held back for when there are no others: all who wait at the door then are closed at once, instead of
/// waiting for an answer that nobody can give.
struct Reserve(Option<std::fs::File>);

impl Reserve {
    /// Connections closed in one go: more than wait in a usual backlog, and still a matter of milliseconds.
    const MOST: u64 = 1024;

    fn new() -> Reserve {
        Reserve(std::fs::File::open("/dev/null").ok())
    }

    /// Accepts in the reserve's place whoever waits, and closes them. Returns how many.
    fn close_waiting(&mut self, socket: &Accepting) -> u64 {
        self.0 = None;
        let accept = || match socket {
            Accepting::Tcp(listener) => rustix::net::accept(listener),
            Accepting::Unix(listener, _) => rustix::net::accept(listener),
        };
        let closed = (0..Self::MOST).take_while(|_| accept().is_ok()).count();
        *self = Reserve::new();
        closed as u64
    }
}

/// How long to wait after errors of accept(2), by their kind.
#[derive(Default)]
struct Patience {
    failures: u32,
    /// Whether one of them was for want of something here.
    ours: bool,
    /// Connections that the reserve turned away meanwhile.
    closed: u64,
}

impl Patience {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(1);

    /// `None`: the error was the connection's own (accept(2), "Error handling"), the next may be good. Otherwise
    /// something is used up here, and asking again at once would only burn a core.
    fn after(&mut self, error: &io::Error) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        let of_the_peer = [
            Errno::CONNABORTED,
            Errno::INTR,
            Errno::PROTO,
            Errno::NETDOWN,
            Errno::NOPROTOOPT,
            Errno::HOSTDOWN,
            Errno::NONET,
            Errno::HOSTUNREACH,
            Errno::OPNOTSUPP,
            Errno::NETUNREACH,
            Errno::NOTCONN,
        ];
        if Errno::from_io_error(error).is_some_and(|errno| of_the_peer.contains(&errno)) {
            return None;
        }
        self.ours = true;
        let doubled = Self::FIRST.saturating_mul(1 << self.failures.saturating_sub(1).min(8));
        Some(doubled.min(Self::LONGEST))
    }

    /// Whether the last call failed, for want of something here.
    fn was_tried(&self) -> bool {
        self.failures > 0 && self.ours
    }

    /// Whether this failure deserves a record: the first of a row, then every hundredth.
    fn is_news(&self) -> bool {
        self.failures % 100 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Errno::CONNABORTED, None)]
    #[case(Errno::PROTO, None)]
    #[case(Errno::MFILE, Some(100))]
    #[case(Errno::NFILE, Some(100))]
    #[case(Errno::NOBUFS, Some(100))]
    #[case(Errno::NOMEM, Some(100))]
    fn bounded_accept_errors_are_sorted_by_errno(#[case] errno: Errno, #[case] milliseconds: Option<u64>) {
        let pause = Patience::default().after(&errno.into());
        assert_eq!(pause, milliseconds.map(Duration::from_millis));
    }

    #[test]
    fn bounded_back_off_grows_to_a_second_and_is_told_once_in_a_while() {
        let mut patience = Patience::default();
        let mut told = 0;
        for _ in 0..1000 {
            assert!(patience.after(&Errno::MFILE.into()) <= Some(Patience::LONGEST));
            told += u32::from(patience.is_news());
        }
        assert_eq!(patience.after(&Errno::MFILE.into()), Some(Patience::LONGEST));
        assert_eq!(told, 10);
    }

    #[test]
    fn a_socket_file_of_a_dead_daemon_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("query.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (first, file) = bind_file(&path, 0o660).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(bind_file(&path, 0o660), Err(BindFault::InUse(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
        assert!(matches!(bind_file(&path, 0o660), Err(BindFault::InUse(_))), "one that may not be asked is alive");
        drop((first, file));
        assert!(!path.exists(), "taken away with its listener");
        let (second, file) = bind_file(&path, 0o660).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another's").unwrap();
        drop((second, file));
        assert!(path.exists(), "what somebody else put there stays");
        std::fs::write(&path, "mine").unwrap();
        assert!(matches!(bind_file(&path, 0o660), Err(BindFault::NotASocket(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }
}
