//! Address ranges in doubtful spelling: what is taken means one range and no other, and a proposed one is good.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linekeep::allowlist::{Allowlist, BadRange, parse_range};

fuzz_target!(|text: &str| match parse_range(text) {
    Ok(range) => {
        assert_eq!(parse_range(&range.to_string()), Ok(range), "its own spelling means something else");
        let allowed = Allowlist::new(vec![range]);
        for end in [range.network(), range.broadcast()] {
            // Ranges around ::ffff:0:0/96 hold v4-mapped addresses; such peers are IPv4 and not meant by them.
            assert_eq!(allowed.permits(end), end.to_canonical() == end, "{range}: its end {end}");
        }
    }
    Err(BadRange::HostBits(range)) => {
        assert_eq!(parse_range(&range.to_string()), Ok(range), "the proposal is refused");
    }
    Err(BadRange::Syntax | BadRange::Mapped) => {}
});
