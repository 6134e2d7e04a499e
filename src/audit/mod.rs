//! From events to records: one bounded, escaped line an event, told to standard error, the local syslog and the chained
//! trail. Knows events, `[log]` and `[audit]`; runs on a thread of its own behind a bounded queue, so that a sink that stalls
//! never delays an answer. What the queue could not hold is counted, and the count is itself recorded.

mod asked;
mod chain;
mod ear;
mod files;
mod form;
mod forward;
mod journal;
mod line;
mod reference;
mod restraint;
mod search;
mod sink;
mod syslog;
mod trail;
mod verdict;
mod verify;
mod written;

pub use asked::{day_number, text};
pub use chain::{KEY_BYTES, Master, Position, Tag, hex, tag_from_hex};
pub use files::{End, TrailFile, end, head, list};
pub use line::{MAX_RECORD_BYTES, Record};
pub use reference::reference;
pub use search::{Filter, Found, find, show};
pub use trail::Trail;
pub use verdict::{Damage, Finding, Verdict};
pub use verify::verify;
pub use written::{Header, Line, field, fields};

use crate::config::{self, Fsync, Log, OnOverflow};
use crate::event::{Event, Queries, Teller};
use crate::metrics::Metrics;
use ear::Known;
use forward::Forwarder;
use journal::Journal;
use restraint::Restraint;
use sink::{Local, Sink, Stderr};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use syslog::Syslog;
use tokio::sync::oneshot;

/// Events that wait to be written, at most. At about 300 bytes each this bounds the queue to a few megabytes; queries have
/// a bound of their own.
const QUEUE_EVENTS: usize = 8192;

/// How often lost records are told, at most.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);

/// How long a stop waits for the last records to be written.
const SINKS_PATIENCE: Duration = Duration::from_secs(2);

/// The same with a trail: a disk that is busy takes seconds, and a trail without its end looks like a crash. Together with
/// the usual drain deadline shorter than service managers wait.
const TRAIL_PATIENCE: Duration = Duration::from_secs(10);

/// How long a stop waits for all those together to which records are forwarded.
const AT_STOP: Duration = Duration::from_secs(1);

/// How often what came of telling is told in its turn: a place that comes and goes at every record gets no endless talk.
const ROUNDS: usize = 4;

/// Messages that are written to the trail together, at most.
const TOGETHER: usize = 512;

enum Message {
    /// With the time at which it was told, and where to say that it is written.
    Event(Event, SystemTime, Option<oneshot::Sender<bool>>),
    Queries(Queries, SystemTime, Option<oneshot::Sender<bool>>),
    Stop,
}

/// The running audit thread.
pub struct Audit {
    queue: SyncSender<Message>,
    thread: JoinHandle<()>,
    patience: Duration,
}

/// Starts the audit thread. The caller starts no thread before its one named point of the start-up.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    log: &Log,
    forwards: &[config::Forward],
    trail: Option<Trail>,
    key: Option<Master>,
    rules: &config::Audit,
    metrics: Arc<Metrics>,
) -> io::Result<(Teller, Audit)> {
    let known = Arc::new(Known::default());
    let (queue, ear, messages) = ear::queue(&known, Arc::clone(&metrics), rules.on_overflow == OnOverflow::Refuse);
    let tick = match rules.trail.as_ref().map(|trail| trail.fsync) {
        Some(Fsync::Interval(interval)) => interval.min(LOSS_INTERVAL),
        _ => LOSS_INTERVAL,
    };
    let patience = if trail.is_some() { TRAIL_PATIENCE } else { SINKS_PATIENCE };
    let restraint = Restraint::default();
    let writer = Writer { sinks: sinks(log, forwards)?, restraint, level: log.level, trail, key, tick, known, metrics };
    let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&messages))?;
    Ok((Teller::new(ear), Audit { queue, thread, patience }))
}

impl Audit {
    /// Writes what waits and ends the thread. Waits for so long at most: a stalled syslog holds no stop up.
    pub fn stop(self) {
        let until = Instant::now() + self.patience;
        let mut message = Message::Stop;
        while let Err(full) = self.queue.try_send(message) {
            let std::sync::mpsc::TrySendError::Full(returned) = full else { break };
            if Instant::now() >= until {
                return;
            }
            message = returned;
            std::thread::park_timeout(Duration::from_millis(5));
        }
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        if self.thread.is_finished() {
            let _ = self.thread.join();
        }
    }
}

/// The places that the configuration means: standard error, one local daemon, and those to forward to.
fn sinks(log: &Log, forwards: &[config::Forward]) -> io::Result<Vec<Box<dyn Sink + Send>>> {
    let mut sinks: Vec<Box<dyn Sink + Send>> = Vec::new();
    let local = meant(log);
    if log.stderr.unwrap_or_else(|| local == config::Local::None || !leads_to_the_journal()) {
        sinks.push(Box::new(Stderr));
    }
    match local {
        config::Local::Journal => sinks.push(Box::new(Local::<Journal>::new(&log.journal_socket))),
        config::Local::Syslog => sinks.push(Box::new(Local::<Syslog>::new(&log.syslog_socket))),
        config::Local::None | config::Local::Auto => {}
    }
    for forward in forwards {
        sinks.push(Box::new(Forwarder::start(forward)?));
    }
    Ok(sinks)
}

/// The one local daemon: journald where it is, else syslog, which may still come up.
fn meant(log: &Log) -> config::Local {
    match log.local {
        config::Local::Auto if log.journal_socket.exists() => config::Local::Journal,
        config::Local::Auto => config::Local::Syslog,
        local => local,
    }
}

/// Whether systemd hands our standard error to the journal (systemd.exec(5), `JOURNAL_STREAM`): then what the local daemon
/// gets would stand there twice.
fn leads_to_the_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(io::stderr()).is_ok_and(|found| named == format!("{}:{}", found.st_dev, found.st_ino))
}

struct Writer {
    sinks: Vec<Box<dyn Sink + Send>>,
    restraint: Restraint,
    level: crate::event::Severity,
    trail: Option<Trail>,
    key: Option<Master>,
    tick: Duration,
    known: Arc<Known>,
    metrics: Arc<Metrics>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        let mut told = Instant::now();
        loop {
            let going = match messages.recv_timeout(self.tick) {
                Ok(first) => self.write_together(first, messages),
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            if !going {
                break;
            }
            if told.elapsed() >= LOSS_INTERVAL {
                self.tell_lost();
                self.tell_left_out(false);
                self.tend_sinks();
                told = Instant::now();
            }
            self.tend_trail();
        }
        self.tell_left_out(true);
        self.tell_lost();
        self.tend_sinks();
        // Taken out: what sinks say from here on comes behind the trail's last line.
        let news = self.trail.take().map_or_else(Vec::new, |mut trail| trail.close());
        self.tell_beside_trail(news);
        self.close_sinks();
    }

    /// The local daemon's loss still goes to who is forwarded to, and theirs to those that are left.
    fn close_sinks(&mut self) {
        let until = Instant::now() + AT_STOP;
        for place in 0..self.sinks.len() {
            let news = self.sinks.get_mut(place).map_or_else(Vec::new, |sink| sink.close(until));
            self.tell_beside_trail(news);
        }
    }

    /// Writes what waits, then the trail once for all of it, and only then says to those who wait that it is written.
    /// `false` when asked to stop.
    fn write_together(&mut self, first: Message, messages: &Receiver<Message>) -> bool {
        let (mut waiting, mut whole, mut going) = (Vec::new(), true, true);
        for message in std::iter::once(first).chain(messages.try_iter().take(TOGETHER)) {
            let (written, sender) = match message {
                Message::Stop => {
                    going = false;
                    break;
                }
                Message::Event(event, time, sender) => (self.write(&event, time), sender),
                Message::Queries(queries, time, sender) => (self.write_queries(&queries, time), sender),
            };
            whole &= written;
            waiting.extend(sender);
        }
        if let Some(trail) = &mut self.trail {
            let came = trail.settle();
            whole &= came.whole;
            self.known.broken.store(!came.whole, Relaxed);
            self.tell_beside_trail(came.news);
        }
        for sender in waiting {
            // A session that ended meanwhile waits no more.
            let _ = sender.send(whole);
        }
        going
    }

    /// What the trail needs without being written to: to be tried again, forced to the disk, vouched for.
    fn tend_trail(&mut self) {
        let Some(trail) = &mut self.trail else { return };
        let mut news = trail.retry().news;
        let settled = trail.settle();
        self.known.broken.store(!settled.whole, Relaxed);
        news.extend(settled.news);
        let checkpoint = settled.whole.then(|| trail.checkpoint_if_due()).flatten();
        self.tell_beside_trail(news);
        if let Some(checkpoint) = checkpoint {
            self.write(&checkpoint, SystemTime::now());
        }
    }

    fn tell_lost(&mut self) {
        let count = self.known.lost.swap(0, Relaxed);
        if count > 0 {
            let event = Event::RecordsLost { sink: "queue", count };
            self.metrics.note(&event);
            self.write(&event, SystemTime::now());
        }
    }

    fn tell_left_out(&mut self, at_end: bool) {
        for event in self.restraint.over(Instant::now(), at_end) {
            self.write(&event, SystemTime::now());
        }
    }

    fn tend_sinks(&mut self) {
        let news: Vec<Event> = self.sinks.iter_mut().flat_map(|sink| sink.tend()).collect();
        self.tell_all(news);
    }

    fn write_queries(&mut self, queries: &Queries, time: SystemTime) -> bool {
        self.known.held.fetch_sub(queries.bytes.len() as u64, Relaxed);
        let events: Vec<Event> = asked::events(queries, time, self.key.as_ref()).collect();
        let mut whole = true;
        for event in &events {
            whole &= self.write(event, time);
        }
        whole
    }

    /// Writes to the trail and to every sink. A sink that fails is named once on the others, and what it missed once it
    /// works again. Whether the trail took it.
    fn write(&mut self, event: &Event, time: SystemTime) -> bool {
        let wanted = event.severity() <= self.level;
        if !wanted && self.trail.is_none() {
            return true;
        }
        let record = Record::new(event, time);
        if !self.restraint.permits(&record, Instant::now()) {
            return true;
        }
        let mut whole = true;
        if let Some(trail) = &mut self.trail {
            let came = trail.take(&record);
            whole = came.whole;
            self.tell_beside_trail(came.news);
        }
        if wanted {
            self.write_beside_trail(&record);
        }
        whole
    }

    fn write_beside_trail(&mut self, record: &Record) {
        let mut news = Vec::new();
        for sink in &mut self.sinks {
            news.extend(sink.write(record));
        }
        self.tell_all(news);
    }

    /// What sinks say of one another, and what they say on being told: a place may be found gone only then.
    fn tell_all(&mut self, mut news: Vec<Event>) {
        for _ in 0..ROUNDS {
            for event in std::mem::take(&mut news) {
                self.metrics.note(&event);
                let record = Record::new(&event, SystemTime::now());
                if let Some(trail) = &mut self.trail {
                    news.extend(trail.take(&record).news);
                }
                for sink in &mut self.sinks {
                    news.extend(sink.write(&record));
                }
            }
        }
    }

    /// What the trail says of itself, for the other places.
    fn tell_beside_trail(&mut self, news: Vec<Event>) {
        for event in news {
            self.metrics.note(&event);
            if event.severity() <= self.level {
                self.write_beside_trail(&Record::new(&event, SystemTime::now()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
