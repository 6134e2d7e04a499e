//! The daemon's start-up, in order: give up rights, detach, read, bind, put up the fences, load, serve. Up to the one named
//! point the process has one thread.

use super::daemon::{Failure, exit, settle};
use crate::audit::{self, Master, Trail};
use crate::config::{self, Bind, Config, Places};
use crate::dataset::{self, Lists};
use crate::event::{Event, Teller};
use crate::identity::{Reader, private_file};
use crate::index::Fingerprinter;
use crate::metrics::Metrics;
use crate::process::{self, Alone, DetachFault, Herald, Inherited, Rights, Side};
use crate::server::listener::{Bound, BoundControl};
use crate::server::reload::{Reloader, reload_shortage};
use crate::server::state::Doors;
use crate::server::{self, Beginning, Stage, Supervisor, Wish, listener};
use crate::tls::DecoyKeys;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::mpsc;
use zeroize::Zeroize;

/// Serves in the foreground until it is stopped.
pub(super) fn in_foreground(file: &Path, user: Option<&str>) -> ExitCode {
    match alone_and_fenced(file, user) {
        Ok(fenced) => serve_until_stopped(fenced, None, Herald::new(None, Herald::watchdog_asked())),
        Err(failure) => failure.say(),
    }
}

/// Serves behind the caller's back: returns to the caller once every port answers, or with what the daemon ended with.
pub(super) fn detached(file: &Path, user: Option<&str>, pid_file: &Path) -> ExitCode {
    let fenced = match alone_and_fenced(file, user) {
        Ok(fenced) => fenced,
        Err(failure) => return failure.say(),
    };
    let watchdog = Herald::watchdog_asked();
    let detached = std::path::absolute(pid_file)
        .map(|pid_file| (process::detach(&fenced.alone, &pid_file, Herald::tell_loading), pid_file));
    let (side, pid_file) = match detached {
        Ok((Ok(side), pid_file)) => (side, pid_file),
        Ok((Err(fault), _)) => return Failure::new(exit::OSERR, &fault).say(),
        Err(error) => return Failure::new(exit::OSERR, &error).say(),
    };
    match side {
        Side::Starter(status) => ExitCode::from(status),
        Side::Daemon(word) => serve_until_stopped(fenced, Some(&pid_file), Herald::new(Some(word), watchdog)),
        Side::Failed(fault, word) => {
            let status = if matches!(fault, DetachFault::Held { .. }) { exit::UNAVAILABLE } else { exit::OSERR };
            let said = Failure::new(status, &fault).say();
            word.fault(status);
            said
        }
    }
}

/// The process as it is before anything from outside is read, with all that the starter handed over.
struct Fenced {
    alone: Alone,
    rights: Rights,
    inherited: Inherited,
    file: PathBuf,
}

/// What comes before anything from outside is read: one thread, no more rights than needed. The configuration file keeps
/// its meaning wherever the daemon goes.
fn alone_and_fenced(file: &Path, user: Option<&str>) -> Result<Fenced, Failure> {
    let refused = |(fence, error): (&str, io::Error)| Failure::new(exit::OSERR, &format!("{fence}: {error}"));
    let alone = Alone::prove().map_err(|error| Failure::new(exit::SOFTWARE, &error))?;
    let inherited = Inherited::take(&alone).map_err(|fault| Failure::new(exit::CONFIG, &fault))?;
    process::put_up(&alone, &inherited).map_err(refused)?;
    let rights = settle(user)?;
    process::fence_memory().map_err(refused)?;
    let file = std::path::absolute(file).map_err(|error| Failure::new(exit::OSERR, &error))?;
    Ok(Fenced { alone, rights, inherited, file })
}

fn serve_until_stopped(fenced: Fenced, pid_file: Option<&Path>, herald: Herald) -> ExitCode {
    let herald = Arc::new(herald);
    let ended = run(fenced, pid_file, &herald);
    process::forget_pid_file();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let said = failure.say();
            herald.fault(failure.status);
            said
        }
    }
}

fn run(fenced: Fenced, pid_file: Option<&Path>, herald: &Arc<Herald>) -> Result<(), Failure> {
    let Fenced { alone, rights, inherited, file } = fenced;
    let prepared = prepare(&rights, &file, inherited)?;
    let trail = open_trail(&prepared)?;
    let mut granted = Places::of(prepared.doors.config(), &file);
    pid_file.into_iter().for_each(|pid_file| granted.also_writes(pid_file));
    let landlock = process::enclose(&alone, &granted).map_err(|error| Failure::new(exit::OSERR, &error))?;

    // Here threads start, and nowhere before.
    let metrics = Arc::new(Metrics::default());
    let (teller, audit) = start_audit(alone, &prepared, trail, pid_file.is_some(), &metrics)?;
    teller.tell(Event::Starting { version: env!("CARGO_PKG_VERSION"), config: file.display().to_string() });
    teller.tell(Event::Confined { user: rights.user().to_owned(), landlock });
    let served = serve(prepared, granted, &teller, metrics, herald);
    audit.stop();
    served
}

/// What one thread made ready: read, checked and bound, but not yet serving.
struct Prepared {
    file: PathBuf,
    decoys: DecoyKeys,
    key: Option<Master>,
    doors: Doors,
    sockets: Vec<Bound>,
    control: Option<BoundControl>,
    warnings: Vec<String>,
}

fn prepare(rights: &Rights, file: &Path, inherited: Inherited) -> Result<Prepared, Failure> {
    let decoys = DecoyKeys::draw().map_err(|error| Failure::new(exit::OSERR, &error))?;
    let (doors, mut warnings) = read(rights, file, &decoys)?;
    let config = doors.config();
    let key = audit_key(config)?;
    warnings.extend(process::raise_descriptor_limit().shortage(config.server.max_connections));
    let (sockets, control) = bind(config, inherited)?;
    Ok(Prepared { file: file.to_owned(), decoys, key, doors, sockets, control, warnings })
}

fn open_trail(prepared: &Prepared) -> Result<Option<Trail>, Failure> {
    match (&prepared.doors.config().audit.trail, &prepared.key) {
        (Some(rules), Some(key)) => {
            Trail::open(rules, key.clone()).map(Some).map_err(|why| Failure::new(exit::OSERR, &why))
        }
        _ => Ok(None),
    }
}

/// Takes the proof: whoever starts threads shows that none ran before.
fn start_audit(
    _: Alone,
    prepared: &Prepared,
    trail: Option<Trail>,
    is_detached: bool,
    metrics: &Arc<Metrics>,
) -> Result<(Teller, audit::Audit), Failure> {
    let config = prepared.doors.config();
    let mut log = config.log.clone();
    if is_detached {
        // A terminal is for what keeps the daemon from starting; records have a place of their own.
        let is_heard = log.local != config::Local::None || !config.forwards.is_empty() || trail.is_some();
        if !is_heard && log.stderr != Some(true) {
            eprintln!("linekeepd: warning: [log] local = \"none\" leaves a detached daemon's records nowhere to go");
        }
        log.stderr.get_or_insert(false);
    }
    let key = prepared.key.clone();
    audit::start(&log, &config.forwards, trail, key, &config.audit, Arc::clone(metrics))
        .map_err(|error| Failure::new(exit::OSERR, &error))
}

/// The name under which the service manager may hand the audit's master key over (systemd.exec(5), LoadCredential=).
const KEY_CREDENTIAL: &str = "audit.key";

/// What the credential holds where there is none to hand over; the unit says it.
const NO_CREDENTIAL: &[u8] = b"none";

/// The master key of the audit, if the configuration names one: the credential where one was handed over, else the file.
pub(super) fn audit_key(config: &Config) -> Result<Option<Master>, Failure> {
    let Some(named) = &config.audit.key else { return Ok(None) };
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(KEY_CREDENTIAL));
    let credential = credential.filter(|file| std::fs::read(file).is_ok_and(|held| held != NO_CREDENTIAL));
    let (file, reader) = match credential {
        Some(file) => (file, Reader::of_credential()),
        None => (named.clone(), Reader::this_process()),
    };
    let fault = |why: String| Failure::new(exit::CONFIG, &format!("[audit] key: {why}"));
    let content = private_file::read(&file, reader).map_err(|why| fault(why.to_string()))?;
    Master::read(&content).map(Some).map_err(|why| fault(format!("{}: {why}", file.display())))
}

fn serve(
    prepared: Prepared,
    granted: Places,
    teller: &Teller,
    metrics: Arc<Metrics>,
    herald: &Arc<Herald>,
) -> Result<(), Failure> {
    let Prepared { file, decoys, key: _, doors, sockets, control, warnings } = prepared;
    let os = |error: std::io::Error| Failure::new(exit::OSERR, &error);
    let fingerprinter = draw_fingerprinter()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(os)?;
    let served = tokio::task::LocalSet::new().block_on(&runtime, async {
        // Signals are heard before the lists are read: reading may take long.
        let mut wishes = process::wishes().map_err(os)?;
        warnings.into_iter().for_each(|about| teller.tell(Event::Warned { about }));
        let ceiling = doors.config().server.max_index_bytes;
        let common = dataset::Common {
            fingerprinter,
            memory: dataset::Memory::new(ceiling),
            world: Arc::new(dataset::Kernel),
            teller: teller.clone(),
            metrics: Arc::clone(&metrics),
        };
        let loading = load(doors.config().clone(), common.clone());
        let Some(lists) = unless_stopped(loading, &mut wishes, teller, herald).await? else { return Ok(()) };
        reload_shortage(lists.memory(), ceiling).into_iter().for_each(|about| teller.tell(Event::Warned { about }));
        let supervisor = supervisor(herald);
        let state = doors.into_state(0, lists);
        let beginning = Beginning { state, sockets, control, supervisor, teller: teller.clone(), metrics };
        let reloader = move |shared| Reloader { file, granted, decoys, common, shared };
        server::run(beginning, reloader, wishes).await.map_err(os)
    });
    // A load that was cut short by a stop may still be reading; it has nobody left to tell.
    runtime.shutdown_background();
    served
}

/// Passes what the server says of itself on to whoever started it.
fn supervisor(herald: &Arc<Herald>) -> Supervisor {
    let watchdog = herald.watchdog();
    let herald = Arc::clone(herald);
    let tell = move |stage: Stage| match stage {
        // Whoever left at the very last moment left a daemon that serves.
        Stage::Ready(status) => herald.ready(&status).unwrap_or_default(),
        Stage::Reloading => herald.reloading(),
        Stage::Stopping => herald.stopping(),
        Stage::Alive => herald.alive(),
    };
    Supervisor { tell: Box::new(tell), watchdog }
}

/// Why a daemon stops that was started by somebody who left before it was ready.
const GIVEN_UP: &str = "the start was given up";

/// Opens the lists on a thread of its own. One that cannot be read was told, and answers with an error until it can be,
/// unless it is required.
async fn load(config: Config, common: dataset::Common) -> Result<Lists, Failure> {
    let loading = tokio::task::spawn_blocking(move || dataset::open(&config.datasets, &common, None));
    let loaded = loading.await.map_err(|error| Failure::new(exit::SOFTWARE, &error))?;
    let all = |faults: Vec<dataset::Fault>| faults.iter().map(ToString::to_string).collect();
    loaded.map(|opened| opened.lists).map_err(|faults| Failure::all(exit::UNAVAILABLE, all(faults)))
}

/// Waits for the lists, unless a signal asks to stop: then `None`. A reload that is asked for meanwhile is none: what is
/// being read is as new as it gets.
async fn unless_stopped(
    loading: impl Future<Output = Result<Lists, Failure>>,
    wishes: &mut mpsc::Receiver<Wish>,
    teller: &Teller,
    herald: &Herald,
) -> Result<Option<Lists>, Failure> {
    let mut loading = std::pin::pin!(loading);
    let reason = loop {
        if herald.loading().is_err() {
            break GIVEN_UP;
        }
        tokio::select! {
            () = tokio::time::sleep(process::SIGN_OF_LIFE) => {}
            Some(wish) = wishes.recv() => if let Wish::Stop(reason) = wish { break reason },
            loaded = &mut loading => return loaded.map(Some),
        }
    };
    teller.tell(Event::Stopping { reason, connections: 0 });
    teller.tell(Event::Stopped { cut_connections: 0 });
    Ok(None)
}

/// Configuration, keys and certificates: everything that can be wrong before a socket is bound, all faults at once. Takes the
/// proof that root's rights are gone.
pub(super) fn read(_: &Rights, file: &Path, decoys: &DecoyKeys) -> Result<(Doors, Vec<String>), Failure> {
    let faulty = |lines| Failure::all(exit::CONFIG, lines);
    let config = config::load(file).map_err(|faults| faulty(faults.lines()))?;
    let doors = Doors::build(config, decoys).map_err(faulty)?;
    let warnings = doors.warnings.clone();
    Ok((doors, warnings))
}

/// Sockets that were handed over serve the listeners of their addresses; one that is left over would take connections that
/// nobody ever answers.
fn bind(config: &Config, mut inherited: Inherited) -> Result<(Vec<Bound>, Option<BoundControl>), Failure> {
    let mut faults = Vec::new();
    let mut sockets = Vec::new();
    for listener in &config.listeners {
        let handed = match &listener.bind {
            Bind::Tcp(address) => inherited.on(*address),
            Bind::Unix { .. } => None,
        };
        match listener::bind(listener, config.server.backlog, handed) {
            Ok(bound) => sockets.push(bound),
            Err(fault) => faults.push(format!("listener {}: {fault}", listener.name)),
        }
    }
    let control = match config.control.as_ref().map(listener::bind_control).transpose() {
        Ok(control) => control,
        Err(fault) => {
            faults.push(format!("control: {fault}"));
            None
        }
    };
    let mut status = exit::UNAVAILABLE;
    for address in inherited.left_over() {
        status = exit::CONFIG;
        faults.push(format!(
            "systemd hands over a socket on {address} that no [[listener]] names: change the listener or ListenStream="
        ));
    }
    if faults.is_empty() { Ok((sockets, control)) } else { Err(Failure::all(status, faults)) }
}

fn draw_fingerprinter() -> Result<Fingerprinter, Failure> {
    let mut key = [0; 16];
    openssl::rand::rand_bytes(&mut key).map_err(|error| Failure::new(exit::OSERR, &error))?;
    let fingerprinter = Fingerprinter::new(key);
    key.zeroize();
    Ok(fingerprinter)
}
