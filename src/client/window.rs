//! The lines that are under way: read from their source, perhaps sent, not yet answered.
//! One buffer of fixed size, whatever the number of lines. Pure: knows no socket.

use std::ops::Range;

/// Bytes that may be under way: enough to keep a connection of 100 ms round trip busy at 10 MB/s.
const CAPACITY: usize = 1 << 20;

/// `[.. answered .. | sent .. | not yet sent .. | free ..]`, every line ended by LF.
pub(super) struct Window {
    bytes: Box<[u8]>,
    answered: usize,
    sent: usize,
    filled: usize,
}

impl Window {
    pub(super) fn new() -> Window {
        Window { bytes: vec![0; CAPACITY].into_boxed_slice(), answered: 0, sent: 0, filled: 0 }
    }

    /// Where the next lines go; empty while too many are under way.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.answered == self.filled {
            (self.answered, self.sent, self.filled) = (0, 0, 0);
        } else if self.answered >= CAPACITY / 4 || (self.filled == CAPACITY && self.begun_line_fills_it()) {
            // Moving only once a quarter is answered keeps the copying in proportion to the answers.
            self.bytes.copy_within(self.answered..self.filled, 0);
            self.sent -= self.answered;
            self.filled -= self.answered;
            self.answered = 0;
        }
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    fn begun_line_fills_it(&self) -> bool {
        self.answered > 0 && memchr::memchr(b'\n', self.part(self.answered..self.filled)).is_none()
    }

    pub(super) fn filled(&mut self, bytes: usize) {
        self.filled = CAPACITY.min(self.filled + bytes);
    }

    /// Ends a last line that came without its LF. Needs [`Window::space`].
    pub(super) fn end_line(&mut self) {
        let begun = self.filled > self.answered && self.bytes.get(self.filled - 1) != Some(&b'\n');
        if begun {
            if let Some(end) = self.space().first_mut() {
                *end = b'\n';
                self.filled(1);
            }
        }
    }

    pub(super) fn unsent(&self) -> &[u8] {
        self.part(self.sent..self.filled)
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent = self.filled.min(self.sent + bytes);
    }

    /// Whether the server's silence would be its fault: a line is whole (a begun one waits for its source), or no more fits in.
    pub(super) fn answer_is_due(&self) -> bool {
        self.filled == CAPACITY || memchr::memchr(b'\n', self.part(self.answered..self.filled)).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.answered == self.filled
    }

    /// The first line that awaits its answer.
    pub(super) fn awaiting(&self) -> Option<Awaiting<'_>> {
        if self.sent == self.answered {
            return None;
        }
        let kept = self.part(self.answered..self.filled);
        Some(match memchr::memchr(b'\n', kept) {
            Some(end) => Awaiting { line: kept.get(..end).unwrap_or_default(), whole: true },
            None => Awaiting { line: kept, whole: false },
        })
    }

    /// Forgets the first line, of `bytes` bytes without its LF.
    pub(super) fn answered(&mut self, bytes: usize) {
        self.answered = self.filled.min(self.answered + bytes + 1);
        // A line that is refused for its length may be answered before all of it is sent.
        self.sent = self.sent.max(self.answered);
    }

    fn part(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }
}

/// A line that awaits its answer.
pub(super) struct Awaiting<'a> {
    /// What there is of it, without its LF.
    pub(super) line: &'a [u8],
    /// Whether its end has been read.
    pub(super) whole: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// However filling, sending and answering take turns, every line comes out once, whole and in order.
        #[test]
        fn lines_come_out_as_they_went_in(
            lengths in proptest::collection::vec(prop_oneof![20 => 0usize..80, 1 => 100_000usize..300_000], 1..100),
            turns in proptest::collection::vec((1usize..400_000, 1usize..200_000, 0usize..60), 1..40),
        ) {
            let lines: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(number, length)| vec![b"abcdefg"[number % 7]; *length]).collect();
            let source = lines.join(&b'\n');
            let mut rest = &source[..];
            let mut window = Window::new();
            let mut wire = Vec::new();
            let mut asked = 0;
            let mut out = Vec::new();
            let mut ended = false;
            for (fill, send, answer) in turns.iter().cycle().take(100_000) {
                if ended && window.is_empty() { break; }
                let space = window.space();
                let taken = fill.min(&space.len()).min(&rest.len()).to_owned();
                space[..taken].copy_from_slice(&rest[..taken]);
                rest = &rest[taken..];
                window.filled(taken);
                if rest.is_empty() && !ended && !window.space().is_empty() {
                    window.end_line();
                    ended = true;
                }
                let sent = window.unsent().len().min(*send);
                asked += memchr::memchr_iter(b'\n', &window.unsent()[..sent]).count();
                wire.extend_from_slice(&window.unsent()[..sent]);
                window.sent(sent);
                for _ in 0..*answer + 1 {
                    let Some(awaiting) = window.awaiting() else { break };
                    if !awaiting.whole || asked <= out.len() { break; }
                    let line = awaiting.line.to_vec();
                    window.answered(line.len());
                    out.push(line);
                }
            }
            let mut sent = source.clone();
            if !sent.is_empty() && sent.last() != Some(&b'\n') { sent.push(b'\n'); }
            prop_assert_eq!(&wire, &sent);
            let expected: Vec<Vec<u8>> = sent.split_inclusive(|byte| *byte == b'\n').map(|line| line[..line.len() - 1].to_vec()).collect();
            prop_assert_eq!(out, expected);
        }
    }
}
