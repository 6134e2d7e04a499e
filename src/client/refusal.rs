//! TLS alerts in words: what the server says by one, and what to check. Knows only numbers and texts.
//! In TLS 1.3 a client is through its handshake before the server has judged it, so a refusal may come at the first read.

use openssl::ssl;
use std::fmt::{self, Display};
use std::io;

/// OpenSSL's reason codes for received alerts are the alert's number plus this (`SSL_AD_REASON_OFFSET` in ssl.h).
const ALERT_OFFSET: i32 = 1000;
/// `SSL_R_WRONG_VERSION_NUMBER` (sslerr.h): the first bytes were no TLS record.
const WRONG_VERSION_NUMBER: i32 = 267;
/// `SSL_R_UNEXPECTED_EOF_WHILE_READING` (sslerr.h): the connection ended without TLS's own goodbye.
const UNEXPECTED_EOF: i32 = 294;

/// Who this client said it is; decides what a refusal may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Key,
    Certificate,
    Nobody,
}

/// A fatal alert of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The alert's number (RFC 8446 section 6).
    pub alert: u8,
    claim: Claim,
}

impl Refusal {
    /// The alert's name in RFC 8446 section 6, or RFC 5246 section 7.2 for the older ones.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.alert {
            10 => "unexpected_message",
            20 => "bad_record_mac",
            40 => "handshake_failure",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            109 => "missing_extension",
            112 => "unrecognized_name",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => "an alert without a common name",
        }
    }

    fn advice(&self) -> &'static str {
        match (self.alert, self.claim) {
            (70 | 71, _) => "it takes none of the TLS versions or suites that this client offers",
            (120, _) => "it does not speak the form of answers that this client asks for",
            (80, _) => "it failed on its own; its log says why",
            (20 | 40 | 47 | 51 | 115 | 116, Claim::Key) => {
                "it does not accept this identity with this key: check both, and that the listener takes keys"
            }
            (44, Claim::Certificate) => "this client's certificate is revoked",
            (45, Claim::Certificate) => "this client's certificate, or the server's revocation list, has expired",
            (48, Claim::Certificate) => "it trusts no CA that signed this client's certificate",
            (43, Claim::Certificate) => "this client's certificate is not for clients (extendedKeyUsage)",
            (42 | 46 | 49, Claim::Certificate) => "it does not accept this client's certificate",
            (40 | 116, Claim::Certificate) => {
                "it does not accept this client's certificate, or takes keys only: check the listener's mode"
            }
            (40 | 42 | 109 | 116, Claim::Nobody) => "it asks who this client is: give a key or a client certificate",
            _ => "the server's log may say why",
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (TLS alert {} {})", self.advice(), self.alert, self.name())
    }
}

/// What a failed TLS operation was.
pub(super) enum Failure {
    Refused(Refusal),
    NotTls,
    /// The peer ended the connection without TLS's goodbye.
    Cut,
    Other(String),
}

/// Reads an error of a TLS operation.
pub(super) fn classify(error: &ssl::Error, claim: Claim) -> Failure {
    if let Some(stack) = error.ssl_error() {
        for reason in stack.errors() {
            let code = reason.reason_code();
            if let Ok(alert @ 1..) = u8::try_from(code - ALERT_OFFSET) {
                return Failure::Refused(Refusal { alert, claim });
            }
            match code {
                WRONG_VERSION_NUMBER => return Failure::NotTls,
                UNEXPECTED_EOF => return Failure::Cut,
                _ => {}
            }
        }
        let reasons: Vec<_> = stack.errors().iter().filter_map(openssl::error::Error::reason).collect();
        return Failure::Other(reasons.join(", "));
    }
    match error.io_error() {
        None => Failure::Cut,
        Some(io) if ended(io) => Failure::Cut,
        Some(io) => Failure::Other(io.to_string()),
    }
}

/// Reads an error of a read or write on an established connection.
pub(super) fn classify_io(error: &io::Error, claim: Claim) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ssl::Error>()) {
        Some(error) => classify(error, claim),
        None if ended(error) => Failure::Cut,
        None => Failure::Other(error.to_string()),
    }
}

fn ended(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}
