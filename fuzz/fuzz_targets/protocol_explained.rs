//! Explained answers as a hostile server sends them, and offers of protocols as a hostile client does: what is taken for
//! an answer is written back byte for byte, names no more than it may, and is none of the plain form; nothing panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linekeep::protocol::{Answer, Explained, Form, MAX_EXPLAINED_BYTES, MAX_LISTS};

fuzz_target!(|line: &[u8]| {
    let chosen = Form::choose(line);
    assert!(chosen.is_none() || chosen == Form::Explained.alpn());
    let Ok(explained) = Explained::decode(line) else { return };
    let mut bytes = Vec::new();
    explained.encode(&mut bytes);
    assert_eq!(bytes.strip_suffix(b"\n"), Some(line));
    assert!(explained.lists().len() <= MAX_LISTS && bytes.len() <= MAX_EXPLAINED_BYTES);
    match explained.answer() {
        answer @ Answer::Error(_) => assert_eq!(Answer::decode(line), Ok(answer)),
        Answer::Exists | Answer::NotFound => assert!(Answer::decode(line).is_err() && !explained.lists().is_empty()),
    }
});
