//! Any bytes, fed as a reader would feed them: heard or refused, never more taken than the limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linekeep::proxy_header::{Heard, MAX_BYTES, begins, hear, leads};

fuzz_target!(|bytes: &[u8]| {
    assert!(begins(bytes) || !leads(bytes));
    let mut taken = 0;
    while let Heard::Needs(more) = hear(&bytes[..taken]) {
        assert!(more > 0);
        taken += more;
        assert!(taken <= MAX_BYTES);
        if taken > bytes.len() {
            return;
        }
    }
});
