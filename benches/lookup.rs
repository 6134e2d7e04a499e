//! What one look-up costs: ours alone, in a loop and in batches, beside the standard set.
//!
//!     cargo bench --bench lookup              1,000,000 lines
//!     cargo bench --bench lookup -- 10000000
//!
//! Prints the median of the passes in nanoseconds, and its ratio to our loop. Rows of one run are measured in turn, pass
//! by pass, so that a noisy neighbour meets all of them: trust the ratios, not the nanoseconds.
#![allow(missing_docs, clippy::unwrap_used)]

use linekeep::index::{Builder, Fingerprint, Fingerprinter, Index};
use std::collections::HashSet;
use std::hint::black_box;
use std::time::Instant;

const KEY: [u8; 16] = *b"not a secret one";
const QUERIES: usize = 200_000;
const PASSES: usize = 7;

fn main() {
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    println!(
        "{count} lines, {QUERIES} queries in random order, median of {PASSES} passes; ns a look-up (ratio to our loop)\n"
    );
    let subjects = Subjects::build(count);
    println!("\n{:<44}{:>18}{:>18}{:>18}", "", "misses", "half", "hits");
    let columns = [0, 50, 100].map(|percent| medians(&subjects, &Queries::draw(count, percent)));
    for (row, (name, _)) in ROWS.iter().enumerate() {
        print!("{name:<44}");
        for column in &columns {
            print!("{:>10.1} ({:>4.2})", column[row], column[row] / column[0]);
        }
        println!();
    }
}

/// What is compared, all over the same lines.
struct Subjects {
    fingerprinter: Fingerprinter,
    index: Index,
    set: HashSet<Vec<u8>>,
}

impl Subjects {
    fn build(count: u64) -> Subjects {
        let lines: Vec<Vec<u8>> = (0..count).map(line).collect();
        let text: usize = lines.iter().map(|line| line.len() + 1).sum();
        println!("{:.1} bytes a line with its LF", text as f64 / count as f64);

        let begun = Instant::now();
        let fingerprinter = Fingerprinter::new(KEY);
        let builder = Builder::new(u64::MAX);
        let mut part = builder.part();
        for line in &lines {
            part.push(fingerprinter.fingerprint(line)).unwrap();
        }
        let collected = begun.elapsed();
        let index = builder.build(vec![part], 2);
        println!(
            "index built in {:.3} s, {:.3} of it fingerprints; {:.2} bytes a line",
            begun.elapsed().as_secs_f64(),
            collected.as_secs_f64(),
            index.bytes() as f64 / count as f64
        );

        let begun = Instant::now();
        let set: HashSet<Vec<u8>> = lines.into_iter().collect();
        println!("std HashSet<Vec<u8>> built in {:.3} s", begun.elapsed().as_secs_f64());
        Subjects { fingerprinter, index, set }
    }
}

/// The same queries in the three forms that the rows ask for.
struct Queries {
    lines: Vec<Vec<u8>>,
    fingerprints: Vec<Fingerprint>,
}

impl Queries {
    fn draw(count: u64, percent_hits: u64) -> Queries {
        let mut random = Random(7);
        let lines: Vec<Vec<u8>> = (0..QUERIES)
            .map(|_| {
                let hit = random.next() % 100 < percent_hits;
                line(random.next() % count + if hit { 0 } else { count })
            })
            .collect();
        let fingerprinter = Fingerprinter::new(KEY);
        Queries { fingerprints: lines.iter().map(|line| fingerprinter.fingerprint(line)).collect(), lines }
    }
}

/// Asks every query; returns how many were found.
type Row = fn(&Subjects, &Queries) -> usize;

const ROWS: &[(&str, Row)] = &[
    ("loop, fingerprints at hand", |subjects, queries| {
        queries.fingerprints.iter().filter(|query| subjects.index.contains(**query)).count()
    }),
    ("alone: each waits for the one before", |subjects, queries| {
        let mut found = 0;
        let mut at = 0;
        while let Some(query) = queries.fingerprints.get(at) {
            // The next address depends on this answer, so the processor cannot begin the next look-up early.
            let hit = black_box(usize::from(subjects.index.contains(*query)));
            at += 1 + (hit >> 1);
            found += hit;
        }
        found
    }),
    ("batch 16", |subjects, queries| batches::<16>(subjects, queries)),
    ("batch 64", |subjects, queries| batches::<64>(subjects, queries)),
    ("batch 256", |subjects, queries| batches::<256>(subjects, queries)),
    ("fingerprint of the query, nothing else", |subjects, queries| {
        for line in &queries.lines {
            black_box(subjects.fingerprinter.fingerprint(line));
        }
        0
    }),
    ("fingerprint and batch 64: the whole look-up", |subjects, queries| {
        let mut fingerprints = Vec::with_capacity(64);
        let mut count = 0;
        for lines in queries.lines.chunks(64) {
            let lines: Vec<&[u8]> = lines.iter().map(|line| &line[..]).collect();
            subjects.fingerprinter.fingerprint_batch(&lines, &mut fingerprints);
            let mut found = [false; 64];
            subjects.index.contains_batch(&fingerprints, &mut found[..lines.len()]);
            count += found.iter().filter(|found| **found).count();
        }
        count
    }),
    ("std HashSet<Vec<u8>>, loop: the whole look-up", |subjects, queries| {
        queries.lines.iter().filter(|line| subjects.set.contains(*line)).count()
    }),
];

fn batches<const SIZE: usize>(subjects: &Subjects, queries: &Queries) -> usize {
    let mut count = 0;
    for fingerprints in queries.fingerprints.chunks(SIZE) {
        let mut found = [false; SIZE];
        subjects.index.contains_batch(fingerprints, &mut found[..fingerprints.len()]);
        count += found.iter().filter(|found| **found).count();
    }
    count
}

/// The median of every row in nanoseconds a look-up. One pass of every row, then the next pass; the first only warms up.
fn medians(subjects: &Subjects, queries: &Queries) -> Vec<f64> {
    let mut measured = vec![Vec::new(); ROWS.len()];
    let mut answers = HashSet::new();
    for pass in 0..=PASSES {
        for ((_, row), measured) in ROWS.iter().zip(&mut measured) {
            let begun = Instant::now();
            let found = black_box(row(black_box(subjects), black_box(queries)));
            let nanoseconds = begun.elapsed().as_secs_f64() * 1e9 / QUERIES as f64;
            answers.insert(found);
            if pass > 0 {
                measured.push(nanoseconds);
            }
        }
    }
    // The row that looks nothing up finds nothing; all others have to agree.
    answers.remove(&0);
    assert!(answers.len() <= 1, "rows disagree on what is in the list: {answers:?}");
    measured
        .into_iter()
        .map(|mut passes| {
            passes.sort_by(f64::total_cmp);
            passes[passes.len() / 2]
        })
        .collect()
}

/// A line as a web server's log has it, of about 105 bytes, a different one for every number.
fn line(number: u64) -> Vec<u8> {
    let mut random = Random(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let [host, path, bytes] = [random.next(), random.next(), random.next()];
    format!(
        "10.{}.{}.{} - - [22/Nov/2026:12:{:02}:{:02} +0000] \"GET /archive/{path:016x}/{number:09} HTTP/1.1\" 200 {}",
        host >> 8 & 255,
        host >> 16 & 255,
        host >> 24 & 255,
        host % 60,
        path % 60,
        bytes % 100_000
    )
    .into_bytes()
}

/// xorshift64*: even enough to choose lines by, and the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}
