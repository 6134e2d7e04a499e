//! `[[dataset]]`: where a list's lines are, when its files are looked at, what it has to be, what makes two spellings one
//! line; and which of these keys belong together.

use super::fault::Gathering;
use super::key::{self, Described, Key};
use super::table::Table;
use super::{Dataset, Freshness, Guards, Search, Stale, Writer};
use crate::normalise::{Case, LineEnding, Mark, Normalisation, Whitespace};
use std::path::{Path, PathBuf};
use std::time::Duration;

const NAME: Key<String> = Key {
    name: "name",
    default: None,
    allowed: key::NAME,
    meaning: "Its name, in records and in `datasets`.",
    read: key::name,
};
const PATHS: Key<Vec<PathBuf>> = Key {
    name: "paths",
    default: None,
    allowed: "a path or an array of paths: files, folders, or patterns with * ? [",
    meaning: "Where its lines are. A folder stands for the plain files right inside it whose names do not begin with a dot. \
        At most 4096 files. A list is whole or it is not there: a path that stands for nothing counts as a file that cannot \
        be read. Replace files by rename, so that nobody meets half a file.",
    read: key::paths,
};
const FRESHNESS: Key<Freshness> = Key {
    name: "freshness",
    default: Some("\"on-change\""),
    allowed: "\"on-reload\", \"on-change\" or \"on-query\"",
    meaning: "When its files are looked at. `on-reload`: at start and on reload (SIGHUP, `linekeepctl reload`). `on-change`: \
        also whenever they change, which is noticed within a second; so are files replaced by rename and a folder swapped by \
        a symlink. `on-query`: for every batch of queries; the answer is true of the files at a moment between the query's \
        arrival and its answer, and never of an older state.\n\n\
        A new generation that cannot be read whole or breaks a guard: with `on-reload` and `on-change` the last good one \
        stays in service, and an error record and a counter say so; with `on-query` the answer is `ERROR: list unavailable` \
        at once.\n\n\
        What `on-query` cannot notice: a writer through a shared memory map, and a change behind a clock that was set back. \
        Files on network file systems are refused with it.",
    read: |value| {
        let words =
            [("on-reload", Freshness::OnReload), ("on-change", Freshness::OnChange), ("on-query", Freshness::OnQuery)];
        key::word(value, &words)
    },
};
const WRITER: Key<Writer> = Key {
    name: "writer",
    default: Some("\"any\""),
    allowed: "\"any\" or \"appends\" (not with freshness = \"on-reload\")",
    meaning: "What its writers do to its files. `any`: anything. `appends` is your word that they only add at the end, and that \
        bytes once written never change: then growth costs reading what was added alone. With `freshness = \"on-query\"` a \
        line is found by the first query sent after the write that ended it has returned. If the word was not kept, `recheck` \
        finds out. A last line without newline is a line with `any`, as it is to grep; with `appends` it waits for its newline.",
    read: |value| key::word(value, &[("any", Writer::Any), ("appends", Writer::Appends)]),
};
const RECHECK: Key<Duration> = Key {
    name: "recheck",
    default: Some("\"5m\""),
    allowed: "a time from \"1s\" to \"24h\" (with writer = \"appends\" alone)",
    meaning: "How often what was read before is read again, to see whether old bytes stayed what they were. If they did not, \
        that is an error record, and the whole list is read anew.",
    read: key::time::<{ key::SECOND }, { key::DAY }>,
};
const SEARCH: Key<Search> = Key {
    name: "search",
    default: Some("\"auto\""),
    allowed: "\"auto\", \"index\" or \"scan\" (with freshness = \"on-query\" alone)",
    meaning: "How it is searched. `index`: in memory, 12 bytes a line (16 in short lists). `scan`: by reading the files for every batch of queries, \
        which takes no memory. `auto`: by an index, unless a list with `freshness = \"on-query\"` and `writer = \"any\"` changes so \
        often, or is asked so seldom, that building one does not pay. `linekeepctl status` says which, and why.",
    read: |value| key::word(value, &[("auto", Search::Auto), ("index", Search::Index), ("scan", Search::Scan)]),
};

/// Far more lines than any memory has room for.
const MOST_LINES: u64 = 1_000_000_000_000;

const MIN_LINES: Key<u64> = Key {
    name: "min-lines",
    default: Some("1"),
    allowed: "a whole number from 0 to 1000000000000, at most max-lines",
    meaning: "A guard: a generation has at least so many lines. Empty lines and comments do not count. 0 lets a list be empty, \
        which is more often an accident.",
    read: key::number::<0, MOST_LINES>,
};
const MAX_LINES: Key<u64> = Key {
    name: "max-lines",
    default: None,
    allowed: "a whole number from 1 to 1000000000000",
    meaning: "A guard: a generation has at most so many lines.",
    read: key::number::<1, MOST_LINES>,
};
const MAX_BYTES: Key<u64> = Key {
    name: "max-bytes",
    default: None,
    allowed: "bytes, as a whole number or as \"512 MiB\", from 1 to 1024 TiB",
    meaning: "A guard: its files together have at most so many bytes.",
    read: key::bytes::<1>,
};
const MAX_SHRINK_PERCENT: Key<u8> = Key {
    name: "max-shrink-percent",
    default: None,
    allowed: "a whole number from 0 to 100",
    meaning: "A guard: a new generation has lost at most so many percent of the lines that the generation in service has. The \
        first generation after a start has none to be compared with.",
    read: |value| u8::try_from(key::number::<0, 100>(value)?).map_err(|_| key::wrong(value)),
};
const MAX_AGE: Key<Duration> = Key {
    name: "max-age",
    default: None,
    allowed: "a time from \"1s\" to \"10years\", such as \"36h\" or \"7d\"",
    meaning: "A guard: how old the oldest of its files may be, now minus its time of modification (which `wget`, `rsync -t` and \
        the like take from the sender). `stale` says what is answered of a list that is older.",
    read: key::time::<{ key::SECOND }, { 10 * key::YEAR }>,
};
const STALE: Key<Stale> = Key {
    name: "stale",
    default: Some("\"error\""),
    allowed: "\"error\" or \"serve\" (with max-age alone, and not with freshness = \"on-query\")",
    meaning: "What is answered of a list that is older than `max-age`. `error`: `ERROR: list stale`. `serve`: what the last good \
        generation says; the record `list-stale` is told in both cases. A list that is looked at on every query has no such \
        choice: it is `ERROR: list unavailable`, as with every guard.",
    read: |value| key::word(value, &[("error", Stale::Error), ("serve", Stale::Serve)]),
};
const REQUIRED: Key<bool> = Key {
    name: "required",
    default: Some("false"),
    allowed: "true or false",
    meaning: "`true`: the daemon does not start, and no reload takes effect, without a good generation of this list. `false`: \
        it starts, and answers `ERROR: list unavailable` for this list until there is one; the other lists are answered. In \
        either case a reload that brings the list, or reads it otherwise than before, takes effect only with a good \
        generation: whoever changed that is there to mend it.",
    read: key::boolean,
};
const CASE: Key<Case> = Key {
    name: "case",
    default: Some("\"keep\""),
    allowed: "\"keep\" or \"ignore-ascii\"",
    meaning: "With `ignore-ascii` A to Z are the same as a to z, in lines, in queries and in `comment`; no other letter has a case.",
    read: |value| key::word(value, &[("keep", Case::Keep), ("ignore-ascii", Case::IgnoreAscii)]),
};
const WHITESPACE: Key<Whitespace> = Key {
    name: "whitespace",
    default: Some("\"keep\""),
    allowed: "\"keep\" or \"trim\"",
    meaning: "With `trim`, space, tab, CR, form feed and vertical tab are taken off both ends, of lines and of queries. White \
        space inside a line stays, and no other character is white space.",
    read: |value| key::word(value, &[("keep", Whitespace::Keep), ("trim", Whitespace::Trim)]),
};
const LINE_ENDING: Key<LineEnding> = Key {
    name: "line-ending",
    default: Some("\"auto\""),
    allowed: "\"auto\" or \"lf\"",
    meaning: "`auto` drops one CR before the LF, in the files and in queries; with `lf` a CR is part of the line, as it is to grep.",
    read: |value| key::word(value, &[("auto", LineEnding::Auto), ("lf", LineEnding::Lf)]),
};
const COMMENT: Key<Mark> = Key {
    name: "comment",
    default: None,
    allowed: "1 to 8 bytes without LF and CR, such as \"#\"",
    meaning: "A line that begins with this is none, and a query that does is not in the list. What is inside a line is never a \
        comment. Without this key there are no comments. An empty line is none in any case.",
    read: |value| Mark::new(key::string(value)?.as_bytes()).ok_or_else(|| key::wrong(value)),
};

pub(super) const DATASET: &[Described] = &[
    NAME.described(),
    PATHS.described(),
    FRESHNESS.described(),
    WRITER.described(),
    RECHECK.described(),
    SEARCH.described(),
    MIN_LINES.described(),
    MAX_LINES.described(),
    MAX_BYTES.described(),
    MAX_SHRINK_PERCENT.described(),
    MAX_AGE.described(),
    STALE.described(),
    REQUIRED.described(),
    CASE.described(),
    WHITESPACE.described(),
    LINE_ENDING.described(),
    COMMENT.described(),
];

/// Something with a name, and where the name stands.
pub(super) struct Named<T> {
    pub(super) value: T,
    pub(super) name_at: usize,
}

pub(super) fn dataset(table: &Table<'_, '_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<Named<Dataset>> {
    let name = table.take(&NAME, faults);
    let paths = table.value(&PATHS, faults);
    let freshness = table.value(&FRESHNESS, faults);
    let writer = writer(table, freshness, faults);
    let recheck = table.value(&RECHECK, faults);
    if writer == Some(Writer::Any) {
        table.forbid(&RECHECK, "only what writer = \"appends\" promises is checked again", faults);
    }
    let search = search(table, freshness, faults);
    let guards = guards(table, faults);
    let stale = table.value(&STALE, faults);
    if table.place_of(&MAX_AGE).is_none() {
        table.forbid(&STALE, "without max-age no list is ever stale", faults);
    } else if freshness == Some(Freshness::OnQuery) {
        table.forbid(
            &STALE,
            "with freshness = \"on-query\" a list that is too old is `ERROR: list unavailable`",
            faults,
        );
    }
    let required = table.value(&REQUIRED, faults);
    let normalisation = normalisation(table, faults);
    let name = name?;
    let value = Dataset {
        name: name.value.into(),
        paths: paths?.iter().map(|path| folder.join(path)).collect(),
        normalisation: normalisation?,
        freshness: freshness?,
        writer: writer?,
        search: search?,
        guards: guards?,
        stale: stale?,
        required: required?,
        recheck: recheck?,
    };
    Some(Named { value, name_at: name.at.unwrap_or(table.at) })
}

fn writer(table: &Table<'_, '_>, freshness: Option<Freshness>, faults: &mut Gathering<'_>) -> Option<Writer> {
    let writer = table.take(&WRITER, faults)?;
    if (writer.value, freshness) == (Writer::Appends, Some(Freshness::OnReload)) {
        let allowed = "\"any\" here: freshness = \"on-reload\" reads everything anew; \"appends\" with \"on-change\" or \"on-query\"";
        table.fault(writer.at.unwrap_or(table.at), WRITER.name, "\"appends\"", allowed, faults);
    }
    Some(writer.value)
}

fn search(table: &Table<'_, '_>, freshness: Option<Freshness>, faults: &mut Gathering<'_>) -> Option<Search> {
    let search = table.take(&SEARCH, faults)?;
    let on_query = freshness.is_none_or(|freshness| freshness == Freshness::OnQuery);
    if search.value == Search::Scan && !on_query {
        let allowed =
            "\"auto\" or \"index\" here: a scan reads the files for every batch, which is freshness = \"on-query\"";
        table.fault(search.at.unwrap_or(table.at), SEARCH.name, "\"scan\"", allowed, faults);
    }
    Some(search.value)
}

/// `None` also when a guard that stands there cannot be read: a list must not go without it.
fn guards(table: &Table<'_, '_>, faults: &mut Gathering<'_>) -> Option<Guards> {
    let min_lines = table.take(&MIN_LINES, faults);
    let max_lines = guard(table, &MAX_LINES, faults);
    let max_bytes = guard(table, &MAX_BYTES, faults);
    let max_shrink_percent = guard(table, &MAX_SHRINK_PERCENT, faults);
    let max_age = guard(table, &MAX_AGE, faults);
    if let (Some(least), Some(Some(most))) = (&min_lines, max_lines) {
        if least.value > most {
            let allowed = format!("at most {} = {most}", MAX_LINES.name);
            table.fault(least.at.unwrap_or(table.at), MIN_LINES.name, least.value.to_string(), allowed, faults);
        }
    }
    Some(Guards {
        min_lines: min_lines?.value,
        max_lines: max_lines?,
        max_bytes: max_bytes?,
        max_shrink_percent: max_shrink_percent?,
        max_age: max_age?,
    })
}

/// `Some(None)`: left out.
#[allow(clippy::option_option, reason = "outside: whether it could be read; inside: whether there is one")]
fn guard<T>(table: &Table<'_, '_>, key: &Key<T>, faults: &mut Gathering<'_>) -> Option<Option<T>> {
    match table.optional(key, faults) {
        Some(taken) => Some(Some(taken.value)),
        None => table.place_of(key).is_none().then_some(None),
    }
}

fn normalisation(table: &Table<'_, '_>, faults: &mut Gathering<'_>) -> Option<Normalisation> {
    let case = table.value(&CASE, faults);
    let whitespace = table.value(&WHITESPACE, faults);
    let line_ending = table.value(&LINE_ENDING, faults);
    let comment = guard(table, &COMMENT, faults);
    if let (Some(Whitespace::Trim), Some(Some(mark))) = (whitespace, &comment) {
        let ends = [mark.bytes().first(), mark.bytes().last()];
        if ends.into_iter().flatten().any(|byte| Whitespace::is_white(*byte)) {
            // A mark that begins so is found in no trimmed line, one that ends so not in a line that is the mark alone.
            let allowed =
                "no white space at its ends: whitespace = \"trim\" takes that off before a line is compared with it";
            let at = table.place_of(&COMMENT).unwrap_or(table.at);
            table.fault(at, COMMENT.name, format!("{:?}", String::from_utf8_lossy(mark.bytes())), allowed, faults);
        }
    }
    Some(Normalisation { case: case?, whitespace: whitespace?, line_ending: line_ending?, comment: comment? })
}
