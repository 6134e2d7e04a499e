//! The kernel's fence around files and ports (landlock(7)): after it is up, this process can open nothing but what it was
//! granted, whatever becomes of it. Best effort: an old kernel fences less, and that is told.

use super::alone::Alone;
use crate::config::Places;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::path::{Path, PathBuf};

/// The newest of the kernel's versions whose fences are asked for; older kernels put up those that they know.
const NEWEST: ABI = ABI::V6;

/// What is read whatever the configuration says: what the C library and OpenSSL load late, names of hosts, the
/// machine's processors.
const SYSTEM: [&str; 11] = [
    "/usr/lib",
    "/lib",
    "/lib64",
    "/etc/ssl",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/localtime",
    "/proc",
    "/sys/fs/cgroup",
];

/// Puts the fence up around this process and every thread that it will start. Returns how much of it this kernel knows, in
/// words.
///
/// # Errors
/// When the kernel has the fence and yet refuses it.
pub fn enclose(_: &Alone, places: &Places) -> Result<String, RulesetError> {
    let reading = AccessFs::from_read(NEWEST) & !AccessFs::Execute;
    let writing = AccessFs::from_all(NEWEST) & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock);
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
        .scope(scopes())?
        .create()?;
    for path in SYSTEM.iter().map(Path::new).chain(places.read.iter().map(PathBuf::as_path)) {
        ruleset = grant(ruleset, path, reading)?;
    }
    for path in &places.write {
        ruleset = grant(ruleset, path, writing)?;
    }
    ruleset = grant(ruleset, Path::new("/dev/null"), AccessFs::ReadFile | AccessFs::WriteFile)?;
    // Every socket was bound before; from here on none may be, and TCP leads only to those that records are forwarded to.
    for port in &places.ports {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(words(&ruleset.restrict_self()?))
}

/// Grants what is there; what is missing cannot be granted, and is no fault.
fn grant(ruleset: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let Ok(place) = PathFd::new(path) else { return Ok(ruleset) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    ruleset.add_rule(PathBeneath::new(place, access))
}

/// No signals to others; and no abstract sockets of others, unless that is where systemd listens.
fn scopes() -> BitFlags<Scope> {
    let is_abstract = std::env::var_os("NOTIFY_SOCKET").is_some_and(|name| name.to_string_lossy().starts_with('@'));
    if is_abstract { Scope::Signal.into() } else { Scope::Signal | Scope::AbstractUnixSocket }
}

fn words(status: &RestrictionStatus) -> String {
    let kernel = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => format!(", version {}", effective_abi as i32),
        LandlockStatus::NotEnabled => ": not enabled in this kernel".into(),
        _ => ": not in this kernel".into(),
    };
    let level = match status.ruleset {
        RulesetStatus::FullyEnforced => "full",
        RulesetStatus::PartiallyEnforced => "partial",
        RulesetStatus::NotEnforced => "none",
    };
    format!("{level}{kernel}")
}
