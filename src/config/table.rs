//! Walks a spanned TOML table: takes the keys that a section knows, and gathers a fault for whatever is wrong,
//! missing or unknown, each at its place. Never stops at the first.

use super::fault::Gathering;
use super::key::{Described, Key, Wrong, shown};
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One table of the file, while it is read.
pub(super) struct Table<'t, 'i> {
    /// How the section is named in faults: `[server]`, `[[listener]] "main"`.
    pub(super) section: String,
    /// Where the table begins, for what is missing in it.
    pub(super) at: usize,
    entries: &'t DeTable<'i>,
    known: &'static [Described],
}

/// A value as it was taken: what it means, and where it stands or `None` where the default was taken.
pub(super) struct Taken<T> {
    pub(super) value: T,
    pub(super) at: Option<usize>,
}

impl<'t, 'i> Table<'t, 'i> {
    /// A table whose every key has to be in `known`; those that are not are faults.
    pub(super) fn new(
        section: String,
        at: usize,
        entries: &'t DeTable<'i>,
        known: &'static [Described],
        faults: &mut Gathering<'_>,
    ) -> Table<'t, 'i> {
        let table = Table { section, at, entries, known };
        for key in entries.keys() {
            table.require_known(key, faults);
        }
        table
    }

    fn require_known(&self, key: &Spanned<std::borrow::Cow<'_, str>>, faults: &mut Gathering<'_>) {
        let typed: &str = key.get_ref();
        if self.known.iter().all(|known| known.name != typed) {
            let allowed = did_you_mean(typed, self.known.iter().map(|known| known.name));
            faults.add(key.span().start, format!("{} {typed}", self.section), "an unknown key", allowed);
        }
    }

    /// Whether the key stands in the file.
    pub(super) fn place_of<T>(&self, key: &Key<T>) -> Option<usize> {
        self.entry(key.name).map(|value| value.span().start)
    }

    /// The key's value or its default; `None` when neither is there or the value is wrong, which is then a fault.
    pub(super) fn take<T>(&self, key: &Key<T>, faults: &mut Gathering<'_>) -> Option<Taken<T>> {
        if let Some(value) = self.entry(key.name) {
            return self.read(key, value, faults).map(|read| Taken { value: read, at: Some(value.span().start) });
        }
        let Some(default) = key.default else {
            faults.absent(self.at, format!("{} {}", self.section, key.name), "nothing", key.allowed);
            return None;
        };
        let value = DeValue::parse(default).ok()?;
        (key.read)(value.get_ref()).ok().map(|value| Taken { value, at: None })
    }

    /// The key's value alone, for when its place does not matter.
    pub(super) fn value<T>(&self, key: &Key<T>, faults: &mut Gathering<'_>) -> Option<T> {
        self.take(key, faults).map(|taken| taken.value)
    }

    /// As [`Table::take`], but the key may be left out.
    pub(super) fn optional<T>(&self, key: &Key<T>, faults: &mut Gathering<'_>) -> Option<Taken<T>> {
        if self.entry(key.name).is_some() { self.take(key, faults) } else { None }
    }

    /// The path of a UNIX socket, as far as the kernel takes it: `sun_path` without its NUL (unix(7)).
    pub(super) fn socket_path<T>(
        &self,
        key: &Key<T>,
        at: Option<usize>,
        path: PathBuf,
        faults: &mut Gathering<'_>,
    ) -> Option<PathBuf> {
        const MOST: usize = 107;
        let bytes = path.as_os_str().len();
        if bytes > MOST {
            let allowed = format!("the path of a socket, of at most {MOST} bytes");
            self.fault(at.unwrap_or(self.at), key.name, format!("{bytes} bytes"), allowed, faults);
        }
        (bytes <= MOST).then_some(path)
    }

    /// A key that has no place here, such as a certificate in psk mode.
    pub(super) fn forbid<T>(&self, key: &Key<T>, why: &str, faults: &mut Gathering<'_>) {
        if let Some(value) = self.entry(key.name) {
            self.fault(value.span().start, key.name, shown(value.get_ref()), format!("nothing: {why}"), faults);
        }
    }

    /// A fault of this section.
    pub(super) fn fault(
        &self,
        at: usize,
        key: &str,
        found: impl Into<String>,
        allowed: impl Into<String>,
        faults: &mut Gathering<'_>,
    ) {
        faults.add(at, format!("{} {key}", self.section), found, allowed);
    }

    fn read<T>(&self, key: &Key<T>, value: &Spanned<DeValue<'_>>, faults: &mut Gathering<'_>) -> Option<T> {
        if value.span().is_empty() {
            // The parser made this value up to go on after a slip that was told already.
            return None;
        }
        let read = (key.read)(value.get_ref());
        read.map_err(|Wrong(all)| {
            for (at, found) in all {
                self.fault(at.unwrap_or(value.span().start), key.name, found, key.allowed, faults);
            }
        })
        .ok()
    }

    fn entry(&self, name: &str) -> Option<&'t Spanned<DeValue<'i>>> {
        self.entries.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
    }
}

/// The nearest known word, if one is near, else all of them.
pub(super) fn did_you_mean<'a>(typed: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = known
        .clone()
        .map(|word| (strsim::damerau_levenshtein(typed, word), word))
        .filter(|(distance, word)| *distance <= word.len().max(typed.len()) / 3)
        .min();
    match near {
        Some((_, word)) => format!("did you mean {word}?"),
        None => known.collect::<Vec<_>>().join(", "),
    }
}
