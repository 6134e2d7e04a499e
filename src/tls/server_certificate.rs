//! The certificate that the server shows: read with its key, and refused while still on the desk when clients would refuse it.
//! Also the words for the two dates of any certificate, which `trust.rs` shares.

use crate::config::ServerCertificate;
use crate::identity::{Reader, private_file};
use crate::tls::fault::{BuildFault, reason};
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::SslContextBuilder;
use openssl::x509::{X509, X509ExtendedKeyUsage, X509NameRef, X509Ref};
use std::path::Path;

/// A chain with the key of its first certificate.
#[derive(Debug)]
pub(crate) struct Credentials {
    chain: Vec<X509>,
    key: PKey<Private>,
}

impl Credentials {
    /// Reads and checks both files.
    pub(crate) fn load(files: &ServerCertificate, reader: Reader) -> Result<Credentials, Vec<BuildFault>> {
        let (chain, key) = match (load_chain(&files.certificate), load_key(&files.private_key, reader)) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().collect()),
        };
        let mut faults = Vec::new();
        for certificate in &chain {
            if let Err(what) = judge_dates(certificate) {
                faults.push(BuildFault::file(&files.certificate, what));
            }
        }
        if let Some(own) = chain.first() {
            if !own.public_key().is_ok_and(|public| public.public_eq(&key)) {
                let certificate = files.certificate.display();
                let complaint =
                    format!("not the key of the first certificate in {certificate} ({})", shown(own.subject_name()));
                faults.push(BuildFault::file(&files.private_key, complaint));
            }
            if own.extended_key_usage().is_some_and(|usage| !usage.contains(X509ExtendedKeyUsage::SSL_SERVER)) {
                let complaint = "the first certificate is not for servers (its extended key usage lacks serverAuth)";
                faults.push(BuildFault::file(&files.certificate, complaint));
            }
        }
        if faults.is_empty() { Ok(Credentials { chain, key }) } else { Err(faults) }
    }

    /// Has `context` show the chain.
    pub(crate) fn show(&self, context: &mut SslContextBuilder) -> Result<(), ErrorStack> {
        let mut chain = self.chain.iter();
        if let Some(own) = chain.next() {
            context.set_certificate(own)?;
        }
        for issuer in chain {
            context.add_extra_chain_cert(issuer.clone())?;
        }
        context.set_private_key(&self.key)
    }
}

fn load_chain(path: &Path) -> Result<Vec<X509>, BuildFault> {
    let chain = load_certificates(path)?;
    if chain.is_empty() { Err(BuildFault::file(path, "no PEM certificate in it")) } else { Ok(chain) }
}

/// Every PEM certificate of a file.
pub(crate) fn load_certificates(path: &Path) -> Result<Vec<X509>, BuildFault> {
    let unreadable = |error| BuildFault::Unreadable { path: path.to_owned(), error };
    let pem = std::fs::read(path).map_err(unreadable)?;
    X509::stack_from_pem(&pem)
        .map_err(|errors| BuildFault::file(path, format!("broken PEM certificate: {}", reason(&errors))))
}

fn load_key(path: &Path, reader: Reader) -> Result<PKey<Private>, BuildFault> {
    let pem = private_file::read(path, reader)?;
    // Without a callback OpenSSL would ask the terminal for a passphrase; a daemon has none.
    PKey::private_key_from_pem_callback(pem.expose(), |_| Ok(0)).map_err(|errors| {
        BuildFault::file(path, format!("no PEM private key without a passphrase in it: {}", reason(&errors)))
    })
}

/// Judges notBefore and notAfter; the words name the certificate.
pub(crate) fn judge_dates(certificate: &X509Ref) -> Result<(), String> {
    let name = shown(certificate.subject_name());
    let (start, end) = (certificate.not_before(), certificate.not_after());
    match (days_until(start), days_until(end)) {
        (Some(to_start), _) if to_start >= 0 => Err(format!("{name} is valid only from {start}")),
        (Some(_), Some(to_end)) if to_end < 0 => Err(format!("{name} has expired on {end}")),
        (Some(_), Some(_)) => Ok(()),
        _ => Err(format!("the dates of {name} cannot be read")),
    }
}

/// Whole days from now until `time`, -1 once it has come. `None` when it is no time.
pub(crate) fn days_until(time: &Asn1TimeRef) -> Option<i32> {
    let left = Asn1Time::days_from_now(0).ok()?.diff(time).ok()?;
    Some(if left.days < 0 || left.secs <= 0 && left.days == 0 { -1 } else { left.days })
}

/// A subject for messages: its common name, else its whole name as OpenSSL prints it.
pub(crate) fn shown(name: &X509NameRef) -> String {
    let common = name.entries_by_nid(Nid::COMMONNAME).next().and_then(|entry| entry.data().to_string().ok());
    common.unwrap_or_else(|| format!("{name:?}")).escape_debug().to_string()
}
