//! The server: sockets, admission, connections, sessions, reload, stop. Knows every capability below it.
//!
//! To follow one query, open [`connection`]. [`run`] is the table of contents.

pub mod accounts;
pub mod admission;
pub mod connection;
pub mod control;
mod difference;
mod explain;
mod introduction;
pub mod listener;
pub mod penalties;
mod pulse;
mod recording;
pub mod reload;
pub mod session;
pub mod shared;
mod standing;
pub mod state;
mod tally;
pub mod uses;
mod vigil;
pub mod wire;
pub mod workers;

use crate::config::{Bind, Config, Protection};
use crate::event::{Event, Teller};
use crate::metrics::Metrics;
use accounts::Accounts;
use admission::Admission;
use arc_swap::ArcSwap;
use connection::Doorkeeper;
use control::Control;
use listener::{Bound, BoundControl};
use pulse::Pulse;
use reload::{Reloader, Request};
use shared::{Call, Shared};
use state::State;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use uses::Uses;
use workers::Workers;

/// What the server begins with; every part was checked, bound or loaded before.
pub struct Beginning {
    /// The first generation.
    pub state: State,
    /// The listeners' sockets, in the order of the configuration.
    pub sockets: Vec<Bound>,
    /// The control socket.
    pub control: Option<BoundControl>,
    /// Who is told how it goes.
    pub supervisor: Supervisor,
    /// Where events are told.
    pub teller: Teller,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// What the server says of itself to whoever supervises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Every listener accepts; in words, what is served. Also after each reload.
    Ready(String),
    /// A reload begins.
    Reloading,
    /// It finishes what was read, then ends.
    Stopping,
    /// Every thread that answers has come round since the last time.
    Alive,
}

/// Whoever started the server and watches over it.
pub struct Supervisor {
    /// Told from every thread; never waits.
    pub tell: Box<dyn Fn(Stage) + Send + Sync>,
    /// How often it wants to hear that the server is alive, if it does.
    pub watchdog: Option<Duration>,
}

/// What the process asks of the running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Read everything anew.
    Reload,
    /// Finish what was read, then end.
    Stop(&'static str),
}

/// Runs until a wish to stop was fulfilled. `wishes` yields what signals ask for; `reloader` makes the reloader once
/// the shared part exists.
///
/// # Errors
/// When threads or runtimes cannot be had; nothing that a peer does ends the server.
pub async fn run(
    beginning: Beginning,
    reloader: impl FnOnce(Arc<Shared>) -> Reloader,
    mut wishes: mpsc::Receiver<Wish>,
) -> io::Result<()> {
    let Beginning { state, sockets, control, supervisor, teller, metrics } = beginning;
    let threads = state.config.server.threads;
    let calls = watch::Sender::new(Call { stopping: false, epoch: state.epoch, jumps: 0 });
    let state = ArcSwap::from_pointee(state);
    let penalties = Mutex::default();
    let (uses, forgotten) = Uses::open(state.load().config.server.state_folder.as_deref());
    forgotten.into_iter().for_each(|about| teller.tell(Event::Warned { about }));
    let (accounts, since) = (Accounts::default(), Instant::now());
    let jumps = AtomicU64::new(0);
    let shared =
        Arc::new(Shared { state, metrics, teller, supervisor, penalties, accounts, uses, jumps, calls, since });
    let pulse = Arc::new(Pulse::new(threads.max(1), shared.supervisor.watchdog));
    let workers = Rc::new(Workers::start(threads, &shared, &pulse)?);
    let (reloads, requests) = mpsc::channel(reload::WAITING);

    let reloading = tokio::spawn(reload::serve(requests, Arc::new(reloader(Arc::clone(&shared)))));
    let watching = tokio::spawn(vigil::keep(Arc::clone(&shared)));
    let feeling = tokio::spawn(pulse::feel(pulse, Arc::clone(&shared)));
    let addresses: Vec<_> = sockets.iter().map(|socket| socket.address.clone()).collect();
    let accepting = accept_all(sockets, &workers, &shared);
    let controlling = control_all(control, &addresses, &shared, &reloads)?;
    announce(&shared, &addresses);

    let reason = loop {
        match wishes.recv().await {
            Some(Wish::Reload) => ask_for_reload(&reloads),
            Some(Wish::Stop(reason)) => break reason,
            None => break "nobody is left to ask",
        }
    };

    (shared.supervisor.tell)(Stage::Stopping);
    shared.teller.tell(Event::Stopping { reason, connections: shared.metrics.open.value() });
    for task in accepting {
        task.abort();
        // Its socket is closed and its share of the workers given back once this returns.
        let _ = task.await;
    }
    for (listener, address) in addresses.iter().enumerate() {
        let (listener, address) = (shared.listener_name(listener), address.clone());
        shared.teller.tell(Event::ListenerDown { listener, address });
    }
    drop(controlling);
    reloading.abort();
    watching.abort();
    feeling.abort();
    shared.stop();
    let cut_connections = drain(workers).await;
    shared.uses.save(true).err().into_iter().for_each(|about| shared.teller.tell(Event::Warned { about }));
    shared.teller.tell(Event::Stopped { cut_connections });
    Ok(())
}

fn accept_all(
    sockets: Vec<Bound>,
    workers: &Rc<Workers>,
    shared: &Arc<Shared>,
) -> Vec<tokio::task::JoinHandle<io::Result<()>>> {
    let admission = Rc::new(RefCell::new(Admission::default()));
    let keeper = Doorkeeper { admission, workers: Rc::downgrade(workers), shared: Arc::clone(shared) };
    let accept = |(listener, bound)| tokio::task::spawn_local(listener::accept(bound, listener, keeper.clone()));
    sockets.into_iter().enumerate().map(accept).collect()
}

/// A running control socket; dropping it closes it and takes its file away.
struct Controlling<F> {
    task: tokio::task::JoinHandle<()>,
    _file: F,
}

impl<F> Drop for Controlling<F> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn control_all(
    control: Option<BoundControl>,
    addresses: &[String],
    shared: &Arc<Shared>,
    reloads: &mpsc::Sender<Request>,
) -> io::Result<Option<Controlling<impl Drop>>> {
    let Some(bound) = control else { return Ok(None) };
    let group_may = shared.state.load().config.control.as_ref().is_some_and(|control| control.mode & 0o020 != 0);
    let (socket, file) = bound.into_listener()?;
    let control =
        Control { shared: Arc::clone(shared), addresses: addresses.to_vec(), reloads: reloads.clone(), group_may };
    Ok(Some(Controlling { task: tokio::spawn(control.serve(socket)), _file: file }))
}

/// Says where the server listens, and aloud where it asks nobody who they are.
fn announce(shared: &Shared, addresses: &[String]) {
    let state = shared.state.load();
    let config: &Config = &state.config;
    for (listener, address) in config.listeners.iter().zip(addresses) {
        let (name, mode) = (Arc::clone(&listener.name), listener.protection.name());
        shared.teller.tell(Event::ListenerUp { listener: name, address: address.clone(), mode });
        let open_to = match &listener.protection {
            Protection::Plain { client } => Some(client),
            Protection::Tls { mode: crate::config::Mode::None { client, .. }, .. } => Some(client),
            Protection::Tls { .. } => None,
        };
        if let Some(client) = open_to {
            shared.teller.tell(Event::ListenerOpen {
                listener: Arc::clone(&listener.name),
                client: Arc::clone(client),
                allow: match listener.bind {
                    Bind::Tcp(_) => listener.allow.to_string(),
                    Bind::Unix { .. } => "whom the socket's mode lets in".into(),
                },
            });
        }
    }
    let (listeners, lists, lines) = (addresses.len(), state.lists.len(), state.lists.lines());
    shared.teller.tell(Event::Ready { listeners, lists, lines });
    shared.say_ready();
}

fn ask_for_reload(reloads: &mpsc::Sender<Request>) {
    let (reply, _) = oneshot::channel();
    // A full queue means that a reload which begins after this moment is already waiting.
    let _ = reloads.try_send(Request { by: "signal:SIGHUP".into(), reply });
}

/// Waits for the workers on a thread of its own: this runtime still has signals to hear.
async fn drain(workers: Rc<Workers>) -> usize {
    match Rc::into_inner(workers) {
        Some(workers) => tokio::task::spawn_blocking(move || workers.join()).await.unwrap_or(0),
        None => 0,
    }
}
