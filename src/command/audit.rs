//! `linekeepctl audit`: reads the trail. It asks no daemon: an auditor needs the files and the key, nothing else.

use crate::audit::{self, Filter, Found, Master, Position, Verdict};
use crate::config::{self, Config};
use crate::identity::{Reader, private_file};
use clap::{Args, Subcommand};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// What may be asked of the trail.
#[derive(Subcommand)]
pub(super) enum Typed {
    /// Is the trail whole? Names every record that was changed, is missing, out of order or cut. Exit status: 0 whole, 1 not, 2 it cannot be read.
    Verify {
        #[command(flatten)]
        place: Place,
        /// A checkpoint that was kept elsewhere, as `EPOCH:COUNT:TAG` or `EPOCH:COUNT:TAG:MAC`; may be given many times. Without any, an end that was cut off is not seen.
        #[arg(long = "checkpoint", value_name = "CHECKPOINT")]
        checkpoints: Vec<String>,
        /// An epoch that is known to have ended in a crash: its end is no damage then. May be given many times.
        #[arg(long = "crashed", value_name = "EPOCH")]
        crashed: Vec<u64>,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Who asked for this value, when, and what was the answer? Needs `queries = "digest"` or "plain" at that time. Exit status: 0 found, 1 not found, 2 the trail cannot be read.
    Find {
        /// The value, as it was asked.
        value: OsString,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        times: Times,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show records, in order.
    Show {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        times: Times,
        /// Of this client.
        #[arg(long, value_name = "NAME")]
        client: Option<String>,
        /// Of this event, such as client-admitted.
        #[arg(long, value_name = "NAME")]
        event: Option<String>,
        /// From this address, with or without its port.
        #[arg(long, value_name = "ADDRESS")]
        source: Option<String>,
        /// Of this connection.
        #[arg(long, value_name = "NUMBER")]
        connection: Option<u64>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print a checkpoint of the trail's end, to be kept elsewhere: `EPOCH:COUNT:TAG:MAC`.
    Head {
        #[command(flatten)]
        place: Place,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// The master key of the trail.
    #[command(subcommand)]
    Key(Key),
}

#[derive(Subcommand)]
pub(super) enum Key {
    /// Draw a key and write it to a new file that only its owner can read. Run as root, the file gets the owner of its folder.
    New {
        /// The file; it must not be there.
        file: PathBuf,
    },
}

/// Which trail.
#[derive(Args)]
pub(super) struct Place {
    /// The configuration that says where trail and key are.
    #[arg(short, long, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
    /// The trail's folder, instead of the configuration's.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// The key's file, instead of the configuration's.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct Times {
    /// Not earlier than this: 2026-11-23, or 2026-11-23T04:05:06Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<SystemTime>,
    /// Earlier than this.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<SystemTime>,
}

fn time(typed: &str) -> Result<SystemTime, String> {
    let day = format!("{typed}T00:00:00Z");
    let whole = if typed.len() == 10 { &day } else { typed };
    humantime::parse_rfc3339_weak(whole)
        .map_err(|_| "a time in UTC such as 2026-11-23 or 2026-11-23T04:05:06Z".to_owned())
}

/// Does what was asked.
pub(super) fn run(typed: Typed) -> ExitCode {
    let came = match typed {
        Typed::Verify { place, checkpoints, crashed, json } => verify(&place, &checkpoints, &crashed, json),
        Typed::Find { value, place, times, json } => find(&value, &place, &times, json),
        Typed::Show { place, times, client, event, source, connection, json } => {
            let named =
                [("client", client), ("event", event), ("connection", connection.map(|number| number.to_string()))];
            let fields = named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            show(&place, &Filter { since: times.since, until: times.until, fields, source }, json)
        }
        Typed::Head { place, json } => head(&place, json),
        Typed::Key(Key::New { file }) => new_key(&file),
    };
    match came {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("linekeepctl: {why}");
            ExitCode::from(2)
        }
    }
}

impl Place {
    fn config(&self) -> Result<Config, String> {
        config::load(&self.config).map_err(|faults| faults.lines().join("\nlinekeepctl: "))
    }

    fn folder(&self) -> Result<PathBuf, String> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let trail = self.config()?.audit.trail;
        trail
            .map(|trail| trail.folder)
            .ok_or_else(|| format!("{}: [audit] names no trail; name its folder with --folder", self.config.display()))
    }

    /// With a folder alone, nothing else is looked for.
    fn optional_key(&self) -> Result<Option<Master>, String> {
        let file = match (&self.key, &self.folder) {
            (Some(key), _) => Some(key.clone()),
            (None, Some(_)) => None,
            (None, None) => self.config()?.audit.key,
        };
        let Some(file) = file else { return Ok(None) };
        let content = private_file::read(&file, reader_of(&file)).map_err(|why| why.to_string())?;
        Master::read(&content).map(Some).map_err(|why| format!("{}: {why}", file.display()))
    }

    fn key(&self) -> Result<Master, String> {
        self.optional_key()?.ok_or_else(|| "without the key no tag can be checked; name its file with --key".to_owned())
    }
}

/// Root reads the key that belongs to the daemon's user; anybody else, their own.
fn reader_of(file: &Path) -> Reader {
    use std::os::unix::fs::MetadataExt;
    match std::fs::metadata(file) {
        Ok(owner) if rustix::process::geteuid().is_root() => Reader { uid: owner.uid(), gid: owner.gid() },
        _ => Reader::this_process(),
    }
}

fn unreadable(folder: &Path) -> impl Fn(std::io::Error) -> String {
    let folder = folder.display().to_string();
    move |error| format!("{folder}: {error}; the trail can be read by root and by the daemon's user")
}

fn verify(place: &Place, checkpoints: &[String], crashed: &[u64], json: bool) -> Result<bool, String> {
    let (folder, key) = (place.folder()?, place.key()?);
    let kept = checkpoints.iter().map(|typed| checkpoint(typed, &key)).collect::<Result<Vec<_>, _>>()?;
    let mut verdict = audit::verify(&folder, &key, &kept).map_err(unreadable(&folder))?;
    if verdict.files == 0 && kept.is_empty() {
        return Err(format!("{}: there is no trail in this folder", folder.display()));
    }
    verdict.excuse(crashed);
    if json {
        print(&serde_json::to_string(&verdict).map_err(|error| error.to_string())?)?;
    } else {
        print(people(&verdict).trim_end())?;
    }
    Ok(verdict.whole)
}

fn people(verdict: &Verdict) -> String {
    let mut text = String::new();
    for finding in &verdict.findings {
        text += &format!("{finding}\n");
    }
    if verdict.more > 0 {
        text += &format!("and {} more\n", verdict.more);
    }
    for note in &verdict.notes {
        text += &format!("note: {note}\n");
    }
    let word = if verdict.whole { "whole" } else { "NOT WHOLE" };
    let head = verdict.head.as_deref().unwrap_or("nothing");
    text + &format!("{word}: {} records in {} files, up to {head}\n", verdict.records, verdict.files)
}

/// `EPOCH:COUNT:TAG`, and behind it a MAC that is checked if it is there.
fn checkpoint(typed: &str, key: &Master) -> Result<Position, String> {
    let form = || format!("{typed:?} is no checkpoint; it is EPOCH:COUNT:TAG, as `linekeepctl audit head` prints it");
    let mut parts = typed.trim().split(':');
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (epoch, count) = number().zip(number()).ok_or_else(form)?;
    let tag = parts.next().and_then(audit::tag_from_hex).ok_or_else(form)?;
    let at = Position { epoch, count, tag };
    let Some(mac) = parts.next() else { return Ok(at) };
    if parts.next().is_some() {
        return Err(form());
    }
    if audit::tag_from_hex(mac) != Some(key.checkpoint(&at)) {
        return Err(format!("{typed:?} was not made with this key, or was changed"));
    }
    Ok(at)
}

fn find(value: &OsString, place: &Place, times: &Times, json: bool) -> Result<bool, String> {
    let (folder, key) = (place.folder()?, place.optional_key()?);
    if key.is_none() {
        eprintln!("linekeepctl: without a key, records by digest are not searched; name its file with --key");
    }
    let filter = Filter { since: times.since, until: times.until, ..Filter::default() };
    let mut telling = Telling { json, told: 0, broken: None };
    audit::find(&folder, value.as_bytes(), key.as_ref(), &filter, |found| telling.tell(&found))
        .map_err(unreadable(&folder))?;
    telling.end()
}

fn show(place: &Place, filter: &Filter, json: bool) -> Result<bool, String> {
    let folder = place.folder()?;
    let mut telling = Telling { json, told: 0, broken: None };
    audit::show(&folder, filter, |found| telling.tell(&found)).map_err(unreadable(&folder))?;
    telling.end().map(|_| true)
}

/// Prints records while somebody reads them.
struct Telling {
    json: bool,
    told: u64,
    broken: Option<std::io::Error>,
}

impl Telling {
    fn tell(&mut self, found: &Found) -> bool {
        self.told += 1;
        let line = if self.json {
            serde_json::to_string(found).unwrap_or_default()
        } else {
            format!("{} {}:{} {}", found.time, found.epoch, found.number, found.body)
        };
        self.broken = writeln!(std::io::stdout().lock(), "{line}").err();
        self.broken.is_none()
    }

    /// A reader that has seen enough is no failure.
    fn end(self) -> Result<bool, String> {
        match self.broken {
            Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
            _ => Ok(self.told > 0),
        }
    }
}

fn head(place: &Place, json: bool) -> Result<bool, String> {
    let (folder, key) = (place.folder()?, place.optional_key()?);
    let end = audit::list(&folder).and_then(|files| audit::end(&files)).map_err(unreadable(&folder))?;
    let (at, mac) = audit::head(&end, key.as_ref())
        .ok_or_else(|| format!("{}: there is no record in this folder", folder.display()))?;
    let mac = mac.map(|mac| audit::hex(&mac));
    if json {
        let tag = audit::hex(&at.tag);
        print(&serde_json::json!({ "epoch": at.epoch, "count": at.count, "tag": tag, "mac": mac }).to_string())?;
    } else {
        print(&format!("{at}{}", mac.map(|mac| format!(":{mac}")).unwrap_or_default()))?;
    }
    Ok(true)
}

fn new_key(file: &Path) -> Result<bool, String> {
    let fault = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            format!("{}: is there already; a key is never written over", file.display())
        }
        _ => format!("{}: {error}", file.display()),
    };
    let mut key = zeroize::Zeroizing::new([0; audit::KEY_BYTES]);
    openssl::rand::rand_bytes(&mut *key).map_err(|error| error.to_string())?;
    let line = zeroize::Zeroizing::new(format!("{}\n", audit::hex(&*key)));
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut options = std::fs::OpenOptions::new();
    let mut written = options.write(true).create_new(true).mode(0o400).open(file).map_err(fault)?;
    let owner = std::fs::metadata(folder).map_err(fault)?;
    if rustix::process::geteuid().is_root() {
        use std::os::unix::fs::MetadataExt;
        std::os::unix::fs::fchown(&written, Some(owner.uid()), Some(owner.gid())).map_err(fault)?;
    }
    written.write_all(line.as_bytes()).and_then(|()| written.sync_all()).map_err(fault)?;
    print(&format!("{}: written; whoever can read it can also forge the trail", file.display()))?;
    Ok(true)
}

fn print(line: &str) -> Result<(), String> {
    writeln!(std::io::stdout().lock(), "{line}").map_err(|error| error.to_string())
}
