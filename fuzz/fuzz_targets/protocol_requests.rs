//! Requests as a hostile peer sends them: the decoder agrees with a plain model, however the bytes are cut,
//! never lends less room than one read needs, and never holds more than it promised.
//!
//! Input: longest query, a byte whose lowest bit asks for UTF-8, four lengths of pieces, then what the peer sends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linekeep::protocol::{Decoder, Invalid, READ_BYTES, Request, Text};

#[derive(Debug, PartialEq)]
enum Seen {
    Query(Vec<u8>),
    Invalid(Invalid),
    TooLong,
}

fuzz_target!(|input: &[u8]| {
    let Some((&[max, text, ref cuts @ ..], sent)) = input.split_first_chunk::<6>() else { return };
    let max = usize::from(max) + 1;
    let text = if text & 1 == 1 { Text::Utf8 } else { Text::Bytes };
    let expected = model(sent, max, text);
    assert_eq!(decode(sent.chunks(READ_BYTES), max, text), expected, "whole");
    assert_eq!(decode(pieces(sent, cuts), max, text), expected, "cut");
});

/// The lines, as one would tell them apart with everything at hand.
fn model(sent: &[u8], max: usize, text: Text) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut lines = sent.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        if line.len() > max {
            seen.push(Seen::TooLong);
            break;
        }
        if lines.peek().is_none() {
            break; // not ended
        }
        seen.push(match line {
            [] => Seen::Invalid(Invalid::Empty),
            line if line.contains(&0) => Seen::Invalid(Invalid::Nul),
            line if text == Text::Utf8 && String::from_utf8(line.to_vec()).is_err() => Seen::Invalid(Invalid::NotUtf8),
            line => Seen::Query(line.to_vec()),
        });
    }
    seen
}

/// `sent` in pieces of these lengths, in turn; 255 stands for a whole read.
fn pieces<'a>(sent: &'a [u8], lengths: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = sent;
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        let length = match lengths.next()? {
            255 => READ_BYTES,
            length => usize::from(*length).max(1),
        };
        let (piece, next) = rest.split_at(length.min(rest.len()));
        rest = next;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Feeds the pieces as a connection does.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>, max: usize, text: Text) -> Vec<Seen> {
    let mut decoder = Decoder::new(max, text);
    let mut seen = Vec::new();
    for piece in pieces {
        let space = decoder.space();
        assert_eq!(space.len(), READ_BYTES, "room for one read, and for no more");
        space[..piece.len()].copy_from_slice(piece);
        decoder.filled(piece.len());
        for request in decoder.requests() {
            seen.push(match request {
                Request::Query(query) => Seen::Query(query.to_vec()),
                Request::Invalid(why) => Seen::Invalid(why),
                Request::TooLong => Seen::TooLong,
            });
        }
        if seen.last() == Some(&Seen::TooLong) {
            break;
        }
        decoder.discard_answered();
        assert_eq!(decoder.holds_begun_line(), piece.last() != Some(&b'\n'), "a begun line is known as one");
    }
    seen
}
