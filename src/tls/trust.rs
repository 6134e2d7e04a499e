//! Who signs clients, and whom they revoked: the CA file and the CRL file, checked before they can lock anybody out.
//!
//! Revocation is checked along the whole chain (`CRL_CHECK_ALL`): an intermediate that was revoked must not vouch for
//! anybody. OpenSSL then refuses every client whose chain holds a CA without a good CRL. So each CA of the CA file has to
//! have a CRL here, roots too, intermediates have to stand in the CA file beside their root, and what would
//! lock clients out is a fault of the build instead.

use crate::config::ClientTrust;
use crate::tls::fault::{BuildFault, reason};
use crate::tls::paper::crls_of;
use crate::tls::server_certificate::{days_until, judge_dates, load_certificates, shown};
use openssl::error::ErrorStack;
use openssl::ssl::{SslContextBuilder, SslFiletype};
use openssl::stack::Stack;
use openssl::x509::store::X509Lookup;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509Crl, X509KeyUsage, X509Name, X509NameRef, X509Ref};
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// The CAs that sign clients, and the file of their CRLs.
#[derive(Debug)]
pub(crate) struct Trust {
    authorities: Vec<X509>,
    crl: Option<PathBuf>,
}

impl Trust {
    /// Reads and checks both files.
    pub(crate) fn load(files: &ClientTrust) -> Result<Trust, Vec<BuildFault>> {
        let authorities = load_certificates(&files.client_ca).map_err(|fault| vec![fault])?;
        let mut faults = check_authorities(&files.client_ca, &authorities);
        if let Some(path) = &files.crl {
            match load_crls(path) {
                Ok(crls) => faults.extend(check_crls(path, &crls, &authorities)),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Trust { authorities, crl: files.crl.clone() }) } else { Err(faults) }
    }

    /// Has `context` believe these CAs and nobody else.
    pub(crate) fn apply(&self, context: &mut SslContextBuilder) -> Result<(), ErrorStack> {
        let mut names = Stack::new()?;
        for authority in &self.authorities {
            context.cert_store_mut().add_cert(authority.clone())?;
            names.push(X509Name::from_der(&authority.subject_name().to_der()?)?)?;
        }
        context.set_client_ca_list(names);
        if let Some(path) = &self.crl {
            context.cert_store_mut().add_lookup(X509Lookup::file())?.load_crl_file(path, SslFiletype::PEM)?;
            let flags = X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL;
            context.verify_param_mut().set_flags(flags)?;
            // The same for a certificate that is judged again after its handshake, by the store alone.
            context.cert_store_mut().set_flags(flags)?;
        }
        Ok(())
    }
}

fn check_authorities(path: &Path, authorities: &[X509]) -> Vec<BuildFault> {
    if authorities.is_empty() {
        return vec![BuildFault::file(path, "no PEM certificate of a CA in it")];
    }
    let mut faults = Vec::new();
    // While one CA follows another the old one may stay in the file beyond its end; its paper warns of that.
    let bad: Vec<String> = authorities.iter().filter_map(|authority| judge_dates(authority).err()).collect();
    if bad.len() == authorities.len() {
        faults.extend(bad.into_iter().map(|what| BuildFault::file(path, what)));
    }
    if !authorities.iter().any(|authority| same(authority.subject_name(), authority.issuer_name())) {
        let complaint = "no root in it (a CA certificate that is its own issuer); a client's chain has to end in one";
        faults.push(BuildFault::file(path, complaint));
    }
    faults
}

fn load_crls(path: &Path) -> Result<Vec<X509Crl>, BuildFault> {
    if path.to_str().is_none_or(|path| path.contains('\0')) {
        return Err(BuildFault::file(path, "the file's name is not UTF-8, which OpenSSL cannot open"));
    }
    let unreadable = |error| BuildFault::Unreadable { path: path.to_owned(), error };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let crls =
        crls_of(&bytes).map_err(|errors| BuildFault::file(path, format!("broken PEM CRL: {}", reason(&errors))))?;
    if crls.is_empty() { Err(BuildFault::file(path, "no PEM CRL in it")) } else { Ok(crls) }
}

fn check_crls(path: &Path, crls: &[X509Crl], authorities: &[X509]) -> Vec<BuildFault> {
    let mut faults = Vec::new();
    for crl in crls {
        let issuer = shown(crl.issuer_name());
        if !authorities.iter().any(|authority| signed(crl, authority)) {
            faults.push(BuildFault::file(
                path,
                format!("the CRL of {issuer} is signed by no CA of the client CA file that may sign CRLs"),
            ));
        }
        if days_until(crl.last_update()).is_none_or(|days| days >= 0) {
            let start = crl.last_update();
            faults.push(BuildFault::file(path, format!("the CRL of {issuer} is valid only from {start}")));
        }
        if let Some(end) = crl.next_update().filter(|end| days_until(end).is_none_or(|days| days < 0)) {
            let complaint =
                format!("the CRL of {issuer} ran out on {end}: every client would be refused; publish a new one");
            faults.push(BuildFault::file(path, complaint));
        }
    }
    for authority in authorities.iter().filter(|authority| judge_dates(authority).is_ok()) {
        if !crls.iter().any(|crl| signed(crl, authority)) {
            let name = shown(authority.subject_name());
            faults.push(BuildFault::file(path, format!("no CRL of {name}: every client of that CA would be refused")));
        }
    }
    faults
}

/// Whether this CA issued the CRL and may do so (RFC 5280 section 6.3.3 f).
fn signed(crl: &X509Crl, authority: &X509Ref) -> bool {
    same(crl.issuer_name(), authority.subject_name())
        && authority.key_usage().is_none_or(|usage| usage.contains(X509KeyUsage::CRL_SIGN))
        && authority.public_key().is_ok_and(|key| crl.verify(&key).unwrap_or(false))
}

fn same(one: &X509NameRef, other: &X509NameRef) -> bool {
    one.try_cmp(other).is_ok_and(|order| order == Ordering::Equal)
}
