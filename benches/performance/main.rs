//! `make bench`: ways of looking up a line, compared in one run, and the report about it.
//!
//!     make bench             ten million lines, some ten minutes; writes docs/performance/
//!     make bench QUICK=1     a million, within two minutes; writes target/performance/
//!     make bench LINES=N     so many lines, all measurements; writes target/performance/
//!
//! In the order of a run: `form` says how much, `corpus` makes lists and queries, `building` builds every `way` in a
//! process of its own, `looking` asks them, `fresh` asks what freshness costs, `report` writes. The ways are in `ours`, `tables` and `scans`.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod building;
mod charts;
mod corpus;
mod fenced;
mod form;
mod fresh;
mod limit;
mod looking;
mod machine;
mod ours;
mod plot;
mod report;
mod scans;
mod spread;
mod tables;
mod way;
mod ways;
mod wins;

use corpus::{Kind, Mix, Queries};
use form::Form;
use machine::Pages;
use report::Measured;
use std::path::Path;
use std::process::ExitCode;
use way::Way;
use ways::Name;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if building::is_child(&arguments) {
        return ExitCode::SUCCESS;
    }
    // Cargo adds --bench for `cargo bench`; a test run of all targets measures nothing.
    let (bench, words): (Vec<&str>, _) = arguments.iter().map(String::as_str).partition(|word| *word == "--bench");
    if bench.is_empty() {
        return ExitCode::SUCCESS;
    }
    let Some(form) = Form::of(&words) else {
        eprintln!("usage: cargo bench --bench performance [-- quick | lines 1000..100000000]; found {words:?}");
        return ExitCode::FAILURE;
    };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let all: Vec<Measured> = Kind::ALL.into_iter().map(|kind| measure(kind, &form, folder.path())).collect();
    let fresh = fresh::measure(folder.path(), &form);
    report::write(&form, &all, &fresh);
    ExitCode::SUCCESS
}

fn measure(kind: Kind, form: &Form, folder: &Path) -> Measured {
    let [file, automaton] = ["txt", "fst"].map(|ending| folder.join(format!("{}.{ending}", kind.name())));
    eprintln!("{}: making {} of them", kind.title(), form.lines);
    corpus::write_file(kind, form.lines, &file);
    let building = building::measure(kind, &file, &automaton, form.builds);

    let text = std::fs::read(&file).unwrap();
    let open = |name: Name| (name, ways::open(name, &text, &file, &automaton));
    let (ours, pages) = Pages::of(|| open(Name::Ours), |(_, way)| way.bytes());
    let others = Name::BUILT.into_iter().filter(|name| *name != Name::Ours).map(open);
    let built: Vec<(Name, Box<dyn Way + '_>)> = std::iter::once(ours).chain(others).collect();
    let scans: Vec<_> = Name::SCANS.into_iter().map(open).collect();
    let mixes = Mix::ALL.map(|mix| (mix, Queries::draw(kind, form.lines, form.queries, mix)));
    let few = Mix::ALL.map(|mix| (mix, Queries::spread(kind, form.lines, mix)));
    check(kind, &built, &mixes);
    check(kind, &scans, &few);

    let estimates = folder.join("criterion");
    let mut looks = looking::measure(kind, &built, &mixes, form, &estimates);
    let rounds = looking::rounds(&built, &mixes, form, (pages, text.len() as u64));
    looks.extend(looking::measure_scans(kind, &scans, &few, form, &estimates));
    Measured { kind, lines: form.lines, bytes: text.len() as u64, building, looks, rounds, pages }
}

fn check(kind: Kind, ways: &[(Name, Box<dyn Way + '_>)], mixes: &[(Mix, Queries)]) {
    for (mix, queries) in mixes {
        let lines = queries.lines();
        for (name, way) in ways {
            eprintln!("{}: checking {}, {}", kind.title(), name.title(), mix.name());
            ways::check(*name, kind, &**way, &lines, &queries.truth);
        }
    }
}
