//! Files read in pieces of whole lines, by several threads at once: each file is cut into blocks, and a line belongs to the
//! block in which it begins. Memory does not depend on the length of lines. No mmap of files that others write: truncating
//! one would end the process.

use super::stamp::{Kind, Stamp, World};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A longer line is no line of a list: no query is as long.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// Bytes read at a time: they stay in a second-level cache until they are looked at.
const READ_BYTES: usize = 256 << 10;

/// Bytes of a file that one thread takes at a time.
const BLOCK_BYTES: u64 = 4 << 20;

/// Threads that read one list.
const MOST_THREADS: usize = 8;

/// Opens a plain file without waiting: a pipe would hold us up for ever.
pub(super) fn open(world: &dyn World, path: &Path) -> io::Result<(File, Stamp)> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let stamp = world.fstat(&file)?;
    if stamp.kind() != Kind::File {
        return Err(io::Error::other("is no plain file"));
    }
    Ok((file, stamp))
}

/// Part of a file: the lines that begin in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Which file, in whatever order the caller has them.
    pub(super) file: usize,
    /// From this byte,
    pub(super) from: u64,
    /// up to and without this one.
    pub(super) to: u64,
}

/// Cuts the bytes `from..to` of a file into blocks.
pub(super) fn blocks(file: usize, from: u64, to: u64) -> impl Iterator<Item = Block> {
    let count = to.saturating_sub(from).div_ceil(BLOCK_BYTES);
    (0..count).map(move |block| {
        let from = from + block * BLOCK_BYTES;
        Block { file, from, to: to.min(from + BLOCK_BYTES) }
    })
}

/// What the reader of a block meets.
pub(super) trait Visitor {
    /// Why it wants no more.
    type Stop;

    /// A piece of whole lines, the last LF included. Without one at its end (`ended` is false) it is the file's last line.
    ///
    /// # Errors
    /// When reading is to end.
    fn piece(&mut self, block: &Block, piece: &[u8], ended: bool) -> Result<(), Self::Stop>;

    /// A line of more than [`LONGEST_LINE`] bytes.
    fn too_long(&mut self, block: &Block);

    /// The file ends with a line without LF, which begins here.
    fn unended(&mut self, _block: &Block, _at: u64) {}
}

/// Why a block was not read to its end.
#[derive(Debug)]
pub(super) enum Halt<S> {
    /// The kernel says so.
    Io(io::Error),
    /// The visitor says so.
    Stop(S),
}

/// Reads the lines that begin in a block. `end` is where the file ends: what comes behind it is not looked at.
pub(super) fn read_block<V: Visitor>(
    file: &File,
    block: &Block,
    end: u64,
    room: &mut Vec<u8>,
    visitor: &mut V,
) -> Result<(), Halt<V::Stop>> {
    // From one byte earlier: if that is an LF, the block begins with a line.
    let mut base = block.from.saturating_sub(1);
    let mut inside_a_line = block.from > 0;
    // Where a line began of which nothing is kept, as it is too long.
    let mut long_from = None;
    let mut filled = 0;
    loop {
        if base >= block.to && long_from.is_none() {
            return Ok(());
        }
        room.resize((filled + READ_BYTES).max(room.len()), 0);
        let at = base + filled as u64;
        let wanted = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(READ_BYTES);
        let space = room.get_mut(filled..filled + wanted).unwrap_or(&mut []);
        let read = match file.read_at(space, at) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Halt::Io(error)),
        };
        let text = room.get(..filled + read).unwrap_or(&[]);
        if read == 0 {
            if let Some(at) = long_from {
                visitor.unended(block, at);
            } else if !inside_a_line && !text.is_empty() {
                visitor.piece(block, text, false).map_err(Halt::Stop)?;
                visitor.unended(block, base);
            }
            return Ok(());
        }
        if inside_a_line {
            let skipped = memchr::memchr(b'\n', text).map(|found| found + 1);
            inside_a_line = skipped.is_none();
            long_from = long_from.filter(|_| inside_a_line);
            let skipped = skipped.unwrap_or(text.len());
            filled = text.len() - skipped;
            room.copy_within(skipped..skipped + filled, 0);
            base += skipped as u64;
            if filled == 0 || base >= block.to {
                // Nothing yet, or the next line belongs to the next block.
                continue;
            }
        } else {
            filled = text.len();
        }
        let text = room.get(..filled).unwrap_or(&[]);
        let whole = whole_lines(text, block.to.saturating_sub(base));
        if whole > 0 {
            visitor.piece(block, text.get(..whole).unwrap_or(&[]), true).map_err(Halt::Stop)?;
            room.copy_within(whole..filled, 0);
            filled -= whole;
            base += whole as u64;
        }
        if filled > LONGEST_LINE {
            visitor.too_long(block);
            (inside_a_line, long_from) = (true, Some(base));
            base += filled as u64;
            filled = 0;
        }
    }
}

/// How much of `text` is whole lines that begin within its first `within` bytes.
fn whole_lines(text: &[u8], within: u64) -> usize {
    match usize::try_from(within) {
        Ok(within) if (1..text.len()).contains(&within) => {
            // The last of them is the one in which the byte before the border lies.
            let (before, from) = text.split_at(within - 1);
            match memchr::memchr(b'\n', from) {
                Some(end) => within - 1 + end + 1,
                None => memchr::memrchr(b'\n', before).map_or(0, |end| end + 1),
            }
        }
        _ => memchr::memrchr(b'\n', text).map_or(0, |end| end + 1),
    }
}

/// Reads blocks on several threads; each thread has a visitor of its own, and all of them come back.
/// The first fault of any ends the reading of all.
pub(super) fn read_all<V: Visitor + Send>(
    files: &[(File, u64)],
    blocks: &[Block],
    threads: usize,
    visitor: impl Fn() -> V + Sync,
) -> Result<Vec<V>, (usize, Halt<V::Stop>)>
where
    V::Stop: Send,
{
    let next = AtomicUsize::new(0);
    let work = || {
        let mut visitor = visitor();
        let mut room = Vec::new();
        while let Some(block) = blocks.get(next.fetch_add(1, Relaxed)) {
            let Some((file, end)) = files.get(block.file) else { continue };
            if let Err(halt) = read_block(file, block, *end, &mut room, &mut visitor) {
                next.store(blocks.len(), Relaxed);
                return Err((block.file, halt));
            }
        }
        Ok(visitor)
    };
    if threads <= 1 || blocks.len() <= 1 {
        return work().map(|visitor| vec![visitor]);
    }
    std::thread::scope(|scope| {
        // Where the system grants fewer threads, those that there are do it all.
        let another = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads.min(blocks.len())).filter_map(another).collect();
        let mut visitors = vec![work()];
        for other in others {
            visitors.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        visitors.into_iter().collect()
    })
}

/// Threads for reading: one for each core, up to a few.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS)
}
