//! Which plots the report has, and what is on them.

use crate::corpus::Mix;
use crate::plot::Bars;
use crate::report::Measured;
use crate::spread::Spread;
use crate::way::Mode;
use crate::ways::Name;

/// Each plot by its file's name.
pub(crate) fn of(measured: &Measured, modes: &[Mode]) -> Vec<(String, Bars)> {
    let word = measured.kind.name();
    let [looks, batches] = [look_ups(measured), batches(measured, modes)];
    let [build, memory] = [build(measured), memory(measured)];
    let named = [("look-ups", looks), ("batches", batches), ("build", build), ("memory", memory)];
    named.into_iter().map(|(name, bars)| (format!("{name}-{word}.svg"), bars)).collect()
}

fn look_ups(measured: &Measured) -> Bars {
    let look = |name: Name, mode| measured.looks.get(&(name, Mix::Half, mode)).map(|ns| ns / 1000.0);
    let ways = Name::BUILT.into_iter().chain(Name::SCANS);
    Bars {
        title: format!("A look-up in {}, half of them present", measured.kind.title()),
        unit: "microseconds, each step ten times the one before",
        factors: true,
        series: vec!["alone".into(), "in batches of 64".into()],
        rows: ways
            .map(|name| (name.title().into(), vec![look(name, Mode::Alone), look(name, Mode::Batch(64))]))
            .collect(),
        mark: Some(("a dependent read".into(), dependent_read(measured) / 1000.0)),
    }
}

fn batches(measured: &Measured, modes: &[Mode]) -> Bars {
    let ways = [Name::Ours, Name::Hashbrown];
    let mut rows = Vec::new();
    for mix in Mix::ALL {
        for mode in modes {
            let bars = ways.map(|name| measured.looks.get(&(name, mix, *mode)).copied());
            rows.push((format!("{}, {}", mix.name(), mode.name()), bars.into()));
        }
    }
    Bars {
        title: format!("linekeep and hashbrown in {}", measured.kind.title()),
        unit: "nanoseconds a look-up",
        factors: false,
        series: ways.map(|name| name.title().into()).into(),
        rows,
        mark: Some(("a dependent read".into(), dependent_read(measured))),
    }
}

fn build(measured: &Measured) -> Bars {
    let ways = measured.building.ways.iter();
    Bars {
        title: format!("Time from the file of {} to ready", measured.kind.title()),
        unit: "seconds, each step ten times the one before",
        factors: true,
        series: Vec::new(),
        rows: ways.map(|(name, built)| (name.title().into(), vec![Some(built.seconds)])).collect(),
        mark: Some(("reading once, counting lines".into(), measured.building.count.median)),
    }
}

fn memory(measured: &Measured) -> Bars {
    let a_line = |bytes: u64| Some(bytes as f64 / measured.lines as f64);
    let ways = measured.building.ways.iter();
    Bars {
        title: format!("Memory for {}", measured.kind.title()),
        unit: "bytes a line",
        factors: false,
        series: vec!["kept".into(), "peak of the whole process while building".into()],
        rows: ways.map(|(name, built)| (name.title().into(), vec![a_line(built.bytes), a_line(built.peak)])).collect(),
        mark: Some(("the text".into(), measured.bytes as f64 / measured.lines as f64)),
    }
}

fn dependent_read(measured: &Measured) -> f64 {
    Spread::of(measured.rounds.reads.clone()).median
}
