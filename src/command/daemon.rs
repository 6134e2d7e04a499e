//! `linekeepd`: what was typed, then what was meant, then the start-up in order.

use crate::audit;
use crate::config;
use crate::dataset;
use crate::process::{self, Rights};
use crate::tls::DecoyKeys;
use clap::{Args, CommandFactory, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::startup;

/// Exit statuses of the daemon, as sysexits.h names them.
pub(super) mod exit {
    pub(in crate::command) const USAGE: u8 = 64;
    pub(in crate::command) const NO_USER: u8 = 67;
    pub(in crate::command) const UNAVAILABLE: u8 = 69;
    pub(in crate::command) const SOFTWARE: u8 = 70;
    pub(in crate::command) const OSERR: u8 = 71;
    pub(in crate::command) const NO_PERMISSION: u8 = 77;
    pub(in crate::command) const CONFIG: u8 = 78;
}

/// The daemon that answers: is this exact line in this list?
///
/// Without a command it checks everything, binds its sockets, loads its lists, detaches, and returns when every port answers.
#[derive(Parser)]
#[command(name = "linekeepd", version, about, after_help = AFTER_HELP)]
struct Typed {
    /// The configuration file.
    #[arg(short, long, global = true, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
    #[arg(long, global = true, value_name = "USER[:GROUP]", help = USER_HELP)]
    user: Option<String>,
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Option<What>,
}

const USER_HELP: &str = "Who to become when started as root, before anything is read: names or numbers, by default _linekeep; \
`root` stays root. Not started as root, it stays who it is";

/// Where the daemon goes.
#[derive(Args)]
struct Place {
    /// Stay in the foreground, for containers and systemd's Type=notify; says by sd_notify how it goes.
    #[arg(short, long)]
    foreground: bool,
    /// Where the process id goes; locked while it runs, and taken away at its end.
    #[arg(long, value_name = "FILE", default_value = process::DEFAULT_PID_FILE)]
    pid_file: PathBuf,
}

#[derive(Subcommand)]
enum What {
    /// Check the configuration, then every key, certificate and list file that it names, as the user that would serve;
    /// tell all faults. Binds nothing.
    Check {
        /// Say nothing where there is no fault.
        #[arg(short, long)]
        quiet: bool,
    },
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

Exit status: 0 every port answers (with --foreground: stopped as asked); 64 the command line has a fault; 67 there is no
such user; 69 an address or the pid file is taken, or a required list cannot be loaded; 70 a defect; 71 the system refused;
77 root is needed; 78 the configuration or something that it names has faults. What is wrong stands on standard error.";

/// What may be typed: help, man page and completions come from it.
#[must_use]
pub fn definition() -> clap::Command {
    Typed::command()
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let typed = match Typed::try_parse() {
        Ok(typed) => typed,
        Err(told) => {
            let _ = told.print();
            return ExitCode::from(if told.use_stderr() { exit::USAGE } else { 0 });
        }
    };
    let user = typed.user.as_deref();
    let outcome = match typed.command {
        None if typed.place.foreground => return startup::in_foreground(&typed.config, user),
        None => return startup::detached(&typed.config, user, &typed.place.pid_file),
        Some(What::Check { quiet }) => settle(user).and_then(|rights| check(&rights, &typed.config, quiet)),
        Some(What::Reference { records }) => {
            print!("{}", if records { audit::reference() } else { config::reference() });
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.say(),
    }
}

/// Why the daemon does not run, in words, and its exit status.
pub(super) struct Failure {
    pub(super) status: u8,
    lines: Vec<String>,
}

impl Failure {
    pub(super) fn new(status: u8, line: &impl ToString) -> Failure {
        Failure { status, lines: vec![line.to_string()] }
    }

    pub(super) fn all(status: u8, lines: Vec<String>) -> Failure {
        Failure { status, lines }
    }

    /// Says it on standard error.
    pub(super) fn say(&self) -> ExitCode {
        for line in &self.lines {
            eprintln!("linekeepd: {line}");
        }
        ExitCode::from(self.status)
    }
}

/// Root gives its rights up before anything is read: here too, so that what is found readable is readable to the daemon.
pub(super) fn settle(user: Option<&str>) -> Result<Rights, Failure> {
    Rights::settle(user).map_err(|fault| {
        let status = match fault {
            process::RightsFault::Nobody { .. } => exit::NO_USER,
            process::RightsFault::NotRoot { .. } => exit::NO_PERMISSION,
            _ => exit::OSERR,
        };
        Failure::new(status, &fault)
    })
}

/// Says everything that would keep the daemon from starting, and nothing else happens.
fn check(rights: &Rights, file: &Path, quiet: bool) -> Result<(), Failure> {
    let decoys = DecoyKeys::draw().map_err(|error| Failure::new(exit::OSERR, &error))?;
    let (doors, warnings) = startup::read(rights, file, &decoys)?;
    let config = doors.config();
    startup::audit_key(config)?;
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
    if !quiet {
        println!("{}: good ({listeners} listeners, {lists} lists, {clients} clients)", file.display());
    }
    Ok(())
}
