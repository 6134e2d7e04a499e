//! A key of the configuration, said once: its name, what it means, what it may be, what it is when nobody says.
//! The same definition reads files and makes the reference.

use crate::allowlist;
use crate::config::CertificateName;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use toml::Spanned;
use toml::de::DeValue;

/// What is wrong with a value: what was found, in words, and where, if not where the value begins. What is allowed,
/// the key knows.
pub(super) struct Wrong(pub(super) Vec<(Option<usize>, String)>);

impl Wrong {
    fn found(found: impl Into<String>) -> Wrong {
        Wrong(vec![(None, found.into())])
    }
}

/// One key. `default` is TOML text and goes the same way as what an operator types.
pub(super) struct Key<T> {
    pub(super) name: &'static str,
    pub(super) default: Option<&'static str>,
    pub(super) allowed: &'static str,
    pub(super) meaning: &'static str,
    pub(super) read: fn(&DeValue<'_>) -> Result<T, Wrong>,
}

/// What the reference says of a key, whatever its type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Described {
    pub(super) name: &'static str,
    pub(super) default: Option<&'static str>,
    pub(super) allowed: &'static str,
    pub(super) meaning: &'static str,
}

impl<T> Key<T> {
    pub(super) const fn described(&self) -> Described {
        Described { name: self.name, default: self.default, allowed: self.allowed, meaning: self.meaning }
    }
}

/// Names the value as it stands in the file, shortly.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    const MOST: usize = 60;
    let text = match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        other => format!("a value of type {}", other.type_str()),
    };
    if text.chars().count() > MOST { text.chars().take(MOST).chain("...".chars()).collect() } else { text }
}

/// A value that is wrong as a whole.
pub(super) fn wrong(value: &DeValue<'_>) -> Wrong {
    Wrong::found(shown(value))
}

pub(super) fn string<'a>(value: &'a DeValue<'_>) -> Result<&'a str, Wrong> {
    value.as_str().ok_or_else(|| wrong(value))
}

pub(super) fn text(value: &DeValue<'_>) -> Result<String, Wrong> {
    string(value).map(str::to_owned)
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| wrong(value))
}

/// A whole number from `LEAST` to `MOST`.
pub(super) fn number<const LEAST: u64, const MOST: u64>(value: &DeValue<'_>) -> Result<u64, Wrong> {
    let number = value.as_integer().and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
    number.filter(|number| (LEAST..=MOST).contains(number)).ok_or_else(|| wrong(value))
}

/// Milliseconds, for the limits of [`time`].
pub(super) const SECOND: u64 = 1000;
pub(super) const DAY: u64 = 24 * 3600 * SECOND;
/// As `humantime` counts them.
pub(super) const YEAR: u64 = 31_557_600 * SECOND;

/// How long something may take: nothing waits for ever, and no deadline is over before it begins.
pub(super) fn deadline(value: &DeValue<'_>) -> Result<Duration, Wrong> {
    time::<100, DAY>(value)
}

/// A time from `LEAST` to `MOST` milliseconds.
pub(super) fn time<const LEAST: u64, const MOST: u64>(value: &DeValue<'_>) -> Result<Duration, Wrong> {
    let typed = string(value)?;
    // humantime 2.4 panics on sums near 2^64 seconds: nine digits to a number and 64 bytes stay far below.
    let tame =
        typed.len() <= 64 && typed.split(|letter: char| !letter.is_ascii_digit()).all(|digits| digits.len() <= 9);
    let parsed = tame.then(|| humantime::parse_duration(typed).ok()).flatten();
    let limits = Duration::from_millis(LEAST)..=Duration::from_millis(MOST);
    parsed.filter(|time| limits.contains(time)).ok_or_else(|| wrong(value))
}

/// A moment: a TOML date, or date and time with offset, or the same as a string (RFC 3339). Local times are in doubt, and refused.
pub(super) fn moment(value: &DeValue<'_>) -> Result<SystemTime, Wrong> {
    let typed = match value {
        DeValue::Datetime(moment) => moment.to_string(),
        _ => text(value)?,
    };
    // A day alone, of ten characters.
    let whole = if typed.len() == 10 { format!("{typed}T00:00:00Z") } else { typed.clone() };
    let (local, offset) = match whole.rfind(['Z', '+', '-']).filter(|at| *at >= "2026-12-24T18:00:00".len()) {
        Some(at) => whole.split_at(at),
        None if whole.contains(':') => {
            return Err(Wrong::found(format!("{typed:?}, without its offset; end it with Z for UTC")));
        }
        None => return Err(wrong(value)),
    };
    let local = humantime::parse_rfc3339(&format!("{local}Z")).map_err(|_| wrong(value))?;
    let moved = match offset.strip_prefix(['+', '-']) {
        None => Some(local),
        Some(ahead) => ahead
            .split_once(':')
            .and_then(|(hours, minutes)| Some((hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?)))
            .filter(|(hours, minutes)| *hours < 24 && *minutes < 60)
            .and_then(|(hours, minutes)| {
                let ahead = Duration::from_secs(u64::from(hours) * 3600 + u64::from(minutes) * 60);
                if offset.starts_with('+') { local.checked_sub(ahead) } else { local.checked_add(ahead) }
            }),
    };
    moved.ok_or_else(|| wrong(value))
}

/// Bytes, from `LEAST` to 1024 TiB: a whole number, or one with a unit.
pub(super) fn bytes<const LEAST: u64>(value: &DeValue<'_>) -> Result<u64, Wrong> {
    const MOST: u64 = 1 << 50;
    const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    if value.is_integer() {
        return number::<LEAST, MOST>(value);
    }
    let typed = string(value)?;
    let sized = UNITS
        .iter()
        .find_map(|(unit, factor)| typed.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?.checked_mul(*factor));
    sized.filter(|size| (LEAST..=MOST).contains(size)).ok_or_else(|| wrong(value))
}

/// One of a few words.
pub(super) fn word<T: Copy + 'static>(value: &DeValue<'_>, words: &[(&str, T)]) -> Result<T, Wrong> {
    let typed = string(value)?;
    words.iter().find(|(word, _)| *word == typed).map(|(_, meaning)| *meaning).ok_or_else(|| wrong(value))
}

/// An array of things, each with its place; every element that is wrong is told, at its own place.
fn many<T>(value: &DeValue<'_>, one: impl Fn(&DeValue<'_>) -> Result<T, Wrong>) -> Result<Vec<Spanned<T>>, Wrong> {
    let values = value.as_array().ok_or_else(|| wrong(value))?;
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for value in values {
        match one(value.get_ref()) {
            Ok(meant) => good.push(Spanned::new(value.span(), meant)),
            Err(Wrong(found)) => {
                bad.extend(found.into_iter().map(|(at, found)| (at.or(Some(value.span().start)), found)));
            }
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(Wrong(bad)) }
}

fn without_places<T>(values: Vec<Spanned<T>>) -> Vec<T> {
    values.into_iter().map(Spanned::into_inner).collect()
}

pub(super) fn path(value: &DeValue<'_>) -> Result<PathBuf, Wrong> {
    match string(value)? {
        typed if typed.is_empty() || typed.contains(char::is_control) => Err(wrong(value)),
        typed => Ok(typed.into()),
    }
}

pub(super) fn paths(value: &DeValue<'_>) -> Result<Vec<PathBuf>, Wrong> {
    let paths = if value.is_str() { vec![path(value)?] } else { without_places(many(value, path)?) };
    if paths.is_empty() { Err(Wrong::found("an empty array")) } else { Ok(paths) }
}

/// Names of listeners, lists and clients, as they stand in records.
pub(super) const NAME: &str = "1 to 64 of the characters A-Z a-z 0-9 . _ @ -";

pub(super) fn name(value: &DeValue<'_>) -> Result<String, Wrong> {
    token(value, 64)
}

pub(super) fn names(value: &DeValue<'_>) -> Result<Vec<Spanned<String>>, Wrong> {
    many(value, name)
}

/// PSK identities; OpenSSL keeps at most 127 bytes of one.
pub(super) fn identities(value: &DeValue<'_>) -> Result<Vec<Spanned<String>>, Wrong> {
    many(value, |value| token(value, 127))
}

fn token(value: &DeValue<'_>, most: usize) -> Result<String, Wrong> {
    let typed = string(value)?;
    let good = (1..=most).contains(&typed.len())
        && typed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte));
    if good { Ok(typed.to_owned()) } else { Err(wrong(value)) }
}

pub(super) fn ranges(value: &DeValue<'_>) -> Result<Vec<ipnet::IpNet>, Wrong> {
    let range = |value: &DeValue<'_>| {
        allowlist::parse_range(string(value)?).map_err(|why| Wrong::found(format!("{}, {why}", shown(value))))
    };
    let ranges = without_places(many(value, range)?);
    if ranges.is_empty() { Err(Wrong::found("an empty array, which lets nobody in")) } else { Ok(ranges) }
}

/// Permission bits as an octal string; others get none.
pub(super) fn mode(value: &DeValue<'_>) -> Result<u32, Wrong> {
    let typed = string(value)?;
    let bits = typed.strip_prefix('0').and_then(|digits| u32::from_str_radix(digits, 8).ok());
    bits.filter(|bits| typed.len() == 4 && bits & !0o770 == 0 && bits & 0o600 == 0o600).ok_or_else(|| wrong(value))
}

pub(super) fn certificate_names(value: &DeValue<'_>) -> Result<Vec<Spanned<CertificateName>>, Wrong> {
    many(value, |value| certificate_name(string(value)?).ok_or_else(|| wrong(value)))
}

fn certificate_name(typed: &str) -> Option<CertificateName> {
    let (kind, name) = typed.split_once(':')?;
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    match kind {
        "dns" if plain => Some(CertificateName::Dns(name.to_ascii_lowercase())),
        "uri" if plain => Some(CertificateName::Uri(name.to_owned())),
        // A name of people's: blanks belong to it.
        "cn" if !name.is_empty() && !name.contains(char::is_control) => Some(CertificateName::Cn(name.to_owned())),
        "sha256" => {
            let digits: String = name.chars().filter(|letter| *letter != ':').collect();
            let secret = crate::secret::Secret::from_hex(&digits)?;
            Some(CertificateName::Sha256(secret.expose().try_into().ok()?))
        }
        _ => None,
    }
}
