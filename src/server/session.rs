//! A session: an identified client asks, every request gets its answer in order, and one read's answers leave in one write.
//! Knows the protocol, the lists and the deadlines; who the client is was settled before.

use super::accounts::Place;
use super::explain;
use super::recording::{Kept, Recording};
use super::shared::Shared;
use super::standing::Standing;
use super::state::{Presented, State};
use super::tally::Tally;
use super::wire::Conversation;
use crate::config;
use crate::dataset::{Scratch, Selection};
use crate::event::{Amount, Event, Receipt, SessionEnd};
use crate::identity::Client;
use crate::protocol::{Answer, Decoder, Explained, Form, Reason, Request};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// Requests looked up together: enough to hide the latency of memory behind prefetching.
pub(super) const BATCH: usize = 64;

/// How long a parting peer may take to read the last answer.
const PARTING: Duration = Duration::from_secs(1);

/// A client that was let in, at one listener.
pub struct Admitted {
    /// The connection's number in records.
    pub connection: u64,
    /// Who it is and what it may ask.
    pub client: Client,
    /// Its place among the connections of its client.
    pub place: Place,
    /// What it showed, to be judged again after a reload.
    pub presented: Presented,
    /// The generation that let it in. If a newer one came since, the session is judged anew before its first answer.
    pub epoch: u64,
    /// In which form it is answered.
    pub form: Form,
    /// Says when the record of its admission is written.
    pub recorded: Receipt,
}

/// Serves one client until either side ends it, and parts properly.
/// Its record is told when it ends, however it ends.
pub async fn serve<S: Conversation>(stream: &mut S, admitted: Admitted, shared: &Shared) {
    let mut session = Session::new(admitted, shared);
    let end = session.turns(stream).await.err().unwrap_or(SessionEnd::Lost);
    session.end = end;
    if end != SessionEnd::Lost && end != SessionEnd::WriteDeadline {
        part(stream).await;
    }
}

/// Closes our side (TLS close_notify, then FIN) and reads on for a moment: an answer that is still on its way
/// would be lost to a reset if the socket were closed with unread bytes in it.
async fn part<S: Conversation>(stream: &mut S) {
    let parting = async {
        if stream.shutdown().await.is_ok() {
            let mut unread = [0; 4096];
            while stream.wire().read(&mut unread).await.is_ok_and(|bytes| bytes > 0) {}
        }
    };
    let _ = timeout(PARTING, parting).await;
}

struct Session<'a> {
    shared: &'a Shared,
    connection: u64,
    standing: Standing,
    begun: Instant,
    /// Why it ended; until it knows better, that it was cut off where it stood.
    end: SessionEnd,
    /// Whether a call came while answers were being written.
    called: bool,
    form: Form,
    selection: Selection,
    scratch: Scratch,
    decoder: Decoder,
    answers: Vec<u8>,
    limits: config::Server,
    last_request: Instant,
    queries: u64,
    found: u64,
    limited: u64,
    invalid: u64,
    bytes_read: u64,
    bytes_written: u64,
    recording: Recording,
}

/// What one read brought.
enum Turn {
    GoOn,
    TooLong,
    Unrecorded,
}

impl<'a> Session<'a> {
    fn new(admitted: Admitted, shared: &'a Shared) -> Session<'a> {
        let Admitted { connection, client, place, presented, epoch, form, recorded } = admitted;
        let state = shared.state.load();
        let limits = state.config.server.clone();
        let (source, name) = (presented.source.to_string().into(), Arc::clone(client.name()));
        let recording = Recording { connection, source, client: name, admitted: Some(recorded) };
        let text = state.doors[presented.listener].listener.text;
        Session {
            shared,
            connection,
            selection: state.lists.select(client.datasets()),
            standing: Standing::new(client, presented, place, epoch, shared),
            scratch: Scratch::default(),
            decoder: Decoder::new(limits.max_query_bytes, text),
            answers: Vec::new(),
            last_request: Instant::now(),
            begun: Instant::now(),
            end: SessionEnd::CutAtStop,
            called: false,
            form,
            limits,
            queries: 0,
            found: 0,
            limited: 0,
            invalid: 0,
            bytes_read: 0,
            bytes_written: 0,
            recording,
        }
    }

    /// Serves turns until there is a reason to end; the error is that reason.
    async fn turns<S: Conversation>(&mut self, stream: &mut S) -> Result<(), SessionEnd> {
        let mut calls = self.shared.calls.subscribe();
        let mut idle = pin!(sleep_until(self.patience()));
        loop {
            let mut called = pin!(calls.wait_for(self.standing.is_called()));
            self.called = false;
            while self.turn(stream, called.as_mut(), idle.as_mut()).await? {}
            if self.shared.calls.borrow().stopping {
                return Err(SessionEnd::ShuttingDown);
            }
            self.follow(&self.shared.state.load())?;
            idle.as_mut().reset(self.patience());
        }
    }

    /// One turn: read, answer, write. `false` when a call came.
    async fn turn<S: Conversation>(
        &mut self,
        stream: &mut S,
        mut called: Pin<&mut impl Future>,
        idle: Pin<&mut Sleep>,
    ) -> Result<bool, SessionEnd> {
        let Some(waited) = self.read(stream, called.as_mut(), idle).await? else { return Ok(false) };
        let turn = match self.form {
            Form::Plain => self.answer().await?,
            Form::Explained => self.explain(stream, called.as_mut()).await?,
        };
        // An answer may have waited for files: whoever lost the right to it meanwhile does not get it.
        self.follow(&self.shared.state.load())?;
        self.write(stream, called).await?;
        match turn {
            Turn::GoOn => {}
            Turn::TooLong => return Err(SessionEnd::QueryTooLong),
            Turn::Unrecorded => return Err(SessionEnd::Unrecorded),
        }
        self.decoder.discard_answered();
        if !waited {
            // More was there at once: let the other sessions of this thread have their turn first.
            tokio::task::yield_now().await;
        }
        Ok(!self.called)
    }

    /// Until when this session waits for its peer.
    fn patience(&self) -> Instant {
        self.standing.until(self.last_request + self.limits.idle_timeout)
    }

    /// Reads what is there, one TLS record at most. Returns whether it had to wait for it, or `None` for a call.
    async fn read<S: Conversation>(
        &mut self,
        stream: &mut S,
        mut called: Pin<&mut impl Future>,
        mut idle: Pin<&mut Sleep>,
    ) -> Result<Option<bool>, SessionEnd> {
        let mut waited = false;
        stream.wire().begin_turn();
        poll_fn(|cx| {
            if called.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(None));
            }
            let mut arrived = ReadBuf::new(self.decoder.space());
            match Pin::new(&mut *stream).poll_read(cx, &mut arrived) {
                Poll::Ready(Ok(())) => match arrived.filled().len() {
                    0 => return Poll::Ready(Err(SessionEnd::ClosedByClient)),
                    bytes => {
                        self.decoder.filled(bytes);
                        self.bytes_read += bytes as u64;
                        self.shared.metrics.bytes_read.add(bytes as u64);
                        return Poll::Ready(Ok(Some(waited)));
                    }
                },
                Poll::Ready(Err(_)) => return Poll::Ready(Err(SessionEnd::Lost)),
                Poll::Pending => waited = true,
            }
            // The timer is set anew only when it fires: most turns never touch it.
            while idle.as_mut().poll(cx).is_ready() {
                let until = self.patience();
                if until <= Instant::now() {
                    return Poll::Ready(Err(self.standing.on_time().err().unwrap_or(SessionEnd::Idle)));
                }
                idle.as_mut().reset(until);
            }
            Poll::Pending
        })
        .await
    }

    /// After a reload the client is judged anew, and may have other lists.
    fn follow(&mut self, state: &State) -> Result<(), SessionEnd> {
        if self.standing.follow(state, self.shared)? {
            self.selection = state.lists.select(self.standing.client.datasets());
        }
        Ok(())
    }

    /// Decodes every whole request, looks up a batch at a time, encodes the answers in order.
    async fn answer(&mut self) -> Result<Turn, SessionEnd> {
        let state = self.shared.state.load_full();
        self.follow(&state)?;
        let mut turn = Turn::GoOn;
        let mut requests = self.decoder.requests();
        let mut batch = [Request::TooLong; BATCH];
        let mut queries: [&[u8]; BATCH] = [b""; BATCH];
        let mut replies = [Answer::Error(Reason::ListUnavailable); BATCH];
        let mut tally = Tally::default();
        let mut recorded = self.recording.begin(state.config.audit.queries);
        loop {
            let mut taken = 0;
            let mut asked = 0;
            for request in requests.by_ref().take(BATCH) {
                batch[taken] = request;
                taken += 1;
                if let Request::Query(query) = request {
                    queries[asked] = query;
                    asked += 1;
                }
            }
            if taken == 0 {
                break;
            }
            let granted = self.standing.grant(self.shared, asked);
            replies[granted..asked].fill(Answer::Error(Reason::RateLimited));
            let all = &mut replies[..asked];
            let (queries, replies) = (&queries[..granted], &mut all[..granted]);
            if self.selection.is_empty() {
                replies.fill(Answer::Error(Reason::NotPermitted));
            } else if self.shared.teller.refuses() {
                replies.fill(Answer::Error(Reason::ServerBusy));
            } else {
                state.lists.answer_batch(&self.selection, queries, replies, &mut self.scratch).await;
            }
            let mut replies = all.iter();
            for request in &batch[..taken] {
                let answer = match request {
                    // Each query has its reply; in any doubt about that it would be an error, never a no.
                    Request::Query(_) => *replies.next().unwrap_or(&Answer::Error(Reason::ListUnavailable)),
                    Request::Invalid(_) => Answer::Error(Reason::InvalidQuery),
                    Request::TooLong => {
                        turn = Turn::TooLong;
                        Answer::Error(Reason::QueryTooLong)
                    }
                };
                tally.count(*request, answer);
                answer.encode(&mut self.answers);
                if let (Some(recorded), Request::Query(query)) = (&mut recorded, request) {
                    recorded.add(query, answer.word());
                }
            }
        }
        let kept = self.recording.keep(recorded, &self.shared.teller).await;
        Ok(self.settle(tally, turn, kept, 0))
    }

    /// As `answer`, in the explained form: a batch at a time, written out when much is collected.
    async fn explain<S: Conversation>(
        &mut self,
        stream: &mut S,
        mut called: Pin<&mut impl Future>,
    ) -> Result<Turn, SessionEnd> {
        let mut answered = 0;
        loop {
            match self.explain_batch(answered).await? {
                (0, turn) => return Ok(turn),
                (more, Turn::GoOn) => answered += more,
                (_, turn) => return Ok(turn),
            }
            if self.answers.len() >= explain::COLLECTED_BYTES {
                self.write(stream, called.as_mut()).await?;
            }
            // Asking each list alone takes its time: let the other sessions of this thread have theirs.
            tokio::task::yield_now().await;
        }
    }

    /// Answers the batch of requests behind those that are answered. Returns how many there were.
    async fn explain_batch(&mut self, answered: usize) -> Result<(usize, Turn), SessionEnd> {
        let state = self.shared.state.load_full();
        self.follow(&state)?;
        let most = explain::batch(self.selection.len());
        let batch: Vec<Request<'_>> = self.decoder.requests().skip(answered).take(most).collect();
        let queries = batch.iter().filter_map(|request| match request {
            Request::Query(query) => Some(*query),
            Request::Invalid(_) | Request::TooLong => None,
        });
        let queries: Vec<&[u8]> = queries.collect();
        let refuses = self.shared.teller.refuses();
        let granted = self.standing.grant(self.shared, queries.len());
        let mut explained = explain::explain(&state, &self.selection, &queries[..granted]).await;
        let limited = queries.len() - granted;
        let mut left = queries.len();
        let mut recorded = self.recording.begin(state.config.audit.queries);
        let before = self.answers.len();
        let mut turn = Turn::GoOn;
        let mut tally = Tally::default();
        for request in &batch {
            let explained = match request {
                Request::Query(_) if refuses => Explained::Error(Reason::ServerBusy),
                Request::Query(_) if left <= limited => Explained::Error(Reason::RateLimited),
                Request::Query(_) => {
                    left -= 1;
                    explained.next().unwrap_or(Explained::Error(Reason::NotPermitted))
                }
                Request::Invalid(_) => Explained::Error(Reason::InvalidQuery),
                Request::TooLong => {
                    turn = Turn::TooLong;
                    Explained::Error(Reason::QueryTooLong)
                }
            };
            tally.count(*request, explained.answer());
            explained.encode(&mut self.answers);
            if let (Some(recorded), Request::Query(query)) = (&mut recorded, request) {
                recorded.add(query, explained.answer().word());
            }
        }
        let taken = batch.len();
        let kept = self.recording.keep(recorded, &self.shared.teller).await;
        Ok((taken, self.settle(tally, turn, kept, before)))
    }

    /// Counts what was answered. What has no record where it needs one is not answered: in place of every answer behind
    /// the first `before` bytes the client is told to come again.
    fn settle(&mut self, mut tally: Tally, mut turn: Turn, kept: Kept, before: usize) -> Turn {
        if kept == Kept::NeverAdmitted {
            turn = Turn::Unrecorded;
        }
        if tally.requests == 0 {
            return turn;
        }
        self.last_request = Instant::now();
        if kept != Kept::Yes {
            self.answers.truncate(before);
            (0..tally.requests).for_each(|_| Answer::Error(Reason::ServerBusy).encode(&mut self.answers));
            tally = tally.all_errors();
        }
        self.queries += tally.queries();
        self.found += tally.exists;
        self.limited += tally.limited;
        self.invalid += tally.invalid();
        tally.add_to(&self.shared.metrics);
        if tally.limited > 0 {
            self.standing.tell_limited(self.shared, self.connection);
        }
        turn
    }

    /// Writes all answers of this turn in one go. A peer that does not read holds only itself up, and not for ever; nor
    /// does it hold up that its right to be here is judged anew.
    async fn write<S: Conversation>(
        &mut self,
        stream: &mut S,
        mut called: Pin<&mut impl Future>,
    ) -> Result<(), SessionEnd> {
        let mut written = 0;
        let mut stalled: Option<Pin<Box<Sleep>>> = None;
        while written < self.answers.len() {
            let bytes = poll_fn(|cx| {
                match Pin::new(&mut *stream).poll_write(cx, &self.answers[written..]) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(SessionEnd::Lost)),
                    Poll::Ready(Ok(bytes)) => return Poll::Ready(Ok(bytes)),
                    Poll::Pending => {}
                }
                if !self.called && called.as_mut().poll(cx).is_ready() {
                    self.called = true;
                    if let Err(end) = self.follow(&self.shared.state.load()) {
                        return Poll::Ready(Err(end));
                    }
                }
                let deadline = self.standing.until(Instant::now() + self.limits.write_deadline);
                let timer = stalled.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                let end = || self.standing.on_time().err().unwrap_or(SessionEnd::WriteDeadline);
                timer.as_mut().poll(cx).map(|()| Err(end()))
            })
            .await?;
            written += bytes;
            stalled = None;
        }
        self.bytes_written += self.answers.len() as u64;
        self.shared.metrics.bytes_written.add(self.answers.len() as u64);
        self.answers.clear();
        // One turn of tiny queries can leave a large buffer behind; an idle session should not keep it.
        self.answers.shrink_to(crate::protocol::READ_BYTES);
        Ok(())
    }
}

/// A session cannot end without its record: not by its peer, not by a deadline, not by being cut off at stop.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        let state = self.shared.state.load();
        let counted = state.config.audit.queries != config::Queries::None;
        let amount = |amount: u64| Amount(counted.then_some(amount));
        self.shared.teller.tell(Event::SessionEnded {
            connection: self.connection,
            listener: Arc::clone(&state.doors[self.standing.presented.listener].listener.name),
            source: self.standing.presented.source.to_string(),
            client: Arc::clone(self.standing.client.name()),
            reason: self.end,
            queries: amount(self.queries),
            found: amount(self.found),
            limited: amount(self.limited),
            invalid: amount(self.invalid),
            bytes_read: self.bytes_read,
            bytes_written: self.bytes_written,
            seconds: self.begun.elapsed().as_secs(),
        });
    }
}
