//! Promises of `linekeep::client` and `linekeep lookup --explain` about answers that name their lists,
//! where the server is an older one, or wrong. Against the daemon itself: `tests/explain.rs`.

use crate::server::{At, Behaviour, Server, Tls, psk};
use crate::support::pki::write_private;
use linekeep::client::{Client, Error, Options, PreSharedKey, Protection};
use linekeep::protocol::{Answer, Explained, MAX_EXPLAINED_BYTES, MAX_LISTS, Reason};
use linekeep::secret::Secret;
use openssl::ssl::{AlpnError, SslContextBuilder};
use rstest::rstest;
use std::future::Future;
use std::process::Command;

const KEY: [u8; 32] = [7; 32];
const KNOWN: &[&str] = &["known"];

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A server that chooses this protocol, whatever is offered.
fn choosing(tls: Tls, protocol: &'static [u8]) -> SslContextBuilder {
    let mut builder = psk(tls, "siem", KEY);
    builder.set_alpn_select_callback(move |_, _| Ok(protocol));
    builder
}

fn explaining() -> SslContextBuilder {
    choosing(Tls::V13, b"linekeep-explain/1")
}

fn at(server: &Server) -> Options {
    let key = PreSharedKey::new("siem", Secret::new(KEY.to_vec())).unwrap();
    Options::new(server.address().parse().unwrap(), Protection::Psk(key))
}

async fn ask(server: &Server) -> Result<Explained, Error> {
    Client::connect(&at(server).explain()).await?.lookup_explained(b"known").await
}

#[rstest]
#[case::yes(b"STRING EXISTS words:1 more:7\n", Answer::Exists, &[("words", 1), ("more", 7)])]
#[case::no(b"STRING NOT FOUND words:18446744073709551615\n", Answer::NotFound, &[("words", u64::MAX)])]
#[case::error(b"ERROR: list stale\n", Answer::Error(Reason::ListStale), &[])]
fn exact_lists_and_generations_are_told_and_the_plain_answer_too(
    #[case] said: &'static [u8],
    #[case] answer: Answer,
    #[case] lists: &[(&str, u64)],
) {
    let server = Server::start(Some(explaining()), Behaviour::Says(said), KNOWN);
    let explained = run(ask(&server)).unwrap();
    assert_eq!(explained.answer(), answer);
    let told: Vec<_> = explained.lists().iter().map(|list| (list.name(), list.generation())).collect();
    assert_eq!(told, lists);
    let plainly = run(async { Client::connect(&at(&server).explain()).await.unwrap().lookup(b"known").await.unwrap() });
    assert_eq!(plainly, answer);
}

#[rstest]
#[case::plain_yes(b"STRING EXISTS\n", "`STRING EXISTS`")]
#[case::plain_no(b"STRING NOT FOUND\n", "`STRING NOT FOUND`")]
#[case::generation_none(b"STRING NOT FOUND words:0\n", "no answer")]
#[case::steering(b"STRING EXISTS \x1b[2J:1\n", "`STRING EXISTS \\u{1b}[2J:1`")]
#[case::cut_within_a_list(b"STRING EXISTS wor", "`STRING EXISTS wor`")]
#[case::one_answer_too_many(b"STRING EXISTS a:1\nSTRING EXISTS a:1\n", "every request had been answered")]
fn no_silent_no_what_explains_nothing_is_an_error(#[case] said: &'static [u8], #[case] told: &str) {
    let server = Server::start(Some(explaining()), Behaviour::Says(said), KNOWN);
    let error = run(ask(&server)).unwrap_err();
    assert!(error.to_string().contains(told), "{error}");
}

#[test]
fn bounded_the_longest_reply_is_read_and_what_has_no_end_is_given_up() {
    let list = format!(" {:l>64}:{}", "", u64::MAX);
    let longest = format!("STRING NOT FOUND{}\n", list.repeat(MAX_LISTS)).leak();
    let server = Server::start(Some(explaining()), Behaviour::Says(longest.as_bytes()), KNOWN);
    assert_eq!(run(ask(&server)).unwrap().lists().len(), MAX_LISTS);
    let endless = format!("STRING EXISTS {}", "a".repeat(2 * MAX_EXPLAINED_BYTES)).leak();
    let server = Server::start(Some(explaining()), Behaviour::Says(endless.as_bytes()), KNOWN);
    let error = run(ask(&server)).unwrap_err();
    assert!(matches!(&error, Error::NotAnAnswer { .. }), "{error:?}");
}

/// An older server goes on as if nothing had been asked for. Its answers would not be misread, and they are not waited for.
#[rstest]
fn an_older_server_is_told_apart_before_anything_is_asked(#[values(Tls::V12, Tls::V13)] tls: Tls) {
    let server = Server::start(Some(psk(tls, "siem", KEY)), Behaviour::Correct, KNOWN);
    let error = run(ask(&server)).unwrap_err();
    assert!(matches!(&error, Error::NotExplained { .. }), "{error:?}");
    assert!(error.to_string().contains("older version"), "{error}");
    assert_eq!(server.seen().requests, 0);
}

#[rstest]
fn a_server_that_chooses_what_was_not_offered_is_asked_nothing(#[values(Tls::V12, Tls::V13)] tls: Tls) {
    let server = Server::start(Some(choosing(tls, b"linekeep-explain/2")), Behaviour::Correct, KNOWN);
    let error = run(ask(&server)).unwrap_err();
    // OpenSSL ends the handshake; one that let it pass would meet the client's own check.
    assert!(matches!(&error, Error::Handshake { .. } | Error::NotExplained { .. }), "{error:?}");
    assert_eq!(server.seen().requests, 0);
}

#[test]
fn a_server_that_refuses_the_form_is_quoted_with_what_it_means() {
    let mut refusing = psk(Tls::V13, "siem", KEY);
    refusing.set_alpn_select_callback(|_, _| Err(AlpnError::ALERT_FATAL));
    let server = Server::start(Some(refusing), Behaviour::Correct, KNOWN);
    let error = run(ask(&server)).unwrap_err().to_string();
    assert!(error.contains("does not speak the form") && error.contains("no_application_protocol"), "{error}");
}

#[test]
fn without_tls_there_is_no_form_to_agree_on_and_nobody_is_connected_to() {
    let server = Server::start(None, Behaviour::Correct, KNOWN);
    let options = Options::new(server.address().parse().unwrap(), Protection::Plain).explain();
    let error = run(Client::connect(&options)).unwrap_err();
    assert!(matches!(&error, Error::ExplainWithoutTls { .. }), "{error:?}");
    assert_eq!(server.seen().sources, []);
}

#[test]
fn a_connection_without_the_form_explains_nothing_and_lives_on() {
    let server = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::Correct, KNOWN);
    run(async {
        let mut client = Client::connect(&at(&server)).await.unwrap();
        assert!(matches!(client.lookup_explained(b"known").await, Err(Error::PlainConnection)));
        assert_eq!(client.lookup(b"known").await.unwrap(), Answer::Exists);
    });
}

#[test]
fn the_program_says_why_it_cannot_explain() {
    let folder = tempfile::tempdir().unwrap();
    let hex: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = write_private(&folder.path().join("siem.key"), format!("siem:{hex}\n").as_bytes());
    let older = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::Correct, KNOWN);
    let socket = folder.path().join("socket");
    let _local = Server::start_at(At::Unix(socket.clone()), None, Behaviour::Correct, KNOWN);
    let local = format!("unix:{}", socket.display());
    let address = older.address();
    for (arguments, code, told) in [
        (&["--server", &address, "--psk-file", key.to_str().unwrap()][..], 2, "older version"),
        (&["--server", &local], 2, "would be asked without TLS"),
        (&["--plain"], 2, "would be asked without TLS"),
        (&["--quiet"], 2, "cannot be used with"),
    ] {
        let said = Command::new("timeout")
            .args(["60", env!("CARGO_BIN_EXE_linekeep"), "lookup", "--explain", "known"])
            .args(arguments)
            .env_clear()
            .output()
            .unwrap();
        let err = String::from_utf8(said.stderr).unwrap();
        assert_eq!((said.status.code(), said.stdout.as_slice()), (Some(code), &b""[..]), "{err}");
        assert!(err.contains(told), "{err}");
    }
}
