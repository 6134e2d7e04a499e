//! `on-query` against a random writer: after each step, the first questions are asked, and the truth is read from the
//! files at that moment. Nobody writes while a question is open, so no answer but the true one is allowed.

use super::asker::{Answer, Asker, LISTENER, list};
use super::chance::{Chance, seed};
use super::number;
use super::place::Place;
use super::steps::{ANY, APPENDS, Step, Writer};
use super::support::daemon::{Daemon, Folder};
use super::truth::{LastLine, Truth};
use rstest::rstest;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

#[rstest]
#[case::any_by_index("any", "index", LastLine::Counts, ANY)]
#[case::any_by_scan("any", "scan", LastLine::Counts, ANY)]
#[case::any_by_choice("any", "auto", LastLine::Counts, ANY)]
#[case::appends_by_index("appends", "index", LastLine::Waits, APPENDS)]
#[case::appends_by_choice("appends", "auto", LastLine::Waits, APPENDS)]
fn exact_on_query_the_first_answer_after_any_change_is_true(
    #[case] writer: &str,
    #[case] search: &str,
    #[case] last_line: LastLine,
    #[case] steps: &[Step],
) {
    let seed = seed();
    let mut chance = Chance::new(seed);
    let folder = Folder::new();
    let place = Place::new(folder.path(), last_line, false, &mut chance);
    let mut writer_at_work = Writer { place, chance: Chance::new(seed ^ 1), most_bytes: 100_000 };
    let keys = format!("freshness = \"on-query\"\nwriter = \"{writer}\"\nsearch = \"{search}\"");
    let mut daemon = Daemon::start(folder, &format!("{LISTENER}{}", list("list", &keys)));
    let address = daemon.address("plain");
    let mut askers: Vec<Asker> = (0..3).map(|_| Asker::new(address)).collect();
    let mut faults = Vec::new();
    let mut trace = VecDeque::new();
    let mut seen: HashMap<Answer, u64> = HashMap::new();
    let mut slowest = Duration::ZERO;
    let count = number("LINEKEEP_STEPS", 1500);
    for step in 0..count {
        let before = writer_at_work.place.history.last();
        trace.push_back(writer_at_work.step(steps));
        if trace.len() > 8 {
            trace.pop_front();
        }
        let truth = writer_at_work.place.history.last();
        let queries = questions(&mut chance, &before, &truth);
        let asker = chance.below(askers.len());
        let asker = &mut askers[asker];
        let begun = Instant::now();
        let answers = if chance.one_in(2) {
            asker.ask_all(&queries)
        } else {
            queries.iter().map(|query| asker.ask(query)).collect()
        };
        slowest = slowest.max(begun.elapsed());
        for (query, answer) in queries.iter().zip(answers) {
            *seen.entry(answer.clone()).or_default() += 1;
            if !truth.allows(query, &answer) {
                let (query, truth, again) = (query.escape_ascii(), truth.says(query), asker.ask(query));
                faults.push(format!("step {step}: {query}: {answer:?}, again {again:?}; truth {truth}; {trace:#?}"));
            }
        }
        if faults.len() >= 5 {
            break;
        }
    }
    println!("{writer} {search}, seed {seed}, {count} steps, slowest answers {slowest:?}: {seen:?}");
    if !faults.is_empty() {
        let (_, records) = daemon.stop();
        let last = records.len().saturating_sub(30);
        panic!("{writer} {search} LINEKEEP_SEED={seed}\n{}\n{:#?}", faults.join("\n"), &records[last..]);
    }
    assert!(seen.contains_key(&Answer::Yes) && seen.contains_key(&Answer::No), "asks for nothing: {seen:?}");
}

/// One to four: what just came, what just went, what is there, what is not, half of a line, a line with a CR.
fn questions(chance: &mut Chance, before: &Truth, after: &Truth) -> Vec<Vec<u8>> {
    let (old, new) = (before.lines(), after.lines());
    let came: Vec<&[u8]> = new.iter().filter(|line| !before.has(line)).copied().collect();
    let went: Vec<&[u8]> = old.iter().filter(|line| !after.has(line)).copied().collect();
    let wanted = chance.below(4);
    let mut queries = Vec::new();
    for known in [&came, &went] {
        if !known.is_empty() {
            queries.push(chance.one_of(known).to_vec());
        }
    }
    while queries.len() <= wanted {
        let known = if new.is_empty() { Vec::new() } else { chance.one_of(&new).to_vec() };
        queries.push(match chance.below(4) {
            0 if known.len() > 1 => known[..=chance.below(known.len() - 1)].to_vec(),
            1 if !known.is_empty() => [&known, &b"\r"[..]].concat(),
            2 if !known.is_empty() => known,
            _ => chance.line(),
        });
    }
    // What a file of zeros and edits can hold is not all to be asked for.
    queries.retain(|query| !query.contains(&0) && std::str::from_utf8(query).is_ok());
    queries
}
