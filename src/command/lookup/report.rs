//! How answers are shown: one line each on standard output, what went wrong on standard error.

use super::progress::Progress;
use crate::client::{Escaped, Handshake, Options, Sink};
use crate::protocol::{Answer, Explained, ListAt};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

/// Errors that are told one by one on standard error where standard output does not show them; then only their number.
const ERRORS_TOLD: u64 = 10;
/// How much of a line such an error shows.
const TOLD_BYTES: usize = 60;
/// Output collected before it is written, while more answers are there.
const BUFFER_BYTES: usize = 64 * 1024;

/// What is shown of each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    Table,
    Json,
    Found,
    Missing,
    Wire,
    Nothing,
}

/// Shows and counts answers.
pub(super) struct Report {
    show: Show,
    out: BufWriter<StdoutLock<'static>>,
    terminal: bool,
    colour: bool,
    progress: Progress,
    /// Answers that were "found".
    pub(super) found: u64,
    /// Answers that were "not found".
    pub(super) missing: u64,
    /// Answers that were errors.
    pub(super) errors: u64,
}

impl Report {
    pub(super) fn new(show: Show, progress: Progress) -> Report {
        let out = io::stdout().lock();
        let terminal = out.is_terminal();
        // https://no-color.org: any value but the empty one.
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let out = BufWriter::with_capacity(BUFFER_BYTES, out);
        Report { show, out, terminal, colour, progress, found: 0, missing: 0, errors: 0 }
    }

    /// Says how the connection came about, where the wire is shown.
    pub(super) fn connected(&mut self, options: &Options, handshake: Option<&Handshake>) -> io::Result<()> {
        if self.show != Show::Wire {
            return Ok(());
        }
        match handshake {
            Some(agreed) => {
                let form = agreed.form.alpn().map(|name| format!(", {}", Escaped(name))).unwrap_or_default();
                writeln!(self.out, "* {}, {} {}{form}", options.server, agreed.version, agreed.cipher)
            }
            None => writeln!(self.out, "* {}, without TLS", options.server),
        }
    }

    /// Writes what is left and takes the progress bar away.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.progress.finish();
        self.out.flush()?;
        let untold = if self.errors_stand_in_output() { 0 } else { self.errors.saturating_sub(ERRORS_TOLD) };
        if untold > 0 {
            complain(&format_args!("and {untold} more lines with an error"));
        }
        Ok(())
    }

    fn errors_stand_in_output(&self) -> bool {
        matches!(self.show, Show::Table | Show::Json | Show::Wire)
    }

    fn table(&mut self, word: Word, line: &[u8], lists: &[ListAt]) -> io::Result<()> {
        let Word { word, colour, reason } = word;
        if self.colour {
            write!(self.out, "{colour}{word}\x1b[0m\t")?;
        } else {
            self.out.write_all(word.as_bytes())?;
            self.out.write_all(b"\t")?;
        }
        if self.terminal {
            write!(self.out, "{}", Escaped(line))?;
        } else {
            self.out.write_all(line)?;
        }
        if let Some(reason) = reason {
            write!(self.out, "\t{reason}")?;
        }
        for (place, list) in lists.iter().enumerate() {
            write!(self.out, "{}{list}", if place == 0 { '\t' } else { ' ' })?;
        }
        self.out.write_all(b"\n")
    }

    fn json(&mut self, word: Word, line: &[u8], lists: &[ListAt]) -> io::Result<()> {
        let text = std::str::from_utf8(line).ok();
        let record = Record {
            line: text,
            line_base64: text.is_none().then(|| openssl::base64::encode_block(line)),
            answer: word.word,
            reason: word.reason,
            lists: lists.iter().map(|list| Named { name: list.name(), generation: list.generation() }).collect(),
        };
        serde_json::to_writer(&mut self.out, &record)?;
        self.out.write_all(b"\n")
    }

    fn raw(&mut self, line: &[u8]) -> io::Result<()> {
        if self.terminal {
            return writeln!(self.out, "{}", Escaped(line));
        }
        self.out.write_all(line)?;
        self.out.write_all(b"\n")
    }

    /// Request and reply stand in pairs here; on the wire many requests may go before the first reply comes.
    fn wire(&mut self, line: &[u8], reply: &[u8]) -> io::Result<()> {
        writeln!(self.out, "> {}\\n", Escaped(line))?;
        writeln!(self.out, "< {}", Escaped(reply))
    }

    /// Counts and shows one answer: the lists that came with it, and `encode` for the bytes of the reply.
    fn take(
        &mut self,
        line: &[u8],
        answer: Answer,
        lists: &[ListAt],
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        let word = Word::of(answer);
        match answer {
            Answer::Exists => self.found += 1,
            Answer::NotFound => self.missing += 1,
            Answer::Error(_) => self.errors += 1,
        }
        match (self.show, answer) {
            (Show::Table, _) => self.table(word, line, lists)?,
            (Show::Json, _) => self.json(word, line, lists)?,
            (Show::Wire, _) => {
                let mut reply = Vec::new();
                encode(&mut reply);
                self.wire(line, &reply)?;
            }
            (Show::Found, Answer::Exists) | (Show::Missing, Answer::NotFound) => self.raw(line)?,
            (_, Answer::Error(reason)) if self.errors <= ERRORS_TOLD => {
                let number = self.found + self.missing + self.errors;
                let (begin, more) = line.get(..TOLD_BYTES).map_or((line, ""), |begin| (begin, "..."));
                let told = format!("line {number} `{}{more}`: {}", Escaped(begin), reason.word());
                self.progress.beside(|| complain(&told));
            }
            (Show::Found | Show::Missing | Show::Nothing, _) => {}
        }
        self.progress.answered(line.len() + 1);
        Ok(())
    }
}

impl Sink for &mut Report {
    fn answer(&mut self, line: &[u8], answer: Answer) -> io::Result<()> {
        self.take(line, answer, &[], |reply| answer.encode(reply))
    }

    fn pause(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Sink<Explained> for &mut Report {
    fn answer(&mut self, line: &[u8], explained: Explained) -> io::Result<()> {
        self.take(line, explained.answer(), explained.lists(), |reply| explained.encode(reply))
    }

    fn pause(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// An answer in the words of the output.
#[derive(Clone, Copy)]
struct Word {
    word: &'static str,
    colour: &'static str,
    reason: Option<&'static str>,
}

impl Word {
    fn of(answer: Answer) -> Word {
        match answer {
            Answer::Exists => Word { word: "found", colour: "\x1b[32m", reason: None },
            Answer::NotFound => Word { word: "missing", colour: "\x1b[33m", reason: None },
            Answer::Error(reason) => Word { word: "error", colour: "\x1b[31m", reason: Some(reason.word()) },
        }
    }
}

/// One line of `--json`.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line_base64: Option<String>,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lists: Vec<Named<'a>>,
}

/// A list in `--json`.
#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    generation: u64,
}

/// One line on standard error. Nobody may be listening there, which changes nothing.
pub(super) fn complain(what: &dyn Display) {
    let _ = writeln!(io::stderr(), "linekeep: {what}");
}
