//! The control socket of `linekeepctl`: one JSON line asks, one JSON line answers. Root, the daemon's own user, and
//! whoever the socket's group and mode let connect.

use super::accounts::Figures;
use super::reload::{Outcome, Request};
use super::shared::Shared;
use crate::config;
use crate::dataset::Summary;
use crate::event::Event;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// What the administrator may ask.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Command {
    /// How is it?
    Status,
    /// Read everything anew.
    Reload,
}

/// What the daemon answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Command::Status`].
    Status(Box<Status>),
    /// To [`Command::Reload`].
    Reload(Outcome),
    /// To anything that cannot be answered.
    Error(String),
}

/// How the daemon is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Which generation is in service: 0 at the start, one more with each reload.
    pub generation: u64,
    /// Connections open now.
    pub connections: u64,
    /// The most connections that may be open.
    pub max_connections: usize,
    /// Sources that are turned away for a while, for failed logins and slow handshakes.
    pub penalised_sources: usize,
    /// The listeners.
    pub listeners: Vec<ListenerStatus>,
    /// The clients that the configuration lists.
    pub clients: Vec<ClientStatus>,
    /// The lists in service.
    pub lists: Vec<Summary>,
    /// Counters by name.
    pub counters: BTreeMap<String, u64>,
}

/// One client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientStatus {
    /// Its name.
    pub name: String,
    /// Whether it may come at all.
    pub enabled: bool,
    /// When its time is over, in seconds since 1970.
    pub expires: Option<u64>,
    /// What it does.
    #[serde(flatten)]
    pub figures: Figures,
}

/// One listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// What proves who a client is.
    pub mode: String,
}

/// Control connections at a time.
const CONNECTIONS: usize = 8;

/// A request is one word; nothing longer is read.
const MAX_REQUEST_BYTES: u64 = 4096;

/// For a request to come and an answer to go. A reload may take longer than this in between.
const DEADLINE: Duration = Duration::from_secs(10);

/// The control socket's end of the server.
pub struct Control {
    /// What everybody sees.
    pub shared: Arc<Shared>,
    /// Where the listeners listen, in the order of the configuration.
    pub addresses: Vec<String>,
    /// Where reloads are asked for.
    pub reloads: mpsc::Sender<Request>,
    /// Whether the socket's mode lets others than root and ourselves connect.
    pub group_may: bool,
}

impl Control {
    /// Accepts control connections until the server stops.
    pub async fn serve(self, socket: UnixListener) {
        let control = Arc::new(self);
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            match socket.accept().await {
                Ok((stream, _)) => {
                    let control = Arc::clone(&control);
                    tokio::spawn(async move {
                        control.converse(stream).await;
                        drop(slot);
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn converse(&self, mut stream: UnixStream) {
        let Ok(peer) = stream.peer_cred() else { return };
        let reply = if self.may(peer.uid()) {
            match timeout(DEADLINE, read_command(&mut stream)).await {
                Ok(Ok(command)) => self.obey(command, peer.uid()).await,
                Ok(Err(why)) => Reply::Error(why),
                Err(_) => return,
            }
        } else {
            self.shared.teller.tell(Event::ControlDenied { uid: peer.uid() });
            Reply::Error("not permitted for this user".into())
        };
        if let Ok(mut line) = serde_json::to_vec(&reply) {
            line.push(b'\n');
            let _ = timeout(DEADLINE, stream.write_all(&line)).await;
        }
    }

    /// The kernel let them connect by group and mode; without group access only privilege could have.
    fn may(&self, uid: u32) -> bool {
        uid == 0 || uid == rustix::process::geteuid().as_raw() || self.group_may
    }

    async fn obey(&self, command: Command, uid: u32) -> Reply {
        match command {
            Command::Status => Reply::Status(Box::new(self.status())),
            Command::Reload => {
                let (reply, outcome) = oneshot::channel();
                let request = Request { by: format!("control:uid={uid}"), reply };
                if self.reloads.try_send(request).is_err() {
                    return Reply::Error("too many reloads wait already".into());
                }
                match outcome.await {
                    Ok(outcome) => Reply::Reload(outcome),
                    Err(_) => Reply::Error("the daemon stops".into()),
                }
            }
        }
    }

    fn status(&self) -> Status {
        let state = self.shared.state.load();
        let listener = |(listener, address): (&crate::config::Listener, &String)| ListenerStatus {
            name: listener.name.to_string(),
            address: address.clone(),
            mode: listener.protection.name().into(),
        };
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            uptime_seconds: self.shared.since.elapsed().as_secs(),
            generation: state.epoch,
            connections: self.shared.metrics.open.value(),
            max_connections: state.config.server.max_connections,
            penalised_sources: self.shared.penalised(),
            listeners: state.config.listeners.iter().zip(&self.addresses).map(listener).collect(),
            clients: state.config.clients.iter().map(|listed| self.client(listed)).collect(),
            lists: state.lists.summary(),
            counters: self.shared.metrics.read().into_iter().map(|(name, _, value)| (name.to_owned(), value)).collect(),
        }
    }
}

impl Control {
    fn client(&self, listed: &config::Client) -> ClientStatus {
        let unix = |moment: SystemTime| moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        ClientStatus {
            name: listed.name.to_string(),
            enabled: listed.enabled,
            expires: listed.expires.map(unix),
            figures: self.shared.accounts.figures(&listed.name),
        }
    }
}

async fn read_command(stream: &mut UnixStream) -> Result<Command, String> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream.take(MAX_REQUEST_BYTES));
    reader.read_until(b'\n', &mut line).await.map_err(|error| error.to_string())?;
    serde_json::from_slice(&line).map_err(|error| format!("not a command: {error}"))
}
