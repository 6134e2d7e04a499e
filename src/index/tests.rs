//! The index against the truth.

use super::fingerprint::Fingerprint;
use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

fn index_of(entries: &[u128]) -> Index {
    let mut builder = Builder::new(1 << 30);
    for entry in entries {
        builder.push(Fingerprint(*entry)).unwrap();
    }
    builder.build()
}

/// Entries and questions that meet often: spread evenly, crowded in one slot, next to one another, at both ends.
fn entry() -> impl Strategy<Value = u128> {
    prop_oneof![
        any::<u128>(),
        any::<u8>().prop_map(u128::from),
        any::<u8>().prop_map(|low| u128::MAX - u128::from(low)),
        any::<u16>().prop_map(|middle| 1 << 127 | u128::from(middle) << 50),
        Just(0),
        Just(u128::MAX),
    ]
}

proptest! {
    #[test]
    fn exact_alone_and_in_batches_whatever_the_distribution(
        entries in proptest::collection::vec(entry(), 0..3000),
        absent in proptest::collection::vec(entry(), 0..300),
    ) {
        let index = index_of(&entries);
        let truth: HashSet<u128> = entries.iter().copied().collect();
        prop_assert_eq!(index.len(), truth.len());
        let asked: Vec<Fingerprint> = entries.iter().chain(&absent).copied().map(Fingerprint).collect();
        let mut found = vec![false; asked.len()];
        index.contains_batch(&asked, &mut found);
        for (fingerprint, found) in asked.iter().zip(found) {
            prop_assert_eq!(found, truth.contains(&fingerprint.0));
            prop_assert_eq!(index.contains(*fingerprint), found);
        }
    }

    #[test]
    fn a_batch_leaves_what_is_found_already(entries in proptest::collection::vec(entry(), 0..50), asked in entry()) {
        let mut found = [true, false];
        let index = index_of(&entries);
        index.contains_batch(&[Fingerprint(asked), Fingerprint(asked)], &mut found);
        prop_assert_eq!(found, [true, entries.contains(&asked)]);
    }

    #[test]
    fn a_line_in_pieces_has_the_fingerprint_of_the_whole(line: Vec<u8>, cut in 0usize..100, key: [u8; 16]) {
        let fingerprinter = Fingerprinter::new(key);
        let (first, second) = line.split_at(cut.min(line.len()));
        let mut streaming = fingerprinter.begin();
        streaming.write(first);
        streaming.write(second);
        prop_assert_eq!(streaming.finish(), fingerprinter.fingerprint(&line));
    }
}

#[test]
fn fingerprints_depend_on_the_key() {
    let [one, other] = [[1; 16], [2; 16]].map(|key| Fingerprinter::new(key).fingerprint(b"line"));
    assert_ne!(one, other);
}

#[test]
fn bounded_a_builder_stops_at_its_ceiling() {
    let mut builder = Builder::new(16 * 3 + 5);
    for entry in 0..3 {
        builder.push(Fingerprint(entry)).unwrap();
    }
    assert_eq!(builder.push(Fingerprint(3)), Err(Full(3)));
    let mark = builder.mark();
    builder.back_to(mark - 1);
    builder.push(Fingerprint(9)).unwrap();
    let index = builder.build();
    assert!(index.contains(Fingerprint(9)) && !index.contains(Fingerprint(2)));
    assert_eq!(Builder::new(0).push(Fingerprint(0)), Err(Full(0)));
}

#[test]
fn memory_is_sixteen_bytes_a_line_and_a_small_directory() {
    let index = index_of(
        &(0..100_000u128)
            .map(|entry| entry.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
            .collect::<Vec<_>>(),
    );
    assert!(index.bytes() <= 100_000 * 17, "{}", index.bytes());
}
