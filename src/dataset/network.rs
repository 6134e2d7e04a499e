//! File systems that other machines write to: their stamps are hearsay, so no freshness by query can be promised on them.

use crate::config::{Dataset, Freshness};
use std::fs::File;

/// Magic numbers of `struct statfs` (statfs(2) and the kernel's `magic.h`), and names.
const ELSEWHERE: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFE53_4D42, "SMB2"),
    (0xFF53_4D42, "CIFS"),
    (0x00C3_6400, "Ceph"),
    (0x0102_1997, "9P"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564C, "NCP"),
    (0x0BD0_0BD0, "Lustre"),
    (0x0116_1970, "GFS2"),
    (0x7461_636F, "OCFS2"),
    (0x786F_4256, "VirtualBox shared folders"),
    (0x6573_5546, "FUSE"),
];

/// Refuses a file of a list that is to be fresh at every query, where nobody can tell whether it is.
pub(super) fn refuse(dataset: &Dataset, file: &File) -> Result<(), String> {
    if dataset.freshness != Freshness::OnQuery {
        return Ok(());
    }
    match elsewhere(file) {
        None => Ok(()),
        Some(name) => Err(format!(
            "lies on {name}, whose stamps cannot be trusted at every query; use freshness = \"on-change\", or a local copy"
        )),
    }
}

/// The name of the file system, if others may write to it unseen.
// The field's width and sign differ between architectures.
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
pub(super) fn elsewhere(file: &File) -> Option<&'static str> {
    let Ok(found) = rustix::fs::fstatfs(file) else { return Some("a file system that does not say what it is") };
    let kind = found.f_type as u64 & 0xFFFF_FFFF;
    ELSEWHERE.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name)
}
