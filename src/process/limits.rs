//! The kernel's limits for this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not connections: sockets, lists being read, logs, spare.
const RESERVE: u64 = 64;

/// How many descriptors this process may have, after asking for all that it may.
#[derive(Clone, Copy, Debug)]
pub struct Descriptors(pub u64);

impl Descriptors {
    /// What to say when they do not suffice for this many connections.
    #[must_use]
    pub fn shortage(self, connections: usize) -> Option<String> {
        let wanted = connections as u64 + RESERVE;
        (self.0 < wanted).then(|| {
            format!(
                "max-connections = {connections} needs {wanted} open files and the limit is {}; raise it \
                 (LimitNOFILE= in the unit, or ulimit -n) or lower max-connections",
                self.0
            )
        })
    }
}

/// Raises the soft limit of open files to the hard one.
#[must_use]
pub fn raise_descriptor_limit() -> Descriptors {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    Descriptors(now.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_says_what_to_do() {
        assert_eq!(Descriptors(1088).shortage(1024), None);
        let words = Descriptors(1087).shortage(1024).unwrap();
        assert!(words.contains("1088") && words.contains("LimitNOFILE"), "{words}");
    }
}
