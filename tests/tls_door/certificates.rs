//! Client certificates that do not open the door, and why; revocation.

use crate::door::{Door, Outcome};
use crate::house::{House, crl, intermediate};
use crate::peers::{Got, Offer, offer};
use crate::support::pki::{Authority, Leaf, Leafing, Use};
use linekeep::tls::Asks;
use openssl::ssl::SslVersion;
use rstest::rstest;

const BOTH: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];
const REVOKED: i32 = 44;

fn try_door(door: &Door, version: SslVersion, leaf: &Leaf) -> (Got, Outcome) {
    (Offer { certificate: Some(leaf), ..offer(version) }.dial(door.address), door.outcome())
}

/// The alerts are those of RFC 8446 section 6.2; the reason stands in the record alone.
#[rstest]
#[case::expired(Use::Client, (-3, -1), 45, "certificate has expired")]
#[case::not_yet_valid(Use::Client, (1, 3), 42, "certificate is not yet valid")]
#[case::for_servers_only(Use::Server, (-1, 1), 43, "purpose")]
#[case::without_a_use(Use::Unsaid, (-1, 1), 40, "no extended key usage clientAuth")]
fn an_unfit_certificate_stays_out(
    #[values(Asks::Certificate, Asks::Either)] asks: Asks,
    #[case] usage: Use,
    #[case] days: (i64, i64),
    #[case] alert: i32,
    #[case] reason: &str,
) {
    let house = House::new();
    let door = Door::of(&house.acceptor(asks));
    let carol = house.ca.issue("carol", &Leafing { dns: &["carol.example"], usage, days, ..Leafing::default() });
    for version in BOTH {
        let (got, outcome) = try_door(&door, version, &carol);
        assert_eq!(got, Got::Alert(alert));
        let Outcome::Out(failure) = outcome else { panic!("kept out") };
        assert!(failure.reason.contains(reason), "{failure:?}");
        assert_eq!(failure.identity.as_deref(), Some("dns:carol.example"));
    }
}

#[rstest]
#[case::of_another_ca("Other CA", 48)]
#[case::of_another_ca_with_our_name("Test CA", 51)]
fn a_certificate_of_a_stranger_stays_out(#[case] name: &str, #[case] alert: i32) {
    let house = House::new();
    let carol = Authority::new(name).issue_client("carol.example");
    for asks in [Asks::Certificate, Asks::Either] {
        let door = Door::of(&house.acceptor(asks));
        for version in BOTH {
            let (got, outcome) = try_door(&door, version, &carol);
            assert_eq!(got, Got::Alert(alert));
            let Outcome::Out(failure) = outcome else { panic!("kept out") };
            assert_eq!(failure.identity.as_deref(), Some("dns:carol.example"));
        }
    }
}

#[test]
fn a_revoked_certificate_stays_out_and_others_come_in() {
    let mut house = House::new();
    let (carol, dave) = (house.ca.issue_client("carol.example"), house.ca.issue_client("dave.example"));
    house.trust(&[], &[crl(&house.ca, &[&carol.certificate], (-1, 30))]);
    for asks in [Asks::Certificate, Asks::Either] {
        let door = Door::of(&house.acceptor(asks));
        for version in BOTH {
            let (got, outcome) = try_door(&door, version, &carol);
            assert_eq!(got, Got::Alert(REVOKED));
            let Outcome::Out(failure) = outcome else { panic!("kept out") };
            assert!(failure.reason.contains("certificate revoked"), "{failure:?}");
            assert_eq!(try_door(&door, version, &dave).0, Got::line("certificate:dns:dave.example"));
        }
    }
}

#[test]
fn whom_a_revoked_ca_signed_stays_out() {
    let mut house = House::new();
    let (good, bad) = (intermediate(&house.ca, "Good CA"), intermediate(&house.ca, "Bad CA"));
    let crls = [crl(&house.ca, &[&bad.certificate], (-1, 30)), crl(&good, &[], (-1, 30)), crl(&bad, &[], (-1, 30))];
    house.trust(&[&good, &bad], &crls);
    let door = Door::of(&house.acceptor(Asks::Certificate));
    for version in BOTH {
        let carol = good.issue_client("carol.example");
        assert_eq!(try_door(&door, version, &carol).0, Got::line("certificate:dns:carol.example"));
        let dave = bad.issue_client("dave.example");
        assert_eq!(try_door(&door, version, &dave).0, Got::Alert(REVOKED));
    }
}

/// URIs go before DNS names, and DNS names are compared in lower case.
#[test]
fn the_evidence_holds_the_names_of_the_certificate() {
    let house = House::new();
    let door = Door::of(&house.acceptor(Asks::Certificate));
    let dns = house.ca.issue("x", &Leafing { dns: &["Carol.Example"], ..Leafing::default() });
    assert_eq!(try_door(&door, SslVersion::TLS1_3, &dns).0, Got::line("certificate:dns:carol.example"));
    let uri = house.ca.issue("x", &Leafing { dns: &["a.example"], uris: &["spiffe://x/y"], ..Leafing::default() });
    assert_eq!(try_door(&door, SslVersion::TLS1_3, &uri).0, Got::line("certificate:uri:spiffe://x/y"));
    let none = house.ca.issue("x", &Leafing::default());
    let der = none.certificate.to_der().unwrap();
    let hex: String = openssl::sha::sha256(&der).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(try_door(&door, SslVersion::TLS1_3, &none).0, Got::line(&format!("certificate:sha256:{hex}")));
}

/// A client with several certificates has to know which one to show.
#[rstest]
fn the_server_names_the_cas_that_it_trusts(#[values("-tls1_2", "-tls1_3")] version: &str) {
    let door = Door::of(&House::new().acceptor(Asks::Certificate));
    let client = std::process::Command::new("openssl")
        .args(["s_client", "-connect", &door.address.to_string(), version])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&client.stdout).replace(' ', "");
    let named = said.split("AcceptableclientcertificateCAnames").nth(1).unwrap_or_default();
    assert!(named.starts_with("\nCN=TestCA\n"), "{said}");
}
