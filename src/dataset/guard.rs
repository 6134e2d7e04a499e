//! What a generation has to be to go into service: large enough, small enough, not suddenly shrunk, not too old.
//! Pure: numbers in, words out.

use super::stamp::Moment;
use crate::config::Guards;
use std::time::Duration;

/// What is known of a generation that wants to go into service.
pub(super) struct Candidate {
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// Lines of the generation in service.
    pub(super) before: Option<u64>,
}

/// The first guard that it breaks, in words that name the key.
pub(super) fn broken(guards: &Guards, candidate: &Candidate) -> Option<String> {
    let &Candidate { lines, bytes, before } = candidate;
    if lines < guards.min_lines {
        let zero = if lines == 0 && guards.min_lines == 1 { "; min-lines = 0 would allow an empty list" } else { "" };
        return Some(format!("{lines} lines, and min-lines is {}{zero}", guards.min_lines));
    }
    if let Some(most) = guards.max_lines.filter(|most| lines > *most) {
        return Some(format!("{lines} lines, and max-lines is {most}"));
    }
    if let Some(why) = too_large(guards, bytes) {
        return Some(why);
    }
    let (before, percent) = (before?, guards.max_shrink_percent?);
    let gone = before.saturating_sub(lines);
    // Both sides times a hundred, so that nothing is rounded.
    (u128::from(gone) * 100 > u128::from(before) * u128::from(percent)).then(|| {
        format!("{lines} lines instead of {before}, and max-shrink-percent is {percent}; if that is right, raise it for a reload")
    })
}

/// Whether the files are larger than they may be: known before a byte is read.
pub(super) fn too_large(guards: &Guards, bytes: u64) -> Option<String> {
    let most = guards.max_bytes.filter(|most| bytes > *most)?;
    Some(format!("{bytes} bytes, and max-bytes is {most}"))
}

/// How old it is, if that is older than it may be.
pub(super) fn too_old(guards: &Guards, oldest: Option<Moment>, now: Moment) -> Option<Duration> {
    let (limit, oldest) = (guards.max_age?, oldest?);
    let age = Duration::from_secs(u64::try_from(now.0.saturating_sub(oldest.0)).unwrap_or(0));
    (age > limit).then_some(age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn guards(min: u64, max: Option<u64>, bytes: Option<u64>, shrink: Option<u8>) -> Guards {
        Guards { min_lines: min, max_lines: max, max_bytes: bytes, max_shrink_percent: shrink, max_age: None }
    }

    #[rstest]
    #[case::fits(guards(1, Some(10), Some(100), Some(50)), 5, 100, Some(10), None)]
    #[case::empty(guards(1, None, None, None), 0, 0, None, Some("min-lines is 1"))]
    #[case::empty_is_allowed(guards(0, None, None, None), 0, 0, Some(9), None)]
    #[case::too_few(guards(3, None, None, None), 2, 0, None, Some("min-lines is 3"))]
    #[case::too_many(guards(1, Some(2), None, None), 3, 0, None, Some("max-lines is 2"))]
    #[case::too_large(guards(1, None, Some(9), None), 3, 10, None, Some("max-bytes is 9"))]
    #[case::shrunk(guards(1, None, None, Some(50)), 4, 0, Some(10), Some("max-shrink-percent is 50"))]
    #[case::shrunk_by_just_that(guards(1, None, None, Some(50)), 5, 0, Some(10), None)]
    #[case::may_not_shrink(guards(1, None, None, Some(0)), 9, 0, Some(10), Some("max-shrink-percent is 0"))]
    #[case::grew(guards(1, None, None, Some(0)), 11, 0, Some(10), None)]
    #[case::may_vanish(guards(0, None, None, Some(100)), 0, 0, Some(10), None)]
    #[case::nothing_before(guards(1, None, None, Some(0)), 1, 0, None, None)]
    #[case::no_overflow(guards(1, None, None, Some(99)), 1, 0, Some(u64::MAX), Some("max-shrink-percent is 99"))]
    fn no_silent_no_guards(
        #[case] guards: Guards,
        #[case] lines: u64,
        #[case] bytes: u64,
        #[case] before: Option<u64>,
        #[case] expected: Option<&str>,
    ) {
        let found = broken(&guards, &Candidate { lines, bytes, before });
        match (found, expected) {
            (None, None) => {}
            (Some(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[rstest]
    #[case(Some(60), 1000, 1060, false)]
    #[case(Some(60), 1000, 1061, true)]
    #[case(Some(60), 2000, 1000, false)]
    #[case(None, 0, i64::MAX, false)]
    fn no_silent_no_age(#[case] limit: Option<u64>, #[case] modified: i64, #[case] now: i64, #[case] old: bool) {
        let guards = Guards { max_age: limit.map(Duration::from_secs), ..guards(1, None, None, None) };
        assert_eq!(too_old(&guards, Some((modified, 0)), (now, 0)).is_some(), old);
    }
}
