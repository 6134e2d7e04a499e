//! A writer that tries to make an `on-query` list say something stale, seen through a clock of 4 ms as Debian's kernels
//! have it, and through this kernel's own.

use super::*;
use crate::dataset::stamp::ticked;
use rstest::rstest;
use std::collections::HashSet;
use std::fs::{File, FileTimes, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// The kernel, as seen through a clock that ticks this seldom.
struct Coarse(i64);

impl World for Coarse {
    fn stat(&self, path: &Path) -> io::Result<Stamp> {
        Ok(Kernel.stat(path)?.ticked(self.0))
    }

    fn fstat(&self, file: &File) -> io::Result<Stamp> {
        Ok(Kernel.fstat(file)?.ticked(self.0))
    }

    fn now(&self) -> Moment {
        ticked(Kernel.now(), self.0)
    }
}

/// xorshift64*: the same steps for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

struct Breaker {
    folder: tempfile::TempDir,
    random: Random,
}

impl Breaker {
    fn path(&mut self) -> PathBuf {
        let name = if self.random.below(2) == 0 { "one" } else { "two" };
        self.folder.path().join("list").join(name)
    }

    fn line(&mut self) -> String {
        format!("line {}", self.random.below(30))
    }

    fn text(&mut self) -> String {
        let lines: Vec<String> = (0..=self.random.below(20)).map(|_| self.line()).collect();
        lines.join("\n") + if self.random.below(2) == 0 { "\n" } else { "" }
    }

    fn replace(&mut self, path: &Path) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, self.text()).unwrap();
        std::fs::rename(next, path).unwrap();
    }

    /// One change, finished when this returns.
    fn step(&mut self) -> &'static str {
        let path = self.path();
        let there = path.exists();
        match self.random.below(11) {
            0 if there => {
                let line = self.line();
                OpenOptions::new().append(true).open(&path).unwrap().write_all(line.as_bytes()).unwrap();
                "appends half a line"
            }
            1 if there => {
                let line = self.line() + "\n";
                OpenOptions::new().append(true).open(&path).unwrap().write_all(line.as_bytes()).unwrap();
                "appends"
            }
            2 => {
                self.replace(&path);
                "replaces"
            }
            3 => {
                (0..2).for_each(|_| self.replace(&path));
                "replaces twice"
            }
            4 if there => {
                let mut file = OpenOptions::new().write(true).open(&path).unwrap();
                let length = file.metadata().unwrap().len();
                file.seek(SeekFrom::Start(self.random.below(length + 1))).unwrap();
                let digit = self.random.below(10).to_string();
                file.write_all(digit.as_bytes()).unwrap();
                "edits in place"
            }
            5 if there => {
                // The same size and the same time of modification: only the time of change tells.
                let mut file = OpenOptions::new().write(true).open(&path).unwrap();
                let found = file.metadata().unwrap();
                if found.len() > 6 {
                    file.seek(SeekFrom::Start(5)).unwrap();
                    file.write_all(self.random.below(10).to_string().as_bytes()).unwrap();
                    file.set_times(FileTimes::new().set_modified(found.modified().unwrap())).unwrap();
                }
                "edits in place and sets the time back"
            }
            6 if there => {
                let length = std::fs::metadata(&path).unwrap().len();
                OpenOptions::new().write(true).open(&path).unwrap().set_len(self.random.below(length + 1)).unwrap();
                "truncates"
            }
            7 if there => {
                std::fs::remove_file(&path).unwrap();
                "deletes"
            }
            8 => {
                let _ = std::fs::remove_file(&path);
                std::fs::write(&path, self.text()).unwrap();
                "deletes and makes anew"
            }
            9 => {
                let other = self.path();
                if there && path != other {
                    let _ = std::fs::remove_file(&other);
                    std::fs::hard_link(&path, &other).unwrap();
                }
                "links"
            }
            _ => {
                std::fs::write(&path, self.text()).unwrap();
                "overwrites"
            }
        }
    }

    /// What a linear scan says now; `None` where there is no list.
    fn truth(&self) -> Option<HashSet<Vec<u8>>> {
        let mut all = HashSet::new();
        let mut files = 0;
        for entry in std::fs::read_dir(self.folder.path().join("list")).unwrap() {
            all.extend(lines(&std::fs::read(entry.unwrap().path()).unwrap(), LineEnding::Auto));
            files += 1;
        }
        all.remove(&b""[..]);
        (files > 0).then_some(all)
    }
}

/// The first query after each change gets the true answer, or an error where there is no list.
#[rstest]
#[case::index_and_this_clock(Search::Index, None)]
#[case::index_and_4_ms(Search::Index, Some(4_000_000))]
#[case::auto_and_4_ms(Search::Auto, Some(4_000_000))]
#[case::scan_and_4_ms(Search::Scan, Some(4_000_000))]
#[case::index_and_10_ms(Search::Index, Some(10_000_000))]
fn no_silent_no_nothing_stale_is_ever_said(#[case] search: Search, #[case] tick: Option<i64>) {
    let steps = std::env::var("LINEKEEP_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(250);
    let seed = std::env::var("LINEKEEP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5EED);
    let mut breaker = Breaker { folder: tempfile::tempdir().unwrap(), random: Random(seed) };
    let folder = breaker.folder.path().join("list");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("one"), breaker.text()).unwrap();
    let world: Arc<dyn World> = match tick {
        Some(tick) => Arc::new(Coarse(tick)),
        None => Arc::new(Kernel),
    };
    let (common, _) = common_with(world, 1 << 20);
    let lists = open(&[fresh(&[&folder], search)], &common, None).unwrap().lists;
    for step in 0..steps {
        let mut done = Vec::new();
        for _ in 0..=breaker.random.below(2) {
            done.push(breaker.step());
        }
        for _ in 0..=breaker.random.below(3) {
            let query = breaker.line();
            let answer = ask(&lists, query.as_bytes());
            let truth = match breaker.truth() {
                None => Answer::Error(Reason::ListUnavailable),
                Some(lines) if lines.contains(query.as_bytes()) => Answer::Exists,
                Some(_) => Answer::NotFound,
            };
            assert_eq!(answer, truth, "seed {seed}, step {step} ({done:?}): {query}");
        }
    }
}
