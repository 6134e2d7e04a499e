//! From events to records: one bounded, escaped line an event, told to standard error and the local syslog.
//! Knows events and `[log]`; runs on a thread of its own behind a bounded queue, so that a sink that stalls
//! never delays an answer. What the queue could not hold is counted, and the count is itself recorded.

mod line;
mod sink;

pub use line::{MAX_RECORD_BYTES, Record};

use crate::config::Log;
use crate::event::{Event, Teller};
use crate::metrics::Metrics;
use sink::{Sink, Stderr, Syslog};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Events that wait to be written, at most. At about 300 bytes each this bounds the queue to a few megabytes.
const QUEUE_EVENTS: usize = 8192;

/// How often lost records are told, at most.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);

enum Message {
    /// With the time at which it was told.
    Event(Event, SystemTime),
    Stop,
}

/// The running audit thread.
pub struct Audit {
    queue: SyncSender<Message>,
    thread: JoinHandle<()>,
}

/// Starts the audit thread. The caller starts no thread before its one named point of the start-up.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(log: &Log, metrics: Arc<Metrics>) -> io::Result<(Teller, Audit)> {
    let (queue, events) = sync_channel(QUEUE_EVENTS);
    let lost = Arc::new(AtomicU64::new(0));
    let writer = Writer { sinks: sinks(log), level: log.level, lost: Arc::clone(&lost), metrics: Arc::clone(&metrics) };
    let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&events))?;
    let teller = {
        let queue = queue.clone();
        Teller::new(move |event| {
            metrics.note(&event);
            if queue.try_send(Message::Event(event, SystemTime::now())).is_err() {
                lost.fetch_add(1, Relaxed);
            }
        })
    };
    Ok((teller, Audit { queue, thread }))
}

impl Audit {
    /// Writes what waits and ends the thread, for as long as `patience` at most: a stalled syslog holds no stop up.
    pub fn stop(self, patience: Duration) {
        let until = Instant::now() + patience;
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

fn sinks(log: &Log) -> Vec<Box<dyn Sink + Send>> {
    let mut sinks: Vec<Box<dyn Sink + Send>> = Vec::new();
    if log.stderr {
        sinks.push(Box::new(Stderr));
    }
    if log.syslog {
        sinks.push(Box::new(Syslog::new(&log.syslog_socket)));
    }
    sinks
}

struct Writer {
    sinks: Vec<Box<dyn Sink + Send>>,
    level: crate::event::Severity,
    lost: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

impl Writer {
    fn run(mut self, events: &Receiver<Message>) {
        let mut told = Instant::now();
        loop {
            match events.recv_timeout(LOSS_INTERVAL) {
                Ok(Message::Event(event, time)) => self.write(&event, time),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if told.elapsed() >= LOSS_INTERVAL {
                self.tell_lost();
                told = Instant::now();
            }
        }
        self.tell_lost();
    }

    fn tell_lost(&mut self) {
        let count = self.lost.swap(0, Relaxed);
        if count > 0 {
            let event = Event::RecordsLost { sink: "queue", count };
            self.metrics.note(&event);
            self.write(&event, SystemTime::now());
        }
    }

    /// Writes to every sink. A sink that fails is named once on the others, and what it missed once it works again.
    fn write(&mut self, event: &Event, time: SystemTime) {
        if event.severity() > self.level {
            return;
        }
        let record = Record::new(event, time);
        let mut news = Vec::new();
        for sink in &mut self.sinks {
            news.extend(sink.write(&record));
        }
        for event in news {
            self.metrics.note(&event);
            let record = Record::new(&event, SystemTime::now());
            for sink in &mut self.sinks {
                let _ = sink.write(&record);
            }
        }
    }
}
