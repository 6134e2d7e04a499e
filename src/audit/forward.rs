//! Records for another program or machine: RFC 5424 or JSON with the names of the Elastic Common Schema, over TCP or a UNIX socket.
//! On a thread of its own behind a bounded queue, so that a peer that stalls, goes or was never there holds up nobody.

use crate::audit::Record;
use crate::audit::form;
use crate::audit::sink::Sink;
use crate::config::{self, ForwardTo};
use crate::event::Event;
use rustix::net::{self, RecvFlags};
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Records that wait for a peer at most, each below some ten kilobytes.
const QUEUE: usize = 4096;

/// For a connection, and for each record.
const DEADLINE: Duration = Duration::from_secs(5);

/// Between two attempts, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The near end, on the audit thread.
pub(super) struct Forwarder {
    name: &'static str,
    queue: Option<SyncSender<Vec<u8>>>,
    format: config::ForwardFormat,
    far: Arc<Far>,
    told_failed: bool,
    thread: Option<JoinHandle<()>>,
}

/// What the far end says.
#[derive(Default)]
struct Far {
    /// Records that are queued or under way.
    waiting: AtomicU64,
    lost: AtomicU64,
    connected: AtomicBool,
    fault: Mutex<Option<String>>,
}

impl Forwarder {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(forward: &config::Forward) -> io::Result<Forwarder> {
        let (queue, records) = sync_channel(QUEUE);
        let far = Arc::new(Far::default());
        let thread = {
            let (far, to, format) = (Arc::clone(&far), forward.to.clone(), forward.format);
            let carrier = move || {
                Carrier { to, framed: format == config::ForwardFormat::Rfc5424, far, line: None }.carry(&records);
            };
            std::thread::Builder::new().name("forward".into()).spawn(carrier)?
        };
        // Events name a sink for as long as the process lives; there are as many as the configuration has.
        let name = Box::leak(format!("forward:{}", forward.name).into_boxed_str());
        Ok(Forwarder {
            name,
            queue: Some(queue),
            format: forward.format,
            far,
            told_failed: false,
            thread: Some(thread),
        })
    }
}

impl Sink for Forwarder {
    fn write(&mut self, record: &Record) -> Vec<Event> {
        let text = match self.format {
            config::ForwardFormat::Rfc5424 => form::rfc5424(record),
            config::ForwardFormat::Ecs => form::ecs(record),
        };
        let Some(queue) = &self.queue else { return Vec::new() };
        // Counted first: the far end may be done with it before this thread goes on.
        self.far.waiting.fetch_add(1, Relaxed);
        if queue.try_send(text.into_bytes()).is_err() {
            self.far.waiting.fetch_sub(1, Relaxed);
            self.far.lost.fetch_add(1, Relaxed);
        }
        Vec::new()
    }

    fn tend(&mut self) -> Vec<Event> {
        let mut news = Vec::new();
        let fault = self.far.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(error) = fault.filter(|_| !self.told_failed) {
            self.told_failed = true;
            news.push(Event::SinkFailed { sink: self.name, error });
        }
        if self.far.connected.load(Relaxed) {
            self.told_failed = false;
            let count = self.far.lost.swap(0, Relaxed);
            if count > 0 {
                news.push(Event::RecordsLost { sink: self.name, count });
            }
        }
        news
    }

    fn close(&mut self, until: Instant) -> Vec<Event> {
        self.queue = None;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
        match self.far.waiting.load(Relaxed) + self.far.lost.swap(0, Relaxed) {
            0 => Vec::new(),
            count => vec![Event::RecordsLost { sink: self.name, count }],
        }
    }
}

/// The far end, on its thread.
struct Carrier {
    to: ForwardTo,
    /// Whether a record is preceded by its length (RFC 6587 section 3.4.1), or else ended by a line end.
    framed: bool,
    far: Arc<Far>,
    line: Option<Line>,
}

enum Line {
    Tcp(TcpStream),
    Stream(UnixStream),
    Datagrams(UnixDatagram),
}

impl Carrier {
    fn carry(mut self, records: &Receiver<Vec<u8>>) {
        while let Ok(record) = records.recv() {
            let mut pause = PAUSES.0;
            while let Err(error) = self.send(&record) {
                self.line = None;
                self.far.connected.store(false, Relaxed);
                *self.far.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{}: {error}", self.to));
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSES.1);
                if Arc::strong_count(&self.far) == 1 {
                    return;
                }
            }
            self.far.waiting.fetch_sub(1, Relaxed);
            self.far.connected.store(true, Relaxed);
        }
    }

    fn send(&mut self, record: &[u8]) -> io::Result<()> {
        if self.line.as_ref().is_some_and(Line::is_closed) {
            self.line = None;
        }
        let line = match &mut self.line {
            Some(line) => line,
            None => self.line.insert(connect(&self.to)?),
        };
        let framed = if self.framed {
            [format!("{} ", record.len()).as_bytes(), record].concat()
        } else {
            [record, b"\n"].concat()
        };
        match line {
            Line::Tcp(stream) => stream.write_all(&framed),
            Line::Stream(stream) => stream.write_all(&framed),
            Line::Datagrams(socket) => socket.send(record).map(drop),
        }
    }
}

impl Line {
    /// Whether the peer has closed: what is written then goes nowhere, and the kernel says so one record too late.
    fn is_closed(&self) -> bool {
        let look = |socket: &dyn AsFd| {
            let mut byte = [0];
            let looked = net::recv(socket.as_fd(), &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
            looked.is_ok_and(|(_, bytes)| bytes == 0)
        };
        match self {
            Line::Tcp(stream) => look(stream),
            Line::Stream(stream) => look(stream),
            Line::Datagrams(_) => false,
        }
    }
}

fn connect(to: &ForwardTo) -> io::Result<Line> {
    match to {
        ForwardTo::Tcp(address) => {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the name stands for no address");
            for address in address.to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, DEADLINE) {
                    Ok(stream) => {
                        stream.set_write_timeout(Some(DEADLINE))?;
                        return Ok(Line::Tcp(stream));
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        ForwardTo::Unix(path) => {
            let datagrams = UnixDatagram::unbound()?;
            match datagrams.connect(path) {
                Ok(()) => {
                    datagrams.set_write_timeout(Some(DEADLINE))?;
                    Ok(Line::Datagrams(datagrams))
                }
                // A stream socket, then: the kernel says that it is of another type.
                Err(error) if rustix::io::Errno::from_io_error(&error) == Some(rustix::io::Errno::PROTOTYPE) => {
                    stream(path, DEADLINE).map(Line::Stream)
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// A peer that accepts nobody has a full queue in time, and who connects then waits without end, but for a deadline that stands before.
fn stream(path: &Path, deadline: Duration) -> io::Result<UnixStream> {
    let socket = net::socket_with(net::AddressFamily::UNIX, net::SocketType::STREAM, net::SocketFlags::CLOEXEC, None)?;
    net::sockopt::set_socket_timeout(&socket, net::sockopt::Timeout::Send, Some(deadline))?;
    net::connect(&socket, &net::SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::time::SystemTime;

    fn forwarder(to: ForwardTo) -> Forwarder {
        Forwarder::start(&config::Forward { name: "far".into(), to, format: config::ForwardFormat::Ecs }).unwrap()
    }

    fn record() -> Record {
        Record::new(&Event::Stopped { cut_connections: 0 }, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn one_decision_one_record_what_nobody_took_until_the_stop_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut forwarder = forwarder(ForwardTo::Unix(folder.path().join("gone.sock")));
        for _ in 0..QUEUE + 10 {
            assert!(forwarder.write(&record()).is_empty());
        }
        let news = forwarder.close(Instant::now());
        let whole = QUEUE as u64 + 10;
        assert!(matches!(news[..], [Event::RecordsLost { sink: "forward:far", count }] if count == whole), "{news:?}");
    }

    #[test]
    fn one_decision_one_record_a_stop_waits_for_what_is_queued() {
        let far = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut forwarder = forwarder(ForwardTo::Tcp(far.local_addr().unwrap().to_string()));
        for _ in 0..100 {
            forwarder.write(&record());
        }
        let news = forwarder.close(Instant::now() + Duration::from_secs(60));
        assert!(news.is_empty(), "{news:?}");
        let text = io::read_to_string(far.accept().unwrap().0).unwrap();
        assert_eq!(text.lines().count(), 100);
    }

    #[test]
    fn bounded_a_peer_that_accepts_nobody_is_given_up_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay.sock");
        let listener = UnixListener::bind(&path).unwrap();
        net::listen(&listener, 0).unwrap();
        let (sender, given_up) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let waiting: Vec<_> = (0..100).map_while(|_| stream(&path, Duration::from_millis(50)).ok()).collect();
            sender.send(waiting.len())
        });
        let waiting = given_up.recv_timeout(Duration::from_secs(60)).expect("who connects waits without end");
        assert!(waiting < 100, "its queue was never full");
    }
}
