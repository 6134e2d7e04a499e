//! The life of a query, in order. Each step returns the proof that the next one needs: a [`Permit`], then
//! [`Evidence`], then a [`Client`](crate::identity::Client); a session cannot begin without one.
//!
//! Two halves, because they run on two threads: admission keeps its tables on the accepting thread, without locks,
//! and everything that costs cryptography happens on a thread of its own core.

use super::admission::{Admission, Permit, Source};
use super::session::{self, Admitted};
use super::shared::Shared;
use super::state::Presented;
use super::wire::{Accepted, Conversation, Wire};
use super::workers::Workers;
use crate::event::Event;
use crate::identity::Evidence;
use crate::protocol::Form;
use crate::tls::{Acceptor, HandshakeFailure, Handshaken, Proof};
use std::sync::Arc;
use std::time::Instant;
use tokio::time::timeout_at;

/// An accepted socket that was admitted.
pub struct Arrival {
    /// Its number in records.
    pub connection: u64,
    /// The socket.
    pub socket: Accepted,
    /// Where it comes from.
    pub source: Source,
    /// The listener's place in the configuration.
    pub listener: usize,
    /// Its place in the counts.
    pub permit: Permit,
    /// When it came: the handshake deadline counts from here.
    pub at: Instant,
}

/// First half, on the accepting thread: accept -> admit -> hand over to a core. A refused socket is closed at once,
/// before a byte of TLS.
pub fn arrive(
    socket: Accepted,
    source: Source,
    listener: usize,
    admission: &mut Admission,
    workers: &Workers,
    shared: &Shared,
) {
    let state = shared.state.load();
    let door = &state.doors[listener].listener;
    match admission.admit(source, &door.allow, &state.config.server) {
        Ok(permit) => {
            shared.metrics.accepted.add(1);
            let connection = shared.metrics.accepted.value();
            workers.hand_over(Arrival { connection, socket, source, listener, permit, at: Instant::now() });
        }
        Err(reason) => {
            let (listener, source) = (Arc::clone(&door.name), source.to_string());
            shared.teller.tell(Event::Refused { listener, source, reason });
        }
    }
}

/// Second half, on the connection's core: handshake -> identify -> session -> record.
pub async fn serve(arrival: Arrival, shared: &Shared) {
    let Arrival { connection, socket, source, listener, permit, at } = arrival;
    let _open = Open::count(shared);
    let mut peer = Peer { shared, connection, source, listener, permit };
    let Ok(wire) = socket.into_wire() else { return };
    let (acceptor, deadline) = {
        let state = shared.state.load();
        (state.doors[listener].acceptor.clone(), at + state.config.server.handshake_deadline)
    };
    match acceptor {
        // Without TLS there is nothing by which to agree on another form.
        None => peer.ask(wire, Evidence::Unasked, None, Form::Plain, ("none", "none")).await,
        Some(acceptor) => {
            if let Some(proven) = peer.handshake(&acceptor, wire, deadline).await {
                let Handshaken { stream, evidence, proof, form, tls, cipher } = proven;
                peer.ask(stream, evidence, Some(proof), form, (tls, cipher)).await;
            }
        }
    }
}

/// The peer of one connection, as the records name it, with its place in the counts.
struct Peer<'a> {
    shared: &'a Shared,
    connection: u64,
    source: Source,
    listener: usize,
    permit: Permit,
}

impl Peer<'_> {
    /// handshake, under its deadline. Evidence comes out of it, or a record of why not.
    async fn handshake(&self, acceptor: &Acceptor, wire: Wire, deadline: Instant) -> Option<Handshaken<Wire>> {
        let failure = tokio::select! {
            biased;
            () = self.shared.stopped() => return None,
            outcome = timeout_at(deadline.into(), acceptor.handshake(wire)) => match outcome {
                Ok(Ok(proven)) => return Some(proven),
                Ok(Err(failure)) => failure,
                Err(_) => HandshakeFailure { reason: "handshake deadline passed".into(), identity: None },
            },
        };
        self.shared.teller.tell(Event::HandshakeFailed {
            connection: self.connection,
            listener: self.listener_name(),
            source: self.source.to_string(),
            reason: failure.reason,
            identity: failure.identity.unwrap_or_default(),
        });
        None
    }

    /// identify -> session; its record comes with its end.
    async fn ask<S: Conversation>(
        &mut self,
        mut stream: S,
        evidence: Evidence,
        proof: Option<Proof>,
        form: Form,
        agreed: (&str, &str),
    ) {
        let presented = Presented { source: self.source, listener: self.listener, evidence, proof };
        let Some(admitted) = self.identify(presented, form, agreed) else { return };
        self.permit.identified();
        session::serve(&mut stream, admitted, self.shared).await;
    }

    fn identify(&self, presented: Presented, form: Form, (tls, cipher): (&str, &str)) -> Option<Admitted> {
        let listener = self.listener_name();
        let source = self.source.to_string();
        let evidence = presented.evidence.to_string();
        let state = self.shared.state.load();
        match state.admit(&presented) {
            Ok(client) => {
                let recorded = self.shared.teller.tell_and_ask(Event::ClientAdmitted {
                    connection: self.connection,
                    listener,
                    source,
                    client: Arc::clone(client.name()),
                    evidence,
                    tls: tls.into(),
                    cipher: cipher.into(),
                });
                Some(Admitted { connection: self.connection, client, presented, epoch: state.epoch, form, recorded })
            }
            Err(reason) => {
                let connection = self.connection;
                self.shared.teller.tell(Event::ClientDenied { connection, listener, source, evidence, reason });
                None
            }
        }
    }

    fn listener_name(&self) -> Arc<str> {
        Arc::clone(&self.shared.state.load().doors[self.listener].listener.name)
    }
}

/// Counts a connection as open for as long as it lives, however it ends.
struct Open<'a>(&'a Shared);

impl Open<'_> {
    fn count(shared: &Shared) -> Open<'_> {
        shared.metrics.open.add(1);
        Open(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.metrics.open.subtract(1);
    }
}
