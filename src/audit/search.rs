//! Who asked for this, and what happened when: reads the trail's records as they stand. Whether they are whole, verify.rs says.

use super::asked;
use super::chain::Master;
use super::files;
use super::written::{Line, field, fields};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Which records are wanted; what is `None` lets every record through.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Not earlier.
    pub since: Option<SystemTime>,
    /// Earlier than.
    pub until: Option<SystemTime>,
    /// Fields that have to have these values: `client`, `event`, `connection`.
    pub fields: Vec<(&'static str, String)>,
    /// The source, with or without its port.
    pub source: Option<String>,
}

/// A record that was found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Found {
    /// The daemon's start that wrote it.
    pub epoch: u64,
    /// Its number within the epoch.
    pub number: u64,
    /// When it was told.
    pub time: String,
    /// Its fields, without the words for people.
    #[serde(flatten)]
    pub fields: BTreeMap<String, String>,
    /// Its line in the trail's words.
    #[serde(skip)]
    pub body: String,
}

impl Found {
    fn new(line: &Line<'_>) -> Found {
        let named = fields(line.body).filter(|(name, _)| *name != "message");
        Found {
            epoch: line.epoch,
            number: line.number,
            time: line.time.to_owned(),
            fields: named.map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
            body: line.body.to_owned(),
        }
    }
}

impl Filter {
    fn lets_through(&self, line: &Line<'_>) -> bool {
        if self.since.is_some() || self.until.is_some() {
            // A time that cannot be read is shown rather than hidden.
            if let Ok(time) = humantime::parse_rfc3339(line.time) {
                if self.since.is_some_and(|since| time < since) || self.until.is_some_and(|until| time >= until) {
                    return false;
                }
            }
        }
        let has = |name, wanted: &str| field(line.body, name).is_some_and(|value| value == wanted);
        self.fields.iter().all(|(name, wanted)| has(name, wanted))
            && self
                .source
                .as_ref()
                .is_none_or(|wanted| field(line.body, "source").is_some_and(|source| is_from(&source, wanted)))
    }
}

/// `192.0.2.1:4711` is from `192.0.2.1`, `[2001:db8::1]:4711` from `2001:db8::1`.
fn is_from(source: &str, wanted: &str) -> bool {
    let address = source.rsplit_once(':').map_or(source, |(address, _)| address);
    source == wanted || address == wanted || address.trim_start_matches('[').trim_end_matches(']') == wanted
}

/// Hands over every record that the filter lets through, in order, until `each` says `false`.
///
/// # Errors
/// When a file cannot be read.
pub fn show(folder: &Path, filter: &Filter, mut each: impl FnMut(Found) -> bool) -> io::Result<()> {
    search(folder, |line| filter.lets_through(line), &mut each)
}

/// Hands over every record of somebody who asked for this value, until `each` says `false`. Digests are found with the key alone.
///
/// # Errors
/// When a file cannot be read.
pub fn find(
    folder: &Path,
    value: &[u8],
    master: Option<&Master>,
    filter: &Filter,
    mut each: impl FnMut(Found) -> bool,
) -> io::Result<()> {
    // A client that ends its lines with CR LF may have asked with the CR.
    let spellings = [value.to_vec(), [value, b"\r"].concat()];
    let mut digests: HashMap<u64, [String; 2]> = HashMap::new();
    let mut asked_for = |line: &Line<'_>| {
        if !line.body.starts_with("event=query ") || !filter.lets_through(line) {
            return false;
        }
        if let (Some(digest), Some(day)) = (field(line.body, "digest"), field(line.body, "digest-epoch")) {
            let (Some(master), Ok(day)) = (master, day.parse()) else { return false };
            let of_day =
                digests.entry(day).or_insert_with(|| spellings.clone().map(|query| master.digest(day, &query)));
            return of_day.iter().any(|expected| *expected == digest);
        }
        let bytes = field(line.body, "bytes").and_then(|bytes| bytes.parse::<usize>().ok());
        field(line.body, "query").is_some_and(|query| {
            spellings.iter().any(|value| bytes == Some(value.len()) && is_query(&query, &asked::text(value)))
        })
    };
    search(folder, &mut asked_for, &mut each)
}

/// A long query stands in its record with its beginning and this mark.
fn is_query(recorded: &str, value: &str) -> bool {
    recorded == value
        || recorded.strip_suffix("[...]").is_some_and(|start| !start.is_empty() && value.starts_with(start))
}

fn search(
    folder: &Path,
    mut wanted: impl FnMut(&Line<'_>) -> bool,
    each: &mut impl FnMut(Found) -> bool,
) -> io::Result<()> {
    let mut going = true;
    for file in files::list(folder)? {
        file.lines(|_, bytes, whole| {
            if let Some(line) = Line::parse(bytes).filter(|line| whole && wanted(line)) {
                going = each(Found::new(&line));
            }
            going
        })?;
        if !going {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("192.0.2.1:4711", "192.0.2.1", true)]
    #[case("192.0.2.1:4711", "192.0.2.1:4711", true)]
    #[case("192.0.2.11:4711", "192.0.2.1", false)]
    #[case("[2001:db8::1]:4711", "2001:db8::1", true)]
    #[case("uid:0", "uid:0", true)]
    fn a_source_is_named_with_its_port_or_without(#[case] source: &str, #[case] wanted: &str, #[case] is: bool) {
        assert_eq!(is_from(source, wanted), is);
    }

    #[rstest]
    #[case("abc", "abc", true)]
    #[case("ab[...]", "abc", true)]
    #[case("abd[...]", "abc", false)]
    #[case("[...]", "abc", false)]
    fn a_long_query_is_known_by_its_beginning(#[case] recorded: &str, #[case] value: &str, #[case] is: bool) {
        assert_eq!(is_query(recorded, value), is);
    }
}
