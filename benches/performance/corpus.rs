//! What is looked up in and what is asked: generated lines, the same in every run, and queries with their true answers.
//! Knows files and numbers, and no way of looking up.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// What lines look like. Line `i` is a function of `i` alone, and no two are equal: each carries a bijection of `i`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Log,
    Hashes,
}

impl Kind {
    pub(crate) const ALL: [Kind; 2] = [Kind::Log, Kind::Hashes];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Log => "log",
            Kind::Hashes => "hashes",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Kind::Log => "log lines",
            Kind::Hashes => "40-digit hashes",
        }
    }

    /// Appends line `number`, without its LF.
    fn write(self, line: &mut Vec<u8>, number: u64) {
        let [first, second] = [mix(number ^ 0x6c69_6e65), mix(mix(number) ^ 0x6b65_6570)];
        let unique = mix(number);
        match self {
            Kind::Log => write_log(line, number, first, second),
            Kind::Hashes => write!(line, "{unique:016x}{first:016x}{:08x}", second >> 32),
        }
        .unwrap();
    }
}

/// About 108 bytes, in the order of time as a log is: one day has ten million lines.
fn write_log(line: &mut Vec<u8>, number: u64, first: u64, second: u64) -> std::io::Result<()> {
    const SERVICES: [&str; 8] = ["nginx", "api-gateway", "auth", "billing", "sshd", "worker", "kubelet", "postgres"];
    const WORDS: [&str; 16] = [
        "archive", "cart", "docs", "files", "images", "login", "media", "metrics", "news", "orders", "portal",
        "search", "static", "tracks", "updates", "users",
    ];
    let pick = |words: &[&'static str], bits: u64| words[usize::try_from(bits).unwrap() % words.len()];
    let microseconds = number * 8640 + second % 8640;
    let seconds = microseconds / 1_000_000;
    let (day, host) = (1 + seconds / 86_400 % 28, first & 63);
    let (hour, minute, second_of) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let fraction = microseconds % 1_000_000;
    write!(line, "2026-11-{day:02}T{hour:02}:{minute:02}:{second_of:02}.{fraction:06}Z host-{host:02} ")?;
    let service = pick(&SERVICES, first >> 6 & 7);
    let [a, b, c] = [first >> 12 & 255, first >> 20 & 255, first >> 28 & 255];
    let [folder, page] = [pick(&WORDS, first >> 36 & 15), pick(&WORDS, first >> 40 & 15)];
    let (item, status) = (second >> 20 & 0xf_ffff, if first >> 44 & 7 == 0 { 404 } else { 200 });
    write!(line, "{service} 10.{a}.{b}.{c} GET /{folder}/{page}/{item} {status} {}", second >> 44 & 0xffff)?;
    write!(line, " id={:016x}", mix(number))
}

/// splitmix64's finaliser, a bijection.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Writes the first `count` lines into a file.
pub(crate) fn write_file(kind: Kind, count: u64, path: &Path) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut line = Vec::new();
    for number in 0..count {
        line.clear();
        kind.write(&mut line, number);
        line.push(b'\n');
        file.write_all(&line).unwrap();
    }
    file.flush().unwrap();
}

/// How many of the queries are in the list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Mix {
    Misses,
    Half,
    Hits,
}

impl Mix {
    pub(crate) const ALL: [Mix; 3] = [Mix::Misses, Mix::Half, Mix::Hits];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Mix::Misses => "misses",
            Mix::Half => "half",
            Mix::Hits => "hits",
        }
    }

    fn percent_hits(self) -> u64 {
        match self {
            Mix::Misses => 0,
            Mix::Half => 50,
            Mix::Hits => 100,
        }
    }
}

/// Queries and their true answers, one after another in memory, as they would come out of a connection's buffer.
#[derive(Default)]
pub(crate) struct Queries {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    pub(crate) truth: Vec<bool>,
}

impl Queries {
    /// At random. Half of the misses are a line of the list with one byte changed, half are lines like them that follow
    /// after the list's end.
    pub(crate) fn draw(kind: Kind, count_of_lines: u64, count: usize, mix_of: Mix) -> Queries {
        let mut state = 0;
        let mut random = || {
            state += 1;
            mix(mix(state))
        };
        let mut queries = Queries::default();
        for _ in 0..count {
            let number = random() % count_of_lines;
            if random() % 100 < mix_of.percent_hits() {
                queries.hit(kind, number);
            } else if random() % 2 == 0 {
                queries.near_miss(kind, number, random());
            } else {
                queries.far_miss(kind, count_of_lines + number);
            }
        }
        queries
    }

    /// The two for ways that read from the beginning: hits lie evenly, so that their mean is half of the list.
    pub(crate) fn spread(kind: Kind, count_of_lines: u64, mix_of: Mix) -> Queries {
        let mut queries = Queries::default();
        match mix_of {
            Mix::Misses => queries.far_miss(kind, count_of_lines + 1),
            Mix::Half => queries.hit(kind, count_of_lines / 2),
            Mix::Hits => queries.hit(kind, count_of_lines / 4),
        }
        match mix_of {
            Mix::Hits => queries.hit(kind, count_of_lines / 4 * 3),
            Mix::Misses | Mix::Half => queries.near_miss(kind, count_of_lines / 2, 20),
        }
        queries
    }

    pub(crate) fn lines(&self) -> Vec<&[u8]> {
        let mut from = 0;
        self.ends.iter().map(|end| &self.bytes[std::mem::replace(&mut from, *end)..*end]).collect()
    }

    fn hit(&mut self, kind: Kind, number: u64) {
        kind.write(&mut self.bytes, number);
        self.end(true);
    }

    fn far_miss(&mut self, kind: Kind, number: u64) {
        kind.write(&mut self.bytes, number);
        self.end(false);
    }

    /// No line has a tilde in it.
    fn near_miss(&mut self, kind: Kind, number: u64, place: u64) {
        let from = self.bytes.len();
        kind.write(&mut self.bytes, number);
        let length = self.bytes.len() - from;
        self.bytes[from + usize::try_from(place).unwrap_or(0) % length] = b'~';
        self.end(false);
    }

    fn end(&mut self, truth: bool) {
        self.ends.push(self.bytes.len());
        self.truth.push(truth);
    }
}
