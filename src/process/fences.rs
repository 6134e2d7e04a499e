//! What the process gives up before it does anything else: descriptors that it was left, new rights by exec, core files,
//! being looked into. Knows the kernel alone.

use super::alone::Alone;
use super::inherited::Inherited;
use nix::sys::signal::{SigSet, Signal};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;
use std::io;

/// The first descriptor that is not standard input, output or error.
const FIRST: i32 = 3;

/// Puts the fences up. Of what the starter left open, the inherited sockets alone are kept.
///
/// # Errors
/// When the kernel refuses one, with its name.
pub fn put_up(_: &Alone, inherited: &Inherited) -> Result<(), (&'static str, io::Error)> {
    close_strays(inherited).map_err(|error| ("closing descriptors left by the starter", error))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(super::detach::UMASK));
    set_no_new_privs(true).map_err(|error| ("no new privileges", error.into()))?;
    fence_memory()?;
    // A wish that comes before there is anybody to hear it waits, instead of ending the process half way.
    wishes_set().thread_block().map_err(|error| ("holding signals back", error.into()))?;
    Ok(())
}

/// No core file and no debugger of the same user sees the keys. Becoming another user resets this (prctl(2),
/// PR_SET_DUMPABLE), so it is done again afterwards.
///
/// # Errors
/// When the kernel refuses, with the fence's name.
pub fn fence_memory() -> Result<(), (&'static str, io::Error)> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|error| ("no core files", error.into()))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| ("not dumpable", error.into()))
}

/// Signals may come again; those that came meanwhile come now.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn let_wishes_in() -> io::Result<()> {
    Ok(wishes_set().thread_unblock()?)
}

fn wishes_set() -> SigSet {
    [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}

/// Whatever the starter forgot to close: but for the inherited sockets nothing of it is ours, as nothing was opened yet.
fn close_strays(inherited: &Inherited) -> io::Result<()> {
    let listed = std::fs::read_dir("/proc/self/fd")?;
    let open: Vec<i32> = listed.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let is_stray = |descriptor: &i32| *descriptor >= FIRST && !inherited.holds(*descriptor);
    for descriptor in open.into_iter().filter(is_stray) {
        // The folder's own descriptor was among them and is closed by now; so an error is no news.
        let _ = nix::unistd::close(descriptor);
    }
    Ok(())
}
