//! `pki/linekeep-pki`, run for real: what it issues verifies and nothing else does, and it leaves nothing half-made.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

mod support;

use openssl::asn1::Asn1Time;
use openssl::nid::Nid;
use openssl::x509::{X509, X509Crl};
use rstest::rstest;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::pki::write_private;
use tempfile::TempDir;

/// A CA made by the script, in a folder with a name that shells trip over.
struct Ca {
    parent: TempDir,
}

impl Ca {
    fn new() -> Ca {
        let ca = Ca { parent: tempfile::tempdir().unwrap() };
        succeed(&script(&["init", ca.folder().to_str().unwrap()]));
        ca
    }

    fn folder(&self) -> PathBuf {
        self.parent.path().join("a folder, $HOME and 'quotes'")
    }

    fn try_run(&self, arguments: &[&str]) -> Output {
        let folder = self.folder();
        let mut all = vec![arguments[0], "--dir", folder.to_str().unwrap()];
        all.extend_from_slice(&arguments[1..]);
        script(&all)
    }

    fn run(&self, arguments: &[&str]) -> String {
        succeed(&self.try_run(arguments))
    }

    /// Runs what has to be refused: says why, and that nothing in the folder changed.
    fn refused(&self, arguments: &[&str]) -> String {
        let before = snapshot(self.parent.path());
        let output = self.try_run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        assert_eq!(snapshot(self.parent.path()), before, "{arguments:?} left something behind");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("linekeep-pki: "), "{said}");
        said
    }

    fn certificate(&self, name: &str) -> X509 {
        X509::from_pem(&fs::read(self.certificate_file(name)).unwrap()).unwrap()
    }

    fn certificate_file(&self, name: &str) -> PathBuf {
        self.folder().join("issued").join(name).join("certificate.pem")
    }

    /// Keeps the current certificate of `name` where a renewal does not replace it.
    fn keep(&self, name: &str) -> PathBuf {
        let kept = self.parent.path().join(format!("{name}-kept.pem"));
        fs::copy(self.certificate_file(name), &kept).unwrap();
        kept
    }

    /// What `openssl verify` says, with the CRL checked.
    fn verify(&self, certificate: &Path, purpose: &str) -> Result<(), String> {
        let output = Command::new("openssl")
            .args(["verify", "-x509_strict", "-crl_check", "-purpose", purpose, "-CAfile"])
            .arg(self.folder().join("ca.pem"))
            .arg("-CRLfile")
            .arg(self.folder().join("crl.pem"))
            .arg(certificate)
            .output()
            .unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
    }
}

fn script(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("pki/linekeep-pki"));
    command.args(arguments).env_remove("LINEKEEP_PKI");
    command
}

fn succeed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Every file and link below a folder, with its content, but for the lock (which is empty and means nothing when free).
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            found.extend(snapshot(&path));
            found.insert(path, vec![]);
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            found.insert(path, target.into_os_string().into_encoded_bytes());
        } else if !path.ends_with(".lock") {
            let content = fs::read(&path).unwrap();
            found.insert(path, content);
        }
    }
    found
}

fn names(certificate: &X509) -> Vec<String> {
    let mut names = Vec::new();
    for name in certificate.subject_alt_names().iter().flatten() {
        let dns = name.dnsname().map(|dns| format!("dns:{dns}"));
        let uri = name.uri().map(|uri| format!("uri:{uri}"));
        let ip = name.ipaddress().map(|ip| format!("ip:{ip:?}"));
        names.extend(dns.or(uri).or(ip));
    }
    names
}

fn days_of_life(certificate: &X509) -> i32 {
    certificate.not_before().diff(certificate.not_after()).unwrap().days
}

#[test]
fn what_is_issued_verifies_for_its_purpose_alone() {
    let ca = Ca::new();
    ca.run(&["server", "lists.example", "--dns", "lists.example", "--ip", "127.0.0.1", "--ip", "::1"]);
    ca.run(&["client", "siem"]);
    ca.run(&["client", "feed", "--uri", "urn:example:feed", "--dns", "feed.example"]);
    for (name, purpose, other, expected) in [
        (
            "lists.example",
            "sslserver",
            "sslclient",
            &["dns:lists.example", "ip:[127, 0, 0, 1]", "ip:[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]"][..],
        ),
        ("siem", "sslclient", "sslserver", &["dns:siem"]),
        ("feed", "sslclient", "sslserver", &["uri:urn:example:feed", "dns:feed.example"]),
    ] {
        assert_eq!(ca.verify(&ca.certificate_file(name), purpose), Ok(()));
        assert!(ca.verify(&ca.certificate_file(name), other).unwrap_err().contains("purpose"));
        let certificate = ca.certificate(name);
        assert_eq!(names(&certificate), expected);
        assert_eq!(days_of_life(&certificate), 366);
        assert_eq!(certificate.serial_number().to_bn().unwrap().num_bytes(), 16);
        let key = certificate.public_key().unwrap().ec_key().unwrap();
        assert_eq!(key.group().curve_name(), Some(Nid::X9_62_PRIME256V1));
    }
}

#[test]
fn the_authority_lives_ten_years_and_signs_no_other_authority() {
    let ca = Ca::new();
    let certificate = X509::from_pem(&fs::read(ca.folder().join("ca.pem")).unwrap()).unwrap();
    assert_eq!(days_of_life(&certificate), 3650);
    assert_eq!(certificate.pathlen(), Some(0));
    assert!(certificate.verify(&certificate.public_key().unwrap()).unwrap());
    let crl = X509Crl::from_pem(&fs::read(ca.folder().join("crl.pem")).unwrap()).unwrap();
    assert!(crl.verify(&certificate.public_key().unwrap()).unwrap());
    assert!(crl.get_revoked().is_none(), "the first CRL is empty");
    let month = Asn1Time::days_from_now(30).unwrap().diff(crl.next_update().unwrap()).unwrap();
    assert!(month.days == 0 && month.secs.abs() < 600, "{month:?}");
}

#[test]
fn no_private_key_can_be_read_by_others() {
    let ca = Ca::new();
    ca.run(&["client", "siem"]);
    ca.run(&["renew", "siem"]);
    let keys: Vec<PathBuf> = snapshot(&ca.folder())
        .into_iter()
        .filter(|(_, content)| String::from_utf8_lossy(content).contains("PRIVATE KEY"))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(keys.len(), 3);
    for key in keys {
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o7777, 0o600, "{}", key.display());
    }
    assert_eq!(fs::metadata(ca.folder()).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn a_revoked_certificate_no_longer_verifies() {
    let ca = Ca::new();
    ca.run(&["client", "siem"]);
    ca.run(&["client", "other"]);
    let said = ca.run(&["revoke", "siem", "keyCompromise"]);
    assert!(said.contains("reload"), "{said}");
    assert!(ca.verify(&ca.certificate_file("siem"), "sslclient").unwrap_err().contains("certificate revoked"));
    assert_eq!(ca.verify(&ca.certificate_file("other"), "sslclient"), Ok(()));
    assert!(ca.refused(&["revoke", "siem"]).contains("no valid certificate to revoke"));
    assert!(ca.refused(&["revoke", "other", "boredom"]).contains("`boredom` is no reason"));
    assert!(ca.refused(&["revoke", "nobody"]).contains("no certificate here"));
}

#[test]
fn renewal_makes_a_new_key_and_serial_and_keeps_the_names() {
    let ca = Ca::new();
    ca.run(&["server", "lists", "--dns", "lists.example", "--ip", "192.0.2.1"]);
    let old = ca.certificate("lists");
    let kept = ca.keep("lists");
    ca.run(&["renew", "lists"]);
    let new = ca.certificate("lists");
    assert_ne!(new.serial_number().to_bn().unwrap(), old.serial_number().to_bn().unwrap());
    assert!(!new.public_key().unwrap().public_eq(&old.public_key().unwrap()));
    assert_eq!(names(&new), names(&old));
    assert_eq!(ca.verify(&ca.certificate_file("lists"), "sslserver"), Ok(()));
    assert_eq!(ca.verify(&kept, "sslserver"), Ok(()), "the old one stays valid");
    let key = fs::read(ca.folder().join("issued/lists/private-key.pem")).unwrap();
    let key = openssl::pkey::PKey::private_key_from_pem(&key).unwrap();
    assert!(new.public_key().unwrap().public_eq(&key), "certificate and key change together");
}

#[test]
fn renewal_revokes_the_old_one_when_told_to() {
    let ca = Ca::new();
    ca.run(&["client", "siem"]);
    let kept = ca.keep("siem");
    ca.run(&["renew", "siem", "--revoke"]);
    assert!(ca.verify(&kept, "sslclient").unwrap_err().contains("certificate revoked"));
    assert_eq!(ca.verify(&ca.certificate_file("siem"), "sslclient"), Ok(()));
}

#[test]
fn revoking_a_name_revokes_every_certificate_it_still_has() {
    let ca = Ca::new();
    ca.run(&["client", "siem"]);
    let kept = ca.keep("siem");
    ca.run(&["renew", "siem"]);
    ca.run(&["revoke", "siem"]);
    for certificate in [&kept, &ca.certificate_file("siem")] {
        assert!(ca.verify(certificate, "sslclient").unwrap_err().contains("certificate revoked"));
    }
}

#[test]
fn the_list_says_name_kind_serial_expiry_and_state() {
    let ca = Ca::new();
    assert_eq!(ca.run(&["list"]).lines().count(), 1);
    ca.run(&["server", "lists"]);
    ca.run(&["client", "siem", "--days", "7"]);
    ca.run(&["revoke", "siem", "superseded"]);
    // Serial and dates, read from the certificates by another program than the script's.
    let serial = |name: &str| ca.certificate(name).serial_number().to_bn().unwrap().to_hex_str().unwrap().to_string();
    let list = ca.run(&["list"]);
    let rows: Vec<Vec<&str>> = list.lines().skip(1).map(|row| row.split_whitespace().collect()).collect();
    assert_eq!((rows[0][0], rows[0][1], rows[0][2], rows[0][4]), ("lists", "server", &*serial("lists"), "valid"));
    assert_eq!((rows[1][0], rows[1][1], rows[1][2], rows[1][4]), ("siem", "client", &*serial("siem"), "revoked"));
    assert_eq!(rows[1][6], "(superseded)");
    let show = ca.run(&["show", "siem"]);
    let digest = ca.certificate("siem").digest(openssl::hash::MessageDigest::sha256()).unwrap();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(show.contains("\n  dns:siem\n") && show.contains(&format!("\n  sha256:{digest}\n")), "{show}");
}

#[rstest]
fn hostile_names_are_refused(
    #[values("server", "client", "show", "renew", "revoke")] command: &str,
    #[values(
        "..",
        "../siem",
        "a/b",
        "a b",
        "a\nb",
        "A",
        ".hidden",
        "trailing.",
        "a..b",
        "$(id)",
        "a;b",
        "a'b",
        "a/CN=b",
        "ä",
        "*",
        "a234567890123456789012345678901234567890123456789012345678901234x"
    )]
    name: &str,
) {
    // One CA for all would be quicker and would not show what one of them left behind.
    thread_local!(static CA: Ca = Ca::new());
    CA.with(|ca| assert!(ca.refused(&[command, name]).contains("cannot be a name"), "{name}"));
}

#[rstest]
#[case("--dns", "*.example", "no DNS name")]
#[case("--dns", "a,DNS:b", "no DNS name")]
#[case("--dns", "a\nDNS:b", "several lines")]
#[case("--dns", "-a.example", "no DNS name")]
#[case("--dns", "", "no DNS name")]
#[case("--ip", "192.0.2.256", "no IPv4 or IPv6 address")]
#[case("--ip", "192.0.2.1,DNS:b", "no IPv4 or IPv6 address")]
#[case("--ip", ":::", "no IPv4 or IPv6 address")]
#[case("--uri", "no-scheme", "no URI")]
#[case("--uri", "urn:a,DNS:b", "no URI")]
#[case("--uri", "urn:$ENV::HOME", "no URI")]
#[case("--uri", "urn:a\n[ x ]", "several lines")]
#[case("--days", "367", "1 to 366 days")]
#[case("--days", "0", "1 to 366 days")]
#[case("--days", "1e2", "1 to 366 days")]
fn hostile_values_are_refused(#[case] option: &str, #[case] value: &str, #[case] why: &str) {
    let ca = Ca::new();
    let command = if option == "--ip" { "server" } else { "client" };
    let said = ca.refused(&[command, "siem", option, value]);
    assert!(said.contains(why), "{said}");
}

#[test]
fn nothing_is_ever_overwritten() {
    let ca = Ca::new();
    ca.run(&["client", "siem"]);
    assert!(ca.refused(&["client", "siem"]).contains("renew siem"));
    assert!(ca.refused(&["server", "siem"]).contains("renew siem"));
    let before = snapshot(ca.parent.path());
    let output = script(&["init", ca.folder().to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("never overwritten"));
    assert_eq!(snapshot(ca.parent.path()), before);
}

/// An `openssl` that fails at one of its commands, the n-th time it is asked for it.
fn failing_openssl(folder: &Path, at: &str) -> String {
    let real =
        String::from_utf8(Command::new("sh").args(["-c", "command -v openssl"]).output().unwrap().stdout).unwrap();
    let fake = format!(
        "#!/bin/sh\nfor argument; do if [ \"$argument\" = \"{at}\" ]; then echo broken >&2; exit 1; fi; done\nexec {} \"$@\"\n",
        real.trim()
    );
    let path = write_private(&folder.join("openssl"), fake.as_bytes());
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
}

#[rstest]
#[case::key(&["client", "new"], "genpkey")]
#[case::request(&["client", "new"], "-new")]
#[case::signing(&["client", "new"], "-batch")]
#[case::verifying(&["client", "new"], "verify")]
#[case::signing_anew(&["renew", "siem"], "-batch")]
#[case::revoking(&["revoke", "siem"], "-revoke")]
#[case::crl_of_a_revocation(&["revoke", "siem"], "-gencrl")]
#[case::crl_of_a_renewal(&["renew", "siem", "--revoke"], "-gencrl")]
#[case::crl(&["crl"], "-gencrl")]
fn a_failure_leaves_nothing_half_made(#[case] arguments: &[&str], #[case] at: &str) {
    let ca = Ca::new();
    ca.run(&["client", "siem"]);
    let tools = tempfile::tempdir().unwrap();
    let path = failing_openssl(tools.path(), at);
    let before = snapshot(ca.parent.path());
    let mut command = command(&[arguments[0], "--dir", ca.folder().to_str().unwrap()]);
    let output = command.args(&arguments[1..]).env("PATH", path).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("broken"));
    assert_eq!(snapshot(ca.parent.path()), before);
    ca.run(arguments);
}

#[test]
fn a_failed_init_leaves_no_folder() {
    let parent = tempfile::tempdir().unwrap();
    let tools = tempfile::tempdir().unwrap();
    let path = failing_openssl(tools.path(), "-gencrl");
    let folder = parent.path().join("pki");
    let output = command(&["init", folder.to_str().unwrap()]).env("PATH", path).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(snapshot(parent.path()), BTreeMap::new());
}

#[test]
fn two_at_a_time_do_not_mix_and_what_a_killed_run_left_is_removed() {
    let ca = Ca::new();
    let folder = ca.folder();
    let stale = folder.join(".work.stale");
    fs::create_dir(&stale).unwrap();
    let output = Command::new("flock")
        .arg(folder.join(".lock"))
        .arg(command(&[]).get_program())
        .args(["client", "siem", "--dir"])
        .arg(&folder)
        .output()
        .unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("another linekeep-pki works"));
    assert!(stale.exists(), "it might have been the other's");
    ca.run(&["client", "siem"]);
    assert!(!stale.exists());
}

#[test]
fn a_certificate_does_not_outlive_its_authority() {
    let ca = Ca::new();
    let settings = ca.parent.path().join("month.cnf");
    let extensions = "basicConstraints = critical, CA:TRUE\nsubjectKeyIdentifier = hash\n";
    fs::write(&settings, format!("[req]\ndistinguished_name = dn\nx509_extensions = x\n[dn]\n[x]\n{extensions}"))
        .unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-new", "-days", "30", "-subj", "/CN=a CA of thirty days", "-key", "ca.key"])
        .args(["-out", "ca.pem", "-config"])
        .arg(settings)
        .current_dir(ca.folder())
        .output()
        .unwrap();
    succeed(&made);
    assert!(ca.refused(&["client", "siem"]).contains("the CA itself ends in less than 366 days"));
    ca.run(&["client", "siem", "--days", "7"]);
}

#[rstest]
#[case(&[], 2, "Usage:")]
#[case(&["--help"], 0, "Usage:")]
#[case(&["client", "--help"], 0, "Usage:")]
#[case(&["conjure"], 1, "`conjure` is no command")]
#[case(&["client"], 1, "needs a name")]
#[case(&["client", "siem", "--dns"], 1, "--dns needs a value")]
#[case(&["client", "siem", "--ip", "127.0.0.1"], 1, "has no option `--ip`")]
#[case(&["client", "a", "b"], 1, "one argument too many")]
#[case(&["crl", "--dir", "/nonexistent"], 1, "holds no CA")]
#[case(&["init"], 1, "init needs a folder")]
#[case(&["init", "/nonexistent/pki"], 1, "is not a folder")]
fn mistakes_are_answered_with_what_to_do(#[case] arguments: &[&str], #[case] code: i32, #[case] said: &str) {
    let output = script(arguments);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(said), "{text}");
}
