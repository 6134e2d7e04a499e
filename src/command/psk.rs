//! `linekeepctl psk`: the life of a key. Makes, lists, rotates, revokes, prunes and imports lines of a keyring; a key is shown once,
//! when it is made, and never again. Asks the daemon only when a key was last used, and to reload.

mod import;

use crate::command::control::{ask, show};
use crate::config::{self, Mode, Protection};
use crate::identity::key_line;
use crate::identity::keyring_file::{ChangeFault, KeyringFile, Listed, Made, NewKey};
use crate::secret::Secret;
use crate::server::control::{Command, Reply};
use crate::server::uses::{self, Use};
use clap::{Args, Subcommand};
use import::Form;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of a key that is made here.
const KEY_BYTES: usize = 32;

/// No line of a keyring can say a later day.
const LAST_DAY: &str = "9999-12-31";

/// Where the keyring is.
#[derive(Args)]
pub(super) struct Place {
    /// The keyring file. Without this, the one that the configuration names.
    #[arg(short, long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// The daemon's configuration.
    #[arg(short, long, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
}

#[derive(Subcommand)]
pub(super) enum What {
    /// Make a key for a new identity: 32 random bytes, added to the keyring and printed once.
    New {
        /// The identity: 1 to 128 of A-Z a-z 0-9 . _ @ -, which the client names in clear.
        identity: String,
        #[command(flatten)]
        place: Place,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show whose keys there are, until when, and when they were used; never a key.
    List {
        #[command(flatten)]
        place: Place,
        /// As one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Make a second key that proves the same, and give the first a last day: both are valid until then.
    Rotate {
        /// The identity whose key is to go.
        identity: String,
        /// The old key is none from then on: a date (its first second, UTC), or a moment such as 2026-12-24T18:00:00Z.
        #[arg(long, value_name = "DATE", required_unless_present = "within", value_parser = moment)]
        until: Option<SystemTime>,
        /// The same, counted from now: 14d, 12h.
        #[arg(long = "for", value_name = "TIME", conflicts_with = "until", value_parser = humantime::parse_duration)]
        within: Option<Duration>,
        #[command(flatten)]
        place: Place,
        /// As one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Take the keys of an identity away. Its sessions end at the next reload.
    Revoke {
        /// The identity; keys that stand for it go as well.
        identity: String,
        /// Its own key alone; keys that stand for it stay.
        #[arg(long)]
        alone: bool,
        /// Ask the daemon to reload at once.
        #[arg(long)]
        reload: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Take away the keys whose last day is over. They open nothing any more; nobody loses anything.
    Prune {
        #[command(flatten)]
        place: Place,
    },
    /// Take keys over from another program's file, all or none.
    Import {
        /// The other file.
        file: PathBuf,
        /// Whose form it has.
        #[arg(long, value_enum)]
        format: Form,
        /// Whose key it is; for zabbix, whose files hold a key alone.
        #[arg(long, required_if_eq("format", "zabbix"))]
        identity: Option<String>,
        #[command(flatten)]
        place: Place,
    },
}

pub(super) fn main(what: What, socket: &Path) -> ExitCode {
    let done = match what {
        What::New { identity, place, json } => new(&identity, &place, json),
        What::List { place, json } => list(&place, socket, json),
        What::Rotate { identity, until, within, place, json } => {
            let counted = within.and_then(|time| SystemTime::now().checked_add(time));
            rotate(&identity, until.or(counted), &place, json)
        }
        What::Revoke { identity, alone, reload, place } => revoke(&identity, alone, reload, &place, socket),
        What::Prune { place } => prune(&place),
        What::Import { file, format, identity, place } => take_over(&file, format, identity.as_deref(), &place),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("linekeepctl: {fault}"));
            ExitCode::from(1)
        }
    }
}

type Done = Result<(), Vec<String>>;

fn new(identity: &str, place: &Place, json: bool) -> Done {
    let (mut file, config) = place.open(true)?;
    let path = file.path().display().to_string();
    let new = draw(identity, None)?;
    file.add(std::slice::from_ref(&new)).map_err(words_of_one)?;
    file.save().map_err(|fault| vec![fault.to_string()])?;
    tell_key(&new, json)?;
    eprintln!("added to {path}. The key is not shown again; give both to the client on a way that nobody listens on.");
    let listed = config.is_some_and(|config| {
        config.clients.iter().any(|client| client.psk_identities.iter().any(|one| one == identity))
    });
    if !listed {
        eprintln!(
            "No [[client]] lists this identity yet. To let it in, add to the configuration:\n\n[[client]]\nname = \"{identity}\"\npsk-identities = [\"{identity}\"]\n"
        );
    }
    eprintln!("It counts from the next reload on: linekeepctl reload");
    Ok(())
}

fn list(place: &Place, socket: &Path, json: bool) -> Done {
    let (path, config) = place.find()?;
    let keys = KeyringFile::look(&path).map_err(words)?;
    let uses = key_uses(socket, config.as_ref());
    let text = if json {
        let keys: Vec<_> = keys.iter().map(|key| machine_line(key, uses.as_ref())).collect();
        format!("{}\n", serde_json::Value::from(keys))
    } else {
        let head = format!(
            "{:<32} {:>5} {:<21} {:<21} {:<21} {}\n",
            "identity", "bytes", "first used", "last used", "until", "for"
        );
        head + &keys.iter().map(|key| people_line(key, uses.as_ref())).collect::<String>()
    };
    if uses.is_none() && !json {
        eprintln!("linekeepctl: no daemon answers and no state folder is named: when keys were used is not known");
    }
    show(&text).map_err(|error| vec![error.to_string()])
}

fn rotate(identity: &str, until: Option<SystemTime>, place: &Place, json: bool) -> Done {
    // What no line of a keyring can say is as good as no end.
    let Some(until) = until.filter(|until| key_line::moment(LAST_DAY).is_some_and(|last| *until < last)) else {
        return Err(vec![format!("the old key's last moment has to come before {LAST_DAY}")]);
    };
    if until <= SystemTime::now() {
        return Err(vec![
            "the old key's last moment is over already; `linekeepctl psk revoke` takes a key away at once".into(),
        ]);
    }
    let (mut file, _) = place.open(false)?;
    let keys = file.list();
    let named = keys.iter().find(|key| key.identity == identity);
    // A key that itself stands for another is followed by one that stands for the same.
    let counts_as = named.and_then(|key| key.stands_for.clone()).unwrap_or_else(|| identity.to_owned());
    let taken = |name: &String| keys.iter().any(|key| key.identity == *name);
    let Some(next) = (2..10_000).map(|number| format!("{counts_as}.{number}")).find(|name| !taken(name)) else {
        return Err(vec![format!("{counts_as}: no name is left for another key")]);
    };
    let new = draw(&next, Some(&counts_as))?;
    file.end(&counts_as, until).map_err(words)?;
    file.add(std::slice::from_ref(&new)).map_err(words_of_one)?;
    file.save().map_err(|fault| vec![fault.to_string()])?;
    tell_key(&new, json)?;
    eprintln!(
        "{next} proves the same as {counts_as}; the old key is valid until {}. The new one counts from the next reload on: linekeepctl reload",
        humantime::format_rfc3339_seconds(until)
    );
    Ok(())
}

fn revoke(identity: &str, alone: bool, reload: bool, place: &Place, socket: &Path) -> Done {
    let (mut file, _) = place.open(false)?;
    let gone = file.remove(identity, alone).map_err(words)?;
    save_without(file, &gone)?;
    if !reload {
        eprintln!("Their sessions go on until the next reload: linekeepctl reload");
        return Ok(());
    }
    match ask(socket, Command::Reload) {
        Ok(Reply::Reload(outcome)) if outcome.reloaded => {
            eprintln!("reloaded; sessions of these keys have ended");
            Ok(())
        }
        Ok(Reply::Reload(outcome)) => Err(outcome.faults),
        Ok(Reply::Error(why)) | Err(why) => {
            Err(vec![format!("the key is gone from the keyring, but not from the daemon: {why}")])
        }
        Ok(_) => Err(vec!["the daemon answers something else".into()]),
    }
}

fn prune(place: &Place) -> Done {
    let (mut file, _) = place.open(false)?;
    let gone = file.prune(SystemTime::now());
    if gone.is_empty() {
        eprintln!("no key of {} is over; nothing changed", file.path().display());
        return Ok(());
    }
    save_without(file, &gone)
}

fn save_without(file: KeyringFile, gone: &[String]) -> Done {
    let (path, left) = (file.path().display().to_string(), !file.list().is_empty());
    file.save().map_err(|fault| vec![fault.to_string()])?;
    eprintln!("taken from {path}: {}", gone.join(", "));
    if !left {
        eprintln!(
            "linekeepctl: no key is left; a daemon refuses an empty keyring, and a reload would be refused as well"
        );
    }
    Ok(())
}

fn take_over(other: &Path, form: Form, identity: Option<&str>, place: &Place) -> Done {
    let text = std::fs::read(other).map(Secret::new).map_err(|error| vec![format!("{}: {error}", other.display())])?;
    let (keys, mut faults) = import::read(text.expose(), form, identity);
    let (numbers, keys): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
    let (mut file, _) = place.open(true)?;
    let path = file.path().display().to_string();
    if let Err(found) = file.add(&keys) {
        let line = |place| numbers.get(place).copied().unwrap_or(0);
        faults.extend(found.into_iter().map(|(place, fault)| (line(place), fault.to_string())));
    }
    if !faults.is_empty() {
        faults.sort_by_key(|(line, _)| *line);
        let told = faults.iter().map(|(line, fault)| format!("{}:{line}: {fault}", other.display()));
        return Err(told.chain(["nothing was taken over".to_owned()]).collect());
    }
    if keys.is_empty() {
        return Err(vec![format!("{}: no key in it", other.display())]);
    }
    file.save().map_err(|fault| vec![fault.to_string()])?;
    let count = keys.len();
    eprintln!("{count} keys taken over into {path}. They count from the next reload on: linekeepctl reload");
    Ok(())
}

impl Place {
    /// The keyring, locked, and the configuration if it could be read. Where there is none, one is made if it `may_be_new`.
    fn open(&self, may_be_new: bool) -> Result<(KeyringFile, Option<config::Config>), Vec<String>> {
        let (path, config) = self.find()?;
        let made = may_be_new.then(|| Made { gid: daemon_group() });
        Ok((KeyringFile::open(&path, made).map_err(words)?, config))
    }

    /// Where the keyring is, and the configuration if it could be read.
    fn find(&self) -> Result<(PathBuf, Option<config::Config>), Vec<String>> {
        let config = config::load(&self.config);
        let path = match (&self.keyring, &config) {
            (Some(path), _) => path.clone(),
            (None, Ok(config)) => only_keyring(config)?,
            (None, Err(faults)) => {
                let mut lines = faults.clone().lines();
                lines.push("the keyring is not known without a good configuration; name it: --keyring FILE".into());
                return Err(lines);
            }
        };
        Ok((path, config.ok()))
    }
}

fn only_keyring(config: &config::Config) -> Result<PathBuf, Vec<String>> {
    let mut keyrings: Vec<&PathBuf> = Vec::new();
    for listener in &config.listeners {
        if let Protection::Tls { mode: Mode::Psk { keyring } | Mode::Either { keyring, .. }, .. } = &listener.protection
        {
            if !keyrings.contains(&keyring) {
                keyrings.push(keyring);
            }
        }
    }
    match &keyrings[..] {
        [one] => Ok((*one).clone()),
        [] => Err(vec!["no listener of the configuration takes keys; name a keyring: --keyring FILE".into()]),
        several => {
            let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            Err(vec![format!(
                "the configuration has several keyrings; say which: --keyring {}",
                names.join(" or --keyring ")
            )])
        }
    }
}

/// The group that a new keyring is for, if root makes it: that of the packaged daemon.
fn daemon_group() -> Option<u32> {
    let groups = rustix::process::geteuid().is_root().then(|| std::fs::read_to_string("/etc/group").ok())??;
    let line = groups.lines().find(|line| line.starts_with("_linekeep:"))?;
    line.split(':').nth(2)?.parse().ok()
}

fn draw(identity: &str, stands_for: Option<&str>) -> Result<NewKey, Vec<String>> {
    let mut bytes = vec![0; KEY_BYTES];
    openssl::rand::rand_priv_bytes(&mut bytes).map_err(|errors| vec![format!("no random bytes: {errors}")])?;
    let (identity, stands_for) = (identity.to_owned(), stands_for.map(str::to_owned));
    Ok(NewKey { identity, key: Secret::new(bytes), stands_for })
}

/// The one time that a key is seen.
fn tell_key(NewKey { identity, key, .. }: &NewKey, json: bool) -> Done {
    let hex = key.to_hex();
    let hex = String::from_utf8_lossy(hex.expose());
    let text = if json {
        format!("{}\n", serde_json::json!({ "identity": identity, "key": hex }))
    } else {
        format!("{identity}:{hex}\n")
    };
    show(&text).map_err(|error| {
        vec![format!("the key was added and could not be shown ({error}); revoke it and make another")]
    })
}

fn key_uses(socket: &Path, config: Option<&config::Config>) -> Option<BTreeMap<String, Use>> {
    if let Ok(Reply::KeyUses(uses)) = ask(socket, Command::KeyUses) {
        return Some(uses);
    }
    let folder = config?.server.state_folder.as_ref()?;
    uses::load(&folder.join(uses::FILE)).ok()
}

fn date(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

fn people_line(key: &Listed, uses: Option<&BTreeMap<String, Use>>) -> String {
    let used = |pick: fn(&Use) -> u64| match uses {
        None => "unknown".to_owned(),
        Some(uses) => uses.get(&key.identity).map_or("never".to_owned(), |used| date(pick(used))),
    };
    let until = key.until.map_or("-".to_owned(), |until| humantime::format_rfc3339_seconds(until).to_string());
    let stands_for = key.stands_for.as_deref().unwrap_or("-");
    let (first, last) = (used(|used| used.first), used(|used| used.last));
    format!("{:<32} {:>5} {first:<21} {last:<21} {until:<21} {stands_for}\n", key.identity, key.key_bytes)
}

fn machine_line(key: &Listed, uses: Option<&BTreeMap<String, Use>>) -> serde_json::Value {
    let used = uses.and_then(|uses| uses.get(&key.identity));
    let until = key.until.and_then(|until| until.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
    serde_json::json!({
        "identity": key.identity, "key_bytes": key.key_bytes, "until": until, "for": key.stands_for,
        "uses_known": uses.is_some(), "first_used": used.map(|used| used.first), "last_used": used.map(|used| used.last),
    })
}

fn moment(typed: &str) -> Result<SystemTime, String> {
    key_line::moment(typed)
        .ok_or_else(|| "a date such as 2026-12-24, or a moment in UTC such as 2026-12-24T18:00:00Z".into())
}

fn words_of_one(faults: Vec<(usize, ChangeFault)>) -> Vec<String> {
    faults.into_iter().map(|(_, fault)| fault.to_string()).collect()
}

fn words(faults: Vec<ChangeFault>) -> Vec<String> {
    faults.into_iter().map(|fault| fault.to_string()).collect()
}
