//! One handshake: from a connected stream to a TLS stream with the proof of who is at its other end.
//! No byte of the peer's application is read before the evidence rule said yes. The deadline is the caller's.

use crate::identity::Evidence;
use crate::protocol::Form;
use crate::tls::acceptor::Acceptor;
use crate::tls::evidence::{Claim, Facts, judge};
use crate::tls::fault::reason;
use crate::tls::proof::Proof;
use crate::tls::{certificate, ffi, psk};
use openssl::error::ErrorStack;
use openssl::ssl::{self, Ssl, SslRef};
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_openssl::SslStream;

/// Of what a peer claims, this many bytes are told.
const MAX_CLAIM_BYTES: usize = 128;

/// A finished handshake that proves something.
pub struct Handshaken<S> {
    /// The connection.
    pub stream: SslStream<S>,
    /// What the peer proved.
    pub evidence: Evidence,
    /// What that rests on, to be asked again after a reload.
    pub proof: Proof,
    /// The form of the protocol that both sides agreed on. The peer's wish and no proof of anything.
    pub form: Form,
    /// `TLSv1.2` or `TLSv1.3`.
    pub tls: &'static str,
    /// The suite, as OpenSSL names it.
    pub cipher: &'static str,
}

/// A handshake that failed or proved nothing. The connection is closed already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct HandshakeFailure {
    /// Why, in few words: OpenSSL's own, those of its certificate check, or those of the evidence rule.
    pub reason: String,
    /// Who the peer claimed to be: `psk:...`, or the name of the refused certificate. The peer chose it: escape it.
    pub identity: Option<String>,
    /// The last alert that went over the connection (RFC 8446 section 6): `sent:51`, `received:46`.
    pub alert: Option<String>,
}

impl Acceptor {
    /// Runs the server's side of the handshake and asks what it proves.
    ///
    /// # Errors
    /// [`HandshakeFailure`]; the stream is dropped.
    pub async fn handshake<S>(&self, stream: S) -> Result<Handshaken<S>, HandshakeFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = self.open(stream).map_err(|errors| HandshakeFailure {
            reason: format!("cannot begin: {}", reason(&errors)),
            identity: None,
            alert: None,
        })?;
        if let Err(error) = Pin::new(&mut stream).accept().await {
            return Err(failure(stream.ssl(), broken(&error)));
        }
        match judge(self.asks, &Facts::of(stream.ssl(), self.eku)) {
            Ok(evidence) => {
                let tls = stream.ssl().version_str();
                let cipher = stream.ssl().current_cipher().map_or("", |cipher| cipher.name());
                let form = Form::agreed(stream.ssl().selected_alpn_protocol());
                match Proof::of(self, stream.ssl()) {
                    Ok(proof) => Ok(Handshaken { stream, evidence, proof, form, tls, cipher }),
                    Err(errors) => Err(failure(stream.ssl(), reason(&errors).to_owned())),
                }
            }
            Err(why) => Err(failure(stream.ssl(), why.to_string())),
        }
    }

    fn open<S: AsyncRead + AsyncWrite>(&self, stream: S) -> Result<SslStream<S>, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        certificate::prepare(&mut ssl)?;
        ffi::prepare_alerts(&mut ssl)?;
        SslStream::new(ssl, stream)
    }
}

/// What broke the handshake, as OpenSSL or the system tells it.
fn broken(error: &ssl::Error) -> String {
    if let Some(errors) = error.ssl_error() {
        reason(errors).to_owned()
    } else if let Some(error) = error.io_error() {
        format!("connection lost: {}", error.kind())
    } else {
        "closed by the peer".to_owned()
    }
}

/// Adds what is known of the peer: the record names a stranger and a refused certificate, although the peer gets no such word.
fn failure(ssl: &SslRef, broken: String) -> HandshakeFailure {
    let alert = ffi::last_alert(ssl)
        .map(|alert| format!("{}:{}", if alert.received { "received" } else { "sent" }, alert.number));
    if let Some(refused) = certificate::refused(ssl) {
        let reason = format!("client certificate refused: {}", refused.reason);
        return HandshakeFailure { reason, identity: Some(capped(refused.shown.clone())), alert };
    }
    match psk::claim(ssl) {
        Some(claim) => HandshakeFailure {
            reason: if claim.known { broken } else { format!("unknown PSK identity ({broken})") },
            identity: Some(capped(claimed(&claim))),
            alert,
        },
        None => HandshakeFailure { reason: broken, identity: None, alert },
    }
}

fn claimed(claim: &Claim) -> String {
    match std::str::from_utf8(&claim.identity) {
        Ok(identity) => format!("psk:{identity}"),
        Err(_) => format!("psk:{}", claim.identity.escape_ascii()),
    }
}

fn capped(mut text: String) -> String {
    while text.len() > MAX_CLAIM_BYTES {
        text.pop();
    }
    text
}
