//! The explained form of answers: every list of a client is asked alone, and what they say comes together in one reply.
//! Knows the lists and the protocol's words; session.rs reads, writes and counts.

use super::state::State;
use crate::dataset::{FromList, Selection};
use crate::protocol::{Explained, ListAt, MAX_LIST_BYTES, MAX_LISTS, Reason};

/// Replies that are collected before they are written. One turn may bring thousands of requests, and a reply may name
/// thousands of lists: all replies to one turn could take gigabytes.
pub(super) const COLLECTED_BYTES: usize = 64 * 1024;

/// How many queries to answer together: so many that their replies take no more than [`COLLECTED_BYTES`], but one at least.
/// With it, replies that wait to be written take [`COLLECTED_BYTES`] and one batch at most.
pub(super) fn batch(lists: usize) -> usize {
    (COLLECTED_BYTES / (lists.max(1) * MAX_LIST_BYTES)).clamp(1, super::session::BATCH)
}

/// What one list says to a batch of queries.
struct Said {
    /// Which list, and which generation of it.
    list: ListAt,
    /// For each query whether the list has it; or why the list cannot say.
    found: Result<Vec<bool>, Reason>,
}

/// One reply for each query, in order.
pub(super) async fn explain(
    state: &State,
    selection: &Selection,
    queries: &[&[u8]],
) -> impl Iterator<Item = Explained> + use<> {
    let said = ask_each(state, selection, queries).await;
    (0..queries.len()).map(move |query| match &said {
        Ok(said) => together(said, query),
        Err(reason) => Explained::Error(*reason),
    })
}

/// Asks the selected lists one by one, in the configuration's order.
async fn ask_each(state: &State, selection: &Selection, queries: &[&[u8]]) -> Result<Vec<Said>, Reason> {
    let mut said = Vec::new();
    for FromList { name, generation, found } in state.lists.answer_each(selection, queries).await {
        // The configuration takes no name that a reply could not hold; a list that was never read has no generation, and
        // says nothing either.
        let list = ListAt::new(name, generation.max(1)).ok_or(Reason::ListUnavailable)?;
        said.push(Said { list, found });
    }
    Ok(said)
}

/// The reply to one query. A list in doubt takes nothing away from a yes of another, which it could only confirm;
/// but with one in doubt nobody can say no.
fn together(said: &[Said], query: usize) -> Explained {
    if said.is_empty() {
        return Explained::Error(Reason::NotPermitted);
    }
    let has = |said: &&Said| matches!(&said.found, Ok(found) if found.get(query) == Some(&true));
    let having: Vec<ListAt> = said.iter().filter(has).map(|said| said.list.clone()).collect();
    let explained = match said.iter().find_map(|said| said.found.as_ref().err()) {
        _ if !having.is_empty() => Explained::Exists(having),
        Some(doubt) => Explained::Error(*doubt),
        None => Explained::NotFound(said.iter().map(|said| said.list.clone()).collect()),
    };
    // No part of the truth for the whole: who cannot be told every list is told none.
    if explained.lists().len() > MAX_LISTS { Explained::Error(Reason::ServerBusy) } else { explained }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn said(name: &str, found: Result<bool, Reason>) -> Said {
        let list = ListAt::new(name.into(), 3).unwrap();
        Said { list, found: found.map(|found| vec![false, found]) }
    }

    fn line(explained: &Explained) -> String {
        let mut line = Vec::new();
        explained.encode(&mut line);
        String::from_utf8(line).unwrap()
    }

    const STALE: Result<bool, Reason> = Err(Reason::ListStale);
    const GONE: Result<bool, Reason> = Err(Reason::ListUnavailable);

    #[rstest]
    #[case::none(&[], "ERROR: not permitted\n")]
    #[case::no(&[Ok(false)], "STRING NOT FOUND l0:3\n")]
    #[case::no_of_all(&[Ok(false), Ok(false)], "STRING NOT FOUND l0:3 l1:3\n")]
    #[case::yes_of_one(&[Ok(false), Ok(true), Ok(false)], "STRING EXISTS l1:3\n")]
    #[case::yes_of_all(&[Ok(true), Ok(true)], "STRING EXISTS l0:3 l1:3\n")]
    #[case::yes_beside_a_doubt(&[STALE, Ok(true), Ok(false)], "STRING EXISTS l1:3\n")]
    #[case::doubt_alone(&[GONE], "ERROR: list unavailable\n")]
    #[case::first_of_two_doubts(&[Ok(false), STALE, GONE], "ERROR: list stale\n")]
    fn no_silent_no_one_list_in_doubt_takes_away_the_no(
        #[case] found: &[Result<bool, Reason>],
        #[case] expected: &str,
    ) {
        let said: Vec<Said> =
            found.iter().enumerate().map(|(place, found)| said(&format!("l{place}"), *found)).collect();
        assert_eq!(line(&together(&said, 1)), expected);
    }

    #[test]
    fn bounded_who_cannot_be_told_every_list_is_told_none() {
        let lists = |count: usize, found: bool| (0..count).map(|_| said("list", Ok(found))).collect::<Vec<_>>();
        assert_eq!(together(&lists(MAX_LISTS, false), 1).lists().len(), MAX_LISTS);
        for found in [true, false] {
            assert_eq!(together(&lists(MAX_LISTS + 1, found), 1), Explained::Error(Reason::ServerBusy));
        }
        // Of many lists, those that have the line may still be few.
        let mut many = lists(MAX_LISTS, false);
        many.push(said("one", Ok(true)));
        assert_eq!(line(&together(&many, 1)), "STRING EXISTS one:3\n");
    }

    #[rstest]
    #[case(0, crate::server::session::BATCH)]
    #[case(10, crate::server::session::BATCH)]
    #[case(100, 7)]
    #[case(MAX_LISTS, 1)]
    fn bounded_a_batch_is_as_large_as_its_replies_allow(#[case] lists: usize, #[case] expected: usize) {
        assert_eq!(batch(lists), expected);
    }
}
