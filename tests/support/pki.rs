//! A throw-away PKI made anew for every test: nothing secret is ever committed.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A certificate authority.
pub struct Authority {
    pub certificate: X509,
    pub key: PKey<Private>,
}

/// A certificate signed by an [`Authority`], with its key.
pub struct Leaf {
    pub certificate: X509,
    pub key: PKey<Private>,
}

/// What a leaf is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Server,
    Client,
    /// No extended key usage at all.
    Unsaid,
}

/// How a leaf departs from the ordinary.
#[derive(Clone)]
pub struct Leafing<'a> {
    pub dns: &'a [&'a str],
    pub uris: &'a [&'a str],
    pub ips: &'a [&'a str],
    pub usage: Use,
    /// Days from now; negative is the past.
    pub days: (i64, i64),
}

impl Default for Leafing<'_> {
    fn default() -> Self {
        Leafing { dns: &[], uris: &[], ips: &[], usage: Use::Client, days: (-1, 30) }
    }
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn days_from_now(days: i64) -> Asn1Time {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    Asn1Time::from_unix(now + days * 86_400).unwrap()
}

fn builder(name: &str, days: (i64, i64)) -> openssl::x509::X509Builder {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
    builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_not_before(&days_from_now(days.0)).unwrap();
    builder.set_not_after(&days_from_now(days.1)).unwrap();
    builder
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let key = new_key();
        let mut builder = builder(name, (-1, 30));
        builder.set_pubkey(&key).unwrap();
        let subject = {
            let mut subject = X509NameBuilder::new().unwrap();
            subject.append_entry_by_text("CN", name).unwrap();
            subject.build()
        };
        builder.set_issuer_name(&subject).unwrap();
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Authority { certificate: builder.build(), key }
    }

    pub fn issue(&self, name: &str, leafing: &Leafing<'_>) -> Leaf {
        let key = new_key();
        let mut builder = builder(name, leafing.days);
        builder.set_pubkey(&key).unwrap();
        builder.set_issuer_name(self.certificate.subject_name()).unwrap();
        builder.append_extension(KeyUsage::new().critical().digital_signature().build().unwrap()).unwrap();
        let usage = match leafing.usage {
            Use::Server => Some(ExtendedKeyUsage::new().server_auth().build().unwrap()),
            Use::Client => Some(ExtendedKeyUsage::new().client_auth().build().unwrap()),
            Use::Unsaid => None,
        };
        if let Some(usage) = usage {
            builder.append_extension(usage).unwrap();
        }
        if !(leafing.dns.is_empty() && leafing.uris.is_empty() && leafing.ips.is_empty()) {
            let mut names = SubjectAlternativeName::new();
            for dns in leafing.dns {
                names.dns(dns);
            }
            for uri in leafing.uris {
                names.uri(uri);
            }
            for ip in leafing.ips {
                names.ip(ip);
            }
            let names = names.build(&builder.x509v3_context(Some(&self.certificate), None)).unwrap();
            builder.append_extension(names).unwrap();
        }
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        Leaf { certificate: builder.build(), key }
    }

    /// A server certificate for `localhost`, 127.0.0.1 and ::1.
    pub fn issue_server(&self) -> Leaf {
        self.issue(
            "localhost",
            &Leafing { dns: &["localhost"], ips: &["127.0.0.1", "::1"], usage: Use::Server, ..Leafing::default() },
        )
    }

    /// An ordinary client certificate named `dns:NAME`.
    pub fn issue_client(&self, name: &str) -> Leaf {
        self.issue(name, &Leafing { dns: &[name], ..Leafing::default() })
    }

    /// Writes the CA certificate as `NAME.pem`.
    pub fn write(&self, folder: &Path, name: &str) -> PathBuf {
        write_private(&folder.join(format!("{name}.pem")), &self.certificate.to_pem().unwrap())
    }
}

impl Leaf {
    /// Writes `NAME.pem` and `NAME.key`, the key readable by its owner alone.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        (
            write_private(&folder.join(format!("{name}.pem")), &self.certificate.to_pem().unwrap()),
            write_private(&folder.join(format!("{name}.key")), &self.key.private_key_to_pem_pkcs8().unwrap()),
        )
    }
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, content: &[u8]) -> PathBuf {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(content).unwrap();
    path.to_owned()
}
