//! On what, and of what, figures were taken: facts of the machine, the tools, the versions.

use crate::form::home;
use std::process::Command;
use std::time::SystemTime;

/// Rows of a table: what, and its value.
pub(crate) fn facts() -> Vec<(&'static str, String)> {
    let gibibytes =
        field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1048576.0;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        ("processor", format!("{}, {cores} cores", field("/proc/cpuinfo", "model name"))),
        ("caches", caches()),
        ("memory", format!("{gibibytes:.1} GiB")),
        ("kernel", format!("Linux {}", read("/proc/sys/kernel/osrelease"))),
        ("compiler", format!("{}, for every {}", said("rustc", &["--version"]), std::env::consts::ARCH)),
        ("crates", crates(&["ahash", "criterion", "fst", "hashbrown", "memchr", "memmap2", "siphasher"])),
        ("commit", commit()),
        ("date", today()),
        ("other work", format!("the bench waited {} of its time for a core", waited())),
    ]
}

/// How large the pages are that something lies in: with huge ones, fewer reads also miss the processor's table of pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    Small,
    Huge,
}

impl Pages {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Pages::Small => "4 KiB",
            Pages::Huge => "huge",
        }
    }

    /// Makes something, and says in which pages most of it came to lie. `bytes` tells its size.
    pub(crate) fn of<T>(make: impl FnOnce() -> T, bytes: impl FnOnce(&T) -> u64) -> (T, Pages) {
        let before = huge_bytes();
        let made = make();
        let huge = huge_bytes().saturating_sub(before);
        let pages = if huge > bytes(&made) / 2 { Pages::Huge } else { Pages::Small };
        (made, pages)
    }
}

fn huge_bytes() -> u64 {
    let value = field("/proc/self/smaps_rollup", "AnonHugePages");
    value.trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

pub(crate) fn today() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string().chars().take(10).collect()
}

/// The share of time in which this thread could have run and did not, as others had the cores.
fn waited() -> String {
    let numbers = read("/proc/thread-self/schedstat");
    let mut numbers = numbers.split(' ').filter_map(|number| number.parse::<f64>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(ran), Some(waited)) => format!("{:.1} %", 100.0 * waited / (ran + waited)),
        _ => "an unknown share".into(),
    }
}

/// The report itself, perhaps of the run before, is no change.
fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short=10", "HEAD"]);
    let changes = said("git", &["status", "--porcelain", "--", ".", ":!docs/performance"]);
    if changes.is_empty() { commit } else { format!("{commit}, with changes that are not committed") }
}

fn caches() -> String {
    let level = |number: usize| {
        let place = format!("/sys/devices/system/cpu/cpu0/cache/index{number}");
        let [level, kind, size] = ["level", "type", "size"].map(|file| read(&format!("{place}/{file}")));
        (kind != "Instruction" && !size.is_empty()).then(|| format!("L{level} {size}"))
    };
    (0..5).filter_map(level).collect::<Vec<_>>().join(", ")
}

fn crates(names: &[&str]) -> String {
    let lock = read(home().join("Cargo.lock").to_str().unwrap_or_default());
    let version = |name: &&str| {
        let (_, behind) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", behind.split('"').next()?))
    };
    names.iter().filter_map(version).collect::<Vec<_>>().join(", ")
}

fn field(file: &str, key: &str) -> String {
    let text = read(file);
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'));
    value.map_or_else(|| "unknown".into(), |value| value.trim().to_owned())
}

fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_default().trim().to_owned()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(home()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
