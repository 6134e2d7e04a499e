//! `linekeepd`: what was typed, then what was meant, then the start-up in order.

use crate::audit::{self, Master, Trail};
use crate::config::{self, Config};
use crate::dataset::{self, Lists};
use crate::event::{Event, Teller};
use crate::identity::{Reader, private_file};
use crate::index::Fingerprinter;
use crate::metrics::Metrics;
use crate::process::{self, Alone};
use crate::server::listener::{Bound, BoundControl};
use crate::server::reload::{Reloader, reload_shortage};
use crate::server::state::Doors;
use crate::server::{self, Beginning, Wish, listener};
use crate::tls::DecoyKeys;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use zeroize::Zeroize;

/// Exit statuses of the daemon, as sysexits.h names them.
mod exit {
    pub(super) const UNAVAILABLE: u8 = 69;
    pub(super) const SOFTWARE: u8 = 70;
    pub(super) const OSERR: u8 = 71;
    pub(super) const CONFIG: u8 = 78;
}

/// The daemon that answers: is this exact line in this list?
#[derive(Parser)]
#[command(name = "linekeepd", version, about, after_help = AFTER_HELP)]
struct Typed {
    /// The configuration file.
    #[arg(short, long, global = true, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Serve, in the foreground, until SIGTERM or SIGINT. This is what happens without a command.
    Run,
    /// Check the configuration, then every key, certificate and list file that it names; tell all faults. Binds nothing.
    Check,
    /// Print the configuration reference, in Markdown.
    Reference {
        /// The reference of records and counters instead.
        #[arg(long)]
        records: bool,
    },
}

const AFTER_HELP: &str = "\
Signals: HUP reads configuration, keys and certificates anew, all or nothing, and lists that changed; TERM and INT stop
after answering what was read; a second TERM or INT ends at once.

Exit status: 0 stopped as asked; 78 the configuration or something that it names has faults; 69 an address is taken
or a required list cannot be loaded; 71 the system refused; 70 a defect.";

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let typed = Typed::parse();
    let outcome = match typed.command {
        None | Some(What::Run) => run(&typed.config),
        Some(What::Check) => check(&typed.config),
        Some(What::Reference { records }) => {
            print!("{}", if records { audit::reference() } else { config::reference() });
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in &failure.lines {
                eprintln!("linekeepd: {line}");
            }
            ExitCode::from(failure.status)
        }
    }
}

/// Why the daemon does not run, in words, and its exit status.
struct Failure {
    status: u8,
    lines: Vec<String>,
}

impl Failure {
    fn new(status: u8, line: &impl ToString) -> Failure {
        Failure { status, lines: vec![line.to_string()] }
    }

    fn all(status: u8, lines: Vec<String>) -> Failure {
        Failure { status, lines }
    }
}

/// The start-up, in order. Up to the named point the process has one thread and can still refuse everything with a
/// word on standard error; behind it, it serves.
fn run(file: &Path) -> Result<(), Failure> {
    let prepared = prepare(file)?;
    let alone = Alone::prove().map_err(|error| Failure::new(exit::SOFTWARE, &error))?;

    // Here threads start, and nowhere before.
    let metrics = Arc::new(Metrics::default());
    let (teller, audit) = start_audit(alone, prepared.doors.config(), prepared.key.clone(), &metrics)?;
    let served = serve(prepared, &teller, metrics);
    audit.stop(AUDIT_PATIENCE);
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

fn prepare(file: &Path) -> Result<Prepared, Failure> {
    let decoys = DecoyKeys::draw().map_err(|error| Failure::new(exit::OSERR, &error))?;
    let (doors, mut warnings) = read(file, &decoys)?;
    let config = doors.config();
    let key = audit_key(config)?;
    warnings.extend(process::raise_descriptor_limit().shortage(config.server.max_connections));
    let (sockets, control) = bind(config)?;
    Ok(Prepared { file: file.to_owned(), decoys, key, doors, sockets, control, warnings })
}

/// How long the last records may take to be written.
const AUDIT_PATIENCE: Duration = Duration::from_secs(2);

/// Takes the proof: whoever starts threads shows that none ran before.
fn start_audit(
    _: Alone,
    config: &Config,
    key: Option<Master>,
    metrics: &Arc<Metrics>,
) -> Result<(Teller, audit::Audit), Failure> {
    let trail = match (&config.audit.trail, &key) {
        (Some(rules), Some(key)) => {
            Some(Trail::open(rules, key.clone()).map_err(|why| Failure::new(exit::OSERR, &why))?)
        }
        _ => None,
    };
    audit::start(&config.log, &config.forwards, trail, key, &config.audit, Arc::clone(metrics))
        .map_err(|error| Failure::new(exit::OSERR, &error))
}

/// The master key of the audit, if the configuration names one.
fn audit_key(config: &Config) -> Result<Option<Master>, Failure> {
    let Some(file) = &config.audit.key else { return Ok(None) };
    let fault = |why: String| Failure::new(exit::CONFIG, &format!("[audit] key: {why}"));
    let content = private_file::read(file, Reader::this_process()).map_err(|why| fault(why.to_string()))?;
    Master::read(&content).map(Some).map_err(|why| fault(format!("{}: {why}", file.display())))
}

fn serve(prepared: Prepared, teller: &Teller, metrics: Arc<Metrics>) -> Result<(), Failure> {
    let Prepared { file, decoys, key: _, doors, sockets, control, warnings } = prepared;
    let os = |error: std::io::Error| Failure::new(exit::OSERR, &error);
    let fingerprinter = draw_fingerprinter()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(os)?;
    let served = tokio::task::LocalSet::new().block_on(&runtime, async {
        // Signals are heard before the lists are read: reading may take long.
        let mut wishes = process::wishes().map_err(os)?;
        teller.tell(Event::Starting { version: env!("CARGO_PKG_VERSION"), config: file.display().to_string() });
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
        let Some(lists) = unless_stopped(loading, &mut wishes, teller).await? else { return Ok(()) };
        reload_shortage(lists.memory(), ceiling).into_iter().for_each(|about| teller.tell(Event::Warned { about }));
        let beginning =
            Beginning { state: doors.into_state(0, lists), sockets, control, teller: teller.clone(), metrics };
        let reloader = move |shared| Reloader { file, decoys, common, shared };
        server::run(beginning, reloader, wishes).await.map_err(os)
    });
    // A load that was cut short by a stop may still be reading; it has nobody left to tell.
    runtime.shutdown_background();
    served
}

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
) -> Result<Option<Lists>, Failure> {
    let mut loading = std::pin::pin!(loading);
    loop {
        tokio::select! {
            loaded = &mut loading => return loaded.map(Some),
            Some(wish) = wishes.recv() => if let Wish::Stop(reason) = wish {
                teller.tell(Event::Stopping { reason, connections: 0 });
                teller.tell(Event::Stopped { cut_connections: 0 });
                return Ok(None);
            },
        }
    }
}

/// Configuration, keys and certificates: everything that can be wrong before a socket is bound, all faults at once.
fn read(file: &Path, decoys: &DecoyKeys) -> Result<(Doors, Vec<String>), Failure> {
    let faulty = |lines| Failure::all(exit::CONFIG, lines);
    let config = config::load(file).map_err(|faults| faulty(faults.lines()))?;
    let doors = Doors::build(config, decoys).map_err(faulty)?;
    let warnings = doors.warnings.clone();
    Ok((doors, warnings))
}

fn bind(config: &Config) -> Result<(Vec<Bound>, Option<BoundControl>), Failure> {
    let mut faults = Vec::new();
    let mut sockets = Vec::new();
    for listener in &config.listeners {
        match listener::bind(listener, config.server.backlog) {
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
    if faults.is_empty() { Ok((sockets, control)) } else { Err(Failure::all(exit::UNAVAILABLE, faults)) }
}

fn draw_fingerprinter() -> Result<Fingerprinter, Failure> {
    let mut key = [0; 16];
    openssl::rand::rand_bytes(&mut key).map_err(|error| Failure::new(exit::OSERR, &error))?;
    let fingerprinter = Fingerprinter::new(key);
    key.zeroize();
    Ok(fingerprinter)
}

/// Says everything that would keep the daemon from starting, and nothing else happens.
fn check(file: &Path) -> Result<(), Failure> {
    let decoys = DecoyKeys::draw().map_err(|error| Failure::new(exit::OSERR, &error))?;
    let (doors, warnings) = read(file, &decoys)?;
    let config = doors.config();
    audit_key(config)?;
    let found = dataset::check(&config.datasets);
    let is_required =
        |fault: &&dataset::Fault| config.datasets.iter().any(|dataset| dataset.required && dataset.name == fault.list);
    let (faults, lost): (Vec<_>, Vec<_>) = found.iter().partition(is_required);
    if !faults.is_empty() {
        let lost = lost.iter().map(|fault| format!("warning: {fault}"));
        return Err(Failure::all(exit::CONFIG, faults.iter().map(ToString::to_string).chain(lost).collect()));
    }
    let lost = lost.iter().map(|fault| format!("{fault}; until that is mended it answers ERROR: list unavailable"));
    for warning in warnings.into_iter().chain(lost) {
        eprintln!("linekeepd: warning: {warning}");
    }
    let (listeners, lists, clients) = (config.listeners.len(), config.datasets.len(), config.clients.len());
    println!("{}: good ({listeners} listeners, {lists} lists, {clients} clients)", file.display());
    Ok(())
}
