//! What the verifier says of a trail: findings with their places, in words and for machines.

use serde::Serialize;
use std::path::PathBuf;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// The record is not as it was written.
    Changed,
    /// Records are not there.
    Missing,
    /// Records stand in another order.
    OutOfOrder,
    /// A record stands there twice.
    Repeated,
    /// The end of an epoch or of the whole is not there.
    Cut,
    /// The daemon did not end as it should, or what it wrote last was cut off; nobody can tell which.
    CrashOrCut,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub damage: Damage,
    /// In which file it shows; `None` for what shows nowhere.
    pub file: Option<PathBuf>,
    /// At which line of it, from 1.
    pub line: u64,
    /// Which epoch's record.
    pub epoch: u64,
    /// Its number within the epoch.
    pub number: u64,
    /// In words.
    pub words: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}:{}: {}", file.display(), self.line, self.words),
            None => f.write_str(&self.words),
        }
    }
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// Whether nothing is wrong.
    pub whole: bool,
    /// How many files were read.
    pub files: usize,
    /// How many lines.
    pub records: u64,
    /// In the order of the trail, as many as are kept.
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: u64,
    /// What is no damage and should be known.
    pub notes: Vec<String>,
    /// Where the trail ends: `EPOCH:COUNT:TAG`.
    pub head: Option<String>,
}

impl Verdict {
    /// Takes ends that somebody vouches for as crashes out of what is wrong.
    pub fn excuse(&mut self, crashed: &[u64]) {
        let excused = |finding: &Finding| finding.damage == Damage::CrashOrCut && crashed.contains(&finding.epoch);
        let (known, left) = std::mem::take(&mut self.findings).into_iter().partition::<Vec<_>, _>(excused);
        self.notes.extend(known.iter().map(|finding| format!("known: {finding}")));
        self.findings = left;
        self.whole = self.findings.is_empty() && self.more == 0;
    }
}
