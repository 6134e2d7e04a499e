//! Is the trail whole? Reads it from its first line to its last and says of every record that was changed, is missing,
//! stands in the wrong place or twice, and where an end was cut. What no chain can see, docs/audit.md says.

use super::chain::{ChainKey, Master, Position, Tag, same};
use super::files::{self, TrailFile};
use super::verdict::{Damage, Finding, Verdict};
use super::written::{Header, Line, field};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// Findings that are kept one by one; what is beyond is counted.
const MOST_FINDINGS: usize = 1000;

/// Where the reading is.
struct At {
    key: ChainKey,
    epoch: u64,
    /// The number of the record that should come.
    next: u64,
    /// What the tag before it may be: as it is written, and as it would be right. None when it cannot be known.
    former: Vec<Tag>,
    /// Lines that could not be read since the last that could.
    unread: u64,
    closed: bool,
}

/// Records that were passed over and may still come.
struct Gap {
    epoch: u64,
    from: u64,
    to: u64,
    finding: usize,
}

struct Verifier<'a> {
    master: &'a Master,
    checkpoints: HashMap<(u64, u64), (Tag, bool)>,
    verdict: Verdict,
    at: Option<At>,
    /// Epoch and number of the first record.
    first: Option<(u64, u64)>,
    gaps: Vec<Gap>,
    removed: Option<u64>,
    place: (Option<PathBuf>, u64),
}

/// Reads a whole trail. `checkpoints` were kept elsewhere.
///
/// # Errors
/// When a file cannot be read.
pub fn verify(folder: &Path, master: &Master, checkpoints: &[Position]) -> io::Result<Verdict> {
    let files = files::list(folder)?;
    let checkpoints = checkpoints.iter().map(|at| ((at.epoch, at.count), (at.tag, false))).collect();
    let (verdict, gaps) = (Verdict { files: files.len(), ..Verdict::default() }, Vec::new());
    let mut verifier =
        Verifier { master, checkpoints, verdict, at: None, first: None, gaps, removed: None, place: (None, 0) };
    for file in &files {
        verifier.file(file)?;
    }
    Ok(verifier.end(&files))
}

impl Verifier<'_> {
    fn file(&mut self, file: &TrailFile) -> io::Result<()> {
        let mut lines = 0;
        file.lines(|number, line, whole| {
            lines = number;
            self.place = (Some(file.path.clone()), number);
            if !whole {
                let (epoch, next) = self.expected();
                self.find(Damage::CrashOrCut, epoch, next, "half a line: a crash, or the end was cut off".into());
            } else {
                self.verdict.records += 1;
                self.line(line, (number == 1).then_some(file.number));
            }
            true
        })?;
        if lines == 0 {
            self.place = (Some(file.path.clone()), 1);
            let (epoch, next) = self.expected();
            self.find(Damage::CrashOrCut, epoch, next, "an empty file: a crash, or it was emptied".into());
        }
        Ok(())
    }

    fn expected(&self) -> (u64, u64) {
        self.at.as_ref().map_or((0, 0), |at| (at.epoch, at.next + at.unread))
    }

    fn line(&mut self, bytes: &[u8], opens: Option<u64>) {
        let Some(line) = Line::parse(bytes) else {
            let (epoch, next) = self.expected();
            self.find(
                Damage::Changed,
                epoch,
                next,
                format!("record {next} of epoch {epoch} was changed: no record stands here"),
            );
            if let Some(at) = &mut self.at {
                at.unread = at.unread.saturating_add(1);
                at.former.clear();
            }
            return;
        };
        let header = Header::parse(line.body);
        match (&header, opens) {
            (Some(header), Some(file)) if header.file != file => {
                let words = format!("this is file {} of the trail under the name of file {file}", header.file);
                self.find(Damage::OutOfOrder, line.epoch, line.number, words);
            }
            _ => {}
        }
        if self.at.is_none() {
            self.first(&line, header.as_ref());
        } else if !self.follows(&line) && !self.opens_epoch(&line, header.as_ref()) {
            self.astray(&line);
        }
    }

    /// The first line of all: what stood before it, it says itself.
    fn first(&mut self, line: &Line<'_>, header: Option<&Header>) {
        let key = self.master.chain(line.epoch);
        let former = match header {
            Some(header) if line.number > 0 => header.former_tag,
            _ => key.genesis(),
        };
        let right = key.tag(line.number, &former, line.time, line.body);
        if header.is_none() && line.number > 0 {
            let words =
                format!("epoch {} begins here with record {}: what was before is missing", line.epoch, line.number);
            self.find(Damage::Missing, line.epoch, line.number - 1, words);
        } else if !same(&right, &line.tag) || header.is_none() {
            self.changed(line.epoch, line.number);
        }
        match header {
            Some(header) if header.file > 1 => {
                self.removed = Some(header.file - 1);
                self.verdict.notes.push(format!(
                    "the trail begins with file {}, at record {} of epoch {}: what was before is not here",
                    header.file, line.number, line.epoch
                ));
            }
            _ => {}
        }
        self.first = Some((line.epoch, line.number));
        self.at =
            Some(At { key, epoch: line.epoch, next: line.number, former: vec![former], unread: 0, closed: false });
        self.accept(line, line.number, vec![line.tag, right]);
    }

    /// Whether it is the record that should come, as far as its tag says; its numbers may have been changed.
    fn follows(&mut self, line: &Line<'_>) -> bool {
        let Some(at) = &self.at else { return false };
        let (epoch, next) = (at.epoch, at.next);
        let good = at.former.iter().any(|former| same(&at.key.tag(next, former, line.time, line.body), &line.tag));
        if good {
            if (line.epoch, line.number) != (epoch, next) {
                self.changed(epoch, next);
            }
            self.accept(line, next, vec![line.tag]);
        }
        good
    }

    /// Whether it begins another epoch.
    fn opens_epoch(&mut self, line: &Line<'_>, header: Option<&Header>) -> bool {
        let Some(at) = &self.at else { return false };
        let (former, former_next, closed) = (at.epoch, at.next + at.unread, at.closed);
        let former_tag = at.former.first().copied();
        for epoch in [line.epoch, former.saturating_add(1)] {
            let key = self.master.chain(epoch);
            let genesis = key.genesis();
            let right = key.tag(0, &genesis, line.time, line.body);
            let good = same(&right, &line.tag) && epoch > former;
            // With a tag that is wrong, its own numbers have to speak for it.
            if !good && (line.number != 0 || line.epoch <= former || line.epoch != epoch) {
                continue;
            }
            if !good || (line.epoch, line.number) != (epoch, 0) {
                self.changed(epoch, 0);
            }
            match header {
                Some(header) if good => self.end_of_epoch(header, (former, former_next), former_tag, closed),
                _ => {}
            }
            self.at = Some(At { key, epoch, next: 0, former: vec![genesis], unread: 0, closed: false });
            self.accept(line, 0, vec![line.tag, right]);
            return true;
        }
        false
    }

    /// Does the epoch before end where the new one says?
    fn end_of_epoch(&mut self, header: &Header, (epoch, count): (u64, u64), tag: Option<Tag>, closed: bool) {
        let Header { former_epoch, former_count, former_tag, former_end, .. } = header;
        if *former_epoch != epoch {
            let words = format!(
                "epochs from {} to {former_epoch} are missing, and with them the end of epoch {epoch}",
                epoch + 1
            );
            self.find(Damage::Missing, epoch.saturating_add(1), 0, words);
        } else if *former_count > count {
            let words = format!("epoch {epoch} is cut: {former_count} records were there, {count} are left");
            self.find(Damage::Cut, epoch, count, words);
        } else if *former_count < count || tag.is_some_and(|tag| !same(&tag, former_tag)) {
            let words = format!("epoch {epoch} had {former_count} records when the next began, and ends otherwise now");
            self.find(Damage::Changed, epoch, count.saturating_sub(1), words);
        } else if former_end != Header::CLOSED || !closed {
            let words = format!(
                "epoch {epoch} has no proper end behind its {count} records: a crash, or its end was cut before the next start"
            );
            self.find(Damage::CrashOrCut, epoch, count, words);
        }
    }

    /// A record that does not follow the one before.
    fn astray(&mut self, line: &Line<'_>) {
        let Some(at) = &mut self.at else { return };
        let (epoch, next) = (at.epoch, at.next);
        let behind = next.saturating_add(at.unread);
        if line.epoch > epoch {
            // Its beginning is missing, or is among what could not be read.
            let told = at.unread > line.number;
            let key = self.master.chain(line.epoch);
            self.at =
                Some(At { key, epoch: line.epoch, next: line.number, former: Vec::new(), unread: 0, closed: false });
            if !told {
                let words = format!(
                    "records from {next} of epoch {epoch} up to record {} of epoch {} are missing",
                    line.number, line.epoch
                );
                self.find(Damage::Missing, epoch, next, words);
            }
            self.accept(line, line.number, vec![line.tag]);
        } else if line.epoch < epoch || line.number < next {
            self.late(line);
        } else if line.number > behind {
            let words = match behind + 1 == line.number {
                true => format!("record {behind} of epoch {epoch} is missing before this line"),
                false => {
                    format!("records {behind} to {} of epoch {epoch} are missing before this line", line.number - 1)
                }
            };
            self.gaps.push(Gap { epoch, from: behind, to: line.number - 1, finding: self.verdict.findings.len() });
            self.find(Damage::Missing, epoch, behind, words);
            self.accept(line, line.number, vec![line.tag]);
        } else if at.former.is_empty() || at.unread > 0 {
            // What it follows cannot be known; that was told.
            self.accept(line, line.number, vec![line.tag]);
        } else {
            let right = at.former.first().map(|former| at.key.tag(next, former, line.time, line.body));
            self.changed(epoch, next);
            self.accept(line, next, std::iter::once(line.tag).chain(right).collect());
        }
    }

    /// A record whose place was passed.
    fn late(&mut self, line: &Line<'_>) {
        let (epoch, number) = (line.epoch, line.number);
        let place = self.gaps.iter().position(|gap| gap.epoch == epoch && (gap.from..=gap.to).contains(&number));
        let Some(gap) = place.map(|place| self.gaps.swap_remove(place)) else {
            self.find(
                Damage::Repeated,
                epoch,
                number,
                format!("record {number} of epoch {epoch} stands here a second time"),
            );
            return;
        };
        for (from, to) in [(gap.from, number.checked_sub(1)), (number + 1, Some(gap.to))] {
            let Some(to) = to.filter(|to| from <= *to) else { continue };
            self.gaps.push(Gap { epoch, from, to, finding: gap.finding });
        }
        let left = self.gaps.iter().any(|other| other.finding == gap.finding);
        match self.verdict.findings.get_mut(gap.finding) {
            Some(finding) if !left => {
                finding.damage = Damage::OutOfOrder;
                finding.words =
                    format!("record {} of epoch {epoch} stands before record {}", gap.to + 1, finding.number);
            }
            _ => {}
        }
        self.find(
            Damage::OutOfOrder,
            epoch,
            number,
            format!("record {number} of epoch {epoch} stands here out of order"),
        );
    }

    /// Goes on behind record `number`. `tags`: what the next one may build upon.
    fn accept(&mut self, line: &Line<'_>, number: u64, tags: Vec<Tag>) {
        let Some(at) = &mut self.at else { return };
        (at.next, at.unread, at.former, at.closed) = (number.saturating_add(1), 0, tags, line.closes());
        let (epoch, count) = (at.epoch, at.next);
        if line.body.starts_with("event=trail-removed ") {
            let file = field(line.body, "file").and_then(|file| file.parse::<u64>().ok());
            self.removed = self.removed.filter(|removed| file.is_none_or(|file| file != *removed));
        }
        let kept = self.checkpoints.get_mut(&(epoch, count)).map(|(tag, seen)| {
            *seen = true;
            same(tag, &line.tag)
        });
        if kept == Some(false) {
            let words = format!("record {number} of epoch {epoch} is another one than when the checkpoint was made");
            self.find(Damage::Changed, epoch, number, words);
        }
    }

    fn changed(&mut self, epoch: u64, number: u64) {
        self.find(Damage::Changed, epoch, number, format!("record {number} of epoch {epoch} was changed"));
    }

    fn find(&mut self, damage: Damage, epoch: u64, number: u64, words: String) {
        if self.verdict.findings.len() >= MOST_FINDINGS {
            self.verdict.more += 1;
            return;
        }
        let (file, line) = self.place.clone();
        self.verdict.findings.push(Finding { damage, file, line, epoch, number, words });
    }

    /// What shows only once everything is read.
    fn end(mut self, files: &[TrailFile]) -> Verdict {
        self.place = (None, 0);
        if let Some(file) = self.removed {
            let words = format!("files up to {file} are missing, and no record says that they were removed");
            self.find(Damage::Missing, 0, 0, words);
        }
        let mut kept: Vec<_> = self.checkpoints.iter().filter(|(_, (_, seen))| !seen).map(|(at, _)| *at).collect();
        kept.sort_unstable();
        for (epoch, count) in kept {
            if self.first.is_some_and(|first| (epoch, count) <= first) {
                self.verdict
                    .notes
                    .push(format!("the checkpoint {epoch}:{count} is of a time before this trail's beginning"));
                continue;
            }
            let words =
                format!("a checkpoint says that epoch {epoch} had {count} records; the last of them is not here");
            self.find(Damage::Cut, epoch, count.saturating_sub(1), words);
        }
        if files.is_empty() {
            self.verdict.notes.push("there is no trail in this folder".into());
        }
        if self.checkpoints.is_empty() {
            self.verdict
                .notes
                .push("no checkpoint was given: an end that was cut off does not show without one".into());
        }
        if let Some(at) = &self.at {
            if !at.closed {
                self.verdict.notes.push(format!(
                    "epoch {} is not closed: the daemon runs, or it ended without closing, or the end was cut",
                    at.epoch
                ));
            }
            self.verdict.head =
                at.former.first().map(|tag| Position { epoch: at.epoch, count: at.next, tag: *tag }.to_string());
        }
        self.verdict.whole = self.verdict.findings.is_empty();
        self.verdict
    }
}
