//! Reading on: the lines that came behind what was read of an `appends` list.

use super::Fault;
use super::counting::{Counting, Counts};
use super::generation::Generation;
use super::list::{Core, Standing};
use super::load::{self, Cursor};
use super::locate::Sight;
use super::network;
use super::reading::{self, Block, Halt, Visitor};
use std::collections::HashMap;
use std::path::Path;

/// Reads every file of the sight from where it was read to; new files from their beginning. Returns how far each is read
/// now and what all lines come to; `None` when one did anything but grow.
///
/// # Errors
/// A file that cannot be read, or no memory for more lines.
pub(super) fn read_on(
    core: &Core,
    generation: &Generation,
    standing: &Standing,
    sight: &Sight,
) -> Result<Option<(Vec<Cursor>, Counts)>, Fault> {
    let mut cursors = Vec::new();
    let mut whole = standing.counts;
    // By the file and not by its path: a new link to a file that is known brings nothing new.
    let known: HashMap<_, &Cursor> = standing.cursors.iter().map(|cursor| (cursor.stamp.identity(), cursor)).collect();
    let mut room = Vec::new();
    for seen in sight.distinct() {
        let fault = |why: &dyn ToString| Fault::new(&core.dataset, &seen.path, &why.to_string());
        let mut cursor = match known.get(&seen.stamp.identity()) {
            Some(cursor) if cursor.stamp == seen.stamp => {
                cursors.push(Cursor::clone(cursor));
                continue;
            }
            Some(cursor) => Cursor::clone(cursor),
            None => Cursor { stamp: seen.stamp, at: 0, last: Vec::new(), counts: Counts::default() },
        };
        let (file, now) = reading::open(&*core.common.world, &seen.path).map_err(|error| fault(&error))?;
        network::refuse(&core.dataset, &file).map_err(|why| fault(&why))?;
        // Emptied and filled again, a file is larger than before and did not grow.
        let goes_on = load::last_before(&file, cursor.at).map_err(|error| fault(&error))? == cursor.last;
        if !now.same_file(&seen.stamp) || !goes_on {
            return Ok(None);
        }
        let (from, to) = (cursor.at, seen.stamp.size());
        let counting = Counting::new(core.dataset.normalisation, &core.common.fingerprinter);
        let mut growth = Growth { counting, generation, counts: Counts::default(), unended: None };
        match reading::read_block(&file, &Block { file: 0, from, to }, to, &mut room, &mut growth) {
            Ok(()) => {}
            Err(Halt::Io(error)) => return Err(fault(&error)),
            Err(Halt::Stop(NoRoom)) => return Err(no_room(core, &seen.path)),
        }
        let Growth { counts, unended, .. } = growth;
        let after = core.common.world.fstat(&file).map_err(|error| fault(&error))?;
        if after.size() < to {
            return Ok(None);
        }
        cursor.at = unended.unwrap_or(to);
        cursor.last = load::last_before(&file, cursor.at).map_err(|error| fault(&error))?;
        cursor.stamp = seen.stamp;
        cursor.counts.add(&counts);
        whole.add(&counts);
        cursors.push(cursor);
    }
    Ok(Some((cursors, whole)))
}

fn no_room(core: &Core, path: &Path) -> Fault {
    let why = "no memory left for the lines that came behind; raise [server] max-index-bytes";
    Fault::new(&core.dataset, path, &why)
}

/// The memory ceiling is reached.
struct NoRoom;

struct Growth<'a> {
    counting: Counting<'a>,
    generation: &'a Generation,
    counts: Counts,
    unended: Option<u64>,
}

impl Visitor for Growth<'_> {
    type Stop = NoRoom;

    fn piece(&mut self, _: &Block, piece: &[u8], ended: bool) -> Result<(), NoRoom> {
        if !ended {
            return Ok(());
        }
        let (fingerprints, counts) = self.counting.take(piece);
        self.counts.add(&counts);
        if self.generation.grow(fingerprints) { Ok(()) } else { Err(NoRoom) }
    }

    fn too_long(&mut self, _: &Block) {
        self.counts.too_long += 1;
    }

    fn unended(&mut self, _: &Block, at: u64) {
        self.unended = Some(at);
    }
}
