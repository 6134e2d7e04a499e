//! What it takes to make a file ready to be asked: seconds and memory, each time in a process of its own, so that none
//! meets what another left behind. Reading the file is part of it.

use crate::corpus::Kind;
use crate::spread::Spread;
use crate::tables::{Automaton, Hashbrown, Sorted, StdSet};
use crate::way::Way;
use crate::ways::Name;
use crate::{limit, ours};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What one process reports.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Built {
    pub(crate) seconds: f64,
    /// Kept by the way's own count.
    pub(crate) bytes: u64,
    /// Resident memory that is there afterwards and was not before.
    pub(crate) held: u64,
    /// The most that was resident at any time.
    pub(crate) peak: u64,
}

/// Of one list.
pub(crate) struct Building {
    pub(crate) ways: BTreeMap<Name, Built>,
    /// Seconds to read the file and count its lines, on one core.
    pub(crate) count: Spread,
    /// Our build by that, round by round.
    pub(crate) ratio: Spread,
}

const BUILD: &str = "build";
const COUNT: &str = "count";

/// Runs every way's build, in turn, and the counting of lines beside them. Leaves an automaton for later use.
pub(crate) fn measure(kind: Kind, file: &Path, automaton: &Path, rounds: usize) -> Building {
    let mut measured: BTreeMap<Name, Vec<Built>> = BTreeMap::new();
    let (mut counts, mut ours) = (Vec::new(), Vec::new());
    // The first pass is for the page cache.
    run(COUNT, file, automaton);
    for round in 0..rounds {
        counts.push(run(COUNT, file, automaton).seconds);
        for name in Name::BUILT {
            if round >= most_rounds(name) {
                continue;
            }
            let built = run(&name.word(), file, automaton);
            eprintln!("{}: {} built in {:.2} s", kind.title(), name.title(), built.seconds);
            measured.entry(name).or_default().push(built);
            if name == Name::Ours {
                ours.push(built.seconds);
            }
        }
    }
    let median = |(name, mut all): (Name, Vec<Built>)| {
        all.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
        (name, all[all.len() / 2])
    };
    Building {
        ways: measured.into_iter().map(median).collect(),
        ratio: Spread::of_ratios(&ours, &counts),
        count: Spread::of(counts),
    }
}

/// Ours is what the rounds are for, and an automaton takes a minute.
fn most_rounds(name: Name) -> usize {
    match name {
        Name::Ours => usize::MAX,
        Name::Fst => 1,
        _ => 3,
    }
}

fn run(what: &str, file: &Path, automaton: &Path) -> Built {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new(program);
    child.arg(BUILD).arg(what).arg(file).arg(automaton).stderr(Stdio::inherit());
    let output = child.output().unwrap();
    assert!(output.status.success(), "building {what}: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The other side of [`run`]: whether these arguments are its, and then the whole life of that process.
pub(crate) fn is_child(arguments: &[String]) -> bool {
    let [build, what, file, automaton] = arguments else { return false };
    if build != BUILD {
        return false;
    }
    let built = build_here(what, Path::new(file), Path::new(automaton));
    println!("{}", serde_json::to_string(&built).unwrap());
    true
}

fn build_here(what: &str, file: &Path, automaton: &Path) -> Built {
    let before = resident("VmRSS");
    let begun = Instant::now();
    let after = |bytes: u64| Built {
        seconds: begun.elapsed().as_secs_f64(),
        bytes,
        held: resident("VmRSS").saturating_sub(before),
        peak: resident("VmHWM"),
    };
    let read = || std::fs::read(file).unwrap();
    match Name::of_word(what) {
        Some(Name::Ours) => ours::load(file, after),
        Some(Name::Hashbrown) => after(Hashbrown::build(&read()).bytes()),
        Some(Name::HashSet) => after(StdSet::build(&read()).bytes()),
        Some(Name::BinarySearch) => after(Sorted::build(&read()).bytes()),
        Some(Name::Fst) => {
            let built = Automaton::build(&read());
            let report = after(built.bytes());
            built.write(automaton);
            report
        }
        _ if what == COUNT => {
            let lines = limit::count_lines(file);
            after(lines as u64)
        }
        _ => panic!("{what} is not built"),
    }
}

/// A line of `/proc/self/status`, in bytes.
fn resident(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
