//! An answer that says which lists it comes from, and its one line on the wire, in both directions.
//! The same words as [`Answer`], and behind them the lists: a reader of one form takes no line of the other for an answer.

use super::answer::{Answer, EXISTS, NOT_FOUND, NotAnAnswer, Reason};
use std::fmt::{self, Display};
use std::sync::Arc;

/// Lists that one reply may name.
pub const MAX_LISTS: usize = 4096;
/// Longest name of a list in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// What one list takes in a reply at most: a blank, its name, a colon, the twenty digits of the largest generation.
pub const MAX_LIST_BYTES: usize = 1 + MAX_NAME_BYTES + 1 + 20;
/// The longest reply, with its LF.
pub const MAX_EXPLAINED_BYTES: usize = NOT_FOUND.len() + MAX_LISTS * MAX_LIST_BYTES + 1;

/// What the daemon says to one request in the explained form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Explained {
    /// These lists have the line: at least one, in the configuration's order.
    Exists(Vec<ListAt>),
    /// These are all that the client may ask, and the line is in none of these generations.
    NotFound(Vec<ListAt>),
    /// Neither can be said with certainty, or the request was none.
    Error(Reason),
}

/// One generation of one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListAt {
    name: Arc<str>,
    generation: u64,
}

impl ListAt {
    /// `None` where `name` is none that a reply can hold, or where the generation is 0: a list begins with 1.
    #[must_use]
    pub fn new(name: Arc<str>, generation: u64) -> Option<ListAt> {
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte));
        let good = letters && (1..=MAX_NAME_BYTES).contains(&name.len()) && generation > 0;
        good.then_some(ListAt { name, generation })
    }

    /// The list, by its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many times the running server has taken the list's content: 1 is what it began with.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn decode(bytes: &[u8]) -> Option<ListAt> {
        let (name, digits) = std::str::from_utf8(bytes).ok()?.split_once(':')?;
        let generation: u64 = digits.parse().ok()?;
        // A number is written in one way, so that one answer has one line.
        if generation.to_string() != digits {
            return None;
        }
        ListAt::new(name.into(), generation)
    }
}

/// As on the wire: `NAME:GENERATION`.
impl Display for ListAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.generation)
    }
}

impl Explained {
    /// What the plain form would say.
    #[must_use]
    pub fn answer(&self) -> Answer {
        match self {
            Explained::Exists(_) => Answer::Exists,
            Explained::NotFound(_) => Answer::NotFound,
            Explained::Error(reason) => Answer::Error(*reason),
        }
    }

    /// The lists that it names; none with an error.
    #[must_use]
    pub fn lists(&self) -> &[ListAt] {
        match self {
            Explained::Exists(lists) | Explained::NotFound(lists) => lists,
            Explained::Error(_) => &[],
        }
    }

    /// Appends the answer's line, with its LF: [`MAX_EXPLAINED_BYTES`] for [`MAX_LISTS`] lists.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Explained::Exists(_) => out.extend_from_slice(EXISTS),
            Explained::NotFound(_) => out.extend_from_slice(NOT_FOUND),
            Explained::Error(reason) => return Answer::Error(*reason).encode(out),
        }
        for list in self.lists() {
            out.push(b' ');
            out.extend_from_slice(list.to_string().as_bytes());
        }
        out.push(b'\n');
    }

    /// Reads a line without its LF.
    ///
    /// # Errors
    /// [`NotAnAnswer`] for anything that [`Explained::encode`] does not write, the answers of the plain form included:
    /// without its lists, `STRING EXISTS` explains nothing.
    pub fn decode(line: &[u8]) -> Result<Explained, NotAnAnswer> {
        if let Some(named) = line.strip_prefix(EXISTS) {
            lists(named).map(Explained::Exists)
        } else if let Some(named) = line.strip_prefix(NOT_FOUND) {
            lists(named).map(Explained::NotFound)
        } else {
            match Answer::decode(line)? {
                Answer::Error(reason) => Ok(Explained::Error(reason)),
                Answer::Exists | Answer::NotFound => Err(NotAnAnswer),
            }
        }
    }
}

/// One to [`MAX_LISTS`] lists, a blank before each.
fn lists(named: &[u8]) -> Result<Vec<ListAt>, NotAnAnswer> {
    let named = named.strip_prefix(b" ").ok_or(NotAnAnswer)?;
    let mut lists = Vec::new();
    for list in named.split(|byte| *byte == b' ') {
        if lists.len() == MAX_LISTS {
            return Err(NotAnAnswer);
        }
        lists.push(ListAt::decode(list).ok_or(NotAnAnswer)?);
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn at(name: &str, generation: u64) -> ListAt {
        ListAt::new(name.into(), generation).unwrap()
    }

    fn line(explained: &Explained) -> Vec<u8> {
        let mut line = Vec::new();
        explained.encode(&mut line);
        line
    }

    #[rstest]
    #[case(Explained::Exists(vec![at("words", 1)]), "STRING EXISTS words:1\n")]
    #[case(
        Explained::Exists(vec![at("A.z_9@-", 7), at("0", u64::MAX)]),
        "STRING EXISTS A.z_9@-:7 0:18446744073709551615\n"
    )]
    #[case(Explained::NotFound(vec![at("words", 10), at("more", 2)]), "STRING NOT FOUND words:10 more:2\n")]
    #[case(Explained::Error(Reason::ListStale), "ERROR: list stale\n")]
    fn explained_answers_are_these_bytes(#[case] explained: Explained, #[case] bytes: &str) {
        assert_eq!(line(&explained), bytes.as_bytes());
    }

    #[rstest]
    #[case::plain_yes("STRING EXISTS")]
    #[case::plain_no("STRING NOT FOUND")]
    #[case::no_list("STRING EXISTS ")]
    #[case::blank_at_the_end("STRING EXISTS words:1 ")]
    #[case::two_blanks("STRING EXISTS  words:1")]
    #[case::no_blank("STRING EXISTSwords:1")]
    #[case::no_generation("STRING EXISTS words")]
    #[case::empty_generation("STRING NOT FOUND words:")]
    #[case::before_the_first("STRING EXISTS words:0")]
    #[case::another_way_to_write_it("STRING EXISTS words:01")]
    #[case::signed("STRING EXISTS words:+1")]
    #[case::too_large("STRING EXISTS words:18446744073709551616")]
    #[case::no_name("STRING EXISTS :1")]
    #[case::foreign_letter("STRING EXISTS w\u{f6}rter:1")]
    #[case::escape("STRING EXISTS wo\x1brds:1")]
    #[case::two_colons("STRING EXISTS words:1:1")]
    #[case::carriage_return("STRING EXISTS words:1\r")]
    #[case::long_name("STRING EXISTS aaaaaaaabbbbbbbbaaaaaaaabbbbbbbbaaaaaaaabbbbbbbbaaaaaaaabbbbbbbbc:1")]
    #[case::foreign_error("ERROR: something new")]
    #[case::error_with_lists("ERROR: list stale words:1")]
    fn no_silent_no_a_foreign_line_explains_nothing(#[case] line: &str) {
        assert_eq!(Explained::decode(line.as_bytes()), Err(NotAnAnswer));
    }

    #[test]
    fn bounded_a_reply_names_so_many_lists_and_is_so_long() {
        let longest = at(&"n".repeat(MAX_NAME_BYTES), u64::MAX);
        let most = Explained::NotFound(vec![longest.clone(); MAX_LISTS]);
        let bytes = line(&most);
        assert_eq!(bytes.len(), MAX_EXPLAINED_BYTES);
        assert_eq!(Explained::decode(&bytes[..bytes.len() - 1]), Ok(most));
        let more = line(&Explained::NotFound(vec![longest; MAX_LISTS + 1]));
        assert_eq!(Explained::decode(&more[..more.len() - 1]), Err(NotAnAnswer));
    }

    fn any_list() -> impl Strategy<Value = ListAt> {
        ("[A-Za-z0-9._@-]{1,64}", 1..=u64::MAX).prop_map(|(name, generation)| at(&name, generation))
    }

    fn any_explained() -> impl Strategy<Value = Explained> {
        let lists = || proptest::collection::vec(any_list(), 1..20);
        let reasons: Vec<Reason> = Reason::WORDS.iter().map(|(reason, _)| *reason).collect();
        prop_oneof![
            lists().prop_map(Explained::Exists),
            lists().prop_map(Explained::NotFound),
            proptest::sample::select(reasons).prop_map(Explained::Error),
        ]
    }

    proptest! {
        #[test]
        fn exact_what_is_written_is_what_is_read(explained in any_explained()) {
            let bytes = line(&explained);
            let (end, without) = bytes.split_last().unwrap();
            prop_assert_eq!(*end, b'\n');
            prop_assert!(!without.contains(&b'\n'));
            prop_assert_eq!(Explained::decode(without), Ok(explained.clone()));
            // Never both: a client that thinks it speaks the other form is told so.
            prop_assert!(Answer::decode(without).is_err() || explained.lists().is_empty());
        }

        /// One answer has one line: what is near a good one and is read has the very same bytes.
        #[test]
        fn exact_what_is_read_is_what_is_written(
            explained in any_explained(),
            place in any::<proptest::sample::Index>(),
            byte in prop_oneof![proptest::sample::select(&b" :0+1\r\0"[..]), any::<u8>()],
            how in 0..3,
        ) {
            let mut bytes = line(&explained);
            bytes.pop();
            let place = place.index(bytes.len());
            match how {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
            if let Ok(read) = Explained::decode(&bytes) {
                bytes.push(b'\n');
                prop_assert_eq!(line(&read), bytes);
            }
        }
    }
}
