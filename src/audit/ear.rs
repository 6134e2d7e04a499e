//! What the tellers of other threads reach: the bounded queue in front of the audit thread. Returns at once, always.

use super::{Message, QUEUE_EVENTS};
use crate::event::{Event, Listen, Queries, Receipt};
use crate::metrics::Metrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::SystemTime;
use tokio::sync::oneshot;

/// Bytes of queries that wait to be recorded, at most.
const QUEUE_BYTES: u64 = 64 << 20;

/// What both ends of the queue know.
#[derive(Default)]
pub(super) struct Known {
    /// Records that found no place in the queue, not yet told.
    pub(super) lost: AtomicU64,
    /// Bytes of queries that wait.
    pub(super) held: AtomicU64,
    /// Whether the trail cannot be written for now.
    pub(super) broken: AtomicBool,
}

/// The listening end.
pub(super) struct Ear {
    queue: SyncSender<Message>,
    known: Arc<Known>,
    metrics: Arc<Metrics>,
    /// Whether whoever tells waits for the record.
    refuse: bool,
}

/// The queue: where it is filled, the ear that fills it, where it is emptied.
pub(super) fn queue(
    known: &Arc<Known>,
    metrics: Arc<Metrics>,
    refuse: bool,
) -> (SyncSender<Message>, Ear, Receiver<Message>) {
    let (queue, messages) = sync_channel(QUEUE_EVENTS);
    (queue.clone(), Ear { queue, known: Arc::clone(known), metrics, refuse }, messages)
}

impl Ear {
    fn send(
        &self,
        records: u64,
        bytes: u64,
        message: impl FnOnce(Option<oneshot::Sender<bool>>) -> Message,
    ) -> Receipt {
        let (sender, receipt) = if self.refuse {
            let (sender, written) = oneshot::channel();
            (Some(sender), Receipt::new(async move { written.await.unwrap_or(false) }))
        } else {
            (None, Receipt::READY)
        };
        match self.queue.try_send(message(sender)) {
            Ok(()) => receipt,
            // With it goes the sender: the receipt says no.
            Err(_) => {
                self.known.held.fetch_sub(bytes, Relaxed);
                self.known.lost.fetch_add(records, Relaxed);
                receipt
            }
        }
    }
}

impl Listen for Ear {
    fn hear(&self, event: Event) -> Receipt {
        self.metrics.note(&event);
        self.send(1, 0, |sender| Message::Event(event, SystemTime::now(), sender))
    }

    fn hear_queries(&self, queries: Queries) -> Receipt {
        let (records, bytes) = (queries.ends.len() as u64, queries.bytes.len() as u64);
        if self.known.held.load(Relaxed).saturating_add(bytes) > QUEUE_BYTES {
            self.known.lost.fetch_add(records, Relaxed);
            return if self.refuse { Receipt::new(std::future::ready(false)) } else { Receipt::READY };
        }
        self.known.held.fetch_add(bytes, Relaxed);
        self.send(records, bytes, |sender| Message::Queries(queries, SystemTime::now(), sender))
    }

    fn refuses(&self) -> bool {
        self.refuse && self.known.broken.load(Relaxed)
    }
}
