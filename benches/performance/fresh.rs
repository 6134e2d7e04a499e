//! What it costs to look at a list's files before every batch, by their number. Measures; `report` writes.

use crate::form::Form;
use crate::ours::Asked;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// Nanoseconds of one query, round by round.
pub(crate) struct Fresh {
    pub(crate) files: usize,
    pub(crate) on_reload: Vec<f64>,
    pub(crate) on_query: Vec<f64>,
}

/// As many files as a list may have, and fewer.
const FILES: [usize; 5] = [1, 10, 100, 1000, 4096];

pub(crate) fn measure(folder: &Path, form: &Form) -> Vec<Fresh> {
    FILES.map(|files| of(folder, files, form.rounds)).into()
}

fn of(folder: &Path, files: usize, rounds: usize) -> Fresh {
    eprintln!("freshness: a list of {files} files");
    let list = folder.join(format!("{files}-files"));
    std::fs::create_dir(&list).unwrap();
    for file in 0..files {
        std::fs::write(list.join(file.to_string()), format!("line {file}\n")).unwrap();
    }
    // A list of one file is a file: a folder would be looked at too.
    let path = if files == 1 { list.join("0") } else { list };
    let lists = ["on-reload", "on-query"].map(|freshness| Asked::open(&path, freshness));
    let mut measured = [Vec::new(), Vec::new()];
    let mut scratch = Default::default();
    let count = 20_000 / files + 20;
    for _ in 0..rounds {
        for (list, measured) in lists.iter().zip(&mut measured) {
            let begun = Instant::now();
            for _ in 0..count {
                black_box(list.ask(black_box(b"line 0"), &mut scratch));
            }
            measured.push(begun.elapsed().as_secs_f64() * 1e9 / count as f64);
        }
    }
    let [on_reload, on_query] = measured;
    Fresh { files, on_reload, on_query }
}
