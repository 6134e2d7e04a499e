//! What is refused before it can lock anybody out or let anybody in: the faults of an acceptor's files.

use crate::house::{House, build, crl, intermediate};
use crate::support::pki::{Authority, Leafing, Use};
use linekeep::cipher_policy::Profile;
use linekeep::config::{ClientTrust, Mode, ServerCertificate};
use linekeep::tls::Asks;
use rstest::rstest;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn faults(mode: &Mode) -> Vec<String> {
    match build(Profile::Intermediate, mode) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

/// One fault, on the file that has it, with these words.
fn assert_one_fault(mode: &Mode, file: &Path, words: &str) {
    let faults = faults(mode);
    let [fault] = &faults[..] else { panic!("one fault, not {faults:#?}") };
    assert!(fault.starts_with(&file.display().to_string()) && fault.contains(words), "{fault}");
}

fn shown_by(certificate: &Path, private_key: &Path) -> Mode {
    let server = ServerCertificate { certificate: certificate.to_owned(), private_key: private_key.to_owned() };
    Mode::None { server, client: "everybody".into() }
}

#[rstest]
#[case::expired(Use::Server, (-30, -1), "has expired on")]
#[case::not_yet_valid(Use::Server, (1, 30), "is valid only from")]
#[case::for_clients(Use::Client, (-1, 30), "is not for servers")]
fn a_server_certificate_that_clients_would_refuse_is_a_fault(
    #[case] usage: Use,
    #[case] days: (i64, i64),
    #[case] words: &str,
) {
    let house = House::new();
    let leaf = house.ca.issue("linekeep.example", &Leafing { usage, days, ..Leafing::default() });
    let (certificate, key) = leaf.write(house.folder.path(), "unfit");
    assert_one_fault(&shown_by(&certificate, &key), &certificate, words);
}

#[test]
fn a_server_certificate_near_its_end_is_warned_about() {
    let house = House::new();
    let warnings = |days| {
        let leaf = house.ca.issue("linekeep.example", &Leafing { usage: Use::Server, days, ..Leafing::default() });
        let (certificate, key) = leaf.write(house.folder.path(), "soon");
        build(Profile::Intermediate, &shown_by(&certificate, &key))
            .unwrap()
            .papers()
            .iter()
            .flat_map(|paper| paper.warnings(std::time::SystemTime::now()))
            .collect::<Vec<_>>()
    };
    assert_eq!(warnings((-1, 40)), [""; 0]);
    let soon = warnings((-1, 29));
    assert!(soon.len() == 1 && soon[0].contains("soon.pem: linekeep.example expires on"), "{soon:?}");
}

#[test]
fn a_key_of_another_certificate_is_a_fault() {
    let house = House::new();
    let (certificate, _) = house.ca.issue_server().write(house.folder.path(), "one");
    let (_, key) = house.ca.issue_server().write(house.folder.path(), "other");
    assert_one_fault(&shown_by(&certificate, &key), &key, "not the key of the first certificate");
}

#[test]
fn a_key_that_others_can_read_is_a_fault() {
    let house = House::new();
    let (certificate, key) = house.ca.issue_server().write(house.folder.path(), "open");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    assert_one_fault(&shown_by(&certificate, &key), &key, "mode 0644 gives others access");
}

/// Without care OpenSSL would ask the terminal, and the daemon would wait there for ever.
#[test]
fn a_key_under_a_passphrase_is_a_fault_and_nobody_is_asked() {
    let house = House::new();
    let leaf = house.ca.issue_server();
    let (certificate, _) = leaf.write(house.folder.path(), "locked");
    let cipher = openssl::symm::Cipher::aes_256_cbc();
    let key = house.write("locked.key", &leaf.key.private_key_to_pem_pkcs8_passphrase(cipher, b"horse").unwrap());
    assert_one_fault(&shown_by(&certificate, &key), &key, "no PEM private key without a passphrase");
}

#[rstest]
#[case::certificate(true)]
#[case::key(false)]
fn a_file_without_pem_is_a_fault(#[case] certificate_spoilt: bool) {
    let house = House::new();
    let (certificate, key) = house.ca.issue_server().write(house.folder.path(), "good");
    let spoilt = house.write("spoilt", b"nothing to see\n");
    if certificate_spoilt {
        assert_one_fault(&shown_by(&spoilt, &key), &spoilt, "no PEM certificate in it");
    } else {
        assert_one_fault(&shown_by(&certificate, &spoilt), &spoilt, "no PEM private key");
    }
}

#[test]
fn every_fault_of_every_file_is_told_at_once() {
    let house = House::new();
    let missing = |name: &str| -> PathBuf { house.folder.path().join(name) };
    let mode = Mode::Either {
        keyring: house.write("keys", b"alice:00\nbob\n"),
        server: ServerCertificate { certificate: missing("a"), private_key: missing("b") },
        trust: ClientTrust { client_ca: missing("c"), crl: None, require_client_eku: true },
    };
    let faults = faults(&mode);
    let starts = [
        "keys:1: the key has 1 bytes",
        "keys:2: no colon",
        "a: cannot be read",
        "b: cannot be read",
        "c: cannot be read",
    ];
    assert_eq!(faults.len(), starts.len(), "{faults:#?}");
    for (fault, start) in faults.iter().zip(starts) {
        assert!(fault.contains(start), "{fault}");
    }
}

#[test]
fn a_ca_file_has_to_hold_a_root() {
    let mut house = House::new();
    house.client_ca = house.write("empty.pem", b"");
    assert_one_fault(&house.mode(Asks::Certificate), &house.client_ca, "no PEM certificate of a CA");
    house.client_ca = intermediate(&house.ca, "Middle CA").write(house.folder.path(), "middle");
    assert_one_fault(&house.mode(Asks::Certificate), &house.client_ca, "no root in it");
}

#[rstest]
#[case::stale((-9, -1), "ran out on")]
#[case::of_tomorrow((1, 30), "valid only from")]
fn a_crl_that_would_lock_everybody_out_is_a_fault(#[case] days: (i64, i64), #[case] words: &str) {
    let mut house = House::new();
    house.trust(&[], &[crl(&house.ca, &[], days)]);
    assert_one_fault(&house.mode(Asks::Either), house.crl.as_ref().unwrap(), words);
}

#[test]
fn a_crl_near_its_end_is_warned_about() {
    let mut house = House::new();
    house.trust(&[], &[crl(&house.ca, &[], (-1, 8))]);
    let quiet = house
        .acceptor(Asks::Certificate)
        .papers()
        .iter()
        .flat_map(|paper| paper.warnings(std::time::SystemTime::now()))
        .collect::<Vec<_>>();
    house.trust(&[], &[crl(&house.ca, &[], (-1, 6))]);
    let warnings = house
        .acceptor(Asks::Certificate)
        .papers()
        .iter()
        .flat_map(|paper| paper.warnings(std::time::SystemTime::now()))
        .collect::<Vec<_>>();
    assert_eq!(warnings.len(), quiet.len() + 1, "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("crl.pem: the CRL of Test CA runs out on")), "{warnings:?}");
}

#[test]
fn a_crl_that_nobody_trusted_signed_is_a_fault() {
    let mut house = House::new();
    let forged = crl(&Authority::new("Test CA"), &[], (-1, 30));
    house.trust(&[], &[crl(&house.ca, &[], (-1, 30)), forged]);
    assert_one_fault(&house.mode(Asks::Certificate), house.crl.as_ref().unwrap(), "signed by no CA");
}

#[test]
fn a_ca_without_a_crl_is_a_fault_once_crls_are_in_use() {
    let mut house = House::new();
    house.trust(&[&Authority::new("Second CA")], &[crl(&house.ca, &[], (-1, 30))]);
    assert_one_fault(&house.mode(Asks::Certificate), house.crl.as_ref().unwrap(), "no CRL of Second CA");
}

#[rstest]
#[case::empty(b"", "no PEM CRL")]
#[case::cut(b"-----BEGIN X509 CRL-----\nMIIB\n", "broken PEM CRL")]
fn a_crl_file_that_cannot_be_read_is_a_fault(#[case] content: &[u8], #[case] words: &str) {
    let mut house = House::new();
    let path = house.write("broken.pem", content);
    house.crl = Some(path.clone());
    let faults = faults(&house.mode(Asks::Certificate));
    assert!(
        faults.iter().any(|fault| fault.starts_with(path.to_str().unwrap()) && fault.contains(words)),
        "{faults:?}"
    );
}
