//! Keyrings as they should not be: a keyring that is taken keeps every promise, one that is refused says where.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linekeep::identity::key_line::{IDENTITY_BYTES, KEY_BYTES};
use linekeep::identity::keyring::{Keyring, KeyringFault};
use std::collections::HashSet;
use std::path::Path;

fuzz_target!(|text: &[u8]| match Keyring::parse(text, Path::new("keyring")) {
    Ok(keyring) => {
        let mut keys = HashSet::new();
        for identity in keyring.identities() {
            assert!(IDENTITY_BYTES.contains(&identity.len()), "{identity:?}");
            let key = keyring.key(identity.as_bytes()).expect("every identity has a key").expose();
            assert!(KEY_BYTES.contains(&key.len()), "{} bytes", key.len());
            assert!(keys.insert(key), "{identity:?} shares its key");
        }
        assert!(!keys.is_empty(), "locks everybody out");
    }
    Err(faults) => {
        assert!(!faults.is_empty(), "refused without a fault");
        for fault in &faults {
            if let KeyringFault::Line { line, .. } = fault {
                assert!((1..=text.split(|byte| *byte == b'\n').count()).contains(line), "outside the file: {fault}");
            }
            assert!(!fault.to_string().chars().any(char::is_control), "acts upon the terminal: {fault:?}");
        }
    }
});
