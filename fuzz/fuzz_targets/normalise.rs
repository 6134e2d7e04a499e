//! Lines and queries in any spelling: what comes out is part of what went in, is settled, and is the same for every
//! spelling that the list's keys call one.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use linekeep::normalise::{Case, LineEnding, Mark, Normalisation, Skipped, Whitespace};

/// The first byte says the keys: a bit for case, white space and line end, then the length of the mark, which follows.
fn keys(input: &[u8]) -> Option<(Normalisation, &[u8])> {
    let (keys, rest) = input.split_first()?;
    let (mark, text) = rest.split_at_checked(usize::from(keys >> 3 & 0xf))?;
    let normalisation = Normalisation {
        case: if keys & 1 == 0 { Case::Keep } else { Case::IgnoreAscii },
        whitespace: if keys & 2 == 0 { Whitespace::Keep } else { Whitespace::Trim },
        line_ending: if keys & 4 == 0 { LineEnding::Lf } else { LineEnding::Auto },
        comment: if mark.is_empty() { None } else { Some(Mark::new(mark)?) },
    };
    Some((normalisation, text))
}

/// The same line as somebody else may write it.
fn other_spelling(keys: Normalisation, line: &[u8]) -> Vec<u8> {
    let mut other = line.to_vec();
    if keys.case == Case::IgnoreAscii {
        let turn = |byte: &mut u8| *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 0 };
        other.iter_mut().for_each(turn);
    }
    if keys.whitespace == Whitespace::Trim {
        other = [b"\x0c \r\t", other.as_slice(), b"\x0b\t "].concat();
    } else if keys.line_ending == LineEnding::Auto && !line.ends_with(b"\r") {
        other.push(b'\r');
    }
    other
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((keys, text)) = keys(input) else { return Corpus::Reject };
    let settled = Normalisation { line_ending: LineEnding::Lf, ..keys };
    // One room for all lines, as a reader has it: what the line before left there is not in this one.
    let (mut room, mut other_room, mut third_room) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.split(|byte| *byte == b'\n') {
        let other = other_spelling(keys, line);
        let normal = keys.apply(line, &mut room);
        assert_eq!(keys.apply(&other, &mut other_room), normal, "{keys:?} {line:?} {other:?}");
        match normal {
            Ok(normal) => {
                assert_eq!(settled.apply(normal, &mut third_room), Ok(normal), "{keys:?} {line:?}");
                let same = |part: &[u8]| match keys.case {
                    Case::Keep => part == normal,
                    Case::IgnoreAscii => part.eq_ignore_ascii_case(normal),
                };
                assert!(line.windows(normal.len()).any(same), "no part of {line:?}: {normal:?}");
                assert!(!keys.keeps_bytes() || normal == keys.line_ending.strip(line), "{line:?}");
            }
            Err(Skipped::Empty) => assert!(line.iter().all(|byte| Whitespace::is_white(*byte)), "{line:?}"),
            Err(Skipped::Comment) => assert!(keys.comment.is_some_and(|mark| line.len() >= mark.bytes().len())),
        }
    }
    Corpus::Keep
});
