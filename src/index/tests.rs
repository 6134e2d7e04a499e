//! The index against the truth.

use super::builder::most_within;
use super::vector::{LEAST_NARROW, bits_of, bytes_of, seek};
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

/// Spread as evenly as a PRF would, and always the same.
fn spread(entry: u128) -> u128 {
    let once = entry.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let twice = (once ^ once >> 65).wrapping_mul(0x2545_F491_4F6C_DD1D_D1B5_4A32_D192_ED03);
    twice ^ twice >> 67
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

    /// Lengths on both sides of what a lane holds, and numbers of lines on both sides of what fills the lanes.
    #[test]
    fn fingerprints_of_many_lines_are_those_of_each(
        lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..40),
        more in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 90..120), 0..40),
        key: [u8; 16],
    ) {
        let fingerprinter = Fingerprinter::new(key);
        let mut batch = vec![Fingerprint(0); 3];
        for lines in [lines, more] {
            let lines: Vec<&[u8]> = lines.iter().map(|line| &line[..]).collect();
            fingerprinter.fingerprint_batch(&lines, &mut batch);
            let single: Vec<_> = lines.iter().map(|line| fingerprinter.fingerprint(line)).collect();
            prop_assert_eq!(&batch, &single);
        }
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
        while part.push(Fingerprint(spread(entry))).is_ok() {
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

/// Both layouts, and slots that hold more than a window: every entry is found, and none of its neighbours.
#[rstest]
#[case::wide_at_most(LEAST_NARROW - 1, 0)]
#[case::narrow_at_least(LEAST_NARROW, 0)]
#[case::narrow_in_full_slots(LEAST_NARROW + 9, 4)]
fn exact_in_both_layouts_from_several_parts(#[case] count: usize, #[case] crowd: u32) {
    let entries: Vec<u128> = (0..count as u128).map(|entry| spread(entry) >> crowd).collect();
    let (one, rest) = entries.split_at(count / 7);
    // The first part again: doubles stand in different parts, too.
    let index = index_of_parts(&[rest, one, &[], one], 2);
    assert_eq!(index.len(), count);
    assert!(index.bytes() <= count as u64 * 33 / 2, "{} bytes for {count}", index.bytes());
    // One bit beside an entry, among those that are stored: in its slot, at its top, and in the slot itself.
    for bit in [127, 112, 110, 70, 15] {
        let near: Vec<Fingerprint> = entries.iter().map(|entry| Fingerprint(entry ^ 1 << bit)).collect();
        let mut found = vec![false; count];
        index.contains_batch(&near, &mut found);
        assert!(!found.contains(&true), "bit {bit}");
    }
    let asked: Vec<Fingerprint> = entries.into_iter().map(Fingerprint).collect();
    let mut found = vec![false; count];
    index.contains_batch(&asked, &mut found);
    assert!(!found.contains(&false) && asked.iter().step_by(97).all(|asked| index.contains(*asked)));
}

/// Narrow entries on distributions that a PRF never gives, beside entries that imply other bits.
#[rstest]
#[case::all_equal(|_| 7)]
#[case::in_one_slot(|entry| (5u128 << 111) | (entry << 20))]
#[case::in_the_last_slot(|entry| u128::MAX - (entry << 20))]
#[case::low_in_every_slot(|entry| (entry << 111) | ((entry >> 17) << 20))]
#[case::equal_but_for_the_slot(|entry| entry << 111)]
#[case::equal_but_for_the_lowest_stored_bits(|entry| entry << 15)]
fn exact_in_narrow_entries_made_against_it(#[case] entry: fn(u128) -> u128) {
    let entries: Vec<u128> = (0..150_000).map(entry).collect();
    let index = index_of_parts(&[&entries], 2);
    let truth: HashSet<u128> = entries.iter().map(|entry| entry >> 15).collect();
    assert_eq!(index.len(), truth.len());
    for bit in [15, 16, 47, 48, 79, 80, 110, 111, 127] {
        let asked: Vec<Fingerprint> =
            entries.iter().step_by(11).flat_map(|entry| [*entry, entry ^ 1 << bit]).map(Fingerprint).collect();
        let mut found = vec![false; asked.len()];
        index.contains_batch(&asked, &mut found);
        for (fingerprint, found) in asked.iter().zip(found) {
            assert_eq!(found, truth.contains(&(fingerprint.0 >> 15)), "{fingerprint:?}");
        }
    }
}

/// What [`Index`] promises of false answers: n * 2^-b with b of 112 at least, and 2^-89 however long the list is.
#[test]
fn a_false_yes_is_bounded_for_lists_of_every_length() {
    for lines in (0..64).flat_map(|bit| [1usize << (bit / 2), LEAST_NARROW - 1, LEAST_NARROW, (3 << bit) >> 34]) {
        let bits = bits_of(lines);
        assert!(bits >= 112 && bits - lines.max(1).ilog2() >= 89, "{bits} bits for {lines} lines");
    }
}

#[rstest]
#[case(0)]
#[case(200_000)]
#[case(1_966_080 + 32_768)]
#[case(1_999_000)]
#[case(3_000_000)]
#[case(1 << 30)]
#[case(u64::MAX)]
fn bounded_the_most_lines_fit_and_one_more_does_not(#[case] ceiling: u64) {
    let most = most_within(ceiling);
    assert!(most == 0 || bytes_of(most) as u64 <= ceiling, "{most}");
    assert!(most == u32::MAX as usize || bytes_of(most + 1) as u64 > ceiling, "{most}");
}

#[test]
fn bounded_memory_never_falls_as_lists_grow() {
    let lengths = (0..32).flat_map(|bit| [(1usize << bit) - 1, 1 << bit]).chain(LEAST_NARROW - 2..LEAST_NARROW + 2);
    let mut bytes: Vec<(usize, usize)> = lengths.map(|length| (length, bytes_of(length))).collect();
    bytes.sort_unstable();
    assert!(bytes.is_sorted_by_key(|(_, bytes)| *bytes), "{bytes:?}");
}

#[test]
fn bounded_a_list_of_three_lines_is_small() {
    assert!(index_of(&[1, 2, 3]).bytes() < 100);
}

#[test]
fn bounded_doubles_leave_no_memory_behind() {
    let entries: Vec<u128> = (0..400_000u128).map(|entry| spread(entry % 1000)).collect();
    let index = index_of_parts(&[&entries, &entries], 3);
    assert_eq!(index.len(), 1000);
    assert!(index.bytes() < 540_000, "{}", index.bytes());
}
