//! Leaves the terminal: the parent waits on a pipe until its child serves or has said why not. Knows the daemonize crate
//! (fork, session, pid file, umask) and mends what it leaves out: readiness, the child's exit status and words, a pid file
//! that is taken away again.

use super::alone::Alone;
use daemonize::{Daemonize, Outcome, Stdio};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where the pid file is, where nobody says otherwise.
pub const DEFAULT_PID_FILE: &str = "/run/linekeep/linekeepd.pid";

/// What new files may be to others: nothing.
pub(super) const UMASK: u32 = 0o077;

/// Seconds without a sign of life after which the parent gives a start up. Signs come every second.
const SILENCE: i64 = 60;

/// Bytes on the pipe. A fault is followed by the exit status.
const LOADING: u8 = b'.';
const READY: u8 = b'R';
const FAULT: u8 = b'E';

/// The pid file of this process, once it has one.
static PID_FILE: OnceLock<PathBuf> = OnceLock::new();

/// Which of the two came back.
#[derive(Debug)]
pub enum Side {
    /// The one that was started: its child is ready, or has said what is wrong. Ends with this status.
    Starter(u8),
    /// The one that serves; says through this how it goes.
    Daemon(Word),
    /// The one that would have served. Says its words on standard error first, then its status through this.
    Failed(DetachFault, Word),
}

/// The child's end of the pipe.
#[derive(Debug)]
pub struct Word(File);

/// Why the process cannot detach.
#[derive(Debug, thiserror::Error)]
pub enum DetachFault {
    /// The pid file is somebody's.
    #[error("{}: a running linekeepd holds this pid file{}; stop it, or name another with --pid-file", .file.display(), process(.holder))]
    Held {
        /// The pid file.
        file: PathBuf,
        /// What stands in it.
        holder: Option<String>,
    },
    /// The pid file cannot be written.
    #[error("{}: {error}; its folder has to exist and to belong to the user that linekeepd runs as: name another with --pid-file, or stay with --foreground", .file.display())]
    PidFile {
        /// The pid file.
        file: PathBuf,
        /// What the kernel said.
        error: String,
    },
    /// Another step failed.
    #[error("cannot detach: {0}; --foreground needs no detaching")]
    Other(String),
}

fn process(holder: &Option<String>) -> String {
    holder.as_ref().map_or(String::new(), |pid| format!(" (process {pid})"))
}

/// Detaches. The parent comes back when the child has said how it went; the child at once, in a session of its own, with
/// `/` as its folder and standard error still open for its words. Meanwhile the parent passes signs of life on by `on_sign`.
///
/// # Errors
/// [`DetachFault`], when there is no child.
pub fn detach(_: &Alone, pid_file: &Path, on_sign: fn()) -> Result<Side, DetachFault> {
    let other = |error: io::Error| DetachFault::Other(error.to_string());
    let (listening, speaking) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| other(error.into()))?;
    let (listening, word) = (File::from(listening), Word(File::from(speaking)));
    // The crate tells of a pid file only that something failed; what, is found out here.
    let before = fs::read_to_string(pid_file).ok().map(|text| text.trim().to_owned());
    let daemonize = Daemonize::new().pid_file(pid_file).umask(UMASK).working_directory("/").stderr(Stdio::keep());
    match daemonize.execute() {
        Outcome::Parent(Ok(_)) => {
            drop(word);
            Ok(Side::Starter(wait(listening, on_sign)))
        }
        Outcome::Parent(Err(error)) => Err(DetachFault::Other(error.to_string())),
        Outcome::Child(done) => {
            drop(listening);
            let done = done.map_err(|error| explain(pid_file, before, &error)).and_then(|_| is_ours(pid_file));
            Ok(match done {
                Err(fault) => Side::Failed(fault, word),
                Ok(()) => {
                    let _ = PID_FILE.set(pid_file.to_owned());
                    Side::Daemon(word)
                }
            })
        }
    }
}

/// Whether the pid file is this process's: one that another process removed at its end, while it was being opened here,
/// would be locked and yet nowhere.
fn is_ours(pid_file: &Path) -> Result<(), DetachFault> {
    let error = match fs::read_to_string(pid_file) {
        Ok(text) if text.trim() == std::process::id().to_string() => {
            // Who may see the folder may see which process it is.
            let _ = fs::set_permissions(pid_file, Permissions::from_mode(0o644));
            return Ok(());
        }
        Ok(text) => format!("names process {} instead of this one", text.trim()),
        Err(error) => error.to_string(),
    };
    Err(DetachFault::PidFile { file: pid_file.into(), error: format!("was taken away while it was written ({error})") })
}

fn explain(pid_file: &Path, before: Option<String>, error: &daemonize::Error) -> DetachFault {
    let file = pid_file.to_owned();
    let words = error.to_string();
    if words.contains("lock pid file") {
        return DetachFault::Held { file, holder: before.filter(|pid| pid.parse::<u32>().is_ok()) };
    }
    if !words.contains("pid file") {
        return DetachFault::Other(words);
    }
    // The crate's errno is of whatever came last; asking again gives the reason.
    let error = match File::options().create(true).append(true).open(pid_file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => "there is no such folder".to_owned(),
        Err(error) => error.to_string(),
        Ok(_) => words,
    };
    DetachFault::PidFile { file, error }
}

/// Waits for the child's word, as long as it gives signs of life. Returns the status to end with.
fn wait(mut pipe: File, on_sign: fn()) -> u8 {
    let silence = Timespec { tv_sec: SILENCE, tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&silence)) {
            Ok(0) => {
                eprintln!("linekeepd: no sign of life for {SILENCE} seconds while starting; given up");
                return super::SOFTWARE;
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => {
                eprintln!("linekeepd: cannot wait for the daemon: {error}");
                return super::SOFTWARE;
            }
        }
        let mut byte = [0];
        match pipe.read(&mut byte) {
            Ok(1) if byte == [LOADING] => on_sign(),
            Ok(1) if byte == [READY] => return 0,
            Ok(1) if byte == [FAULT] => return pipe.read_exact(&mut byte).map_or(super::SOFTWARE, |()| byte[0]),
            _ => {
                eprintln!("linekeepd: the daemon ended while starting; its last records say more");
                return super::SOFTWARE;
            }
        }
    }
}

impl Word {
    /// A sign of life.
    ///
    /// # Errors
    /// When nobody waits any more: whoever asked for this start gave it up.
    pub fn loading(&self) -> io::Result<()> {
        (&self.0).write_all(&[LOADING])
    }

    /// Lets the parent go. From now on nobody reads standard error, unless it leads to the journal.
    ///
    /// # Errors
    /// When nobody waits any more.
    pub fn ready(self) -> io::Result<()> {
        if std::env::var_os("JOURNAL_STREAM").is_none() {
            let null = File::options().read(true).write(true).open("/dev/null")?;
            rustix::stdio::dup2_stderr(&null)?;
        }
        (&self.0).write_all(&[READY])
    }

    /// The status that the parent shall end with; the words stand on standard error already.
    pub fn fault(&self, status: u8) {
        let _ = (&self.0).write_all(&[FAULT, status]);
    }
}

/// Takes the pid file away; the last thing that a daemon does. Its lock ends with the process.
pub fn forget_pid_file() {
    if let Some(file) = PID_FILE.get() {
        let _ = fs::remove_file(file);
    }
}
