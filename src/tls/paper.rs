//! The files of certificates and CRLs behind an acceptor, as papers that run out: what each is worth until when, and whether
//! the file on the disk is still the one in service. Knows files and dates; whether a paper is good for its purpose is
//! judged where it is loaded.

use crate::tls::fault::{BuildFault, reason};
use crate::tls::server_certificate::shown;
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::sha::sha256;
use openssl::x509::{X509, X509Crl};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;

/// From this many days before its end a certificate is warned about.
const CERTIFICATE_WARN_DAYS: i64 = 30;

/// From this many days before its nextUpdate a CRL is warned about (RFC 5280 section 5.1.2.5).
const CRL_WARN_DAYS: i64 = 7;

/// One file, as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paper {
    path: PathBuf,
    digest: [u8; 32],
    terms: Vec<Term>,
}

/// Something in it that ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    /// `alice.example`, `the CRL of Test CA`.
    name: String,
    /// Seconds since 1970.
    ends: i64,
    /// The same as OpenSSL prints it.
    printed: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Certificate,
    Crl,
}

impl Paper {
    /// Reads a file of PEM certificates, CRLs, or both. What is neither is left to whoever loads it.
    ///
    /// # Errors
    /// When it cannot be read, or holds a broken certificate or CRL.
    pub fn read(path: &Path) -> Result<Paper, BuildFault> {
        let bytes = std::fs::read(path).map_err(|error| BuildFault::Unreadable { path: path.to_owned(), error })?;
        let broken = |what: &str, errors| BuildFault::file(path, format!("broken PEM {what}: {}", reason(&errors)));
        let certificates = X509::stack_from_pem(&bytes).map_err(|errors| broken("certificate", errors))?;
        let crls = crls_of(&bytes).map_err(|errors| broken("CRL", errors))?;
        let mut terms: Vec<Term> = certificates
            .iter()
            .filter_map(|found| Term::new(shown(found.subject_name()), found.not_after(), Kind::Certificate))
            .collect();
        terms.extend(crls.iter().filter_map(|found| {
            Term::new(format!("the CRL of {}", shown(found.issuer_name())), found.next_update()?, Kind::Crl)
        }));
        Ok(Paper { path: path.to_owned(), digest: sha256(&bytes), terms })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What of it has ended or will soon, a sentence each.
    #[must_use]
    pub fn warnings(&self, now: SystemTime) -> Vec<String> {
        let now = unix(now);
        let warning = |term: &Term| Some(format!("{}: {}", self.path.display(), term.warning(now)?));
        self.terms.iter().filter_map(warning).collect()
    }

    /// Whole days until the first of it ends; negative when that is past, `None` when nothing in it ends.
    #[must_use]
    pub fn days_left(&self, now: SystemTime) -> Option<i64> {
        let first = self.terms.iter().map(|term| term.ends).min()?;
        Some((first - unix(now)).div_euclid(DAY))
    }

    /// Whether two readings found the same bytes.
    #[must_use]
    pub fn same_as(&self, other: &Paper) -> bool {
        self.digest == other.digest
    }
}

impl Term {
    fn new(name: String, end: &Asn1TimeRef, kind: Kind) -> Option<Term> {
        let since = Asn1Time::from_unix(0).ok()?.diff(end).ok()?;
        let ends = i64::from(since.days) * DAY + i64::from(since.secs);
        Some(Term { name, ends, printed: end.to_string(), kind })
    }

    fn warning(&self, now: i64) -> Option<String> {
        let (name, end) = (&self.name, &self.printed);
        let days = (self.ends - now).div_euclid(DAY);
        let left = match days {
            0 => "within a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        };
        match self.kind {
            Kind::Certificate if self.ends <= now => Some(format!("{name} has expired on {end}")),
            Kind::Certificate if days < CERTIFICATE_WARN_DAYS => Some(format!("{name} expires on {end}, {left}")),
            Kind::Crl if self.ends <= now => Some(format!(
                "{name} ran out on {end}: every client of that CA is refused until a new one is in service"
            )),
            Kind::Crl if days < CRL_WARN_DAYS => Some(format!("{name} runs out on {end}, {left}; publish a new one")),
            Kind::Certificate | Kind::Crl => None,
        }
    }
}

/// Every PEM CRL in `bytes`; whatever stands around them is passed over.
pub(crate) fn crls_of(bytes: &[u8]) -> Result<Vec<X509Crl>, openssl::error::ErrorStack> {
    const BEGIN: &str = "-----BEGIN X509 CRL-----";
    const END: &str = "-----END X509 CRL-----";
    let pem = String::from_utf8_lossy(bytes);
    let blocks = pem.split_inclusive(END).filter_map(|piece| piece.find(BEGIN).and_then(|begin| piece.get(begin..)));
    blocks.map(|block| X509Crl::from_pem(block.as_bytes())).collect()
}

fn unix(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::time::Duration;

    fn ends_at(days: i64, kind: Kind) -> Paper {
        let term = Term { name: "x".into(), ends: days * DAY, printed: "then".into(), kind };
        Paper { path: "p.pem".into(), digest: [0; 32], terms: vec![term] }
    }

    #[rstest]
    #[case(Kind::Certificate, 60, None)]
    #[case(Kind::Certificate, 30, None)]
    #[case(Kind::Certificate, 29, Some("p.pem: x expires on then, in 29 days"))]
    #[case(Kind::Certificate, 1, Some("p.pem: x expires on then, in 1 day"))]
    #[case(Kind::Certificate, 0, Some("p.pem: x has expired on then"))]
    #[case(Kind::Crl, 7, None)]
    #[case(Kind::Crl, 6, Some("p.pem: x runs out on then, in 6 days; publish a new one"))]
    #[case(Kind::Crl, -1, Some("p.pem: x ran out on then: every client of that CA is refused until a new one is in service"))]
    fn what_ends_is_warned_about_days_ahead(#[case] kind: Kind, #[case] days: i64, #[case] warning: Option<&str>) {
        let now = UNIX_EPOCH + Duration::from_secs(100 * 86_400);
        let paper = ends_at(100 + days, kind);
        assert_eq!(paper.warnings(now).first().map(String::as_str), warning);
        assert_eq!(paper.days_left(now), Some(days));
    }

    #[test]
    fn the_last_day_is_told_as_such() {
        let now = UNIX_EPOCH + Duration::from_secs(100 * 86_400 - 1);
        assert_eq!(ends_at(100, Kind::Certificate).warnings(now), ["p.pem: x expires on then, within a day"]);
    }
}
