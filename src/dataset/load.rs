//! From a sight of files to an index of their lines, on several threads. What is read is proven: everything was settled
//! before the first byte, and is the same after the last. Knows files and the index, not which list is in service.

use super::counting::{Counting, Counts};
use super::fault::Fault;
use super::locate::{Seen, Sight};
use super::network;
use super::reading::{self, Block, Halt, Visitor};
use super::stamp::{self, Stamp, World};
use super::watch::Watch;
use crate::config::{Dataset, Freshness, Writer};
use crate::index::{Builder, Fingerprinter, Full, Index, Part};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Times that files are read again when they changed meanwhile.
pub(super) const RESCANS: usize = 2;

/// Bytes by which the end of what was read is known again.
const LAST_BYTES: u64 = 256;

/// How far a file of an `appends` list was read, and what that came to.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    /// As it was when it was read up to `at`.
    pub(super) stamp: Stamp,
    /// Behind the last whole line.
    pub(super) at: u64,
    /// The last bytes before that: what grows still has them.
    pub(super) last: Vec<u8>,
    pub(super) counts: Counts,
}

/// The last bytes before a place in a file; fewer where there are no more.
pub(super) fn last_before(file: &File, at: u64) -> io::Result<Vec<u8>> {
    let length = at.min(LAST_BYTES);
    let mut last = vec![0; usize::try_from(length).unwrap_or(0)];
    match file.read_exact_at(&mut last, at - length) {
        Ok(()) => Ok(last),
        // Shorter by now: these are not the bytes of anything that was read.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// What was read.
pub(super) struct Loaded {
    pub(super) index: Index,
    /// All files together.
    pub(super) counts: Counts,
    /// What was seen before the first byte and after the last.
    pub(super) sight: Sight,
    /// Hears whatever is written to the files from before the first byte on.
    pub(super) watch: Option<Watch>,
    /// One for each file of an `appends` list.
    pub(super) cursors: Vec<Cursor>,
    /// The first file whose earlier part is no longer what it was, where earlier cursors were given.
    pub(super) broken: Option<PathBuf>,
    pub(super) took: Duration,
}

/// How a list is to be read.
pub(super) struct Job<'a> {
    pub(super) world: &'a dyn World,
    pub(super) dataset: &'a Dataset,
    pub(super) fingerprinter: &'a Fingerprinter,
    /// Bytes that the index may take.
    pub(super) room: u64,
    /// How far files were read before; their earlier part is compared.
    pub(super) earlier: &'a [Cursor],
}

impl Job<'_> {
    /// Reads everything, again if it changed meanwhile, then gives up: half of an old file and half of a new one is no list.
    pub(super) fn load(&self) -> Result<Loaded, Vec<Fault>> {
        let begun = Instant::now();
        for _ in 0..=RESCANS {
            let sight = look(self.world, self.dataset)?;
            let watch = if self.dataset.writer == Writer::Any { Watch::over(&sight) } else { None };
            let Some(files) = open_all(self.world, self.dataset, &sight)? else { continue };
            let blocks = self.cut(&sight, &files);
            let (index, counts, cursors, broken) = self.read(&sight, &files, &blocks)?;
            if self.unchanged(&sight) && watch.as_ref().is_none_or(Watch::is_silent) {
                return Ok(Loaded { index, counts, sight, watch, cursors, broken, took: begun.elapsed() });
            }
        }
        Err(vec![Fault::changing(self.dataset)])
    }

    /// In a list whose writers only append, growth while we read is no change of what we read.
    fn unchanged(&self, sight: &Sight) -> bool {
        let (world, paths) = (self.world, &self.dataset.paths);
        sight.holds(world, paths)
            || self.dataset.writer == Writer::Appends && Sight::look(world, paths).grew_from(sight.files.iter())
    }

    /// Blocks of all files, cut where earlier reading ended.
    fn cut(&self, sight: &Sight, files: &[(File, u64)]) -> Vec<Block> {
        let mut blocks = Vec::new();
        for (place, (seen, (_, end))) in sight.distinct().iter().zip(files).enumerate() {
            let known = self.earlier_of(seen).map_or(0, |cursor| cursor.at.min(*end));
            blocks.extend(reading::blocks(place, 0, known));
            blocks.extend(reading::blocks(place, known, *end));
        }
        blocks
    }

    /// Only writers who append give their word on what was read earlier.
    fn earlier_of(&self, seen: &Seen) -> Option<&Cursor> {
        let earlier = if self.dataset.writer == Writer::Appends { self.earlier } else { &[] };
        earlier.iter().find(|cursor| cursor.stamp.same_file(&seen.stamp))
    }

    #[allow(clippy::type_complexity)]
    fn read(
        &self,
        sight: &Sight,
        files: &[(File, u64)],
        blocks: &[Block],
    ) -> Result<(Index, Counts, Vec<Cursor>, Option<PathBuf>), Vec<Fault>> {
        let distinct = sight.distinct();
        let builder = Builder::new(self.room);
        let appends = self.dataset.writer == Writer::Appends;
        let threads = reading::threads();
        let readers = reading::read_all(files, blocks, threads, || Indexing {
            part: builder.part(),
            counting: Counting::new(self.dataset.normalisation, self.fingerprinter),
            files: vec![FileCounts::default(); files.len()],
            earlier: distinct.iter().map(|seen| self.earlier_of(seen).map_or(0, |cursor| cursor.at)).collect(),
            appends,
        })
        .map_err(|(file, halt)| vec![self.fault(distinct.get(file).map(|seen| seen.path.as_path()), halt)])?;

        let mut totals = vec![FileCounts::default(); files.len()];
        let mut parts = Vec::new();
        for reader in readers {
            for (total, counts) in totals.iter_mut().zip(&reader.files) {
                total.before.add(&counts.before);
                total.behind.add(&counts.behind);
                total.unended = total.unended.or(counts.unended);
            }
            parts.push(reader.part);
        }
        let mut whole = Counts::default();
        let mut cursors = Vec::new();
        let mut broken = None;
        for ((seen, total), (file, end)) in distinct.iter().zip(&totals).zip(files) {
            let mut counts = total.before;
            if self.earlier_of(seen).is_some_and(|cursor| cursor.at > *end || cursor.counts.sum != total.before.sum) {
                broken = broken.or_else(|| Some(seen.path.clone()));
            }
            counts.add(&total.behind);
            whole.add(&counts);
            if appends {
                let at = total.unended.unwrap_or(*end);
                let last = last_before(file, at).map_err(|error| vec![Fault::new(self.dataset, &seen.path, &error)])?;
                cursors.push(Cursor { stamp: seen.stamp, at, last, counts });
            }
        }
        Ok((builder.build(parts, threads), whole, cursors, broken))
    }

    fn fault(&self, path: Option<&Path>, halt: Halt<Full>) -> Fault {
        let path = path.unwrap_or(Path::new(""));
        match halt {
            Halt::Io(error) => Fault::new(self.dataset, path, &error),
            Halt::Stop(full) => Fault::full(self.dataset, path, &full),
        }
    }
}

/// Looks until everything has settled and nothing is wrong.
pub(super) fn look(world: &dyn World, dataset: &Dataset) -> Result<Sight, Vec<Fault>> {
    let sight = stamp::settled(
        world,
        || Sight::look(world, &dataset.paths),
        |sight, now| {
            // Of a list whose writers only append, every change that counts changes the size.
            let settled = dataset.writer == Writer::Appends || sight.settled_at(now);
            // A clock that was set back must not keep a list away whose promise does not hang on one tick.
            let needless = dataset.freshness != Freshness::OnQuery && sight.is_ahead_of(now);
            settled || needless || !sight.faults.is_empty()
        },
    );
    let Some(sight) = sight else { return Err(vec![Fault::unsettled(dataset)]) };
    if sight.faults.is_empty() {
        return Ok(sight);
    }
    Err(sight.faults.iter().map(|(path, why)| Fault::new(dataset, path, why)).collect())
}

/// Opens every file of a sight once. With each: where it ends. `None` when one is no longer what was seen: between two
/// looks a path may have led elsewhere and back.
pub(super) fn open_all(
    world: &dyn World,
    dataset: &Dataset,
    sight: &Sight,
) -> Result<Option<Vec<(File, u64)>>, Vec<Fault>> {
    let mut files = Vec::new();
    let mut faults = Vec::new();
    for seen in sight.distinct() {
        match reading::open(world, &seen.path) {
            Ok((_, stamp)) if !stamp.same_file(&seen.stamp) => return Ok(None),
            Ok((file, _)) => match network::refuse(dataset, &file).and_then(|()| ends(world, &file, &seen.stamp)) {
                Ok(()) => files.push((file, seen.stamp.size())),
                Err(why) => faults.push(Fault::new(dataset, &seen.path, &why)),
            },
            Err(error) => faults.push(Fault::new(dataset, &seen.path, &error)),
        }
    }
    if faults.is_empty() { Ok(Some(files)) } else { Err(faults) }
}

/// Refuses a file that has more bytes than it says: those of /proc are made up while they are read, and have no state that
/// a stamp could tell.
fn ends(world: &dyn World, file: &File, stamp: &Stamp) -> Result<(), String> {
    let beyond = file.read_at(&mut [0], stamp.size()).map_err(|error| error.to_string())?;
    let still = world.fstat(file).is_ok_and(|now| now.size() == stamp.size());
    if beyond == 0 || !still {
        return Ok(());
    }
    Err(format!("has more bytes than the {} it says; make a plain copy of it", stamp.size()))
}

/// Counts of one file: of the lines that were read earlier already, and of those behind.
#[derive(Clone, Default)]
struct FileCounts {
    before: Counts,
    behind: Counts,
    /// Where a last line without LF begins, which waits for it.
    unended: Option<u64>,
}

/// One thread's part of the reading.
struct Indexing<'a> {
    counting: Counting<'a>,
    part: Part,
    files: Vec<FileCounts>,
    earlier: Vec<u64>,
    appends: bool,
}

impl Indexing<'_> {
    fn counts(&mut self, block: &Block) -> Option<&mut Counts> {
        let earlier = self.earlier.get(block.file).copied().unwrap_or(0);
        let file = self.files.get_mut(block.file)?;
        Some(if block.from < earlier { &mut file.before } else { &mut file.behind })
    }
}

impl Visitor for Indexing<'_> {
    type Stop = Full;

    fn piece(&mut self, block: &Block, piece: &[u8], ended: bool) -> Result<(), Full> {
        if self.appends && !ended {
            return Ok(());
        }
        let (fingerprints, counts) = self.counting.take(piece);
        for fingerprint in fingerprints {
            self.part.push(*fingerprint)?;
        }
        if let Some(whole) = self.counts(block) {
            whole.add(&counts);
        }
        Ok(())
    }

    fn too_long(&mut self, block: &Block) {
        if let Some(counts) = self.counts(block) {
            counts.too_long += 1;
        }
    }

    fn unended(&mut self, block: &Block, at: u64) {
        if let Some(file) = self.files.get_mut(block.file) {
            file.unended = Some(at);
        }
    }
}
