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
        ("commit", said("git", &["describe", "--always", "--dirty", "--exclude", "*"])),
        ("date", today()),
    ]
}

/// Whether this process has huge pages now: where it has none, all of its memory is in pages of 4 KiB.
pub(crate) fn pages() -> String {
    let huge = field("/proc/self/smaps_rollup", "AnonHugePages").trim_end_matches(" kB").parse::<u64>().unwrap_or(0);
    match huge {
        0 => "4 KiB, no huge ones in the whole process".into(),
        _ => format!("4 KiB and, where the program or the kernel chose so, huge: {} MB in all", huge / 1000),
    }
}

pub(crate) fn today() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string().chars().take(10).collect()
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
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if said.is_empty() { "unknown".into() } else { said }
}
