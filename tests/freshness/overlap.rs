//! `on-query` while the writer writes: each answer has to be true of a state that the list had between question and
//! answer. The states are numbered; a question knows how many changes were over when it was sent, and how many had
//! begun when its answer was there.

use super::asker::{Answer, Asker, LISTENER, UNAVAILABLE, list};
use super::chance::{Chance, seed};
use super::number;
use super::place::{History, Place};
use super::steps::{ANY, APPENDS, Step, Writer};
use super::support::daemon::{Daemon, Folder, PATIENCE};
use super::truth::{LastLine, Truth};
use rstest::rstest;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A question, and between which states it was answered.
struct Asked {
    from: usize,
    to: usize,
    query: Vec<u8>,
    answer: Answer,
}

/// Connections that ask all the time.
struct Crowd {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    asking: Vec<JoinHandle<Vec<Asked>>>,
}

impl Crowd {
    fn start(daemon: &mut Daemon, history: &Arc<History>, seed: u64, question: fn(&mut Chance) -> Vec<u8>) -> Crowd {
        let address = daemon.address("plain");
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let asking = |number: u64| {
            let (history, over, answered) = (Arc::clone(history), Arc::clone(&over), Arc::clone(&answered));
            let mut chance = Chance::new(seed ^ (number + 10));
            std::thread::spawn(move || {
                let mut asker = Asker::new(address);
                let mut all = Vec::new();
                while !over.load(SeqCst) {
                    let queries: Vec<_> = (0..=chance.below(3)).map(|_| question(&mut chance)).collect();
                    let from = history.done();
                    let answers = asker.ask_all(&queries);
                    let to = history.begun();
                    answered.fetch_add(answers.len(), SeqCst);
                    let both = queries.into_iter().zip(answers);
                    all.extend(both.map(|(query, answer)| Asked { from, to, query, answer }));
                }
                all
            })
        };
        let asking = (0..4).map(asking).collect();
        Crowd { over, answered, asking }
    }

    /// Lets the crowd have so many answers before the writer goes on.
    fn wait_for(&self, answers: usize) {
        let (goal, until) = (self.answered.load(SeqCst) + answers, Instant::now() + PATIENCE);
        while self.answered.load(SeqCst) < goal {
            assert!(Instant::now() < until && !self.asking.iter().any(JoinHandle::is_finished), "nobody is answered");
            std::thread::park_timeout(Duration::from_micros(100));
        }
    }

    fn end(self) -> Vec<Asked> {
        self.over.store(true, SeqCst);
        self.asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
    }
}

/// Every answer against the states that it may be true of.
fn judge(asked: &[Asked], states: &[Arc<Truth>], about: &str, daemon: Daemon) {
    let mut faults = Vec::new();
    let (mut alone, mut errors, mut yes) = (0, 0, 0);
    for Asked { from, to, query, answer } in asked {
        let between = &states[*from..=(*to).min(states.len() - 1)];
        let doubt = to > from && *answer == Answer::error(UNAVAILABLE);
        if !doubt && !between.iter().any(|truth| truth.allows(query, answer)) {
            let truths: Vec<String> = between.iter().map(|truth| truth.says(query)).collect();
            faults.push(format!("{}: {answer:?}; states {from}..={to}: {truths:?}", query.escape_ascii()));
        }
        alone += usize::from(from == to);
        errors += usize::from(doubt);
        yes += usize::from(*answer == Answer::Yes);
    }
    let count = asked.len();
    println!(
        "{about}: {} states, {count} answers, {yes} yes, {alone} with no change beside, {errors} in doubt",
        states.len()
    );
    if !faults.is_empty() {
        let (_, records) = daemon.stop();
        let (wrong, last) = (faults.len(), records.len().saturating_sub(30));
        faults.truncate(10);
        panic!("{about}: {wrong} of {count} wrong\n{}\n{:#?}", faults.join("\n"), &records[last..]);
    }
    assert!(yes > 0 && alone > 0 && errors < count, "{about}: proves nothing");
}

#[rstest]
#[case::any_by_index("any", "index", LastLine::Counts, ANY)]
#[case::any_by_scan("any", "scan", LastLine::Counts, ANY)]
#[case::any_by_choice("any", "auto", LastLine::Counts, ANY)]
#[case::appends("appends", "index", LastLine::Waits, APPENDS)]
fn exact_on_query_each_answer_is_true_of_a_moment_between_question_and_answer(
    #[case] writer: &str,
    #[case] search: &str,
    #[case] last_line: LastLine,
    #[case] steps: &[Step],
) {
    // A write over page borders can be seen half done, which would be a state that nobody numbered.
    let steps: Vec<Step> = steps.iter().copied().filter(|step| *step != Step::AppendMany).collect();
    let seed = seed();
    let mut chance = Chance::new(seed);
    let folder = Folder::new();
    let place = Place::new(folder.path(), last_line, true, &mut chance);
    let history = Arc::clone(&place.history);
    let mut at_work = Writer { place, chance: Chance::new(seed ^ 1), most_bytes: 3000 };
    let keys = format!("freshness = \"on-query\"\nwriter = \"{writer}\"\nsearch = \"{search}\"");
    let mut daemon = Daemon::start(folder, &format!("{LISTENER}{}", list("list", &keys)));
    let crowd = Crowd::start(&mut daemon, &history, seed, Chance::line);
    for _ in 0..number("LINEKEEP_STEPS", 600) {
        at_work.step(&steps);
        // Bursts of changes, and quiet times between them.
        if chance.one_in(2) {
            crowd.wait_for(chance.below(40));
        }
    }
    let asked = crowd.end();
    judge(&asked, &history.states(), &format!("{writer} {search} LINEKEEP_SEED={seed}"), daemon);
}

/// A line that moves from file to file is always in one of them. Who reads one file before and the other after the
/// move, and does not look again, sees it nowhere.
#[rstest]
fn exact_on_query_a_line_that_moves_between_files_is_never_missed(#[values("index", "scan")] search: &str) {
    let folder = Folder::new();
    let place = Place::new(folder.path(), LastLine::Counts, true, &mut Chance::new(seed()));
    let history = Arc::clone(&place.history);
    let files = ["a.txt", "b.txt", "c.txt"].map(|name| place.list().join(name));
    // Long enough that a reader needs a while from the first file to the last.
    let filler = [&[b'f'; 4000], &b"\n"[..]].concat().repeat(50);
    let content = |line: &str| [line.as_bytes(), &filler].concat();
    for file in &files {
        place.change(|| std::fs::write(file, content("here\n"))).unwrap();
    }
    let mut place = place;
    let keys = format!("freshness = \"on-query\"\nsearch = \"{search}\"");
    let mut daemon = Daemon::start(folder, &format!("{LISTENER}{}", list("list", &keys)));
    let crowd = Crowd::start(&mut daemon, &history, 1, |_| b"here".to_vec());
    for round in 0..80 {
        // It comes to one file before it goes from the two others.
        let (stays, goes) = (round % 3, [(round + 1) % 3, (round + 2) % 3]);
        let moves = [(stays, "here\n"), (goes[0], "elsewhere\n"), (goes[1], "elsewhere\n")];
        let moves = moves.map(|(file, line)| (place.file_aside(&content(line)).unwrap(), &files[file]));
        for (new, file) in moves {
            place.change(|| std::fs::rename(new, file)).unwrap();
        }
        crowd.wait_for(round % 7);
    }
    judge(&crowd.end(), &history.states(), &format!("moving {search}"), daemon);
}

/// One write at a time, from a source that comes from the disk: what is written waits for what is read, in the middle of the
/// system call. Says when it begins and when it is over.
const SLOW_WRITER: &str = "
import mmap, os, sys
source = os.open(sys.argv[1], os.O_RDONLY)
os.fsync(source)
os.posix_fadvise(source, 0, 0, os.POSIX_FADV_DONTNEED)
content = memoryview(mmap.mmap(source, 0, prot=mmap.PROT_READ))
file = os.open(sys.argv[2], os.O_WRONLY)
print('begins', flush=True)
written = os.pwrite(file, content, 0)
assert written == len(content)
print('over', flush=True)
";

/// As below, with a write that is slower than whoever reads: an index of the new time and the old bytes can be whole before
/// the write is over.
#[rstest]
fn exact_on_query_a_slow_write_that_began_before_the_index_is_not_missed(#[values("index", "auto")] search: &str) {
    let folder = Folder::new();
    // Lines that nobody can ask for are quickly read.
    let content = |state: usize| [&b"f".repeat(128 << 20)[..], format!("\nstate-{state}\n").as_bytes()].concat();
    let file = folder.write("words.txt", content(0));
    let source = folder.path().join("source");
    let keys = format!("freshness = \"on-query\"\nsearch = \"{search}\"");
    let mut daemon = Daemon::start(folder, &format!("{LISTENER}{}", list("words.txt", &keys)));
    let mut asker = Asker::new(daemon.address("plain"));
    for round in 1..4 {
        std::fs::write(&source, content(round)).unwrap();
        let [old, new] = [round - 1, round].map(|state| format!("state-{state}"));
        let mut writer = Command::new("python3")
            .args(["-c", SLOW_WRITER])
            .args([&source, &file])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut words = BufReader::new(writer.stdout.take().unwrap()).lines();
        assert_eq!(words.next().unwrap().unwrap(), "begins");
        let over = AtomicBool::new(false);
        let asked = std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut asked = 0;
                while !over.load(SeqCst) {
                    asker.ask(&new);
                    asked += 1;
                }
                asked
            });
            let word = words.next().map(Result::unwrap);
            over.store(true, SeqCst);
            assert_eq!(word.as_deref(), Some("over"));
            asking.join().unwrap()
        });
        assert!(writer.wait().unwrap().success());
        let answers = asker.ask_all(&[&new, &old]);
        assert_eq!(answers, [Answer::Yes, Answer::No], "round {round}, after {asked} questions beside the write");
    }
}

/// A kernel notes the time of a write when it begins. Who reads the file while one long write is under way sees the new
/// time and the old bytes, and nothing will tell later that they changed.
#[rstest]
fn exact_on_query_a_long_write_that_began_before_the_question_is_not_missed(#[values("index", "scan")] search: &str) {
    let folder = Folder::new();
    let place = Place::new(folder.path(), LastLine::Counts, true, &mut Chance::new(seed()));
    let history = Arc::clone(&place.history);
    let file = place.list().join("a.txt");
    let mebibytes = usize::try_from(number("LINEKEEP_MIB", 4)).unwrap();
    let mut content = [&[b'f'; 1023], &b"\n"[..]].concat().repeat(1024 * mebibytes);
    content.extend(b"state-0\n");
    place.change(|| std::fs::write(&file, &content)).unwrap();
    let keys = format!("freshness = \"on-query\"\nsearch = \"{search}\"");
    let mut daemon = Daemon::start(folder, &format!("{LISTENER}{}", list("list", &keys)));
    let question = |chance: &mut Chance| format!("state-{}", chance.below(2)).into_bytes();
    let crowd = Crowd::start(&mut daemon, &history, 1, question);
    let open = OpenOptions::new().write(true).open(&file).unwrap();
    for round in 1..=30 {
        let digit = content.len() - 2;
        content[digit] = if round % 2 == 0 { b'0' } else { b'1' };
        place.change(|| open.write_all_at(&content, 0)).unwrap();
        crowd.wait_for(8);
    }
    judge(&crowd.end(), &history.states(), &format!("long writes {search}"), daemon);
}
