//! All use of linekeep: its index for look-ups, its loading of lists for the build. Nothing else in the benches names it.

use crate::way::Way;
use linekeep::dataset::{Common, Kernel, Lists, Memory, Scratch};
use linekeep::event::Teller;
use linekeep::index::{Builder, Fingerprint, Fingerprinter, Index};
use linekeep::protocol::Answer;
use linekeep::{config, dataset};
use std::cell::RefCell;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

const KEY: [u8; 16] = *b"not a secret one";

/// Our index, with the fingerprints of queries made on the way.
pub(crate) struct Ours {
    fingerprinter: Fingerprinter,
    index: Index,
    /// Kept from batch to batch, as a session keeps it.
    scratch: RefCell<Vec<Fingerprint>>,
}

impl Ours {
    pub(crate) fn build(text: &[u8]) -> Ours {
        let fingerprinter = Fingerprinter::new(KEY);
        let builder = Builder::new(u64::MAX);
        let mut part = builder.part();
        for line in crate::way::lines(text) {
            part.push(fingerprinter.fingerprint(line)).unwrap();
        }
        Ours { fingerprinter, index: builder.build(vec![part], 1), scratch: RefCell::default() }
    }
}

impl Way for Ours {
    fn bytes(&self) -> u64 {
        self.index.bytes()
    }

    fn has(&self, line: &[u8]) -> bool {
        self.index.contains(self.fingerprinter.fingerprint(line))
    }

    fn have(&self, lines: &[&[u8]], found: &mut [bool]) {
        let mut fingerprints = self.scratch.borrow_mut();
        self.fingerprinter.fingerprint_batch(lines, &mut fingerprints);
        self.index.contains_batch(&fingerprints, found);
    }
}

/// The part of a look-up that is not the index: fingerprints alone.
pub(crate) struct FingerprintOnly {
    fingerprinter: Fingerprinter,
    scratch: RefCell<Vec<Fingerprint>>,
}

impl FingerprintOnly {
    pub(crate) fn new() -> FingerprintOnly {
        FingerprintOnly { fingerprinter: Fingerprinter::new(KEY), scratch: RefCell::default() }
    }
}

impl Way for FingerprintOnly {
    fn bytes(&self) -> u64 {
        0
    }

    fn has(&self, line: &[u8]) -> bool {
        std::hint::black_box(self.fingerprinter.fingerprint(line));
        false
    }

    fn have(&self, lines: &[&[u8]], _: &mut [bool]) {
        let mut fingerprints = self.scratch.borrow_mut();
        self.fingerprinter.fingerprint_batch(lines, &mut fingerprints);
        std::hint::black_box(fingerprints.as_slice());
    }
}

/// Loads the file as the daemon does at start, and calls `with` what the index takes while it is there.
pub(crate) fn load<T>(path: &Path, with: impl FnOnce(u64) -> T) -> T {
    with(open(path, "on-reload").memory())
}

/// A list of one file, or of everything in a folder, ready to be asked as a session asks.
pub(crate) struct Asked(Lists);

impl Asked {
    pub(crate) fn open(path: &Path, freshness: &str) -> Asked {
        Asked(open(path, freshness))
    }

    pub(crate) fn ask(&self, query: &[u8], scratch: &mut Scratch) -> Answer {
        let mut answers = [Answer::NotFound];
        let (selection, queries) = (self.0.select(None), [query]);
        let ready = {
            let asking = pin!(self.0.answer_batch(&selection, &queries, &mut answers, scratch));
            asking.poll(&mut Context::from_waker(Waker::noop())).is_ready()
        };
        assert!(ready, "a list that does not change needs no waiting");
        answers[0]
    }
}

fn open(path: &Path, freshness: &str) -> Lists {
    // A configuration as it is typed, so that keys with defaults may come and go.
    let typed = format!(
        "[[listener]]\nname = \"l\"\naddress = \"127.0.0.1:1\"\nallow = [\"127.0.0.1\"]\ntransport = \"plain\"\n\
         client = \"c\"\n[[dataset]]\nname = \"d\"\npaths = {:?}\nfreshness = {freshness:?}\n[[client]]\nname = \"c\"\n",
        path.to_str().unwrap()
    );
    let config = config::parse(&typed, Path::new("/bench.toml")).unwrap_or_else(|faults| panic!("{faults:?}"));
    let common = Common {
        fingerprinter: Fingerprinter::new(KEY),
        memory: Memory::new(u64::MAX),
        world: Arc::new(Kernel),
        teller: Teller::new(|_| {}),
        metrics: Arc::default(),
    };
    let opened = dataset::open(&config.datasets, &common, None).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert!(opened.faults.is_empty(), "{:?}", opened.faults);
    opened.lists
}
