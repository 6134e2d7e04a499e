//! Where another way is better than ours, said in full. Reads what was measured, and compares nothing twice.

use crate::corpus::Mix;
use crate::plot::short;
use crate::report::{Measured, capital, mix_title};
use crate::way::Mode;
use crate::ways::Name;
use std::fmt::Write;

pub(crate) fn section(all: &[Measured], modes: &[Mode]) -> String {
    let mut text = String::from("\n## Where another way wins\n");
    for measured in all {
        text += &of(measured, modes);
    }
    text += "\nWhatever the figures: ways that keep the text can say which line was found, and are never wrong. linekeep \
             keeps a fingerprint of each line under a secret key, so by chance an absent query is answered with a false \
             yes, less often than once in 10^26 among ten million lines (`docs/decisions/0003-index.md`). fst can also \
             list its lines by range or pattern.\n";
    text
}

fn of(measured: &Measured, modes: &[Mode]) -> String {
    let mut rows = String::new();
    for name in Name::BUILT.into_iter().chain(Name::SCANS).filter(|name| *name != Name::Ours) {
        for mix in Mix::ALL {
            let faster = modes.iter().filter_map(|mode| {
                let [ours, theirs] = [Name::Ours, name].map(|name| measured.looks.get(&(name, mix, *mode)));
                let (ours, theirs) = (*ours?, *theirs?);
                is_better(theirs, ours).then(|| format!("{} {:.2}", mode.name(), ours / theirs))
            });
            let faster: Vec<String> = faster.collect();
            if !faster.is_empty() {
                let _ = writeln!(rows, "| {} | look-ups, {} | {} |", name.title(), mix_title(mix), faster.join(", "));
            }
        }
        rows += &building_rows(measured, name);
    }
    let kind = capital(measured.kind.title());
    let mut text = if rows.is_empty() {
        format!("\n**{kind}**: nothing here is faster or smaller than linekeep.\n")
    } else {
        format!("\n**{kind}**\n\n| way | at what | times as good as linekeep |\n| --- | --- | --- |\n{rows}")
    };
    text += &before_it_pays(measured);
    text
}

fn building_rows(measured: &Measured, name: Name) -> String {
    let ways = &measured.building.ways;
    let (Some(theirs), Some(ours)) = (ways.get(&name), ways.get(&Name::Ours)) else { return String::new() };
    let compared = [
        ("time to build", ours.seconds, theirs.seconds),
        ("bytes kept", ours.bytes as f64, theirs.bytes as f64),
        ("peak of memory while building", ours.peak as f64, theirs.peak as f64),
    ];
    let better = compared.into_iter().filter(|(_, ours, theirs)| is_better(*theirs, *ours));
    better.map(|(what, ours, theirs)| format!("| {} | {what} | {:.2} |\n", name.title(), ours / theirs)).collect()
}

/// By what two digits behind the point can show.
fn is_better(theirs: f64, ours: f64) -> bool {
    ours / theirs >= 1.005
}

/// A scan needs no build, so it is ahead until the build has paid.
fn before_it_pays(measured: &Measured) -> String {
    let miss = |name: Name| measured.looks[&(name, Mix::Misses, Mode::Alone)];
    let Some(quickest) = Name::SCANS.into_iter().min_by(|one, other| miss(*one).total_cmp(&miss(*other))) else {
        return String::new();
    };
    let build = measured.building.ways[&Name::Ours].seconds;
    format!(
        "\nThe scans build nothing, and memory-mapped scan and streaming keep nothing. Our build takes {} s and the quickest \
         scan ({}) {} ms a miss: after a file has changed, a scan is ahead for the first {} look-ups.\n",
        short(build),
        quickest.title(),
        short(miss(quickest) / 1e6),
        short((build / ((miss(quickest) - miss(Name::Ours)) / 1e9)).ceil())
    )
}
