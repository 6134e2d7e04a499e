//! The index against the truth.

use super::vector::seek;
use super::*;
use proptest::prelude::*;
use rstest::rstest;
use std::collections::HashSet;

fn index_of(entries: &[u128]) -> Index {
    index_of_parts(&[entries], 1)
}

fn index_of_parts(parts: &[&[u128]], threads: usize) -> Index {
    let builder = Builder::new(1 << 30);
    let filled = |entries: &&[u128]| {
        let mut part = builder.part();
        entries.iter().for_each(|entry| part.push(Fingerprint(*entry)).unwrap());
        assert_eq!((part.len(), part.is_empty()), (entries.len(), entries.is_empty()));
        part
    };
    let parts = parts.iter().map(filled).collect();
    builder.build(parts, threads)
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
    fn a_line_in_pieces_has_the_fingerprint_of_the_whole(
        line: Vec<u8>,
        cuts in proptest::collection::vec(0usize..20, 0..20),
        key: [u8; 16],
    ) {
        let fingerprinter = Fingerprinter::new(key);
        let mut streaming = fingerprinter.begin();
        let mut rest = &line[..];
        for cut in cuts {
            let (piece, next) = rest.split_at(cut.min(rest.len()));
            streaming.write(piece);
            rest = next;
        }
        streaming.write(rest);
        prop_assert_eq!(streaming.finish(), fingerprinter.fingerprint(&line));
    }

    /// However wrong the guess: the place is right, and the comparisons stay within a few times the logarithm.
    #[test]
    fn bounded_a_search_takes_logarithmic_steps_from_any_guess(length in 0usize..1 << 40, place: u64, guess: u64) {
        let place = usize::try_from(place).unwrap() % (length + 1);
        let guess = usize::try_from(guess).unwrap() % (length + 1);
        let most = 2 * (length + 2).ilog2() + 3;
        let mut compared = 0;
        let at = seek(length, guess, |at| {
            assert!(at < length, "compared outside");
            // Here and not afterwards: a search that creeps would not come to its end.
            compared += 1;
            assert!(compared <= most, "more than {most} comparisons among {length}");
            at < place
        });
        prop_assert_eq!(at, place);
    }

    #[test]
    fn bounded_an_index_fits_its_ceiling(ceiling in 0u64..50_000) {
        let builder = Builder::new(ceiling);
        let mut part = builder.part();
        let mut entry = 0u128;
        while part.push(Fingerprint(entry.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))).is_ok() {
            entry += 1;
        }
        let index = builder.build(vec![part], 1);
        prop_assert_eq!(index.len() as u128, entry);
        prop_assert!(index.is_empty() || index.bytes() <= ceiling, "{} bytes", index.bytes());
        prop_assert!(index.bytes() + 32 + 512 > ceiling || index.is_empty(), "room is wasted: {}", index.bytes());
    }
}

/// Distributions that a PRF never gives: the guess is as wrong as it can be, and the answers stay right.
#[rstest]
#[case::none(vec![])]
#[case::one(vec![5])]
#[case::two_at_the_ends(vec![0, u128::MAX])]
#[case::all_zero(vec![0; 5000])]
#[case::all_ones(vec![u128::MAX; 5000])]
#[case::equal_top_bits((0..5000).collect())]
#[case::equal_top_bits_at_the_end((0..5000).map(|entry| u128::MAX - entry).collect())]
#[case::crowded_low_in_one_slot((0..5000).map(|entry| 1 << 127 | entry).chain([(1 << 127) + (1 << 115)]).collect())]
#[case::doubling((0..128).map(|bit| 1 << bit).collect())]
#[case::each_twice((0..5000).map(|entry| (entry / 2) << 100).collect())]
fn exact_on_distributions_made_against_it(#[case] entries: Vec<u128>) {
    let index = index_of(&entries);
    let truth: HashSet<u128> = entries.iter().copied().collect();
    assert_eq!((index.len(), index.is_empty()), (truth.len(), truth.is_empty()));
    let near =
        entries.iter().flat_map(|entry| [*entry, entry.wrapping_sub(1), entry.wrapping_add(1), entry ^ 1 << 127]);
    let asked: Vec<Fingerprint> = near.chain([0, 1, u128::MAX]).map(Fingerprint).collect();
    let mut found = vec![false; asked.len()];
    index.contains_batch(&asked, &mut found);
    for (fingerprint, found) in asked.iter().zip(found) {
        assert_eq!(found, truth.contains(&fingerprint.0), "{fingerprint:?}");
        assert_eq!(index.contains(*fingerprint), found, "{fingerprint:?}");
    }
}

#[test]
#[should_panic(expected = "one answer a fingerprint")]
fn no_silent_no_a_batch_without_room_for_its_answers_is_no_batch() {
    index_of(&[1]).contains_batch(&[Fingerprint(0), Fingerprint(1)], &mut [false]);
}

#[test]
fn debug_never_shows_the_key() {
    assert_eq!(format!("{:?}", Fingerprinter::new([0xA5; 16])), "Fingerprinter");
}

#[test]
fn fingerprints_depend_on_the_key() {
    let [one, other] = [[1; 16], [2; 16]].map(|key| Fingerprinter::new(key).fingerprint(b"line"));
    assert_ne!(one, other);
}

#[test]
fn bounded_all_parts_together_stop_at_the_ceiling() {
    let builder = Builder::new(16 * 3 + 8);
    let [mut one, mut other] = [builder.part(), builder.part()];
    one.push(Fingerprint(0)).unwrap();
    other.push(Fingerprint(1)).unwrap();
    one.push(Fingerprint(2)).unwrap();
    assert_eq!(one.push(Fingerprint(3)), Err(Full(3)));
    assert_eq!(other.push(Fingerprint(3)), Err(Full(3)));
    drop(one);
    other.push(Fingerprint(9)).unwrap();
    let index = builder.build(vec![other], 2);
    assert!(index.contains(Fingerprint(9)) && !index.contains(Fingerprint(2)) && index.len() == 2);
    assert_eq!(Builder::new(0).part().push(Fingerprint(0)), Err(Full(0)));
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
