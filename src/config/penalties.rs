//! `[penalties]`: what failed logins and slow handshakes cost a source. Its keys are defined here and nowhere else.

use super::Penalties;
use super::fault::Gathering;
use super::key::{self, DAY, Described, Key};
use super::table::Table;
use crate::allowlist::Allowlist;
use std::time::Duration;

const TIME: &str = "a time from \"0s\" to \"24h\"";

const ENABLED: Key<bool> = Key {
    name: "enabled",
    default: Some("true"),
    allowed: "true or false",
    meaning: "Whether sources are turned away for a while after failed logins and slow handshakes. The rule is sshd's \
        (`PerSourcePenalties`): each offence adds seconds; from `enforce-from` on the source is refused before TLS, until they are over.",
    read: key::boolean,
};
const FAILED_LOGIN: Key<Duration> = Key {
    name: "failed-login",
    default: Some("\"5s\""),
    allowed: TIME,
    meaning: "For an identity or certificate that proves nothing, or nobody that may come in.",
    read: key::time::<0, DAY>,
};
const NO_LOGIN: Key<Duration> = Key {
    name: "no-login",
    default: Some("\"1s\""),
    allowed: TIME,
    meaning: "For a connection that goes or breaks before it shows any.",
    read: key::time::<0, DAY>,
};
const SLOW_HANDSHAKE: Key<Duration> = Key {
    name: "slow-handshake",
    default: Some("\"10s\""),
    allowed: TIME,
    meaning: "For a connection that is not ready by `[server] handshake-deadline`.",
    read: key::time::<0, DAY>,
};
const ENFORCE_FROM: Key<Duration> = Key {
    name: "enforce-from",
    default: Some("\"15s\""),
    allowed: TIME,
    meaning: "From how much on a source is turned away. What gathered is worked off second by second.",
    read: key::time::<0, DAY>,
};
const LONGEST: Key<Duration> = Key {
    name: "longest",
    default: Some("\"10m\""),
    allowed: TIME,
    meaning: "More never gathers.",
    read: key::time::<0, DAY>,
};
const EXEMPT: Key<Vec<ipnet::IpNet>> = Key {
    name: "exempt",
    default: None,
    allowed: "an array of addresses and ranges",
    meaning: "Sources that get no penalties, such as an address that many clients share. UNIX sockets and trusted proxies never do.",
    read: key::ranges,
};

pub(super) const PENALTIES: &[Described] = &[
    ENABLED.described(),
    FAILED_LOGIN.described(),
    NO_LOGIN.described(),
    SLOW_HANDSHAKE.described(),
    ENFORCE_FROM.described(),
    LONGEST.described(),
    EXEMPT.described(),
];

pub(super) fn penalties(table: &Table<'_, '_>, faults: &mut Gathering<'_>) -> Option<Penalties> {
    let enabled = table.value(&ENABLED, faults);
    let failed_login = table.value(&FAILED_LOGIN, faults);
    let no_login = table.value(&NO_LOGIN, faults);
    let slow_handshake = table.value(&SLOW_HANDSHAKE, faults);
    let enforce_from = table.take(&ENFORCE_FROM, faults);
    let longest = table.take(&LONGEST, faults);
    let exempt = table.optional(&EXEMPT, faults).map(|taken| taken.value).unwrap_or_default();
    if let (Some(from), Some(longest)) = (&enforce_from, &longest) {
        if from.value > longest.value {
            let (at, found) = (from.at.or(longest.at).unwrap_or(table.at), humantime::format_duration(from.value));
            let allowed = format!("at most {} = {:?}, or no penalty is ever enforced", LONGEST.name, longest.value);
            table.fault(at, ENFORCE_FROM.name, found.to_string(), allowed, faults);
        }
    }
    Some(Penalties {
        enabled: enabled?,
        failed_login: failed_login?,
        no_login: no_login?,
        slow_handshake: slow_handshake?,
        enforce_from: enforce_from?.value,
        longest: longest?.value,
        exempt: Allowlist::new(exempt),
    })
}
