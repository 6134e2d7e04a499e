//! Answers as a hostile server sends them: what is taken for an answer is one, byte for byte; nothing else is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linekeep::protocol::{Answer, Reason};

fuzz_target!(|line: &[u8]| {
    let errors = Reason::WORDS.iter().map(|(reason, _)| Answer::Error(*reason));
    let meant = [Answer::Exists, Answer::NotFound].into_iter().chain(errors).find(|answer| {
        let mut bytes = Vec::new();
        answer.encode(&mut bytes);
        bytes.strip_suffix(b"\n") == Some(line)
    });
    assert_eq!(Answer::decode(line).ok(), meant);
});
