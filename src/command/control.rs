//! `linekeepctl`: asks the daemon over its control socket and shows the answer to people or to machines.

use crate::command::psk;
use crate::config;
use crate::dataset::Summary;
use crate::server::control::{ClientStatus, Command, Reply, Status};
use crate::server::reload::Outcome;
use clap::{CommandFactory, Parser, Subcommand};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

/// The administrator's hand on linekeepd: its state, its reload, the keys of clients, the audit trail.
#[derive(Parser)]
#[command(name = "linekeepctl", version, after_help = AFTER_HELP)]
struct Typed {
    /// The daemon's control socket.
    #[arg(short, long, global = true, value_name = "PATH", default_value = config::DEFAULT_CONTROL_SOCKET)]
    socket: PathBuf,
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Show lists, listeners, connections and counters.
    Status {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Read configuration, keys and certificates anew, all or nothing, and lists that changed; waits and tells every fault.
    Reload {
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make, list, rotate, revoke, prune and import keys of a keyring.
    #[command(subcommand)]
    Psk(psk::What),
    /// Read the chained audit trail: verify it, search it, show it. Asks no daemon.
    #[command(subcommand)]
    Audit(super::audit::Typed),
}

const AFTER_HELP: &str = "\
Exit status: 0 done; 1 the reload was refused and the last good state stays in service, or lists could not be taken as
they are and stay as they were, or keys could not be read, made or changed; 2 the daemon could not be asked, or the
command line has a fault. `linekeepctl audit` has its own.";

/// The daemon answers status at once; without an answer for this long it is stuck.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);

/// What may be typed: help, man page and completions come from it.
#[must_use]
pub fn definition() -> clap::Command {
    Typed::command()
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let typed = Typed::parse();
    let (command, json) = match typed.command {
        What::Status { json } => (Command::Status, json),
        What::Reload { json } => (Command::Reload, json),
        What::Psk(what) => return psk::main(what, &typed.socket),
        What::Audit(typed) => return super::audit::run(typed),
    };
    let reply = match ask(&typed.socket, command) {
        Ok(reply) => reply,
        Err(why) => {
            eprintln!("linekeepctl: {}: {why}", typed.socket.display());
            return ExitCode::from(2);
        }
    };
    let shown = match &reply {
        Reply::Status(status) if json => show_json(status),
        Reply::Reload(outcome) if json => show_json(outcome),
        Reply::Status(status) => show(&people_status(status)),
        Reply::Reload(outcome) => show(&people_outcome(outcome)),
        Reply::KeyUses(_) => Ok(()),
        Reply::Error(why) => {
            eprintln!("linekeepctl: {why}");
            return ExitCode::from(2);
        }
    };
    match reply {
        _ if shown.is_err() => ExitCode::from(2),
        Reply::Reload(outcome) if !outcome.faults.is_empty() => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    }
}

pub(super) fn ask(socket: &Path, command: Command) -> Result<Reply, String> {
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            "no daemon answers here; is linekeepd running, and is this the socket of its [control] section?".to_owned()
        }
        std::io::ErrorKind::PermissionDenied => {
            "not permitted for this user; root and the socket's group are".to_owned()
        }
        _ => error.to_string(),
    })?;
    if !matches!(command, Command::Reload) {
        stream.set_read_timeout(Some(STATUS_PATIENCE)).map_err(|error| error.to_string())?;
    }
    let mut line = serde_json::to_vec(&command).map_err(|error| error.to_string())?;
    line.push(b'\n');
    stream.write_all(&line).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(|error| format!("no answer: {error}"))?;
    serde_json::from_str(&answer).map_err(|error| format!("the answer is none of ours: {error}"))
}

pub(super) fn show(text: &str) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes())
}

fn show_json(value: &impl serde::Serialize) -> std::io::Result<()> {
    show(&format!("{}\n", serde_json::to_string(value)?))
}

fn people_outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    for fault in &outcome.faults {
        text += &format!("fault: {fault}\n");
    }
    for change in &outcome.changes {
        text += &format!("changed: {change}\n");
    }
    for warning in &outcome.warnings {
        text += &format!("warning: {warning}\n");
    }
    let seconds = Duration::from_millis(outcome.milliseconds).as_secs_f64();
    text += &if outcome.reloaded && !outcome.faults.is_empty() {
        let count = outcome.faults.len();
        format!(
            "reloaded in {seconds:.3} s: {} lines in service; {count} faults of lists, which stay as they were\n",
            outcome.lines
        )
    } else if outcome.reloaded {
        format!("reloaded in {seconds:.3} s: {} lines in service\n", outcome.lines)
    } else {
        format!("not reloaded: {} faults; the last good state stays in service\n", outcome.faults.len())
    };
    text
}

fn people_status(status: &Status) -> String {
    let uptime = humantime::format_duration(Duration::from_secs(status.uptime_seconds));
    let mut text = format!(
        "linekeepd {} (pid {}), up {uptime}, generation {}\nconnections  {} of {}\n",
        status.version, status.pid, status.generation, status.connections, status.max_connections
    );
    if status.penalised_sources > 0 {
        text += &format!("penalties    {} sources are refused for a while\n", status.penalised_sources);
    }
    text += "\nlisteners\n";
    for listener in &status.listeners {
        text += &format!("  {:<20} {:<12} {}\n", listener.name, listener.mode, listener.address);
    }
    if !status.clients.is_empty() {
        text += "\nclients\n";
        status.clients.iter().for_each(|client| text += &people_client(client));
    }
    text += "\nlists\n";
    status.lists.iter().for_each(|list| text += &people_list(list));
    text += "\ncounters\n";
    for (name, value) in &status.counters {
        text += &format!("  {name:<48} {value}\n");
    }
    text
}

fn people_client(client: &ClientStatus) -> String {
    let figures = &client.figures;
    let moment = |at: u64| humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at));
    let mut text = format!("  {:<20} {} connections, {} queries", client.name, figures.connections, figures.queries);
    if figures.rate_limited > 0 {
        text += &format!(" ({} over its rate)", figures.rate_limited);
    }
    text +=
        &figures.last_seen.map_or(", not seen since the start".to_owned(), |at| format!(", last seen {}", moment(at)));
    if !client.enabled {
        text += ", disabled";
    }
    if let Some(at) = client.expires {
        text += &format!(", until {}", moment(at));
    }
    text + "\n"
}

fn people_list(list: &Summary) -> String {
    let loaded = list.loaded_at.map_or_else(String::new, |at| {
        let at = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at));
        format!(", loaded {at} in {:.3} s", list.load_seconds)
    });
    let mut text = format!(
        "  {:<20} {}, {}, generation {}{loaded}\n  {:<20} {} lines ({} distinct, longest {} bytes) in {} files of {} bytes\n",
        list.name,
        list.state,
        list.freshness,
        list.generation,
        "",
        list.lines,
        list.distinct,
        list.longest,
        list.files,
        list.bytes
    );
    let mut more = |words: String| text += &format!("  {:<20} {words}\n", "");
    if list.memory > 0 {
        more(format!("{} bytes of memory, {:.2} a line", list.memory, list.bytes_per_line));
    }
    let skipped = [(list.skipped_empty, "empty"), (list.skipped_comment, "comments"), (list.skipped_long, "too long")];
    if skipped.iter().any(|(count, _)| *count > 0) {
        let words: Vec<_> =
            skipped.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
        more(format!("skipped: {}", words.join(", ")));
    }
    if list.freshness == "on-query" {
        more(format!("searched by {}: {}", list.search, list.search_reason));
    }
    if let Some(fault) = &list.fault {
        more(format!("fault: {fault}"));
    }
    text
}
