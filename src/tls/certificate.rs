//! Client certificates: asking for one, and reading what it says.
//! The rule of what it proves is `evidence.rs`; who signs clients is `trust.rs`.

use crate::identity::CertificateNames;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::ssl::{Ssl, SslContextBuilder, SslRef, SslVerifyMode};
use openssl::x509::{X509ExtendedKeyUsage, X509Ref, X509StoreContext, X509StoreContextRef, X509VerifyResult};
use std::sync::OnceLock;

/// Why a client certificate was refused. OpenSSL forgets the certificate at once, so this is noted while it still has it.
#[derive(Clone, Debug)]
pub(crate) struct RefusedCertificate {
    /// The reason, for the record.
    pub(crate) reason: &'static str,
    /// Whose it says it is.
    pub(crate) shown: String,
}

/// Has `context` demand a client certificate that the trusted CAs signed and that is for clients, by its own word or, if
/// `eku` does not ask for it, by saying nothing else.
///
/// # Errors
/// When OpenSSL has no room for the note that the check leaves on a connection.
pub fn demand(context: &mut SslContextBuilder, eku: bool) -> Result<(), ErrorStack> {
    let (refusal, ssl) = (refusal_index()?, X509StoreContext::ssl_idx()?);
    let mode = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
    context.set_verify_callback(mode, move |verified, chain| {
        let reason = if !verified {
            chain.error().error_string()
        } else if chain.error_depth() == 0 && !chain.current_cert().is_some_and(|leaf| is_for_clients(leaf, eku)) {
            // The evidence rule says the same; here the peer still gets an alert.
            chain.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
            "no extended key usage clientAuth"
        } else {
            return true;
        };
        if let Some(note) = chain.ex_data(ssl).and_then(|ssl| ssl.ex_data(refusal)) {
            let _ = note.set(RefusedCertificate { reason, shown: leaf_name(chain) });
        }
        false
    });
    Ok(())
}

fn leaf_name(chain: &X509StoreContextRef) -> String {
    let leaf = chain.chain().and_then(|chain| chain.get(0)).or_else(|| chain.current_cert());
    leaf.and_then(|leaf| names(leaf).ok()).map(|names| names.shown()).unwrap_or_default()
}

/// Makes room on a connection for the note of a refused certificate.
pub(crate) fn prepare(ssl: &mut SslRef) -> Result<(), ErrorStack> {
    ssl.set_ex_data(refusal_index()?, OnceLock::new());
    Ok(())
}

/// The certificate that was refused in this handshake.
pub(crate) fn refused(ssl: &SslRef) -> Option<&RefusedCertificate> {
    ssl.ex_data(refusal_index().ok()?)?.get()
}

fn refusal_index() -> Result<Index<Ssl, OnceLock<RefusedCertificate>>, ErrorStack> {
    static INDEX: OnceLock<Index<Ssl, OnceLock<RefusedCertificate>>> = OnceLock::new();
    match INDEX.get() {
        Some(index) => Ok(*index),
        None => {
            let fresh = Ssl::new_ex_index()?;
            Ok(*INDEX.get_or_init(|| fresh))
        }
    }
}

/// Whether the extended key usage names client authentication. Absence does not, unless nobody asks for it.
pub(crate) fn is_for_clients(certificate: &X509Ref, eku: bool) -> bool {
    match certificate.extended_key_usage() {
        Some(usage) => usage.contains(X509ExtendedKeyUsage::SSL_CLIENT),
        None => !eku,
    }
}

/// The names by which the configuration knows a certificate.
pub(crate) fn names(certificate: &X509Ref) -> Result<CertificateNames, ErrorStack> {
    let digest = certificate.digest(MessageDigest::sha256())?;
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest.get(..32).ok_or_else(ErrorStack::get)?);
    let (mut dns, mut uris) = (Vec::new(), Vec::new());
    for name in certificate.subject_alt_names().iter().flatten() {
        dns.extend(name.dnsname().map(str::to_ascii_lowercase));
        uris.extend(name.uri().map(str::to_owned));
    }
    Ok(CertificateNames { dns, uris, sha256, common_name: common_name(certificate) })
}

/// The subject's common name. Several are none, and neither is one with a NUL or another control in it: what one
/// program reads to its end, another may read to there.
fn common_name(certificate: &X509Ref) -> Option<String> {
    let mut names = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
    let only = names.next().filter(|_| names.next().is_none())?;
    let name = only.data().to_string().ok()?;
    (!name.is_empty() && !name.contains(char::is_control)).then_some(name)
}
