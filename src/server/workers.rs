//! The threads that answer: one current-thread runtime each. A multi-thread runtime starves connections from about
//! a thousand on; these do not, and a connection's memory stays with its core.

use super::connection::{self, Arrival};
use super::pulse::Pulse;
use super::shared::Shared;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// All workers.
pub struct Workers(Vec<Worker>);

struct Worker {
    /// Not bounded by itself: what waits in it holds a permit, and permits are bounded by `max-connections`.
    inbox: UnboundedSender<Arrival>,
    /// Connections on this thread.
    load: Arc<AtomicUsize>,
    thread: JoinHandle<usize>,
}

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be had.
    pub fn start(threads: usize, shared: &Arc<Shared>, pulse: &Arc<Pulse>) -> io::Result<Workers> {
        (0..threads.max(1))
            .map(|number| Worker::start(number, Arc::clone(shared), Arc::clone(pulse)))
            .collect::<io::Result<_>>()
            .map(Workers)
    }

    /// Gives a connection to the thread with the fewest.
    pub fn hand_over(&self, arrival: Arrival) {
        if let Some(worker) = self.0.iter().min_by_key(|worker| worker.load.load(Relaxed)) {
            worker.load.fetch_add(1, Relaxed);
            // Fails only when the thread has stopped, and then closing the socket is right.
            let _ = worker.inbox.send(arrival);
        }
    }

    /// Waits until every session has ended or its deadline has passed. Returns how many had to be cut.
    #[must_use]
    pub fn join(self) -> usize {
        let threads: Vec<_> = self.0.into_iter().map(|worker| worker.thread).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    }
}

impl Worker {
    fn start(number: usize, shared: Arc<Shared>, pulse: Arc<Pulse>) -> io::Result<Worker> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (inbox, arrivals) = unbounded_channel();
        let load = Arc::new(AtomicUsize::new(0));
        let thread = {
            let load = Arc::clone(&load);
            std::thread::Builder::new().name(format!("answer-{number}")).spawn(move || {
                runtime.block_on(async {
                    let beating = tokio::spawn(async move { pulse.beat(number).await });
                    let cut = work(arrivals, shared, load).await;
                    beating.abort();
                    cut
                })
            })?
        };
        Ok(Worker { inbox, load, thread })
    }
}

/// Serves what comes until the server stops, then drains. Returns how many connections outlived the drain deadline.
async fn work(mut arrivals: UnboundedReceiver<Arrival>, shared: Arc<Shared>, load: Arc<AtomicUsize>) -> usize {
    let mut connections = JoinSet::new();
    let mut stopped = std::pin::pin!(shared.stopped());
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => break,
            Some(_) = connections.join_next() => {
                load.fetch_sub(1, Relaxed);
            }
            Some(arrival) = arrivals.recv() => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move { connection::serve(arrival, &shared).await });
            }
        }
    }
    let deadline = shared.state.load().config.server.drain_deadline;
    let _ = timeout(deadline, async { while connections.join_next().await.is_some() {} }).await;
    connections.len()
}
