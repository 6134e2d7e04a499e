//! From bytes as they arrive to requests, however the network cut them.

/// Bytes taken from the peer in one read at most: one TLS record (RFC 8446 section 5.1).
pub const READ_BYTES: usize = 16 * 1024;

/// Which bytes a query may hold besides LF and NUL, which none may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// UTF-8 only.
    Utf8,
    /// Any.
    Bytes,
}

/// One request, as the peer sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// A query, without its LF.
    Query(&'a [u8]),
    /// A line that is no query; the connection lives on.
    Invalid(Invalid),
    /// More bytes than allowed before an LF. Always the last request: where the next line begins is not waited for.
    TooLong,
}

/// Why a line is no query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// No byte before the LF.
    Empty,
    /// Holds a NUL.
    Nul,
    /// Not UTF-8, where it has to be.
    NotUtf8,
}

/// Holds what arrived and was not yet a whole line: at most `max_query_bytes` and one read.
pub struct Decoder {
    buffer: Box<[u8]>,
    filled: usize,
    max_query_bytes: usize,
    text: Text,
}

impl Decoder {
    /// A decoder for one connection. `max_query_bytes` counts the query without its LF.
    #[must_use]
    pub fn new(max_query_bytes: usize, text: Text) -> Decoder {
        Decoder { buffer: vec![0; max_query_bytes + READ_BYTES].into_boxed_slice(), filled: 0, max_query_bytes, text }
    }

    /// Where the next read goes: [`READ_BYTES`] of space once [`Decoder::discard_answered`] was called.
    pub fn space(&mut self) -> &mut [u8] {
        let end = self.buffer.len().min(self.filled + READ_BYTES);
        &mut self.buffer[self.filled..end]
    }

    /// Says that `bytes` of [`Decoder::space`] were filled.
    pub fn filled(&mut self, bytes: usize) {
        self.filled = self.buffer.len().min(self.filled + bytes);
    }

    /// The requests that are whole, in order. Looking does not consume them.
    #[must_use]
    pub fn requests(&self) -> Requests<'_> {
        Requests { rest: &self.buffer[..self.filled], max_query_bytes: self.max_query_bytes, text: self.text }
    }

    /// Forgets every whole line and keeps the begun one. Call it after answering all of [`Decoder::requests`].
    pub fn discard_answered(&mut self) {
        let begun = memchr::memrchr(b'\n', &self.buffer[..self.filled]).map_or(0, |end| end + 1);
        self.buffer.copy_within(begun..self.filled, 0);
        self.filled -= begun;
    }

    /// Whether a line was begun and not ended.
    #[must_use]
    pub fn holds_begun_line(&self) -> bool {
        self.filled > 0
    }
}

/// Iterator over whole requests; see [`Decoder::requests`].
pub struct Requests<'a> {
    rest: &'a [u8],
    max_query_bytes: usize,
    text: Text,
}

impl<'a> Iterator for Requests<'a> {
    type Item = Request<'a>;

    fn next(&mut self) -> Option<Request<'a>> {
        let end = memchr::memchr(b'\n', self.rest);
        if end.unwrap_or(self.rest.len()) > self.max_query_bytes {
            self.rest = &[];
            return Some(Request::TooLong);
        }
        let end = end?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Some(classify(line, self.text))
    }
}

fn classify(line: &[u8], text: Text) -> Request<'_> {
    if line.is_empty() {
        Request::Invalid(Invalid::Empty)
    } else if memchr::memchr(0, line).is_some() {
        Request::Invalid(Invalid::Nul)
    } else if text == Text::Utf8 && std::str::from_utf8(line).is_err() {
        Request::Invalid(Invalid::NotUtf8)
    } else {
        Request::Query(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[derive(Clone, Debug, PartialEq)]
    enum Seen {
        Query(Vec<u8>),
        Invalid(Invalid),
        TooLong,
    }

    /// Feeds `pieces` one after another, as a connection does, and notes every request until one is too long.
    fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>, max: usize, text: Text) -> Vec<Seen> {
        let mut decoder = Decoder::new(max, text);
        let mut seen = Vec::new();
        for piece in pieces {
            for piece in piece.chunks(READ_BYTES) {
                decoder.space()[..piece.len()].copy_from_slice(piece);
                decoder.filled(piece.len());
                for request in decoder.requests() {
                    seen.push(match request {
                        Request::Query(query) => Seen::Query(query.to_vec()),
                        Request::Invalid(why) => Seen::Invalid(why),
                        Request::TooLong => Seen::TooLong,
                    });
                }
                if seen.last() == Some(&Seen::TooLong) {
                    return seen;
                }
                decoder.discard_answered();
            }
        }
        seen
    }

    #[rstest]
    #[case::query(b"known\n", Text::Utf8, vec![Seen::Query(b"known".to_vec())])]
    #[case::carriage_return_is_kept_for_the_list(b"a\r\n", Text::Utf8, vec![Seen::Query(b"a\r".to_vec())])]
    #[case::empty(b"\n", Text::Utf8, vec![Seen::Invalid(Invalid::Empty)])]
    #[case::nul(b"a\0b\n", Text::Bytes, vec![Seen::Invalid(Invalid::Nul)])]
    #[case::not_utf8(b"\xff\n", Text::Utf8, vec![Seen::Invalid(Invalid::NotUtf8)])]
    #[case::not_utf8_where_allowed(b"\xff\n", Text::Bytes, vec![Seen::Query(b"\xff".to_vec())])]
    #[case::longest(b"12345678\n", Text::Utf8, vec![Seen::Query(b"12345678".to_vec())])]
    #[case::too_long(b"a\n123456789\nb\n", Text::Utf8, vec![Seen::Query(b"a".to_vec()), Seen::TooLong])]
    #[case::too_long_without_end(b"123456789", Text::Utf8, vec![Seen::TooLong])]
    #[case::begun(b"a\nbegun", Text::Utf8, vec![Seen::Query(b"a".to_vec())])]
    fn requests_are_told_apart(#[case] bytes: &[u8], #[case] text: Text, #[case] expected: Vec<Seen>) {
        assert_eq!(decode(std::iter::once(bytes), 8, text), expected);
    }

    proptest! {
        /// However the bytes are cut, the requests are the same, and memory stays within the limit.
        #[test]
        fn bounded_and_the_same_however_cut(
            bytes in proptest::collection::vec(prop_oneof![4 => Just(b'\n'), 10 => any::<u8>(), 10 => b'a'..b'f'], 0..400),
            cuts in proptest::collection::vec(1usize..40, 1..20),
            max in 1usize..24,
        ) {
            let whole = decode(std::iter::once(&bytes[..]), max, Text::Utf8);
            let mut rest = &bytes[..];
            let mut pieces = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, next) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = next;
            }
            prop_assert_eq!(decode(pieces.into_iter(), max, Text::Utf8), whole);
        }
    }
}
