//! Scan or index, for a list that is fresh at every query. Few rules, from what is known of the list:
//!
//! 1. `search = "index"` and `"scan"` are obeyed.
//! 2. An index is built if it lives long enough to pay: the files stay unchanged for at least twice the time that building
//!    takes, and reading them for each batch of that time would cost more than building once.
//! 3. Where building takes next to nothing, there is an index.
//! 4. What is not known yet counts in favour of the index. A list whose writers only append always has one.
//!
//! Pure: knows times and counts, no files.

use crate::config::{Dataset, Search, Writer};
use std::time::Duration;

/// How a list is searched, and why.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) way: Way,
    pub(super) reason: String,
}

/// How a list is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Index,
    Scan,
}

impl Way {
    /// The word in status and records.
    pub(super) fn word(self) -> &'static str {
        match self {
            Way::Index => "index",
            Way::Scan => "scan",
        }
    }
}

/// What is known of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// How long building takes; the last time.
    pub(super) build: Option<Duration>,
    /// How long reading for an answer takes; the last time.
    pub(super) scan: Option<Duration>,
    /// Of the last changes: time and batches from each to the next.
    between: Vec<(Duration, u64)>,
}

/// What takes less is not worth a thought.
const QUICK: Duration = Duration::from_millis(20);

/// Changes that are remembered.
const REMEMBERED: usize = 8;

impl Facts {
    /// The files changed, so long and so many batches after the change before.
    pub(super) fn changed(&mut self, after: Duration, batches: u64) {
        if self.between.len() == REMEMBERED {
            self.between.remove(0);
        }
        self.between.push((after, batches));
    }

    /// What follows from them. `now` is the time and the batches since the last change: a rest that is longer than
    /// those before speaks for itself.
    pub(super) fn choose(&self, dataset: &Dataset, now: (Duration, u64)) -> Choice {
        let choice = |way, reason: &str| Choice { way, reason: reason.to_owned() };
        match (dataset.search, dataset.writer) {
            (Search::Index, _) => return choice(Way::Index, "search = \"index\""),
            (Search::Scan, _) => return choice(Way::Scan, "search = \"scan\""),
            (Search::Auto, Writer::Appends) => return choice(Way::Index, "its writers only append"),
            (Search::Auto, Writer::Any) => {}
        }
        let Some(build) = self.build else { return choice(Way::Index, "nothing is known of it yet") };
        if build < QUICK {
            return choice(Way::Index, "building an index takes next to nothing");
        }
        let scan = self.scan.unwrap_or(build);
        if self.between.is_empty() {
            return choice(Way::Index, "it has not changed yet");
        }
        let count = u32::try_from(self.between.len()).unwrap_or(1);
        let mean = self.between.iter().map(|(after, _)| *after).sum::<Duration>() / count;
        let batches = self.between.iter().map(|(_, batches)| *batches).sum::<u64>() / u64::from(count);
        let (rest, asked) = (mean.max(now.0), batches.max(now.1));
        let reading = scan.saturating_mul(u32::try_from(asked).unwrap_or(u32::MAX));
        if rest < build * 2 {
            let reason = format!("it changes every {rest:.1?}, and building an index takes {build:.1?}");
            return Choice { way: Way::Scan, reason };
        }
        if reading < build {
            let reason = format!(
                "{asked} batches are asked between changes: reading for them takes {reading:.1?}, building an index {build:.1?}"
            );
            return Choice { way: Way::Scan, reason };
        }
        let reason = format!(
            "it rests for {rest:.1?} between changes: building an index takes {build:.1?}, reading for {asked} batches {reading:.1?}"
        );
        Choice { way: Way::Index, reason }
    }
}

impl Choice {
    /// Before anything is known.
    pub(super) fn first(dataset: &Dataset) -> Choice {
        Facts::default().choose(dataset, (Duration::ZERO, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::list;
    use super::*;
    use rstest::rstest;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[rstest]
    #[case::unknown(Search::Auto, Writer::Any, &[], (0, 0), Way::Index)]
    #[case::obeyed(Search::Scan, Writer::Any, &[(100_000, 100_000)], (0, 0), Way::Scan)]
    #[case::obeyed_too(Search::Index, Writer::Any, &[(1, 1)], (0, 0), Way::Index)]
    #[case::appends(Search::Auto, Writer::Appends, &[(1, 1)], (0, 0), Way::Index)]
    #[case::rests_and_is_asked(Search::Auto, Writer::Any, &[(5000, 500)], (0, 0), Way::Index)]
    #[case::changes_too_often(Search::Auto, Writer::Any, &[(1000, 500)], (0, 0), Way::Scan)]
    #[case::is_hardly_asked(Search::Auto, Writer::Any, &[(60_000, 2)], (0, 0), Way::Scan)]
    #[case::came_to_rest(Search::Auto, Writer::Any, &[(100, 10)], (3000, 100), Way::Index)]
    #[case::came_to_rest_and_is_not_asked(Search::Auto, Writer::Any, &[(100, 1)], (3000, 3), Way::Scan)]
    fn scan_or_index(
        #[case] search: Search,
        #[case] writer: Writer,
        #[case] changes: &[(u64, u64)],
        #[case] now: (u64, u64),
        #[case] way: Way,
    ) {
        // Building takes a second, reading for one batch 50 ms.
        let mut facts = Facts { build: Some(MS(1000)), scan: Some(MS(50)), ..Facts::default() };
        changes.iter().for_each(|(after, batches)| facts.changed(MS(*after), *batches));
        let choice = facts.choose(&Dataset { search, writer, ..list(&[]) }, (MS(now.0), now.1));
        assert_eq!(choice.way, way, "{}", choice.reason);
    }

    #[test]
    fn a_small_list_has_an_index_however_often_it_changes() {
        let mut facts = Facts { build: Some(MS(1)), scan: Some(MS(1)), ..Facts::default() };
        (0..10).for_each(|_| facts.changed(MS(1), 0));
        assert_eq!(facts.choose(&list(&[]), (MS(0), 0)).way, Way::Index);
    }

    #[test]
    fn bounded_only_the_last_changes_count() {
        let mut facts = Facts { build: Some(MS(1000)), scan: Some(MS(50)), ..Facts::default() };
        (0..100).for_each(|_| facts.changed(MS(1), 1));
        (0..REMEMBERED).for_each(|_| facts.changed(MS(10_000), 1000));
        assert_eq!(facts.choose(&list(&[]), (MS(0), 0)).way, Way::Index);
        assert_eq!(facts.between.len(), REMEMBERED);
    }
}
