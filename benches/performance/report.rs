//! The report for people: what was measured, in tables and plots, with what it was measured on and where another way is
//! better. Measures nothing itself.

use crate::building::Building;
use crate::corpus::{Kind, Mix};
use crate::form::Form;
use crate::fresh::Fresh;
use crate::looking::{Look, Rounds};
use crate::machine::Pages;
use crate::plot::{grouped, short};
use crate::spread::Spread;
use crate::way::Mode;
use crate::ways::Name;
use crate::{charts, machine, wins};
use std::fmt::Write;

/// Everything about one list.
pub(crate) struct Measured {
    pub(crate) kind: Kind,
    pub(crate) lines: u64,
    /// Of the file.
    pub(crate) bytes: u64,
    pub(crate) building: Building,
    pub(crate) looks: Look,
    pub(crate) rounds: Rounds,
    /// In which our index lies, and what the dependent reads read.
    pub(crate) pages: Pages,
}

/// Writes the report and its plots, in place of what was there.
pub(crate) fn write(form: &Form, all: &[Measured], fresh: &[Fresh]) {
    let folder = form.report_folder();
    std::fs::create_dir_all(&folder).unwrap();
    let mut text = head(form, all);
    for measured in all {
        text += &ratios(measured);
    }
    text += &wins::section(all, &form.modes);
    for measured in all {
        text += &look_ups(measured, form);
    }
    for measured in all {
        text += &building(measured);
    }
    text += &freshness(fresh);
    text += &method(form);
    for (name, bars) in all.iter().flat_map(|measured| charts::of(measured, &form.modes)) {
        std::fs::write(folder.join(name), bars.svg()).unwrap();
    }
    let place = folder.join("README.md");
    std::fs::write(&place, text).unwrap();
    println!("\nthe report: {}", place.display());
}

fn head(form: &Form, all: &[Measured]) -> String {
    let lists = all.iter().map(|measured| {
        let [lines, bytes] = [measured.lines, measured.bytes].map(|number| grouped(&number.to_string()));
        format!("{lines} {} ({bytes} bytes)", measured.kind.title())
    });
    let lists = lists.collect::<Vec<_>>().join(" and ");
    format!(
        "# Performance\n\n\
         Written by `{}` on {}, figures and words; not to be edited. Run the command to see your own machine's.\n\n\
         {left_out}\
         Compared, in one run and over the same lines, {lists}: linekeep's index; six ways that a program may take without \
         one (linear scan, substring search, hash set, binary search over sorted slices, memory-mapped scan, streaming); \
         and two good libraries, [hashbrown](https://docs.rs/hashbrown) with [ahash](https://docs.rs/ahash) and \
         [fst](https://docs.rs/fst).\nAll answers of all ways were compared with the truth before anything was timed.\n\n\
         Trust the ratios, not the nanoseconds: what memory costs differs between machines, and from minute to minute on \
         one that is shared.\n\n\
         ## In short\n\n\
         A *dependent read* is the least that any look-up in memory costs that is not in a cache: reads at random \
         places, each known only when the one before has arrived; over as many bytes as the index takes, and over as many as \
         the text has, as the width decides what the processor's caches and tables still hold. Ours include \
         the fingerprint of the query. Each figure is the median of {} rounds in which all were measured in turn, with \
         the least and the most of them.\n",
        form.command(),
        machine::today(),
        form.rounds,
        left_out = form.left_out(),
    )
}

fn ratios(measured: &Measured) -> String {
    let Measured { rounds, building, .. } = measured;
    let mut text = format!(
        "\n**{}**; a dependent read took {:.0} ns over the bytes of the index, {:.0} ns over those of the text; the index and the reads in pages of the same kind ({}).\n\n| | misses | half of each | hits | aim |\n| --- | --- | --- | --- | --- |\n",
        capital(measured.kind.title()),
        Spread::of(rounds.reads.clone()).median,
        Spread::of(rounds.wide_reads.clone()).median,
        measured.pages.title()
    );
    let mut row = |what: &str, of: &dyn Fn(Mix) -> Spread, aim| {
        let cells = Mix::ALL.map(|mix| spread(of(mix))).join(" | ");
        let aim = aim_for(measured.kind, aim);
        let _ = writeln!(text, "| {what} | {cells} | {aim} |");
    };
    let batch = Mode::Batch(64);
    let ours = Name::Ours;
    row("linekeep alone : read over the index's bytes", &|mix| rounds.by_read(ours, mix, Mode::Alone), "at most 1.3");
    row(
        "linekeep alone : read over the text's bytes",
        &|mix| rounds.by_wide_read(ours, mix, Mode::Alone),
        "at most 1.3",
    );
    row("batches of 64 : read over the index's bytes", &|mix| rounds.by_read(ours, mix, batch), "at most 0.35");
    row("batches of 64 : read over the text's bytes", &|mix| rounds.by_wide_read(ours, mix, batch), "at most 0.35");
    row("of that, the fingerprint : read over the index's bytes", &|mix| rounds.fingerprint_by_read(mix), "");
    let other = Name::Hashbrown;
    row("hashbrown + ahash : linekeep, in a loop", &|mix| rounds.by_ours(other, mix, Mode::Loop), "hits: at least 1");
    row("hashbrown + ahash : linekeep, batches of 64", &|mix| rounds.by_ours(other, mix, batch), "hits: at least 1.5");
    let a_line = building.ways[&Name::Ours].bytes as f64 / measured.lines as f64;
    let _ = write!(
        text,
        "\n| | | aim |\n| --- | --- | --- |\n\
         | build by reading : reading once and counting lines on one core ({:.3} s) | {} | {} |\n\
         | bytes a line | {a_line:.2} | at most 16.5 |\n",
        building.count.median,
        spread(building.ratio),
        aim_for(measured.kind, "at most 8"),
    );
    text
}

/// Aims were set for a log of a gigabyte; reading a file of short lines is over before much can be done with them.
fn aim_for(kind: Kind, aim: &'static str) -> &'static str {
    if kind == Kind::Log { aim } else { "" }
}

fn look_ups(measured: &Measured, form: &Form) -> String {
    let (kind, word) = (measured.kind.title(), measured.kind.name());
    let mut text = format!(
        "\n## Look-ups in {kind}\n\n![Every way, half of the queries present](look-ups-{word}.svg)\n\n\
         ![linekeep and hashbrown, alone, in a loop and in batches](batches-{word}.svg)\n\n\
         Nanoseconds a look-up, medians. A batch is a plain loop to every way but linekeep: neither hashbrown's interface \
         nor the others' lets a caller ask for memory ahead of its use.\n"
    );
    let heads = form.modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join(" | ");
    for mix in Mix::ALL {
        let _ = write!(text, "\n| {} | {heads} |\n{}\n", mix_title(mix), rule(form.modes.len()));
        for name in Name::BUILT {
            let cell = |mode: &Mode| measured.looks.get(&(name, mix, *mode)).map_or_else(String::new, |ns| short(*ns));
            let cells = form.modes.iter().map(cell).collect::<Vec<_>>().join(" | ");
            let _ = writeln!(text, "| {} | {cells} |", name.title());
        }
    }
    let _ = write!(
        text,
        "\nMilliseconds a look-up of the ways that go through the text each time; hits lie evenly over it.\n\n\
         | | misses | half of each | hits |\n{}\n",
        rule(3)
    );
    for name in Name::SCANS {
        let cells = Mix::ALL.map(|mix| short(measured.looks[&(name, mix, Mode::Alone)] / 1e6)).join(" | ");
        let _ = writeln!(text, "| {} | {cells} |", name.title());
    }
    text
}

fn building(measured: &Measured) -> String {
    let (kind, word) = (measured.kind.title(), measured.kind.name());
    let lines = measured.lines as f64;
    let mut text = format!(
        "\n## Build and memory, {kind}\n\n![Seconds to build](build-{word}.svg)\n\n![Bytes a line](memory-{word}.svg)\n\n\
         From the file in the page cache to ready, reading included, each in a process of its own. The text alone is {:.1} \
         bytes a line. *Kept* is by the way's own count, the text included where it needs it; *resident* is what the \
         process held more than before, and the peak its most at any time.\n\n\
         | | seconds | kept, bytes a line | resident, bytes a line | peak, MB |\n{}\n",
        measured.bytes as f64 / lines,
        rule(4)
    );
    for (name, built) in &measured.building.ways {
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {:.1} | {} |",
            name.title(),
            short(built.seconds),
            built.bytes as f64 / lines,
            built.held as f64 / lines,
            short(built.peak as f64 / 1e6)
        );
    }
    text
}

fn freshness(fresh: &[Fresh]) -> String {
    let mut text = format!(
        "\n## What freshness at every query costs\n\n\
         One query to a list of so many files in one folder, alone on its thread: with `freshness = \"on-reload\"`, and with \
         `\"on-query\"` while nothing changes. The difference is the look at every file, at the folder, and at what the kernel \
         heard; it is paid once for a batch of queries, however many they are.\n\n\
         | files | on-reload, ns | on-query, ns | the look, µs a batch |\n{}\n",
        rule(3)
    );
    for Fresh { files, on_reload, on_query } in fresh {
        let look = Spread::of(on_query.iter().zip(on_reload).map(|(with, without)| (with - without) / 1e3).collect());
        let [with, without] = [on_query, on_reload].map(|all| short(Spread::of(all.clone()).median));
        let _ = writeln!(text, "| {files} | {without} | {with} | {} |", spread(look));
    }
    text
}

fn method(form: &Form) -> String {
    let mut text = format!(
        "\n## How the figures were taken\n\n\
         - The command: `{command}`. It makes the lists (the same in every run), measures, and writes this folder.\n\
         - Queries are drawn at random, {queries} of each mix. Half of the misses are a line of the list with one byte \
         changed, half are lines of the same shape that are not in it.\n\
         - *Alone*: the processor has to end one look-up before it begins the next (a fence stands between them; it is in \
         the time). *Loop*: one after another, and the processor overlaps what it can. *Batch*: so many at a time.\n\
         - Look-ups of the ways that build something are criterion's medians of {samples} samples of {measurement} s \
         together. The scans are too slow for that: ten samples of two look-ups.\n\
         - The ratios at the top were not taken from those tables but measured once more, round by round: what moves \
         memory for everybody then moves no ratio. Their nanoseconds can differ from the tables'.\n\
         - Builds ran in turn, ours {builds} times, fst once, the others three times; medians. linekeep's is the daemon's own loading of a list; \
         the others have one thread.\n\
         - hashbrown keeps offsets into the text, sized before it is filled, and compares the text of a hit. The hash set \
         owns its lines. The log is in order of time already, which spares binary search and fst their sorting.\n\
         - Substring search and the memory-mapped scan look for the line between two line ends: without them they would \
         answer another question.\n\
         - Everything is built for every processor of its kind, as packages are: ahash uses no AES instructions then.\n",
        command = form.command(),
        queries = grouped(&form.queries.to_string()),
        samples = form.samples,
        measurement = form.measurement.as_secs_f64(),
        builds = form.builds,
    );
    text += "\n## Machine and versions\n\n| | |\n| --- | --- |\n";
    for (what, value) in machine::facts() {
        let _ = writeln!(text, "| {what} | {value} |");
    }
    text
}

pub(crate) fn mix_title(mix: Mix) -> &'static str {
    match mix {
        Mix::Misses => "misses",
        Mix::Half => "half of each",
        Mix::Hits => "hits",
    }
}

fn rule(cells: usize) -> String {
    format!("| --- |{}", " ---: |".repeat(cells))
}

fn spread(spread: Spread) -> String {
    format!("**{:.2}** ({:.2}-{:.2})", spread.median, spread.least, spread.most)
}

pub(crate) fn capital(words: &str) -> String {
    let (first, rest) = words.split_at(1);
    first.to_uppercase() + rest
}
