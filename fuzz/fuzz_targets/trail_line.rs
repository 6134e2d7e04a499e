//! Lines of an audit trail as an attacker may have left them: each has one spelling at most, and its fields end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linekeep::audit::{Header, Line, fields, hex};

fuzz_target!(|bytes: &[u8]| {
    let Some(line) = Line::parse(bytes) else { return };
    let Line { epoch, number, time, tag, body } = &line;
    let spelt = format!("{epoch} {number} {time} {} {body}", hex(tag));
    assert_eq!(spelt.as_bytes(), bytes, "taken in a second spelling");
    assert!(fields(body).count() <= body.len());
    let _ = Header::parse(body);
});
