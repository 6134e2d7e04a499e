//! The trail as it is written: one chained record a line, in files that are only added to. Runs on the audit thread.
//! Nothing that stands there is ever changed: a new start opens a new file and says how the one before ended.

use super::chain::{ChainKey, Master, Position, Tag};
use super::files::{self, TrailFile};
use super::line::Record;
use super::written::{Header, Line, MAX_LINE_BYTES, closed};
use crate::config::{self, Fsync};
use crate::event::Event;
use rustix::fs::FlockOperation;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::time::{Duration, Instant, SystemTime};

/// How long a trail that failed is left alone before the next attempt.
const RETRY: Duration = Duration::from_secs(1);

/// What waits to be written in one go, at most.
const BUFFER_BYTES: usize = 256 * 1024;

/// A trail that this process alone writes.
pub struct Trail {
    rules: config::Trail,
    master: Master,
    key: ChainKey,
    /// What is on the file, as far as we know.
    written: Position,
    /// With what waits in `buffer`.
    at: Position,
    buffer: Vec<u8>,
    buffered: u64,
    file: File,
    number: u64,
    /// What its first line says.
    header: Header,
    length: u64,
    day: String,
    synced: Instant,
    unsynced: bool,
    failed: Option<Instant>,
    missed: u64,
    checkpoint: Instant,
    checked: u64,
    /// Held for as long as the trail is: a second writer would tear the chain.
    _lock: File,
}

/// What a write came to.
#[derive(Default)]
pub struct Came {
    /// What the other places should be told.
    pub news: Vec<Event>,
    /// Whether everything that was given is written, and on the disk where the policy says so.
    pub whole: bool,
}

impl Trail {
    /// Opens the trail: a new epoch in a new file.
    ///
    /// # Errors
    /// In words: which file, and what to do.
    pub fn open(rules: &config::Trail, master: Master) -> Result<Trail, String> {
        let folder = &rules.folder;
        let told = |what: &str| {
            let what = format!("[audit] trail {}{what}", folder.display());
            move |error: io::Error| format!("{what}: {error}; the daemon's user has to be able to write there")
        };
        std::fs::DirBuilder::new().mode(0o750).recursive(true).create(folder).map_err(told(""))?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o640);
        let lock = options.open(folder.join("lock")).map_err(told("/lock"))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            format!("[audit] trail {}: another process writes this trail; each daemon needs its own", folder.display())
        })?;
        let files = files::list(folder).map_err(told(""))?;
        let end = files::end(&files).map_err(told(""))?;
        let former = end.line();
        let (former_epoch, former_count, former_tag) =
            former.as_ref().map_or((0, 0, [0; 32]), |line| (line.epoch, line.number.saturating_add(1), line.tag));
        let former_end = match &former {
            Some(line) if line.closes() && !end.torn => Header::CLOSED,
            None if files.is_empty() => Header::FIRST,
            _ => Header::UNCLEAN,
        };
        let last = files.last().map_or(0, |file| file.number);
        let (Some(epoch), Some(number)) = (former_epoch.checked_add(1), last.checked_add(1)) else {
            return Err(format!("[audit] trail {}: its last file or epoch has the highest number", folder.display()));
        };
        let key = master.chain(epoch);
        let at = Position { epoch, count: 0, tag: key.genesis() };
        let now = SystemTime::now();
        let day = day(now);
        let file = create(rules, number, &day).map_err(told(""))?;
        let mut trail = Trail {
            rules: rules.clone(),
            master,
            key,
            written: at,
            at,
            buffer: Vec::new(),
            buffered: 0,
            file,
            number,
            header: Header::default(),
            length: 0,
            day,
            synced: Instant::now(),
            unsynced: false,
            failed: None,
            missed: 0,
            checkpoint: Instant::now(),
            checked: 0,
            _lock: lock,
        };
        trail.header =
            Header { file: number, former_epoch, former_count, former_tag, former_end: former_end.to_owned() };
        trail.push_header(now);
        trail.put().and_then(|()| trail.retain(now)).map_err(told(""))?;
        Ok(trail)
    }

    /// The key of digests and checkpoints.
    pub fn master(&self) -> &Master {
        &self.master
    }

    /// Takes a record; [`Trail::settle`] writes it. A trail that failed takes none until it is tried again.
    pub fn take(&mut self, record: &Record) -> Came {
        if self.failed.is_some() {
            self.missed += 1;
            return Came::default();
        }
        let mut came = Came { news: Vec::new(), whole: true };
        let room = self.length + (self.buffer.len() + MAX_LINE_BYTES) as u64 <= self.rules.max_file_bytes;
        if !room || self.day != day(record.time) {
            came = self.settle();
            if came.whole {
                match self.turn_over(record.time) {
                    Ok(news) => came.news.extend(news),
                    Err(error) => came = self.fail(&error),
                }
            }
            if !came.whole {
                self.missed += 1;
                return came;
            }
        }
        self.push(record.time, &record.line);
        if self.buffer.len() >= BUFFER_BYTES {
            let settled = self.settle();
            came.news.extend(settled.news);
            came.whole = settled.whole;
        }
        came
    }

    /// Writes what waits and forces it to the disk where the policy says so.
    pub fn settle(&mut self) -> Came {
        if self.failed.is_some() {
            return Came::default();
        }
        if let Err(error) = self.put().and_then(|()| self.sync_if_due()) {
            return self.fail(&error);
        }
        Came { news: Vec::new(), whole: true }
    }

    /// Tries a failed trail again. Once it works, says how much it missed.
    pub fn retry(&mut self) -> Came {
        if self.failed.is_some_and(|since| since.elapsed() < RETRY) || self.failed.is_none() {
            return Came { news: Vec::new(), whole: self.failed.is_none() };
        }
        let event = Event::RecordsLost { sink: "trail", count: self.missed };
        if self.length == 0 {
            self.push_header(SystemTime::now());
        }
        self.push(SystemTime::now(), &Record::new(&event, SystemTime::now()).line);
        match self.put().and_then(|()| self.sync()) {
            Ok(()) => {
                self.failed = None;
                self.missed = 0;
                Came { news: vec![event], whole: true }
            }
            Err(_) => {
                self.forget();
                self.failed = Some(Instant::now());
                Came::default()
            }
        }
    }

    /// A checkpoint, when one is due.
    pub fn checkpoint_if_due(&mut self) -> Option<Event> {
        let due = self.checkpoint.elapsed() >= self.rules.checkpoint_interval && self.written.count > self.checked;
        due.then(|| self.checkpoint())
    }

    fn checkpoint(&mut self) -> Event {
        let Position { epoch, count, tag } = self.written;
        self.checkpoint = Instant::now();
        // The checkpoint's own record does not make another one due.
        self.checked = count + 1;
        let mac = super::chain::hex(&self.master.checkpoint(&self.written));
        Event::Checkpoint { epoch, count, tag: super::chain::hex(&tag), mac }
    }

    /// Ends the epoch as it should end. What comes back is for the other places: the last checkpoint, or why there is none.
    pub fn close(&mut self) -> Vec<Event> {
        let mut news = self.retry().news;
        news.extend(self.settle().news);
        if self.failed.is_none() {
            self.push(SystemTime::now(), &closed());
            let closed = self.put().and_then(|()| self.sync());
            news.push(match closed {
                Ok(()) => self.checkpoint(),
                Err(error) => Event::SinkFailed { sink: "trail", error: error.to_string() },
            });
        }
        news
    }

    fn push(&mut self, time: SystemTime, body: &str) {
        let time = humantime::format_rfc3339_micros(time).to_string();
        let Position { epoch, count, tag } = self.at;
        let tag: Tag = self.key.tag(count, &tag, &time, body);
        Line { epoch, number: count, time: &time, tag, body }.push(&mut self.buffer);
        self.at = Position { epoch, count: count + 1, tag };
        self.buffered += 1;
    }

    fn push_header(&mut self, now: SystemTime) {
        let body = self.header.body();
        self.push(now, &body);
    }

    fn put(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        // At a place rather than at the end: what an attempt left behind that failed half-way is written over.
        self.file.write_all_at(&self.buffer, self.length)?;
        self.length += self.buffer.len() as u64;
        self.written = self.at;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES);
        self.buffered = 0;
        self.unsynced = true;
        Ok(())
    }

    fn sync_if_due(&mut self) -> io::Result<()> {
        match self.rules.fsync {
            Fsync::Never => Ok(()),
            Fsync::Always => self.sync(),
            Fsync::Interval(interval) if self.synced.elapsed() >= interval => self.sync(),
            Fsync::Interval(_) => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
        }
        self.synced = Instant::now();
        Ok(())
    }

    /// Counts what waited as missed; the chain goes on from what is on the file.
    fn fail(&mut self, error: &io::Error) -> Came {
        self.missed += self.buffered;
        self.forget();
        self.failed = Some(Instant::now());
        let error = format!("{}: {error}", self.rules.folder.display());
        Came { news: vec![Event::SinkFailed { sink: "trail", error }], whole: false }
    }

    fn forget(&mut self) {
        self.buffer.clear();
        self.buffered = 0;
        self.at = self.written;
        // Half a line of ours that did not fit is no record of anything; should even this fail, `verify` tells it.
        let _ = self.file.set_len(self.length);
    }

    /// The next file, and what became too old or too much.
    fn turn_over(&mut self, now: SystemTime) -> io::Result<Vec<Event>> {
        self.sync()?;
        let (number, day) = (self.number + 1, day(now));
        self.file = create(&self.rules, number, &day)?;
        (self.number, self.day, self.length) = (number, day, 0);
        let Position { epoch, count, tag } = self.at;
        self.header = Header {
            file: number,
            former_epoch: epoch,
            former_count: count,
            former_tag: tag,
            former_end: Header::CUT.to_owned(),
        };
        self.push_header(now);
        self.put()?;
        self.retain(now)
    }

    /// Removes the oldest files. Each removal is in the trail, on the disk, before it happens.
    fn retain(&mut self, now: SystemTime) -> io::Result<Vec<Event>> {
        let files = files::list(&self.rules.folder)?;
        let size = |file: &TrailFile| std::fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        let mut bytes: u64 = files.iter().map(size).sum();
        let kept = Duration::from_secs(self.rules.keep_days.saturating_mul(24 * 3600));
        let oldest = now.checked_sub(kept).map_or_else(String::new, day);
        let (mut news, current) = (Vec::new(), self.number);
        for file in files.iter().filter(|file| file.number < current) {
            let too_old = file.day() < oldest.as_str();
            if !too_old && bytes.saturating_add(self.rules.max_file_bytes) <= self.rules.keep_bytes {
                break;
            }
            let event = Event::TrailRemoved { file: file.number, day: file.day().to_owned(), bytes: size(file) };
            self.push(now, &Record::new(&event, now).line);
            self.put()?;
            self.sync()?;
            bytes = bytes.saturating_sub(size(file));
            std::fs::remove_file(&file.path)?;
            news.push(event);
        }
        Ok(news)
    }
}

fn create(rules: &config::Trail, number: u64, day: &str) -> io::Result<File> {
    let path = rules.folder.join(files::name(number, day));
    let file = OpenOptions::new().create_new(true).write(true).mode(0o640).open(path)?;
    if rules.fsync != Fsync::Never {
        File::open(&rules.folder)?.sync_all()?;
    }
    Ok(file)
}

/// The UTC day, `2026-11-23`.
fn day(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string().chars().take(10).collect()
}
