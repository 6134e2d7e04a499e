//! Keys, certificates and acceptors made for one test.

use crate::support::pki::{Authority, Leaf, write_private};
use linekeep::cipher_policy::Profile;
use linekeep::config::{ClientTrust, Mode, ServerCertificate};
use linekeep::identity::Reader;
use linekeep::tls::{Acceptor, Asks, BuildFault, DecoyKeys};
use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::hash::MessageDigest;
use openssl::x509::extension::{BasicConstraints, KeyUsage};
use openssl::x509::{X509, X509Crl, X509CrlBuilder, X509Extension, X509RevokedBuilder};
use std::path::PathBuf;

pub const ALICE_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub const WRONG_KEY: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Everything a listener of any mode may load.
pub struct House {
    pub folder: tempfile::TempDir,
    pub ca: Authority,
    pub server: Leaf,
    pub client_ca: PathBuf,
    pub keyring: PathBuf,
    server_files: (PathBuf, PathBuf),
    pub crl: Option<PathBuf>,
}

impl House {
    pub fn new() -> House {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new("Test CA");
        let server = ca.issue_server();
        House {
            client_ca: ca.write(folder.path(), "ca"),
            keyring: write_private(&folder.path().join("keyring"), format!("alice:{ALICE_KEY}\n").as_bytes()),
            server_files: server.write(folder.path(), "server"),
            crl: None,
            folder,
            ca,
            server,
        }
    }

    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        write_private(&self.folder.path().join(name), content)
    }

    /// Puts these CAs beside the first one, and these CRLs into service.
    pub fn trust(&mut self, beside: &[&Authority], crls: &[X509Crl]) {
        let authorities = std::iter::once(&self.ca).chain(beside.iter().copied());
        let pems: Vec<_> = authorities.map(|authority| authority.certificate.to_pem().unwrap()).collect();
        self.client_ca = self.write("cas.pem", &pems.concat());
        let pems: Vec<_> = crls.iter().map(|crl| crl.to_pem().unwrap()).collect();
        self.crl = Some(self.write("crl.pem", &pems.concat()));
    }

    pub fn mode(&self, asks: Asks) -> Mode {
        let (certificate, private_key) = self.server_files.clone();
        let server = ServerCertificate { certificate, private_key };
        let trust = ClientTrust { client_ca: self.client_ca.clone(), crl: self.crl.clone(), require_client_eku: true };
        let keyring = self.keyring.clone();
        match asks {
            Asks::Psk => Mode::Psk { keyring },
            Asks::Certificate => Mode::Certificate { server, trust },
            Asks::Either => Mode::Either { keyring, server, trust },
            Asks::Nothing => Mode::None { server, client: "everybody".into() },
        }
    }

    pub fn acceptor(&self, asks: Asks) -> Acceptor {
        self.acceptor_of(Profile::Intermediate, asks)
    }

    pub fn acceptor_of(&self, profile: Profile, asks: Asks) -> Acceptor {
        build(profile, &self.mode(asks)).unwrap_or_else(|faults| panic!("{faults:?}"))
    }
}

pub fn build(profile: Profile, mode: &Mode) -> Result<Acceptor, Vec<BuildFault>> {
    Acceptor::build(profile, mode, &DecoyKeys::draw().unwrap(), Reader::this_process())
}

fn in_days(days: i64) -> Asn1Time {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    Asn1Time::from_unix(i64::try_from(now).unwrap() + days * 86_400).unwrap()
}

/// A CA that another CA signed.
pub fn intermediate(root: &Authority, name: &str) -> Authority {
    let made = Authority::new(name);
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(made.certificate.serial_number()).unwrap();
    builder.set_subject_name(made.certificate.subject_name()).unwrap();
    builder.set_issuer_name(root.certificate.subject_name()).unwrap();
    builder.set_not_before(&in_days(-1)).unwrap();
    builder.set_not_after(&in_days(60)).unwrap();
    builder.set_pubkey(&made.key).unwrap();
    builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build().unwrap()).unwrap();
    builder.sign(&root.key, MessageDigest::sha256()).unwrap();
    Authority { certificate: builder.build(), key: made.key }
}

/// A CRL of this CA over these certificates; days from now, negative is the past.
pub fn crl(ca: &Authority, revoked: &[&X509], days: (i64, i64)) -> X509Crl {
    let mut builder = X509CrlBuilder::new().unwrap();
    builder.set_issuer_name(ca.certificate.subject_name()).unwrap();
    builder.set_last_update(&in_days(days.0)).unwrap();
    builder.set_next_update(&in_days(days.1)).unwrap();
    for certificate in revoked {
        let mut entry = X509RevokedBuilder::new().unwrap();
        entry.set_serial_number(certificate.serial_number()).unwrap();
        entry.set_revocation_date(&in_days(-1)).unwrap();
        builder.add_revoked(entry.build()).unwrap();
    }
    // RFC 5280 section 5.2 wants both: authority key identifier (an empty one) and CRL number (1).
    for (oid, der) in [("2.5.29.35", &[0x30, 0][..]), ("2.5.29.20", &[2, 1, 1][..])] {
        let (oid, der) = (Asn1Object::from_str(oid).unwrap(), Asn1OctetString::new_from_bytes(der).unwrap());
        builder.append_extension(X509Extension::new_from_der(&oid, false, &der).unwrap()).unwrap();
    }
    builder.sign(&ca.key, MessageDigest::sha256()).unwrap();
    builder.build().unwrap()
}
