//! Requests out, answers in, both at once. A server stops reading while its answers are not read, so
//! neither direction ever waits for the other; what is under way is bounded by [`Window`].

use super::connect::Wire;
use super::error::Error;
use super::escaped::Escaped;
use super::refusal::{Claim, Failure, classify_io};
use super::window::Window;
use crate::protocol::{Answer, Explained, Form, MAX_EXPLAINED_BYTES, NotAnAnswer, READ_BYTES, Reason};
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// No answer of the plain form is longer; a peer that sends more without an LF speaks something else.
const MAX_ANSWER_BYTES: usize = 256;
/// How much of a foreign line an error quotes.
const QUOTED_BYTES: usize = 60;

/// Where answers go, in the order of their lines: [`Answer`]s, or [`Explained`] ones.
///
/// A closure `|line: &[u8], answer: Answer| -> io::Result<()>` is a sink, and so is one that takes `Explained`.
pub trait Sink<A = Answer> {
    /// Takes one line, without its LF, and its answer.
    ///
    /// # Errors
    /// Ends the look-up; the connection cannot be used afterwards.
    fn answer(&mut self, line: &[u8], answer: A) -> io::Result<()>;

    /// Says that no more answers are there for the moment: the time to flush what was buffered.
    ///
    /// # Errors
    /// As [`Sink::answer`].
    fn pause(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<A, F: FnMut(&[u8], A) -> io::Result<()>> Sink<A> for F {
    fn answer(&mut self, line: &[u8], answer: A) -> io::Result<()> {
        self(line, answer)
    }
}

/// Hands explained answers to a sink that wants plain ones.
pub(super) struct Unexplained<K>(pub(super) K);

impl<K: Sink> Sink<Explained> for Unexplained<K> {
    fn answer(&mut self, line: &[u8], explained: Explained) -> io::Result<()> {
        self.0.answer(line, explained.answer())
    }

    fn pause(&mut self) -> io::Result<()> {
        self.0.pause()
    }
}

/// What a form of the protocol answers with.
pub(super) trait Reply: Sized + Unpin {
    /// Of which form.
    const FORM: Form;

    fn decode(line: &[u8]) -> Result<Self, NotAnAnswer>;

    /// What it says in the plain form.
    fn plainly(&self) -> Answer;
}

impl Reply for Answer {
    const FORM: Form = Form::Plain;

    fn decode(line: &[u8]) -> Result<Answer, NotAnAnswer> {
        Answer::decode(line)
    }

    fn plainly(&self) -> Answer {
        *self
    }
}

impl Reply for Explained {
    const FORM: Form = Form::Explained;

    fn decode(line: &[u8]) -> Result<Explained, NotAnAnswer> {
        Explained::decode(line)
    }

    fn plainly(&self) -> Answer {
        self.answer()
    }
}

/// No reply of the form is longer.
fn max_bytes(form: Form) -> usize {
    match form {
        Form::Plain => MAX_ANSWER_BYTES,
        Form::Explained => MAX_EXPLAINED_BYTES,
    }
}

/// One connection's buffers, used by one exchange after another.
pub(super) struct Buffers {
    window: Window,
    replies: Box<[u8]>,
    replies_filled: usize,
}

impl Buffers {
    pub(super) fn new(form: Form) -> Buffers {
        Buffers {
            window: Window::new(),
            replies: vec![0; max_bytes(form) + READ_BYTES].into_boxed_slice(),
            replies_filled: 0,
        }
    }
}

/// The other end, for errors.
pub(super) struct Peer {
    pub(super) server: String,
    pub(super) claim: Claim,
}

/// One run of lines through the connection, whose form is that of its replies `A`.
/// Poll it to its end: half a request may be on the wire.
pub(super) struct Exchange<'a, S, K, A> {
    pub(super) wire: &'a mut Wire,
    pub(super) buffers: &'a mut Buffers,
    pub(super) peer: &'a Peer,
    pub(super) reply_timeout: Duration,
    pub(super) source: S,
    pub(super) sink: K,
    pub(super) progress: Progress,
    pub(super) replies: PhantomData<A>,
}

/// How far an [`Exchange`] is.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) answered: u64,
    source_ended: bool,
    /// A write failed. Answers, or the alert that says why, may still wait to be read.
    write_error: Option<io::Error>,
    /// The last answer said that its line was too long, after which the server ends the connection.
    pub(super) cut: bool,
}

impl<S: AsyncRead + Unpin, K: Sink<A>, A: Reply> Exchange<'_, S, K, A> {
    /// Runs until every line of the source is answered.
    pub(super) async fn run(mut self) -> Result<Progress, Error> {
        let mut silence = Box::pin(tokio::time::sleep(self.reply_timeout));
        std::future::poll_fn(|cx| self.poll(cx, silence.as_mut())).await?;
        Ok(self.progress)
    }

    fn poll(&mut self, cx: &mut Context<'_>, mut silence: Pin<&mut Sleep>) -> Poll<Result<(), Error>> {
        loop {
            let was_due = self.answer_is_due();
            let mut moved = self.poll_source(cx)?;
            // Before the next read: a server may close as soon as it has answered everything.
            if self.progress.source_ended && self.buffers.window.is_empty() {
                return Poll::Ready(self.end());
            }
            if self.progress.cut {
                if !self.buffers.window.is_empty() {
                    return Poll::Ready(Err(self.line_too_long()));
                }
            } else {
                moved |= self.poll_send(cx);
                let answered = self.poll_answers(cx)?;
                moved |= answered;
                if answered || (!was_due && self.answer_is_due()) {
                    silence.as_mut().reset(Instant::now() + self.reply_timeout);
                }
            }
            if moved {
                continue;
            }
            self.sink.pause().map_err(Error::Sink)?;
            if self.answer_is_due() && silence.as_mut().poll(cx).is_ready() {
                let (server, answered) = (self.peer.server.clone(), self.progress.answered);
                return Poll::Ready(Err(Error::Silent { server, answered, after: self.reply_timeout }));
            }
            return Poll::Pending;
        }
    }

    fn answer_is_due(&self) -> bool {
        self.buffers.window.answer_is_due() || self.progress.write_error.is_some()
    }

    fn end(&mut self) -> Result<(), Error> {
        self.sink.pause().map_err(Error::Sink)?;
        match self.buffers.replies.get(..self.buffers.replies_filled) {
            None | Some([]) => Ok(()),
            Some(more) => Err(Error::Unasked { server: self.peer.server.clone(), quoted: quote(more) }),
        }
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        if self.progress.source_ended {
            return Ok(false);
        }
        let space = self.buffers.window.space();
        if space.is_empty() {
            return Ok(false);
        }
        let mut space = ReadBuf::new(space);
        match Pin::new(&mut self.source).poll_read(cx, &mut space) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(error)) => Err(Error::Source(error)),
            Poll::Ready(Ok(())) => {
                let bytes = space.filled().len();
                self.buffers.window.filled(bytes);
                if bytes == 0 {
                    self.buffers.window.end_line();
                    self.progress.source_ended = true;
                }
                Ok(true)
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> bool {
        let unsent = self.buffers.window.unsent();
        if unsent.is_empty() || self.progress.write_error.is_some() {
            return false;
        }
        match Pin::new(&mut *self.wire).poll_write(cx, unsent) {
            Poll::Pending => false,
            Poll::Ready(Ok(bytes)) if bytes > 0 => {
                self.buffers.window.sent(bytes);
                true
            }
            Poll::Ready(written) => {
                let error = written.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into());
                self.progress.write_error = Some(error);
                true
            }
        }
    }

    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let space = self.buffers.replies.get_mut(self.buffers.replies_filled..).unwrap_or_default();
        let mut space = ReadBuf::new(space);
        match Pin::new(&mut *self.wire).poll_read(cx, &mut space) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(error)) => Err(self.read_failed(error)),
            Poll::Ready(Ok(())) => match space.filled().len() {
                0 => Err(self.closed()),
                bytes => {
                    self.buffers.replies_filled += bytes;
                    self.hand_over()?;
                    Ok(true)
                }
            },
        }
    }

    /// Hands every whole answer to the sink, with its line.
    fn hand_over(&mut self) -> Result<(), Error> {
        let Buffers { window, replies, replies_filled } = &mut *self.buffers;
        let peer = self.peer;
        let server = || peer.server.clone();
        let mut rest = replies.get(..*replies_filled).unwrap_or_default();
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (reply, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let answer = A::decode(reply).map_err(|_| Error::NotAnAnswer { server: server(), quoted: quote(reply) })?;
            self.progress.cut = answer.plainly() == Answer::Error(Reason::QueryTooLong);
            let awaiting = window
                .awaiting()
                .filter(|awaiting| awaiting.whole || self.progress.cut)
                .ok_or_else(|| Error::Unasked { server: server(), quoted: quote(reply) })?;
            self.sink.answer(awaiting.line, answer).map_err(Error::Sink)?;
            self.progress.answered += 1;
            let (length, whole) = (awaiting.line.len(), awaiting.whole);
            window.answered(length);
            if self.progress.cut {
                if whole && rest.is_empty() {
                    break;
                }
                return Err(self.line_too_long());
            }
        }
        let begun = rest.len();
        if begun > max_bytes(A::FORM) {
            return Err(Error::NotAnAnswer { server: server(), quoted: quote(rest) });
        }
        let begins = *replies_filled - begun;
        replies.copy_within(begins..*replies_filled, 0);
        *replies_filled = begun;
        Ok(())
    }

    fn line_too_long(&self) -> Error {
        Error::LineTooLong { server: self.peer.server.clone(), line: self.progress.answered }
    }

    fn closed(&mut self) -> Error {
        let (server, answered) = (self.peer.server.clone(), self.progress.answered);
        match self.buffers.replies.get(..self.buffers.replies_filled) {
            None | Some([]) => Error::Closed { server, answered },
            Some(begun) => Error::NotAnAnswer { server, quoted: quote(begun) },
        }
    }

    fn read_failed(&mut self, error: io::Error) -> Error {
        let (server, answered) = (self.peer.server.clone(), self.progress.answered);
        match classify_io(&error, self.peer.claim) {
            Failure::Refused(refusal) => Error::Refused { server, refusal },
            Failure::Cut if answered == 0 && self.buffers.replies_filled == 0 => Error::Closed { server, answered },
            Failure::NotTls | Failure::Cut | Failure::Other(_) => Error::Lost { server, answered, source: error },
        }
    }
}

fn quote(bytes: &[u8]) -> String {
    match bytes.get(..QUOTED_BYTES) {
        Some(begin) => format!("{}...", Escaped(begin)),
        None => Escaped(bytes).to_string(),
    }
}
