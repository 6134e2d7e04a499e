//! The life of a query, in order. Each step returns the proof that the next one needs: a [`Permit`], then
//! [`Evidence`], then a [`Client`](crate::identity::Client); a session cannot begin without one.
//!
//! Two halves, because they run on two threads: admission keeps its tables on the accepting thread, without locks,
//! and everything that costs cryptography happens on a thread of its own core.

use super::admission::{Admission, Permit, Rules, Source};
use super::introduction::Introduction;
use super::penalties::Offence;
use super::session::{self, Admitted};
use super::shared::Shared;
use super::state::Presented;
use super::wire::{Accepted, Conversation, Wire};
use super::workers::Workers;
use crate::event::{Event, Refusal};
use crate::identity::Evidence;
use crate::protocol::Form;
use crate::tls::{Acceptor, HandshakeFailure, Handshaken, Proof};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime};
use tokio::time::timeout_at;

/// An accepted socket that was admitted.
pub struct Arrival {
    /// Its number in records.
    pub connection: u64,
    /// The socket.
    pub socket: Accepted,
    /// Where it comes from; behind a proxy, where the client does.
    pub source: Source,
    /// The trusted proxy that speaks for it.
    pub proxy: Option<SocketAddr>,
    /// The listener's place in the configuration.
    pub listener: usize,
    /// Its place in the counts.
    pub permit: Permit,
    /// When it came: the handshake deadline counts from here.
    pub at: Instant,
}

/// First half, on the accepting thread: accept -> [PROXY header] -> admit -> hand over to a core. A refused socket is closed
/// at once, before a byte of TLS.
pub fn arrive(socket: Accepted, source: Source, listener: usize, keeper: &Doorkeeper) {
    let at = Instant::now();
    match (socket, source) {
        (Accepted::Tcp(socket), Source::Net(proxy)) if keeper.trusts(listener, proxy) => {
            if let Some(permit) = keeper.admit_proxy(proxy, listener) {
                let introduction = Introduction { socket, proxy, permit, listener, at };
                tokio::task::spawn_local(introduction.hear(keeper.clone()));
            }
        }
        (socket, source) => keeper.admit(socket, source, listener, at),
    }
}

/// What the first half works with: the tables of the accepting thread, and where it hands connections to.
#[derive(Clone)]
pub struct Doorkeeper {
    /// Who has which place.
    pub admission: Rc<RefCell<Admission>>,
    /// Weak: a proxy that has yet to speak must not keep the workers from being joined at stop.
    pub workers: Weak<Workers>,
    /// What everybody sees.
    pub shared: Arc<Shared>,
}

impl Doorkeeper {
    fn trusts(&self, listener: usize, source: SocketAddr) -> bool {
        self.shared.state.load().doors[listener].listener.trusted_proxies.permits(source.ip())
    }

    fn admit(&self, socket: Accepted, source: Source, listener: usize, at: Instant) {
        let permit = self.decide(listener, |admission, rules| admission.admit(source, rules));
        self.settle(permit, socket, source, None, listener, at);
    }

    fn admit_proxy(&self, proxy: SocketAddr, listener: usize) -> Option<Permit> {
        let decided = self.decide(listener, |admission, rules| admission.admit_proxy(proxy.ip(), rules.limits));
        decided.map_err(|reason| self.refuse(listener, Source::Net(proxy), None, reason, "")).ok()
    }

    pub(super) fn admit_behind(
        &self,
        socket: Accepted,
        source: Source,
        proxy: SocketAddr,
        permit: Permit,
        listener: usize,
        at: Instant,
    ) {
        let permit = self.decide(listener, |admission, rules| admission.admit_behind(permit, source, rules));
        self.settle(permit, socket, source, Some(proxy), listener, at);
    }

    fn decide<T>(&self, listener: usize, decide: impl FnOnce(&mut Admission, &Rules<'_>) -> T) -> T {
        let state = self.shared.state.load();
        let penalised = |source| self.shared.is_penalised(source, &state.config.penalties);
        let allow = &state.doors[listener].listener.allow;
        let rules = Rules { allow, limits: &state.config.server, penalised: &penalised };
        decide(&mut self.admission.borrow_mut(), &rules)
    }

    fn settle(
        &self,
        permit: Result<Permit, Refusal>,
        socket: Accepted,
        source: Source,
        proxy: Option<SocketAddr>,
        listener: usize,
        at: Instant,
    ) {
        match (permit, self.workers.upgrade()) {
            (Ok(permit), Some(workers)) => {
                self.shared.metrics.accepted.add(1);
                let connection = self.shared.metrics.accepted.value();
                workers.hand_over(Arrival { connection, socket, source, proxy, listener, permit, at });
            }
            // The server stops.
            (Ok(_), None) => {}
            (Err(reason), _) => self.refuse(listener, source, proxy, reason, ""),
        }
    }

    pub(super) fn refuse(
        &self,
        listener: usize,
        source: Source,
        proxy: Option<SocketAddr>,
        reason: Refusal,
        detail: &str,
    ) {
        self.shared.teller.tell(Event::Refused {
            listener: self.shared.listener_name(listener),
            source: source.to_string(),
            proxy: shown(proxy),
            reason,
            detail: detail.into(),
        });
    }
}

fn shown(proxy: Option<SocketAddr>) -> String {
    proxy.map_or("none".into(), |proxy| proxy.to_string())
}

/// Second half, on the connection's core: handshake -> identify -> session -> record.
pub async fn serve(arrival: Arrival, shared: &Shared) {
    let Arrival { connection, socket, source, proxy, listener, permit, at } = arrival;
    let _open = Open::count(shared);
    let mut peer = Peer { shared, connection, source, proxy, listener, permit };
    let Ok(mut wire) = socket.into_wire() else { return };
    let (acceptor, deadline) = {
        let state = shared.state.load();
        (state.doors[listener].acceptor.clone(), at + state.config.server.handshake_deadline)
    };
    match acceptor {
        // Without TLS there is nothing by which to agree on another form.
        None => {
            wire.expect_plain();
            peer.ask(wire, Evidence::Unasked, None, Form::Plain, ("none", "none")).await;
        }
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
    proxy: Option<SocketAddr>,
    listener: usize,
    permit: Permit,
}

impl Peer<'_> {
    /// handshake, under its deadline. Evidence comes out of it, or a record of why not.
    async fn handshake(&self, acceptor: &Acceptor, wire: Wire, deadline: Instant) -> Option<Handshaken<Wire>> {
        let proxy_header = wire.proxy_header();
        let failure = tokio::select! {
            biased;
            () = self.shared.stopped() => return None,
            outcome = timeout_at(deadline.into(), acceptor.handshake(wire)) => match outcome {
                Ok(Ok(proven)) => return Some(proven),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    self.offend(Offence::SlowHandshake);
                    self.failed(HandshakeFailure { reason: "handshake deadline passed".into(), identity: None, alert: None });
                    return None;
                }
            },
        };
        if proxy_header.load(Relaxed) {
            self.offend(Offence::NoLogin);
            self.refused(Refusal::ProxyNotTrusted);
            return None;
        }
        self.offend(if failure.identity.is_some() { Offence::FailedLogin } else { Offence::NoLogin });
        self.failed(failure);
        None
    }

    fn failed(&self, failure: HandshakeFailure) {
        self.shared.teller.tell(Event::HandshakeFailed {
            connection: self.connection,
            listener: self.listener_name(),
            source: self.source.to_string(),
            proxy: shown(self.proxy),
            reason: failure.reason,
            alert: failure.alert.unwrap_or_else(|| "none".into()),
            identity: failure.identity.unwrap_or_default(),
        });
    }

    /// For what only the first bytes of a handshake can show.
    fn refused(&self, reason: Refusal) {
        self.shared.teller.tell(Event::Refused {
            listener: self.listener_name(),
            source: self.source.to_string(),
            proxy: shown(self.proxy),
            reason,
            detail: "a PROXY header from somebody who is not in trusted-proxies".into(),
        });
    }

    fn offend(&self, offence: Offence) {
        self.shared.offend(self.source, offence, self.listener);
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
        let proxy_header = stream.wire().proxy_header();
        session::serve(&mut stream, admitted, self.shared).await;
        if proxy_header.load(Relaxed) {
            self.refused(Refusal::ProxyNotTrusted);
        }
    }

    fn identify(&self, presented: Presented, form: Form, (tls, cipher): (&str, &str)) -> Option<Admitted> {
        let listener = self.listener_name();
        let source = self.source.to_string();
        let evidence = presented.evidence.to_string();
        let state = self.shared.state.load();
        let admitted = state.admit(&presented, SystemTime::now()).and_then(|client| {
            let place = self.shared.accounts.enter(client.name(), client.max_connections());
            place.map(|place| (client, place)).ok_or("max-connections")
        });
        match admitted {
            Ok((client, place)) => {
                if let Evidence::Psk { identity } = &presented.evidence {
                    self.shared.uses.note(identity);
                }
                let recorded = self.shared.teller.tell_and_ask(Event::ClientAdmitted {
                    connection: self.connection,
                    listener,
                    source,
                    proxy: shown(self.proxy),
                    client: Arc::clone(client.name()),
                    evidence,
                    tls: tls.into(),
                    cipher: cipher.into(),
                });
                Some(Admitted {
                    connection: self.connection,
                    client,
                    place,
                    presented,
                    epoch: state.epoch,
                    form,
                    recorded,
                })
            }
            Err(reason) => {
                let (connection, proxy) = (self.connection, shown(self.proxy));
                self.shared.teller.tell(Event::ClientDenied { connection, listener, source, proxy, evidence, reason });
                // Its own other connections are no failed login.
                if reason != "max-connections" {
                    self.offend(Offence::FailedLogin);
                }
                None
            }
        }
    }

    fn listener_name(&self) -> Arc<str> {
        self.shared.listener_name(self.listener)
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
