//! Look-ups, measured by criterion: every way, every mix of queries, every mode, over one list. Then the ratios: those
//! few are measured once more, all of them in turn and round by round, as a neighbour of this machine that is busy for
//! a minute would meet one of criterion's measurements and not the other.

use crate::corpus::{Kind, Mix, Queries};
use crate::form::Form;
use crate::limit::Chase;
use crate::machine::Pages;
use crate::ours::FingerprintOnly;
use crate::spread::Spread;
use crate::way::{Mode, Way};
use crate::ways::Name;
use criterion::{BenchmarkId, Criterion, SamplingMode};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// Look-ups of one iteration.
const CHUNK: usize = 4096;

/// Median nanoseconds of a look-up.
pub(crate) type Look = BTreeMap<(Name, Mix, Mode), f64>;

/// Every way that was built.
pub(crate) fn measure(
    kind: Kind,
    ways: &[(Name, Box<dyn Way + '_>)],
    mixes: &[(Mix, Queries)],
    form: &Form,
    folder: &Path,
) -> Look {
    let mut criterion = criterion(form, folder);
    let mut group = criterion.benchmark_group(kind.name());
    group.sampling_mode(SamplingMode::Flat);
    for (mix, queries) in mixes {
        let lines = queries.lines();
        let chunks: Vec<&[&[u8]]> = lines.chunks(CHUNK).collect();
        for mode in &form.modes {
            // What is compared most stands side by side.
            for (name, way) in ways {
                let mut next = chunks.iter().cycle();
                group.bench_function(id(*name, *mix, *mode), |bencher| {
                    bencher.iter(|| next.next().map(|lines| way.ask(*mode, black_box(lines))));
                });
            }
        }
    }
    group.finish();
    let asked = ways
        .iter()
        .flat_map(|(name, _)| mixes.iter().flat_map(|(mix, _)| form.modes.iter().map(|mode| (*name, *mix, *mode))));
    asked.map(|key| (key, median(kind, key, folder) / CHUNK as f64)).collect()
}

/// Every way that reads the text for each query, asked for two lines at a time, one after the other.
pub(crate) fn measure_scans(
    kind: Kind,
    ways: &[(Name, Box<dyn Way + '_>)],
    mixes: &[(Mix, Queries)],
    form: &Form,
    folder: &Path,
) -> Look {
    let mut criterion = criterion(form, folder).sample_size(10);
    let mut group = criterion.benchmark_group(kind.name());
    group.sampling_mode(SamplingMode::Flat);
    let mut medians = Look::new();
    for (mix, queries) in mixes {
        let lines = queries.lines();
        for (name, way) in ways {
            group.bench_function(id(*name, *mix, Mode::Alone), |bencher| {
                bencher.iter(|| way.ask(Mode::Alone, black_box(&lines)));
            });
            let key = (*name, *mix, Mode::Alone);
            medians.insert(key, median(kind, key, folder) / lines.len() as f64);
        }
    }
    medians
}

fn criterion(form: &Form, folder: &Path) -> Criterion {
    Criterion::default()
        .without_plots()
        .output_directory(folder)
        .sample_size(form.samples)
        .warm_up_time(form.warm_up)
        .measurement_time(form.measurement)
        .nresamples(1000)
}

fn id(name: Name, mix: Mix, mode: Mode) -> BenchmarkId {
    BenchmarkId::new(name.word(), parameter(mix, mode))
}

fn parameter(mix: Mix, mode: Mode) -> String {
    format!("{}-{}", mix.name(), mode.name().replace(' ', "-"))
}

/// Criterion keeps its estimates in files alone.
fn median(kind: Kind, (name, mix, mode): (Name, Mix, Mode), folder: &Path) -> f64 {
    let place = folder.join(kind.name()).join(name.word()).join(parameter(mix, mode)).join("new/estimates.json");
    let estimates = std::fs::read(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    let estimates: serde_json::Value = serde_json::from_slice(&estimates).unwrap();
    estimates["median"]["point_estimate"].as_f64().unwrap()
}

/// What is compared round by round: nanoseconds of each round.
#[derive(Default)]
pub(crate) struct Rounds {
    /// A read that depends on the one before.
    pub(crate) reads: Vec<f64>,
    /// The same over as many bytes as the text has.
    pub(crate) wide_reads: Vec<f64>,
    looks: BTreeMap<(Name, Mix, Mode), Vec<f64>>,
    fingerprints: BTreeMap<Mix, Vec<f64>>,
}

impl Rounds {
    /// A way by a dependent read.
    pub(crate) fn by_read(&self, name: Name, mix: Mix, mode: Mode) -> Spread {
        Spread::of_ratios(&self.looks[&(name, mix, mode)], &self.reads)
    }

    /// Of a way by a dependent read over as many bytes as the text has.
    pub(crate) fn by_wide_read(&self, name: Name, mix: Mix, mode: Mode) -> Spread {
        Spread::of_ratios(&self.looks[&(name, mix, mode)], &self.wide_reads)
    }

    /// The fingerprint of a query, made in batches, by a dependent read.
    pub(crate) fn fingerprint_by_read(&self, mix: Mix) -> Spread {
        Spread::of_ratios(&self.fingerprints[&mix], &self.reads)
    }

    /// How many times as long another way takes.
    pub(crate) fn by_ours(&self, other: Name, mix: Mix, mode: Mode) -> Spread {
        Spread::of_ratios(&self.looks[&(other, mix, mode)], &self.looks[&(Name::Ours, mix, mode)])
    }
}

/// Measures ours, its closest rival and the limit in turn. `ways` has the two; `pages` are those that ours lies in.
pub(crate) fn rounds(
    ways: &[(Name, Box<dyn Way + '_>)],
    mixes: &[(Mix, Queries)],
    form: &Form,
    (pages, text_bytes): (Pages, u64),
) -> Rounds {
    const STEPS: usize = 200_000;
    let ours = ways.iter().find(|(name, _)| *name == Name::Ours).unwrap();
    let mut chase = Chase::over(ours.1.bytes(), pages);
    let mut wide = Chase::over(text_bytes, pages);
    let fingerprint = FingerprintOnly::new();
    let mut rounds = Rounds::default();
    let modes = [Mode::Alone, Mode::Loop, Mode::Batch(64)];
    let share = form.queries / form.rounds / modes.len();
    let mixes: Vec<_> = mixes.iter().map(|(mix, queries)| (*mix, queries.lines())).collect();
    for round in 0..form.rounds {
        rounds.reads.push(nanoseconds(STEPS, || {
            black_box(chase.walk(STEPS));
        }));
        rounds.wide_reads.push(nanoseconds(STEPS, || {
            black_box(wide.walk(STEPS));
        }));
        for (mix, lines) in &mixes {
            for (turn, mode) in modes.into_iter().enumerate() {
                // Other queries each time: no cache holds what they lead to. Their own text is warm for both ways, as
                // it would come out of a connection's buffer.
                let from = (round * modes.len() + turn) * share;
                let lines = &lines[from..from + share];
                let time = |way: &dyn Way| {
                    nanoseconds(share, || {
                        black_box(way.ask(mode, black_box(lines)));
                    })
                };
                let fingerprints = time(&fingerprint);
                if mode == Mode::Batch(64) {
                    rounds.fingerprints.entry(*mix).or_default().push(fingerprints);
                }
                for (name, way) in ways.iter().filter(|(name, _)| [Name::Ours, Name::Hashbrown].contains(name)) {
                    rounds.looks.entry((*name, *mix, mode)).or_default().push(time(&**way));
                }
            }
        }
    }
    rounds
}

fn nanoseconds(count: usize, work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64() * 1e9 / count as f64
}
