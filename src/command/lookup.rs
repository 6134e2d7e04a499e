//! `linekeep`, and its one command `lookup`: from arguments to look-ups, and from answers to an exit code.
//! How answers are shown is `report.rs`, how long it takes `progress.rs`.

mod progress;
mod report;

use crate::client::{
    Client, ClientCertificate, Error, InvalidLine, Options, PreSharedKey, Protection, Server, ServerName, TrustedCas,
};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use progress::Progress;
use report::{Report, Show};
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  Is this hash in the server's lists? The key file holds `siem:` and 64 hexadecimal digits.
    linekeep lookup --server lists.example --psk-file siem.key HASH

  The same with a client certificate, the server's name checked against its certificate.
    linekeep lookup --server lists.example --ca ca.pem --certificate siem.pem --private-key siem.key HASH

  Which files of this machine are unknown to the list?
    md5sum /usr/bin/* | cut -c1-32 | linekeep lookup --psk-file siem.key --missing -

  In a script: 0 all found, 1 some not found, 2 an error.
    if linekeep lookup --quiet --psk-file siem.key \"$hash\"; then echo known; fi

  Which of the lists has it? `feeds:3` is the list `feeds`, in its third generation since the server began.
    linekeep lookup --psk-file siem.key --explain HASH

  Watch the bytes on the wire.
    linekeep lookup --server unix:/run/linekeep/lookup.sock --wire LINE

Output: One line for each LINE, in order.
  found<TAB>LINE    missing<TAB>LINE    error<TAB>LINE<TAB>REASON
With --explain the lists stand behind LINE, as NAME:GENERATION and a blank between two:
  found<TAB>LINE<TAB>LISTS THAT HAVE IT    missing<TAB>LINE<TAB>LISTS THAT WERE ASKED
On a terminal, control characters in LINE are shown escaped; elsewhere LINE is byte for byte what was asked.
With --json: {\"line\":LINE,\"answer\":\"found\"|\"missing\"|\"error\"}, and \"reason\" with an error;
a line that is not UTF-8 stands in \"line_base64\" instead of \"line\".
With --json --explain also \"lists\":[{\"name\":NAME,\"generation\":NUMBER}], the same lists.

Exit code: 0 every LINE was found, 1 some were not, 2 there was an error (an error wins).";

/// Ask a linekeep server whether exact lines are in its lists.
#[derive(Parser)]
#[command(name = "linekeep", version)]
struct Typed {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    Lookup(Arguments),
}

/// What may be typed: help, man page and completions come from it.
#[must_use]
pub fn definition() -> clap::Command {
    Typed::command()
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let What::Lookup(arguments) = Typed::parse().command;
    run(&arguments)
}

/// Look lines up: is each of them, byte for byte, a line of the server's lists?
///
/// Without credentials the server still has to show a certificate that a trusted CA signed.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES, after_help = "Exit code: 0 all found, 1 some not found, 2 an error. `--help` has examples.")]
struct Arguments {
    /// The lines; a single `-` reads them from standard input, any number, in bounded memory
    #[arg(value_name = "LINE", required = true)]
    lines: Vec<OsString>,

    /// The server: HOST:PORT, [IPV6]:PORT, or unix:/PATH
    #[arg(long, short, value_name = "SERVER", env = "LINEKEEP_SERVER", default_value = "localhost:44445")]
    server: Server,

    /// The identity that the pre-shared key goes by
    #[arg(long, value_name = "ID", env = "LINEKEEP_PSK_IDENTITY", requires = "psk_file", help_heading = "Who I am")]
    psk_identity: Option<String>,

    /// File of the pre-shared key: hexadecimal digits, or `identity:digits` lines as in a keyring. Nobody else may read it
    #[arg(
        long,
        value_name = "FILE",
        env = "LINEKEEP_PSK_FILE",
        conflicts_with_all = ["certificate", "private_key", "ca", "server_name"],
        help_heading = "Who I am"
    )]
    psk_file: Option<PathBuf>,

    /// PEM file of the client certificate, followed by its intermediates
    #[arg(
        long,
        value_name = "FILE",
        env = "LINEKEEP_CERTIFICATE",
        requires = "private_key",
        help_heading = "Who I am"
    )]
    certificate: Option<PathBuf>,

    /// PEM file of the certificate's private key. Nobody else may read it
    #[arg(
        long,
        value_name = "FILE",
        env = "LINEKEEP_PRIVATE_KEY",
        requires = "certificate",
        help_heading = "Who I am"
    )]
    private_key: Option<PathBuf>,

    /// PEM file of the CAs that may sign the server's certificate; the system's own when not given
    #[arg(long, value_name = "FILE", env = "LINEKEEP_CA", help_heading = "Who the server is")]
    ca: Option<PathBuf>,

    /// The name or IP address that the server's certificate has to hold; the server's host when not given
    #[arg(long, value_name = "NAME", env = "LINEKEEP_SERVER_NAME", help_heading = "Who the server is")]
    server_name: Option<ServerName>,

    /// No TLS: only for loopback addresses and UNIX sockets (where it is the default without credentials)
    #[arg(long, conflicts_with_all = ["psk_file", "certificate", "ca", "server_name"], help_heading = "Who the server is")]
    plain: bool,

    /// The local address to connect from
    #[arg(long, value_name = "ADDRESS", help_heading = "Connection")]
    source: Option<IpAddr>,

    /// How long connecting may take, and how long the server may be silent while an answer is due
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_duration, help_heading = "Connection")]
    timeout: Duration,

    /// With each line the lists that have it, and their generations; with a missing one those that were asked. Needs TLS;
    /// not with --quiet, --found and --missing
    #[arg(
        long,
        conflicts_with_all = ["quiet", "found", "missing"],
        help_heading = "Output"
    )]
    explain: bool,

    /// One JSON object for each line
    #[arg(long, group = "show", help_heading = "Output")]
    json: bool,

    /// Nothing but the exit code, and errors on standard error
    #[arg(long, short, group = "show", help_heading = "Output")]
    quiet: bool,

    /// Only the lines that were found, as they were asked; errors on standard error
    #[arg(long, group = "show", help_heading = "Output")]
    found: bool,

    /// Only the lines that were not found, as they were asked; errors on standard error
    #[arg(long, group = "show", help_heading = "Output")]
    missing: bool,

    /// Each request (`> `) and its reply (`< `) as they crossed the wire, escaped
    #[arg(long, group = "show", help_heading = "Output")]
    wire: bool,

    /// Progress on standard error: `auto` shows it on a terminal when it takes more than two seconds
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    progress: When,
}

/// When progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum When {
    /// On a terminal, and only when it takes long
    Auto,
    /// From the start; one line a second where standard error is no terminal
    Always,
    /// Not at all
    Never,
}

const ALL_FOUND: u8 = 0;
const SOME_MISSING: u8 = 1;
const ERROR: u8 = 2;

/// Does what was asked; says on standard error what went wrong.
fn run(arguments: &Arguments) -> ExitCode {
    let mut report = Report::new(show(arguments), progress(arguments));
    let looked_up = look_up(arguments, &mut report);
    let told = report.finish();
    match looked_up.and_then(|()| told.map_err(|error| Fault::Asking(Error::Sink(error)))) {
        Ok(()) => ExitCode::from(verdict(&report)),
        // Whoever read our output has seen enough and left, as `head` does.
        Err(Fault::Asking(Error::Sink(error))) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(ERROR),
        Err(fault) => {
            report::complain(&fault);
            ExitCode::from(ERROR)
        }
    }
}

fn verdict(report: &Report) -> u8 {
    match (report.errors, report.missing) {
        (0, 0) => ALL_FOUND,
        (0, _) => SOME_MISSING,
        _ => ERROR,
    }
}

/// Why there are not all answers.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Arguments(String),
    #[error(transparent)]
    Credentials(#[from] crate::client::CredentialError),
    #[error(transparent)]
    Asking(#[from] Error),
    #[error("no runtime: {0}")]
    Runtime(io::Error),
}

fn look_up(arguments: &Arguments, report: &mut Report) -> Result<(), Fault> {
    let from_stdin = arguments.lines == ["-"];
    let requests = if from_stdin { Vec::new() } else { requests(&arguments.lines)? };
    let options = options(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Fault::Runtime)?;
    let asked = runtime.block_on(async {
        let mut client = Client::connect(&options).await?;
        report.connected(&options, client.handshake()).map_err(Error::Sink)?;
        match (from_stdin, arguments.explain) {
            (true, false) => client.stream(tokio::io::stdin(), &mut *report).await?,
            (true, true) => client.stream_explained(tokio::io::stdin(), &mut *report).await?,
            (false, false) => client.stream(requests.as_slice(), &mut *report).await?,
            (false, true) => client.stream_explained(requests.as_slice(), &mut *report).await?,
        };
        client.close().await;
        Ok(())
    });
    // A read of standard input that never ends must not keep the program alive.
    runtime.shutdown_background();
    asked
}

/// Every line as a request, or the first that cannot be one: nothing is sent then.
fn requests(lines: &[OsString]) -> Result<Vec<u8>, Fault> {
    let mut requests = Vec::new();
    for (number, line) in (1..).zip(lines) {
        let line = line.as_bytes();
        if line == b"-" {
            return Err(Fault::Arguments(
                "`-` (standard input) stands alone; pipe the line `-` itself through standard input".to_owned(),
            ));
        }
        InvalidLine::check(line)
            .map_err(|fault| Fault::Arguments(format!("argument {number}: {fault}; nothing was asked")))?;
        requests.extend_from_slice(line);
        requests.push(b'\n');
    }
    Ok(requests)
}

fn options(arguments: &Arguments) -> Result<Options, Fault> {
    let mut options = Options::new(arguments.server.clone(), protection(arguments)?);
    options.source = arguments.source;
    options.connect_timeout = arguments.timeout;
    options.reply_timeout = arguments.timeout;
    Ok(if arguments.explain { options.explain() } else { options })
}

fn protection(arguments: &Arguments) -> Result<Protection, Fault> {
    if let Some(file) = &arguments.psk_file {
        return Ok(Protection::Psk(PreSharedKey::from_file(file, arguments.psk_identity.as_deref())?));
    }
    let own = match (&arguments.certificate, &arguments.private_key) {
        (Some(certificate), Some(key)) => Some(ClientCertificate::from_files(certificate, key)?),
        _ => None,
    };
    let unprotected_socket = matches!(arguments.server, Server::Unix(_)) && own.is_none() && arguments.ca.is_none();
    if arguments.plain || unprotected_socket {
        return Ok(Protection::Plain);
    }
    let trust = arguments.ca.as_deref().map_or_else(|| Ok(TrustedCas::system()), TrustedCas::from_file)?;
    Ok(Protection::Certificate { trust, name: arguments.server_name.clone(), own })
}

fn show(arguments: &Arguments) -> Show {
    match arguments {
        Arguments { json: true, .. } => Show::Json,
        Arguments { quiet: true, .. } => Show::Nothing,
        Arguments { found: true, .. } => Show::Found,
        Arguments { missing: true, .. } => Show::Missing,
        Arguments { wire: true, .. } => Show::Wire,
        _ => Show::Table,
    }
}

fn progress(arguments: &Arguments) -> Progress {
    // Lines that were typed as arguments are few, and their answers are themselves the progress.
    if arguments.lines == ["-"] { Progress::new(arguments.progress) } else { Progress::new(When::Never) }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    // humantime panics on sums near 2^64 seconds; nothing so long is a time to wait.
    if text.len() > 16 {
        return Err("too long; write for example 500ms, 10s or 2m".to_owned());
    }
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("has to be longer than nothing".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write for example 500ms, 10s or 2m")),
    }
}
