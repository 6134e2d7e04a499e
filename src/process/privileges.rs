//! Who the process is: started as root it becomes somebody else, for good, and reads back that it is so. Knows the user
//! database and the kernel; runs before anything from outside is parsed.

use nix::unistd::{self, Gid, Group, Uid, User, getgroups, getresgid, getresuid, setresgid, setresuid};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;

/// Whom root becomes when nobody else is named.
pub const DEFAULT_USER: &str = "_linekeep";

/// Proof that the process has the rights that it should serve with: whoever reads what comes from outside shows it.
#[derive(Debug)]
pub struct Rights {
    user: String,
}

/// Why the process does not have them.
#[derive(Debug, thiserror::Error)]
pub enum RightsFault {
    /// There is no such user or group.
    #[error(
        "{about}; linekeepd was started as root and gives that up before it reads anything: create the user, name another with --user USER[:GROUP], or keep root with --user root"
    )]
    Nobody {
        /// Which.
        about: String,
    },
    /// Only root may become somebody else.
    #[error("only root can become {wanted}; this process is user {uid}: leave --user away, or start it as root")]
    NotRoot {
        /// Who was asked for.
        wanted: String,
        /// Who asks.
        uid: u32,
    },
    /// The kernel refused a step.
    #[error("cannot become {wanted}: {step}: {error}")]
    Refused {
        /// Who was asked for.
        wanted: String,
        /// The step.
        step: &'static str,
        /// What the kernel said.
        error: String,
    },
    /// The steps succeeded and root's rights are still there.
    #[error("became {wanted}, and yet {found}; this is a defect of the system or of linekeepd, and nothing was read")]
    StillThere {
        /// Who was asked for.
        wanted: String,
        /// What was read back.
        found: String,
    },
}

impl Rights {
    /// Settles who the process is. Root becomes `wanted` (`USER`, `USER:GROUP`, names or numbers); others stay who they
    /// are.
    ///
    /// # Errors
    /// [`RightsFault`]; the process then has to end.
    pub fn settle(wanted: Option<&str>) -> Result<Rights, RightsFault> {
        let now = Uid::effective();
        let name = wanted.unwrap_or(DEFAULT_USER);
        if !now.is_root() {
            let Some(wanted) = wanted else { return Ok(Rights::of(now)) };
            let whom = Whom::find(wanted)?;
            let is_already = whom.uid == now && (!wanted.contains(':') || whom.gid == Gid::effective());
            return if is_already {
                Ok(Rights::of(now))
            } else {
                Err(RightsFault::NotRoot { wanted: wanted.into(), uid: now.as_raw() })
            };
        }
        let whom = Whom::find(name)?;
        if whom.uid.is_root() {
            return Ok(Rights { user: "root".into() });
        }
        whom.become_them(name)?;
        whom.read_back(name)?;
        Ok(Rights::of(whom.uid))
    }

    fn of(uid: Uid) -> Rights {
        let named = User::from_uid(uid).ok().flatten().map(|user| user.name);
        Rights { user: named.unwrap_or_else(|| uid.to_string()) }
    }

    /// The user's name, or number where it has none.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

struct Whom {
    uid: Uid,
    gid: Gid,
    /// What initgroups(3) needs; a user that is only a number is in no group but its own.
    name: Option<CString>,
}

impl Whom {
    fn find(wanted: &str) -> Result<Whom, RightsFault> {
        let nobody = |about: String| RightsFault::Nobody { about };
        let (user, group) = match wanted.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (wanted, None),
        };
        let known = match user.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number)),
            Err(_) => User::from_name(user),
        }
        .map_err(|error| nobody(format!("user {user} cannot be looked up: {error}")))?;
        let (uid, own_group) = match (&known, user.parse::<u32>()) {
            (Some(known), _) => (known.uid, known.gid),
            (None, Ok(number)) => (Uid::from_raw(number), Gid::from_raw(number)),
            (None, Err(_)) => return Err(nobody(format!("there is no user {user}"))),
        };
        let gid = match group {
            None => own_group,
            Some(group) => match group.parse() {
                Ok(number) => Gid::from_raw(number),
                Err(_) => Group::from_name(group)
                    .map_err(|error| nobody(format!("group {group} cannot be looked up: {error}")))?
                    .map(|group| group.gid)
                    .ok_or_else(|| nobody(format!("there is no group {group}")))?,
            },
        };
        Ok(Whom { uid, gid, name: known.and_then(|user| CString::new(user.name).ok()) })
    }

    /// Groups first: without root's user they could not be changed any more.
    fn become_them(&self, wanted: &str) -> Result<(), RightsFault> {
        let step = |step, done: nix::Result<()>| {
            done.map_err(|error| RightsFault::Refused { wanted: wanted.into(), step, error: error.to_string() })
        };
        // What may never come back by exec; a kernel knows so many, and says no to the first that it does not know.
        for capability in 0..u64::BITS {
            if remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << capability)).is_err() {
                break;
            }
        }
        match &self.name {
            Some(name) => step("initgroups", unistd::initgroups(name, self.gid))?,
            None => step("setgroups", unistd::setgroups(&[self.gid]))?,
        }
        step("setresgid", setresgid(self.gid, self.gid, self.gid))?;
        step("setresuid", setresuid(self.uid, self.uid, self.uid))
    }

    /// Believes the kernel's answer, not that the calls succeeded.
    fn read_back(&self, wanted: &str) -> Result<(), RightsFault> {
        let still = |found: String| Err(RightsFault::StillThere { wanted: wanted.into(), found });
        match (getresuid(), getresgid()) {
            (Ok(users), Ok(groups)) => {
                if [users.real, users.effective, users.saved] != [self.uid; 3] {
                    return still(format!("its users are {}, {}, {}", users.real, users.effective, users.saved));
                }
                if [groups.real, groups.effective, groups.saved] != [self.gid; 3] {
                    return still(format!("its groups are {}, {}, {}", groups.real, groups.effective, groups.saved));
                }
            }
            (users, groups) => {
                let error = users.err().or(groups.err()).map_or(String::new(), |error| error.to_string());
                return still(format!("the kernel does not tell its users and groups: {error}"));
            }
        }
        let found = match getgroups() {
            Ok(groups) => groups.into_iter().map(Gid::as_raw).collect::<BTreeSet<_>>(),
            Err(error) => return still(format!("its supplementary groups cannot be read: {error}")),
        };
        let allowed = self.groups();
        if let Some(foreign) = found.difference(&allowed).next() {
            return still(format!("it is still in group {foreign}"));
        }
        match capabilities() {
            Some(0) => {}
            Some(left) => return still(format!("capabilities {left:#x} are left")),
            None => return still("its capabilities cannot be read in /proc/self/status; is /proc mounted?".into()),
        }
        if unistd::setuid(Uid::from_raw(0)).is_ok() {
            return still("it could become root again".into());
        }
        Ok(())
    }

    /// Every group that the user is in.
    fn groups(&self) -> BTreeSet<u32> {
        let listed = self.name.as_ref().and_then(|name| unistd::getgrouplist(name, self.gid).ok()).unwrap_or_default();
        listed.into_iter().chain([self.gid]).map(Gid::as_raw).collect()
    }
}

/// The permitted, effective and bounding capabilities, as one set of bits (proc(5), `/proc/pid/status`).
fn capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    Some(of("CapPrm:")? | of("CapEff:")? | of("CapBnd:")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::user("nobody", Some((65534, 65534)))]
    #[case::user_and_group("nobody:daemon", Some((65534, 1)))]
    #[case::numbers("4711:4712", Some((4711, 4712)))]
    #[case::a_number_alone("4711", Some((4711, 4711)))]
    #[case::nobody_of_that_name("no-such-user", None)]
    #[case::no_group_of_that_name("nobody:no-such-group", None)]
    fn users_are_named_or_numbered(#[case] wanted: &str, #[case] expected: Option<(u32, u32)>) {
        let found = Whom::find(wanted).ok().map(|whom| (whom.uid.as_raw(), whom.gid.as_raw()));
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_out() {
        let words = Whom::find("no-such-user").err().unwrap().to_string();
        assert!(words.contains("no user no-such-user") && words.contains("--user"), "{words}");
    }
}
