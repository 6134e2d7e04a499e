//! An answer and its one line on the wire, in both directions.

/// What the daemon says to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The line is in a list that the client may ask.
    Exists,
    /// Every list that the client may ask is loaded, whole and fresh, and none has the line.
    NotFound,
    /// Neither can be said with certainty, or the request was none.
    Error(Reason),
}

/// The closed list of general words after `ERROR: `. Detail goes to the audit, never to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Empty, holds NUL, or is not UTF-8 where the listener asks for it.
    InvalidQuery,
    /// Longer than the listener's limit; the connection ends.
    QueryTooLong,
    /// The client may ask no list.
    NotPermitted,
    /// The client asks faster than it may.
    RateLimited,
    /// A list is older than its limit.
    ListStale,
    /// A list cannot be read whole.
    ListUnavailable,
    /// A limit of the server is reached.
    ServerBusy,
    /// The server stops.
    ShuttingDown,
}

impl Reason {
    /// Every reason with its word on the wire.
    pub const WORDS: &'static [(Reason, &'static str)] = &[
        (Reason::InvalidQuery, "invalid query"),
        (Reason::QueryTooLong, "query too long"),
        (Reason::NotPermitted, "not permitted"),
        (Reason::RateLimited, "rate limited"),
        (Reason::ListStale, "list stale"),
        (Reason::ListUnavailable, "list unavailable"),
        (Reason::ServerBusy, "server busy"),
        (Reason::ShuttingDown, "shutting down"),
    ];

    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        Reason::WORDS.iter().find(|(reason, _)| *reason == self).map_or("", |(_, word)| word)
    }
}

pub(super) const EXISTS: &[u8] = b"STRING EXISTS";
pub(super) const NOT_FOUND: &[u8] = b"STRING NOT FOUND";
const ERROR: &[u8] = b"ERROR: ";

/// A line that is none of the protocol's answers.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an answer of the line protocol")]
pub struct NotAnAnswer;

impl Answer {
    /// The word in records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Answer::Exists => "exists",
            Answer::NotFound => "not-found",
            Answer::Error(reason) => reason.word(),
        }
    }

    /// Appends the answer's line, with its LF.
    pub fn encode(self, out: &mut Vec<u8>) {
        match self {
            Answer::Exists => out.extend_from_slice(EXISTS),
            Answer::NotFound => out.extend_from_slice(NOT_FOUND),
            Answer::Error(reason) => {
                out.extend_from_slice(ERROR);
                out.extend_from_slice(reason.word().as_bytes());
            }
        }
        out.push(b'\n');
    }

    /// Reads a line without its LF.
    ///
    /// # Errors
    /// [`NotAnAnswer`] for anything but the protocol's own words.
    pub fn decode(line: &[u8]) -> Result<Answer, NotAnAnswer> {
        match line {
            EXISTS => Ok(Answer::Exists),
            NOT_FOUND => Ok(Answer::NotFound),
            _ => {
                let word = line.strip_prefix(ERROR).ok_or(NotAnAnswer)?;
                Reason::WORDS
                    .iter()
                    .find(|(_, known)| known.as_bytes() == word)
                    .map(|(reason, _)| Answer::Error(*reason))
                    .ok_or(NotAnAnswer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Answer::Exists, "STRING EXISTS\n")]
    #[case(Answer::NotFound, "STRING NOT FOUND\n")]
    #[case(Answer::Error(Reason::InvalidQuery), "ERROR: invalid query\n")]
    #[case(Answer::Error(Reason::QueryTooLong), "ERROR: query too long\n")]
    #[case(Answer::Error(Reason::NotPermitted), "ERROR: not permitted\n")]
    #[case(Answer::Error(Reason::RateLimited), "ERROR: rate limited\n")]
    #[case(Answer::Error(Reason::ListStale), "ERROR: list stale\n")]
    #[case(Answer::Error(Reason::ListUnavailable), "ERROR: list unavailable\n")]
    #[case(Answer::Error(Reason::ServerBusy), "ERROR: server busy\n")]
    #[case(Answer::Error(Reason::ShuttingDown), "ERROR: shutting down\n")]
    fn answers_are_these_bytes_and_are_read_back(#[case] answer: Answer, #[case] line: &str) {
        let mut out = Vec::new();
        answer.encode(&mut out);
        assert_eq!(out, line.as_bytes());
        assert_eq!(Answer::decode(&out[..out.len() - 1]), Ok(answer));
    }

    #[rstest]
    #[case("")]
    #[case("STRING EXISTS ")]
    #[case("string exists")]
    #[case("ERROR: ")]
    #[case("ERROR: something new")]
    #[case("ERROR: list stale\r")]
    fn no_silent_no_a_foreign_line_is_no_answer(#[case] line: &str) {
        assert_eq!(Answer::decode(line.as_bytes()), Err(NotAnAnswer));
    }
}
