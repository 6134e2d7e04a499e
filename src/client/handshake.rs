//! TLS from the client's side: what is offered, what is demanded of the server, and the proof that it was given.

use super::connect::Wire;
use super::credentials::{ClientCertificate, PreSharedKey, TrustedCas};
use super::error::Error;
use super::escaped::Escaped;
use super::options::{Name, Options, Protection, Server, ServerName};
use super::refusal::{Claim, Failure, classify};
use crate::cipher_policy::{self, Profile};
use crate::protocol::Form;
use openssl::error::ErrorStack;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslRef, SslSessionCacheMode, SslVerifyMode,
    SslVersion,
};
use openssl::x509::verify::X509CheckFlags;
use openssl::x509::{X509Ref, X509StoreContextRef};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_openssl::SslStream;

/// `X509_V_ERR_HOSTNAME_MISMATCH` and `X509_V_ERR_IP_ADDRESS_MISMATCH` (x509_vfy.h).
const NAME_MISMATCHES: [i32; 2] = [62, 64];

/// What was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The suite, by its OpenSSL name.
    pub cipher: String,
    /// The form of the answers.
    pub form: Form,
}

/// Shakes hands over `socket` and returns only once the server has proved what `options` demand.
pub(super) async fn secure(socket: Wire, options: &Options) -> Result<(Wire, Option<Handshake>), Error> {
    let (mut ssl, claim) = match &options.protection {
        Protection::Plain => return Ok((socket, None)),
        Protection::Psk(key) => (offer_key(key, options.profile)?, Claim::Key),
        Protection::Certificate { trust, name, own } => {
            let name = expected_name(name.as_ref(), &options.server)?;
            let claim = if own.is_some() { Claim::Certificate } else { Claim::Nobody };
            (demand_certificate(trust, &name, own.as_ref(), options.profile)?, claim)
        }
    };
    offer_form(&mut ssl, options.form)?;
    let doubt = verify_and_note(&mut ssl);
    let mut stream = SslStream::new(ssl, socket)?;
    if let Err(error) = Pin::new(&mut stream).connect().await {
        let doubt = doubt.lock().unwrap_or_else(PoisonError::into_inner).take();
        return Err(failed(options, doubt, classify(&error, claim)));
    }
    if let Protection::Psk(key) = &options.protection {
        if !key_was_used(stream.ssl()) {
            return Err(key_not_proved(options, key));
        }
    }
    let form = Form::agreed(stream.ssl().selected_alpn_protocol());
    if form != options.form {
        return Err(Error::NotExplained { server: options.server.to_string() });
    }
    let agreed = Handshake {
        version: stream.ssl().version_str(),
        cipher: stream.ssl().current_cipher().map(|cipher| cipher.name().to_owned()).unwrap_or_default(),
        form,
    };
    Ok((Box::new(stream), Some(agreed)))
}

/// Offers the form, where it has a name. A client of the plain form offers nothing.
fn offer_form(ssl: &mut Ssl, form: Form) -> Result<(), ErrorStack> {
    let Some(name) = form.alpn() else { return Ok(()) };
    let length = u8::try_from(name.len()).unwrap_or_default();
    ssl.set_alpn_protos(&[&[length], name].concat())
}

fn expected_name(name: Option<&ServerName>, server: &Server) -> Result<ServerName, Error> {
    match (name, server) {
        (Some(name), _) => Ok(name.clone()),
        (None, Server::Tcp { host, .. }) => {
            host.parse().map_err(|_| Error::NoServerName { server: server.to_string() })
        }
        (None, Server::Unix(_)) => Err(Error::NoServerName { server: server.to_string() }),
    }
}

/// A client that offers a key and nothing else. It trusts no CA, so a server that answers with a
/// certificate fails the handshake instead of standing in for the one that has the key.
fn offer_key(key: &PreSharedKey, profile: Profile) -> Result<Ssl, ErrorStack> {
    let mut builder = common(profile)?;
    builder.set_ciphersuites(cipher_policy::SUITES_PSK)?;
    builder.set_cipher_list(cipher_policy::CIPHERS_PSK)?;
    let offered = key.clone();
    builder.set_psk_client_callback(move |_, _, identity, key| {
        let name = offered.identity().as_bytes();
        let secret = offered.key().expose();
        // OpenSSL reads the identity up to a NUL. No key at all is the answer if its buffers are too small.
        let (Some(terminated), Some(room)) = (identity.get_mut(..=name.len()), key.get_mut(..secret.len())) else {
            return Ok(0);
        };
        if let Some((end, text)) = terminated.split_last_mut() {
            text.copy_from_slice(name);
            *end = 0;
        }
        room.copy_from_slice(secret);
        Ok(secret.len())
    });
    Ssl::new(&builder.build())
}

/// A client that demands a certificate for `name`, signed by a trusted CA.
fn demand_certificate(
    trust: &TrustedCas,
    name: &ServerName,
    own: Option<&ClientCertificate>,
    profile: Profile,
) -> Result<Ssl, ErrorStack> {
    let mut builder = common(profile)?;
    builder.set_ciphersuites(cipher_policy::SUITES_CERTIFICATE)?;
    builder.set_cipher_list(cipher_policy::CIPHERS_CERTIFICATE)?;
    match &trust.0 {
        None => builder.set_default_verify_paths()?,
        Some(certificates) => {
            for certificate in certificates {
                builder.cert_store_mut().add_cert(certificate.clone())?;
            }
        }
    }
    if let Some(own) = own {
        builder.set_certificate(&own.certificate)?;
        builder.set_private_key(&own.key)?;
        for intermediate in &own.intermediates {
            builder.add_extra_chain_cert(intermediate.clone())?;
        }
    }
    let context: SslContext = builder.build();
    let mut ssl = Ssl::new(&context)?;
    // A common name is no server name (RFC 9525 section 2); OpenSSL would still fall back to it.
    ssl.param_mut().set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS | X509CheckFlags::NEVER_CHECK_SUBJECT);
    match &name.0 {
        Name::Dns(name) => {
            ssl.set_hostname(name)?;
            ssl.param_mut().set_host(name)?;
        }
        Name::Ip(address) => ssl.param_mut().set_ip(*address)?,
    }
    Ok(ssl)
}

fn common(profile: Profile) -> Result<SslContextBuilder, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(match profile {
        Profile::Intermediate => SslVersion::TLS1_2,
        Profile::Modern => SslVersion::TLS1_3,
    }))?;
    builder.set_groups_list(cipher_policy::GROUPS)?;
    builder.set_security_level(cipher_policy::SECURITY_LEVEL);
    builder.set_options(SslOptions::NO_TICKET | SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    // A write that has to wait is tried again from a buffer that has grown or moved meanwhile.
    builder.set_mode(SslMode::AUTO_RETRY | SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER);
    Ok(builder)
}

/// What verification held against the server.
struct Doubt {
    code: i32,
    reason: &'static str,
    subject: String,
    names: String,
}

/// Has the server's certificate verified, should it show one, and keeps the first thing that is found:
/// afterwards OpenSSL no longer shows the certificate.
fn verify_and_note(ssl: &mut Ssl) -> Arc<Mutex<Option<Doubt>>> {
    let noted = Arc::new(Mutex::new(None));
    let note = Arc::clone(&noted);
    ssl.set_verify_callback(SslVerifyMode::PEER, move |good: bool, store: &mut X509StoreContextRef| {
        if !good {
            let error = store.error();
            note.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| Doubt {
                code: error.as_raw(),
                reason: error.error_string(),
                subject: store.current_cert().map(subject).unwrap_or_default(),
                names: store.current_cert().map(names).unwrap_or_default(),
            });
        }
        good
    });
    noted
}

fn subject(certificate: &X509Ref) -> String {
    let parts = certificate.subject_name().entries().map(|entry| {
        let key = entry.object().nid().short_name().unwrap_or("?");
        format!("{key}={}", Escaped(entry.data().as_slice()))
    });
    format!("certificate of {}", parts.collect::<Vec<_>>().join(", "))
}

fn names(certificate: &X509Ref) -> String {
    let found: Vec<String> = certificate
        .subject_alt_names()
        .iter()
        .flatten()
        .filter_map(|name| match (name.dnsname(), name.ipaddress()) {
            (Some(dns), _) => Some(format!("`{}`", Escaped(dns.as_bytes()))),
            (None, Some(ip)) => {
                let v4 = <[u8; 4]>::try_from(ip).map(std::net::IpAddr::from);
                let v6 = <[u8; 16]>::try_from(ip).map(std::net::IpAddr::from);
                v4.or(v6).ok().map(|ip| format!("`{ip}`"))
            }
            (None, None) => None,
        })
        .collect();
    if found.is_empty() { "nobody (it has no subjectAltName)".to_owned() } else { found.join(", ") }
}

fn failed(options: &Options, doubt: Option<Doubt>, failure: Failure) -> Error {
    let server = options.server.to_string();
    match (&options.protection, doubt, failure) {
        (Protection::Psk(key), Some(_), _) => key_not_proved(options, key),
        (Protection::Certificate { name, .. }, Some(doubt), _) if NAME_MISMATCHES.contains(&doubt.code) => {
            let expected = expected_name(name.as_ref(), &options.server).map(|name| name.to_string());
            Error::WrongName { server, expected: expected.unwrap_or_default(), found: doubt.names }
        }
        (_, Some(doubt), _) => {
            Error::NotTrusted { server, reason: doubt.reason.to_owned(), certificate: doubt.subject }
        }
        (_, None, Failure::Refused(refusal)) => Error::Refused { server, refusal },
        (_, None, Failure::NotTls) => {
            Error::Handshake { server, reason: "its first bytes are not TLS; does this listener speak it?".to_owned() }
        }
        (_, None, Failure::Cut) => Error::Handshake {
            server,
            reason: "it closed the connection during the handshake: is this address on its allowlist, \
                     are its connection limits reached, does this listener speak TLS?"
                .to_owned(),
        },
        (_, None, Failure::Other(reason)) => Error::Handshake { server, reason },
    }
}

fn key_not_proved(options: &Options, key: &PreSharedKey) -> Error {
    Error::KeyNotProved { server: options.server.to_string(), identity: key.identity().to_owned() }
}

/// Whether the key took part in the handshake. In TLS 1.3 a PSK is a resumption (RFC 8446 section 2.2), and
/// with tickets and caches off there is no other; in TLS 1.2 the suite says it.
fn key_was_used(ssl: &SslRef) -> bool {
    match ssl.version2() {
        Some(SslVersion::TLS1_3) => ssl.session_reused() && ssl.peer_certificate().is_none(),
        Some(SslVersion::TLS1_2) => ssl.current_cipher().is_some_and(|cipher| cipher.name().contains("PSK")),
        _ => false,
    }
}
