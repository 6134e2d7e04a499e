//! Promises of `linekeep::client`.

use crate::server::{At, Behaviour, End, MAX_QUERY_BYTES, Server, Tls, certificate, psk};
use crate::support::pki::{Authority, Leafing, Use, write_private};
use linekeep::client::{
    Client, ClientCertificate, Error, InvalidLine, Options, PreSharedKey, Protection, ServerName, TrustedCas,
};
use linekeep::protocol::{Answer, Reason};
use linekeep::secret::Secret;
use rstest::rstest;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

const KEY: [u8; 32] = [7; 32];
const KNOWN: &[&str] = &["known", "zoë", "carriage\r"];

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn key(identity: &str, key: [u8; 32]) -> Protection {
    Protection::Psk(PreSharedKey::new(identity, Secret::new(key.to_vec())).unwrap())
}

fn at(server: &Server, protection: Protection) -> Options {
    Options::new(server.address().parse().unwrap(), protection)
}

/// A CA on disk, and who it issues.
struct World {
    folder: TempDir,
    authority: Authority,
}

impl World {
    fn new() -> World {
        World { folder: tempfile::tempdir().unwrap(), authority: Authority::new("test CA") }
    }

    fn trust(&self) -> TrustedCas {
        TrustedCas::from_file(&self.authority.write(self.folder.path(), "ca")).unwrap()
    }

    fn client(&self, authority: &Authority) -> ClientCertificate {
        let (certificate, key) = authority.issue_client("siem.example").write(self.folder.path(), "client");
        ClientCertificate::from_files(&certificate, &key).unwrap()
    }

    fn protection(&self, name: Option<&str>, own: Option<ClientCertificate>) -> Protection {
        Protection::Certificate { trust: self.trust(), name: name.map(|name| name.parse::<ServerName>().unwrap()), own }
    }
}

async fn ask(options: &Options, line: &[u8]) -> Result<Answer, Error> {
    Client::connect(options).await?.lookup(line).await
}

fn assert_answers(options: &Options) {
    run(async {
        let mut client = Client::connect(options).await.unwrap();
        assert_eq!(client.lookup(b"known").await.unwrap(), Answer::Exists);
        assert_eq!(client.lookup(b"unknown").await.unwrap(), Answer::NotFound);
        let batch = client.lookup_batch(&["zoë", "x", "carriage\r", "carriage"]).await.unwrap();
        assert_eq!(batch, [Answer::Exists, Answer::NotFound, Answer::Exists, Answer::NotFound]);
        assert_eq!(client.lookup(b"\xff").await.unwrap(), Answer::Error(Reason::InvalidQuery));
        assert_eq!(client.lookup_batch::<&[u8]>(&[]).await.unwrap(), []);
        assert_eq!(client.lookup(b"known").await.unwrap(), Answer::Exists);
        client.close().await;
    });
}

#[rstest]
fn exact_with_a_key(
    #[values(Tls::V12, Tls::V13)] tls: Tls,
    #[values(Behaviour::Correct, Behaviour::SingleBytes)] how: Behaviour,
) {
    let server = Server::start(Some(psk(tls, "siem", KEY)), how, KNOWN);
    assert_answers(&at(&server, key("siem", KEY)));
}

#[rstest]
fn exact_with_certificates(#[values(Tls::V12, Tls::V13)] tls: Tls, #[values(true, false)] mutual: bool) {
    let world = World::new();
    let clients = mutual.then_some(&world.authority);
    let server =
        Server::start(Some(certificate(tls, &world.authority.issue_server(), clients)), Behaviour::Correct, KNOWN);
    let own = mutual.then(|| world.client(&world.authority));
    assert_answers(&at(&server, world.protection(None, own)));
}

#[test]
fn exact_without_tls_on_this_machine() {
    let server = Server::start(None, Behaviour::Correct, KNOWN);
    assert_answers(&at(&server, Protection::Plain));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let _server = Server::start_at(At::Unix(path.clone()), None, Behaviour::Correct, KNOWN);
    assert_answers(&Options::new(format!("unix:{}", path.display()).parse().unwrap(), Protection::Plain));
}

#[test]
fn nothing_is_asked_without_tls_beyond_this_machine() {
    let options = Options::new("192.0.2.1:1".parse().unwrap(), Protection::Plain);
    let error = run(Client::connect(&options)).unwrap_err();
    assert!(matches!(&error, Error::PlainBeyondLoopback { .. }), "{error}");
}

#[rstest]
fn a_wrong_key_or_identity_is_refused_with_what_to_check(
    #[values(Tls::V12, Tls::V13)] tls: Tls,
    #[values(("siem", [8; 32]), ("other", KEY))] claim: (&str, [u8; 32]),
) {
    let server = Server::start(Some(psk(tls, "siem", KEY)), Behaviour::Correct, KNOWN);
    let error = run(ask(&at(&server, key(claim.0, claim.1)), b"known")).unwrap_err();
    assert!(matches!(&error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("this identity with this key"), "{error}");
}

#[rstest]
#[case(Tls::V13)]
fn a_server_with_a_certificate_cannot_stand_in_for_the_one_with_the_key(#[case] tls: Tls) {
    let world = World::new();
    let server =
        Server::start(Some(certificate(tls, &world.authority.issue_server(), None)), Behaviour::Correct, KNOWN);
    let error = run(ask(&at(&server, key("siem", KEY)), b"known")).unwrap_err();
    assert!(matches!(&error, Error::KeyNotProved { identity, .. } if identity == "siem"), "{error:?}");
    assert_eq!(server.seen().requests, 0);
}

#[test]
fn a_server_with_a_certificate_has_no_suite_in_common_with_a_key_in_tls_1_2() {
    let world = World::new();
    let server =
        Server::start(Some(certificate(Tls::V12, &world.authority.issue_server(), None)), Behaviour::Correct, KNOWN);
    let error = run(ask(&at(&server, key("siem", KEY)), b"known")).unwrap_err();
    assert!(matches!(&error, Error::Refused { refusal, .. } if refusal.name() == "handshake_failure"), "{error:?}");
}

#[rstest]
fn a_server_of_another_authority_is_not_trusted(#[values(Tls::V12, Tls::V13)] tls: Tls) {
    let world = World::new();
    let rogue = Authority::new("rogue CA");
    let server = Server::start(Some(certificate(tls, &rogue.issue_server(), None)), Behaviour::Correct, KNOWN);
    let error = run(ask(&at(&server, world.protection(None, None)), b"known")).unwrap_err();
    assert!(matches!(&error, Error::NotTrusted { .. }), "{error:?}");
    assert!(error.to_string().contains("CN=localhost"), "{error}");
    let system = Protection::Certificate { trust: TrustedCas::system(), name: None, own: None };
    assert!(matches!(run(ask(&at(&server, system), b"known")), Err(Error::NotTrusted { .. })));
    assert_eq!(server.seen().requests, 0);
}

#[rstest]
#[case::expired(Use::Server, (-10, -1), "expired")]
#[case::of_tomorrow(Use::Server, (1, 10), "not yet valid")]
#[case::for_clients(Use::Client, (-1, 10), "purpose")]
fn a_certificate_that_is_not_good_is_not_trusted(#[case] usage: Use, #[case] days: (i64, i64), #[case] why: &str) {
    let world = World::new();
    let leaf = world.authority.issue("server", &Leafing { ips: &["127.0.0.1"], usage, days, ..Leafing::default() });
    let server = Server::start(Some(certificate(Tls::V13, &leaf, None)), Behaviour::Correct, KNOWN);
    let error = run(ask(&at(&server, world.protection(None, None)), b"known")).unwrap_err();
    assert!(matches!(&error, Error::NotTrusted { reason, .. } if reason.contains(why)), "{error:?}");
}

#[rstest]
#[case::dns_as_said(&["lists.example"], &[], Some("lists.example"), None)]
#[case::address_as_connected(&[], &["127.0.0.1"], None, None)]
#[case::address_as_said(&[], &["192.0.2.7"], Some("192.0.2.7"), None)]
#[case::address_only_as_address(&["127.0.0.1"], &[], None, Some("`127.0.0.1` but for `127.0.0.1`"))]
#[case::another_name(&["other.example"], &["192.0.2.7"], Some("lists.example"), Some("`other.example`, `192.0.2.7`"))]
#[case::part_of_a_wildcard(&["l*.example"], &[], Some("lists.example"), Some("`l*.example`"))]
#[case::common_name_does_not_count(&[], &[], Some("localhost"), Some("no subjectAltName"))]
fn the_server_name_is_checked(
    #[case] dns: &[&str],
    #[case] ips: &[&str],
    #[case] said: Option<&str>,
    #[case] found: Option<&str>,
) {
    let world = World::new();
    let leaf = world.authority.issue("localhost", &Leafing { dns, ips, usage: Use::Server, ..Leafing::default() });
    let server = Server::start(Some(certificate(Tls::V13, &leaf, None)), Behaviour::Correct, KNOWN);
    let answer = run(ask(&at(&server, world.protection(said, None)), b"known"));
    match found {
        None => assert_eq!(answer.unwrap(), Answer::Exists),
        Some(found) => {
            let error = answer.unwrap_err();
            assert!(matches!(&error, Error::WrongName { .. }), "{error:?}");
            assert!(error.to_string().contains(found), "{error}");
        }
    }
}

#[rstest]
#[case::no_certificate_1_2(Tls::V12, false, "asks who this client is")]
#[case::no_certificate_1_3(Tls::V13, false, "certificate_required")]
#[case::of_another_authority_1_2(Tls::V12, true, "unknown_ca")]
#[case::of_another_authority_1_3(Tls::V13, true, "trusts no CA that signed this client's certificate")]
fn a_refused_client_is_told_what_to_check(#[case] tls: Tls, #[case] with_certificate: bool, #[case] told: &str) {
    let world = World::new();
    let leaf = world.authority.issue_server();
    let server = Server::start(Some(certificate(tls, &leaf, Some(&world.authority))), Behaviour::Correct, KNOWN);
    let own = with_certificate.then(|| world.client(&Authority::new("other CA")));
    let error = run(ask(&at(&server, world.protection(None, own)), b"known")).unwrap_err();
    assert!(matches!(&error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains(told), "{error}");
}

#[test]
fn what_listens_without_tls_is_told_apart_from_a_closed_door() {
    let plain = Server::start(None, Behaviour::Says(b"220 mail.example ESMTP\r\n"), KNOWN);
    let error = run(ask(&at(&plain, key("siem", KEY)), b"known")).unwrap_err();
    assert!(error.to_string().contains("are not TLS"), "{error}");
    let closed = Server::start(None, Behaviour::Slam, KNOWN);
    let error = run(ask(&at(&closed, key("siem", KEY)), b"known")).unwrap_err();
    assert!(error.to_string().contains("allowlist"), "{error}");
    run(async {
        // Bound and not listening: refused for certain, while a port let go might already be another test's.
        let nobody = tokio::net::TcpSocket::new_v4().unwrap();
        nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = nobody.local_addr().unwrap().to_string();
        let options = Options::new(address.parse().unwrap(), key("siem", KEY));
        let error = Client::connect(&options).await.unwrap_err();
        assert!(matches!(&error, Error::Connect { .. }) && error.to_string().contains(&address), "{error}");
    });
}

#[test]
fn a_server_that_closes_half_way_is_an_error_after_the_answers_it_gave() {
    let server = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::CloseAfter(2), KNOWN);
    let mut answers = Vec::new();
    let error = run(async {
        let mut client = Client::connect(&at(&server, key("siem", KEY))).await.unwrap();
        let asked = client
            .stream(&b"known\nx\nknown\n"[..], |line: &[u8], answer: Answer| {
                answers.push((line.to_vec(), answer));
                Ok(())
            })
            .await;
        assert!(matches!(client.lookup(b"known").await, Err(Error::Spent)));
        asked.unwrap_err()
    });
    assert!(matches!(&error, Error::Closed { answered: 2, .. }), "{error:?}");
    assert_eq!(answers, [(b"known".to_vec(), Answer::Exists), (b"x".to_vec(), Answer::NotFound)]);
}

#[test]
fn a_server_that_closes_when_all_is_answered_is_no_error() {
    let server = Server::start(None, Behaviour::CloseAfter(3), KNOWN);
    let options = at(&server, Protection::Plain);
    let lines = ["known", "x", "known"];
    assert_eq!(
        run(async { Client::connect(&options).await.unwrap().lookup_batch(&lines).await.unwrap() }),
        [Answer::Exists, Answer::NotFound, Answer::Exists]
    );
}

#[rstest]
#[case::foreign(b"HTTP/1.1 400 Bad Request\r\n", "`HTTP/1.1 400 Bad Request\\r`")]
#[case::escape_sequence(b"\x1b[2J\n", "`\\u{1b}[2J`")]
#[case::no_end(b"STRING EXI", "`STRING EXI`")]
#[case::endless(&[b'a'; 1000], "aaa...`")]
#[case::one_answer_too_many(b"STRING EXISTS\nSTRING EXISTS\n", "every request had been answered")]
#[case::part_of_one_too_many(b"STRING EXISTS\nSTR", "every request had been answered")]
fn no_silent_no_what_is_no_answer_is_an_error(#[case] said: &'static [u8], #[case] told: &str) {
    let server = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::Says(said), KNOWN);
    let error = run(ask(&at(&server, key("siem", KEY)), b"known")).unwrap_err();
    assert!(error.to_string().contains(told), "{error}");
}

#[test]
fn a_silent_server_is_given_up() {
    let server = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::Silent, KNOWN);
    let mut options = at(&server, key("siem", KEY));
    options.reply_timeout = Duration::from_millis(20);
    let error = run(ask(&options, b"known")).unwrap_err();
    assert!(matches!(&error, Error::Silent { answered: 0, .. }), "{error:?}");
}

#[rstest]
fn answers_are_read_while_requests_are_written(#[values(true, false)] with_tls: bool) {
    // Eight times as many bytes of answers as of requests, and small buffers in the server's kernel:
    // a client that writes all it has before it reads stops here.
    const LINES: usize = 1_000_000;
    let tls = with_tls.then(|| psk(Tls::V13, "siem", KEY));
    let server = Server::start(tls, Behaviour::Correct, KNOWN);
    let options = at(&server, if with_tls { key("siem", KEY) } else { Protection::Plain });
    let lines = b"a\n".repeat(LINES);
    let mut missing = 0;
    let asked = run(async {
        let mut client = Client::connect(&options).await.unwrap();
        let count = |_: &[u8], answer: Answer| {
            missing += usize::from(answer == Answer::NotFound);
            Ok(())
        };
        client.stream(lines.as_slice(), count).await.unwrap()
    });
    assert_eq!((asked, missing), (LINES as u64, LINES));
}

#[test]
fn a_source_that_pauses_within_a_line_is_not_the_servers_silence() {
    let server = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::Correct, KNOWN);
    let mut options = at(&server, key("siem", KEY));
    options.reply_timeout = Duration::from_millis(10);
    let mut resumed = false;
    run(async {
        let mut client = Client::connect(&options).await.unwrap();
        let (mut lines, source) = tokio::io::duplex(64);
        let slowly = async {
            lines.write_all(b"kno").await.unwrap();
            tokio::time::sleep(options.reply_timeout * 5).await;
            resumed = true;
            drop(lines);
        };
        let ignore = |_: &[u8], _: Answer| Ok(());
        // Whether the answer then comes within so short a time is not what is asked here.
        let asked = async { _ = client.stream(source, ignore).await };
        let mut asked = std::pin::pin!(asked);
        tokio::select! { () = slowly => {}, () = &mut asked => return }
        asked.await;
    });
    assert!(resumed);
}

#[test]
fn a_dropped_look_up_spends_the_connection() {
    let server = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::Silent, KNOWN);
    run(async {
        let mut client = Client::connect(&at(&server, key("siem", KEY))).await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(1), client.lookup(b"known")).await.is_err());
        assert!(matches!(client.lookup(b"known").await, Err(Error::Spent)));
    });
}

#[rstest]
#[case(b"", InvalidLine::Empty)]
#[case(b"two\nlines", InvalidLine::LineFeed { at: 3 })]
#[case(b"n\0l", InvalidLine::Nul { at: 1 })]
fn a_line_that_is_none_is_refused_before_a_byte_is_sent(#[case] line: &[u8], #[case] why: InvalidLine) {
    let server = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::Correct, KNOWN);
    run(async {
        let mut client = Client::connect(&at(&server, key("siem", KEY))).await.unwrap();
        let error = client.lookup_batch(&[&b"known"[..], line]).await.unwrap_err();
        assert!(matches!(error, Error::InvalidLine(found) if found == why), "{error:?}");
        assert_eq!(client.lookup(b"known").await.unwrap(), Answer::Exists);
    });
    assert_eq!(server.seen().requests, 1);
}

#[rstest]
#[case::just_over(MAX_QUERY_BYTES + 1)]
#[case::larger_than_all_buffers(3 << 20)]
fn a_line_that_is_too_long_is_named_and_ends_the_connection(
    #[case] length: usize,
    #[values(true, false)] with_tls: bool,
) {
    let tls = with_tls.then(|| psk(Tls::V13, "siem", KEY));
    let server = Server::start(tls, Behaviour::Correct, KNOWN);
    let options = at(&server, if with_tls { key("siem", KEY) } else { Protection::Plain });
    let long = vec![b'a'; length];
    run(async {
        let mut client = Client::connect(&options).await.unwrap();
        assert_eq!(client.lookup(&long).await.unwrap(), Answer::Error(Reason::QueryTooLong));
        assert!(matches!(client.lookup(b"known").await, Err(Error::Spent)));
        let mut client = Client::connect(&options).await.unwrap();
        let error = client.lookup_batch(&[&b"known"[..], &long, b"known"]).await.unwrap_err();
        assert!(matches!(error, Error::LineTooLong { line: 2, .. }), "{error:?}");
    });
}

#[test]
fn the_source_address_is_the_one_asked_for() {
    let server = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::Correct, KNOWN);
    let mut options = at(&server, key("siem", KEY));
    options.source = Some("127.0.0.2".parse().unwrap());
    assert_eq!(run(ask(&options, b"known")).unwrap(), Answer::Exists);
    assert_eq!(server.seen().sources[0].ip().to_string(), "127.0.0.2");
    options.source = Some("::1".parse().unwrap());
    assert!(matches!(run(ask(&options, b"known")), Err(Error::SourceFamily { .. })));
    options.source = Some("192.0.2.1".parse().unwrap());
    let error = run(ask(&options, b"known")).unwrap_err().to_string();
    assert!(error.contains("192.0.2.1 cannot be used"), "{error}");
}

#[test]
fn closing_says_goodbye() {
    let server = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::Correct, KNOWN);
    run(async {
        let mut client = Client::connect(&at(&server, key("siem", KEY))).await.unwrap();
        client.lookup(b"known").await.unwrap();
        client.close().await;
    });
    assert_eq!(server.ends.recv().unwrap(), End::Goodbye);
}

#[rstest]
#[case::bare("0707070707070707070707070707070707070707070707070707070707070707\n", Some("siem"), Ok("siem"))]
#[case::keyring_line("# ours\n\nsiem:07070707070707070707070707070707\n", None, Ok("siem"))]
#[case::chosen("a:00000000000000000000000000000000\nsiem:07070707070707070707070707070707\n", Some("siem"), Ok("siem"))]
#[case::bare_without_identity("07070707070707070707070707070707\n", None, Err("line 1 is a key without an identity"))]
#[case::several(
    "a:00000000000000000000000000000000\nb:07070707070707070707070707070707\n",
    None,
    Err("line 2 is a second key")
)]
#[case::other("a:00000000000000000000000000000000\n", Some("siem"), Err("no key for `siem`"))]
#[case::empty("\n", None, Err("holds no key"))]
#[case::not_hexadecimal("siem:sesame\n", None, Err("line 1: the key is not"))]
#[case::short("siem:070707070707070707070707070707\n", None, Err("has 15 bytes; 16 to 64"))]
#[case::white_space("si em:07070707070707070707070707070707\n", None, Err("holds ' '"))]
fn key_files_are_read(#[case] text: &str, #[case] identity: Option<&str>, #[case] expected: Result<&str, &str>) {
    let folder = tempfile::tempdir().unwrap();
    let path = write_private(&folder.path().join("key"), text.as_bytes());
    match (PreSharedKey::from_file(&path, identity), expected) {
        (Ok(key), Ok(identity)) => assert_eq!(key.identity(), identity),
        (Err(error), Err(why)) => {
            let error = error.to_string();
            assert!(error.contains(why) && error.contains("key: "), "{error}");
            assert!(!error.contains("0707") && !error.contains("sesame"), "a key is never quoted: {error}");
        }
        (read, _) => panic!("{read:?}"),
    }
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let world = World::new();
    let key = write_private(&world.folder.path().join("psk"), b"siem:07070707070707070707070707070707\n");
    let (certificate, private_key) = world.authority.issue_client("siem").write(world.folder.path(), "client");
    for mode in [0o640, 0o604, 0o660, 0o601] {
        for path in [&key, &private_key] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        for error in [
            PreSharedKey::from_file(&key, None).unwrap_err(),
            ClientCertificate::from_files(&certificate, &private_key).unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(error.contains(&format!("mode {mode:04o}")) && error.contains("chmod 600"), "{error}");
        }
    }
}

#[test]
fn a_certificate_and_a_key_that_do_not_fit_are_refused_with_the_file_at_fault() {
    let world = World::new();
    let folder = world.folder.path();
    let (certificate, _) = world.authority.issue_client("one").write(folder, "one");
    let (_, other_key) = world.authority.issue_client("two").write(folder, "two");
    let passphrase = b"passphrase";
    let encrypted = world
        .authority
        .key
        .private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_128_cbc(), passphrase)
        .unwrap();
    let encrypted = write_private(&folder.join("encrypted.key"), &encrypted);
    for (chain, key, why) in [
        (&certificate, &other_key, "two.key: this private key does not belong"),
        (&certificate, &encrypted, "encrypted.key: the private key is encrypted"),
        (&certificate, &certificate, "one.pem: holds no PEM private key"),
        (&other_key, &other_key, "two.key: holds no PEM certificate"),
        (&folder.join("absent"), &other_key, "absent: cannot be read"),
    ] {
        let error = ClientCertificate::from_files(chain, key).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
