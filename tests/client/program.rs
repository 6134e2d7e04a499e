//! Promises of `linekeep lookup`, the program as people run it.

use crate::server::{At, Behaviour, MAX_QUERY_BYTES, Server, Tls, certificate, psk};
use crate::support::pki::{Authority, write_private};
use rstest::rstest;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const KEY: [u8; 32] = [7; 32];
const KEYRING: &str = "siem:0707070707070707070707070707070707070707070707070707070707070707\n";
const KNOWN: &[&str] = &["known", "zoë", "tab\tand\u{1b}[31m", "-"];

/// A server on a UNIX socket, the shortest way to an answer.
struct Local {
    folder: TempDir,
    _server: Server,
}

impl Local {
    fn start(behaviour: Behaviour) -> Local {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_at(At::Unix(folder.path().join("socket")), None, behaviour, KNOWN);
        Local { folder, _server: server }
    }

    fn server(&self) -> String {
        format!("unix:{}", self.folder.path().join("socket").display())
    }

    fn lookup(&self, arguments: &[&str], input: &[u8]) -> Said {
        let server = self.server();
        let mut all = vec!["lookup", "--server", &server];
        all.extend_from_slice(arguments);
        linekeep(&all, input)
    }
}

#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// The program, ended after a minute: a broken one waits for its tests as they wait for it.
fn command() -> Command {
    let mut command = Command::new("timeout");
    command.args(["60", env!("CARGO_BIN_EXE_linekeep")]).env_clear().env("PATH", "/usr/bin:/bin");
    command
}

/// The process that `timeout` started.
fn program_of(timeout: &Child) -> String {
    let children = format!("/proc/{0}/task/{0}/children", timeout.id());
    std::fs::read_to_string(children).unwrap().trim().to_owned()
}

fn linekeep(arguments: &[&str], input: &[u8]) -> Said {
    say(command().args(arguments), input)
}

fn say(command: &mut Command, input: &[u8]) -> Said {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // The program may end without reading all of it.
    let feeder = std::thread::spawn(move || _ = stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[rstest]
#[case::all_found(&["known", "zoë"], 0)]
#[case::some_missing(&["known", "x"], 1)]
#[case::error_wins(&["x", "\u{e9}", "--", "a\nb"], 2)]
#[case::no_line(&[], 2)]
#[case::empty_line(&[""], 2)]
#[case::standard_input_stands_alone(&["known", "-"], 2)]
#[case::unknown_option(&["--no-such", "known"], 2)]
fn exit_codes_are_those_of_grep(#[case] lines: &[&str], #[case] code: i32) {
    let said = Local::start(Behaviour::Correct).lookup(lines, b"");
    assert_eq!(said.code, Some(code), "{said:?}");
}

#[rstest]
#[case::table(&[], "found\tknown\nmissing\tx\nerror\t\tinvalid query\nmissing\tcr\r\n", "")]
#[case::json(&["--json"], "{\"line\":\"known\",\"answer\":\"found\"}\n{\"line\":\"x\",\"answer\":\"missing\"}\n{\"line\":\"\",\"answer\":\"error\",\"reason\":\"invalid query\"}\n{\"line\":\"cr\\r\",\"answer\":\"missing\"}\n", "")]
#[case::found(&["--found"], "known\n", "linekeep: line 3 ``: invalid query\n")]
#[case::missing(&["--missing"], "x\ncr\r\n", "linekeep: line 3 ``: invalid query\n")]
#[case::quiet(&["--quiet"], "", "linekeep: line 3 ``: invalid query\n")]
fn standard_input_is_looked_up_in_order(#[case] options: &[&str], #[case] out: &str, #[case] err: &str) {
    let mut arguments = options.to_vec();
    arguments.push("-");
    let said = Local::start(Behaviour::Correct).lookup(&arguments, b"known\nx\n\ncr\r");
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(2), out, err));
}

#[test]
fn the_line_dash_is_asked_through_standard_input() {
    let said = Local::start(Behaviour::Correct).lookup(&["-"], b"-\n");
    assert_eq!((said.code, said.out.as_str()), (Some(0), "found\t-\n"));
}

#[test]
fn an_empty_input_has_nothing_missing() {
    let said = Local::start(Behaviour::Correct).lookup(&["-"], b"");
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""));
}

#[test]
fn json_holds_every_byte_of_a_line_that_is_not_utf8() {
    let local = Local::start(Behaviour::Correct);
    let mut command = command();
    command.args(["lookup", "--json", "--server", &local.server()]).arg(OsStr::from_bytes(b"\xff\xfe"));
    let said = say(&mut command, b"");
    assert_eq!(said.out, "{\"line_base64\":\"//4=\",\"answer\":\"error\",\"reason\":\"invalid query\"}\n");
    assert_eq!(said.code, Some(2));
}

#[test]
fn the_wire_is_shown_escaped() {
    let local = Local::start(Behaviour::Correct);
    let said = local.lookup(&["--wire", "known", "x\u{1b}[2J"], b"");
    let expected = format!(
        "* {}, without TLS\n> known\\n\n< STRING EXISTS\\n\n> x\\u{{1b}}[2J\\n\n< STRING NOT FOUND\\n\n",
        local.server()
    );
    assert_eq!((said.code, said.out), (Some(1), expected));
}

#[test]
fn nothing_is_asked_when_one_argument_cannot_be() {
    let server = Server::start(None, Behaviour::Correct, KNOWN);
    let said = linekeep(&["lookup", "--plain", "--server", &server.address(), "known", "two\nlines"], b"");
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert_eq!(
        said.err,
        "linekeep: argument 2: the line holds a line feed at byte 3; look up its parts one by one; nothing was asked\n"
    );
    assert_eq!(server.seen().sources, []);
}

#[rstest]
fn both_ends_prove_themselves_as_the_options_say(#[values(Tls::V12, Tls::V13)] tls: Tls) {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test CA");
    let ca = authority.write(folder.path(), "ca");
    let (certificate_file, key_file) = authority.issue_client("siem").write(folder.path(), "siem");
    let server =
        Server::start(Some(certificate(tls, &authority.issue_server(), Some(&authority))), Behaviour::Correct, KNOWN);
    let mut options = vec!["lookup", "known", "--source", "127.0.0.1", "--ca", ca.to_str().unwrap()];
    options.extend(["--certificate", certificate_file.to_str().unwrap(), "--private-key", key_file.to_str().unwrap()]);
    let address = server.address();
    options.extend(["--server", &address]);
    let said = linekeep(&options, b"");
    assert_eq!((said.code, said.out.as_str()), (Some(0), "found\tknown\n"), "{said:?}");
    options.extend(["--server-name", "other.example"]);
    let said = linekeep(&options, b"");
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("not for `other.example` but for `localhost`, `127.0.0.1`, `::1`"), "{said:?}");
}

fn key_file(folder: &Path) -> PathBuf {
    write_private(&folder.join("siem.key"), KEYRING.as_bytes())
}

#[test]
fn the_environment_may_say_who_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::Correct, KNOWN);
    let mut command = command();
    command.env("LINEKEEP_SERVER", server.address()).env("LINEKEEP_PSK_FILE", key_file(folder.path()));
    command.env("LINEKEEP_PSK_IDENTITY", "siem");
    let said = say(command.args(["lookup", "--wire", "known"]), b"");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("TLSv1.3 TLS_AES_128_GCM_SHA256"), "{said:?}");
    // What is typed beats what was set.
    let said = say(command.args(["--psk-identity", "other"]), b"");
    assert!(said.err.contains("holds no key for `other`"), "{said:?}");
}

#[test]
fn a_refused_key_is_an_error_on_standard_error_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Some(psk(Tls::V13, "siem", [8; 32])), Behaviour::Correct, KNOWN);
    let key = key_file(folder.path());
    let said = linekeep(&["lookup", "known", "--server", &server.address(), "--psk-file", key.to_str().unwrap()], b"");
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.starts_with(&format!("linekeep: refused by {}: ", server.address())), "{said:?}");
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
}

#[test]
fn a_line_too_long_for_the_server_is_named() {
    let mut input = b"known\n".to_vec();
    input.extend(vec![b'a'; MAX_QUERY_BYTES + 1]);
    input.extend(b"\nknown\n");
    let said = Local::start(Behaviour::Correct).lookup(&["--found", "-"], &input);
    assert_eq!((said.code, said.out.as_str()), (Some(2), "known\n"));
    assert!(said.err.starts_with("linekeep: line 2 `aaaaa"), "{said:?}");
    assert!(said.err.contains("a...`: query too long\nlinekeep: line 2 is longer than"), "{said:?}");
    assert!(said.err.len() < 400, "{said:?}");
}

#[test]
fn answers_given_before_the_server_closed_are_shown() {
    let said = Local::start(Behaviour::CloseAfter(1)).lookup(&["known", "x"], b"");
    assert_eq!((said.code, said.out.as_str()), (Some(2), "found\tknown\n"));
    assert!(said.err.contains("closed the connection after 1 answers"), "{said:?}");
}

#[test]
fn errors_beside_the_output_are_told_one_by_one_and_then_counted() {
    let said = Local::start(Behaviour::Correct).lookup(&["--quiet", "-"], &[b'\n'; 1000]);
    assert_eq!(said.code, Some(2));
    assert_eq!(said.err.lines().count(), 11, "{said:?}");
    assert!(said.err.ends_with("linekeep: and 990 more lines with an error\n"), "{said:?}");
}

#[test]
fn a_reader_that_leaves_ends_it_without_a_word() {
    let local = Local::start(Behaviour::Correct);
    let mut child = command()
        .args(["lookup", "--server", &local.server(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"known\n").unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert_eq!(first, "found\tknown\n", "an answer is shown while standard input stays open");
    drop(out);
    stdin.write_all(b"known\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(2), vec![]));
    drop(stdin);
}

#[test]
fn a_million_lines_pass_in_bounded_memory_and_in_order() {
    const LINES: u32 = 1_000_000;
    const PADDING: &str = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567";
    let folder = tempfile::tempdir().unwrap();
    let known: Vec<String> = (0..LINES).step_by(1000).map(|number| format!("{PADDING} {number}")).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let server = Server::start(Some(psk(Tls::V13, "siem", KEY)), Behaviour::Correct, &known);
    let mut child = command()
        .args(["lookup", "-", "--server", &server.address(), "--psk-file"])
        .arg(key_file(folder.path()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        for numbers in (0..LINES).collect::<Vec<_>>().chunks(1000) {
            let lines: String = numbers.iter().map(|number| format!("{PADDING} {number}\n")).collect();
            stdin.write_all(lines.as_bytes()).unwrap();
        }
        stdin
    });
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    for number in 0..LINES {
        line.clear();
        out.read_line(&mut line).unwrap();
        let word = if number % 1000 == 0 { "found" } else { "missing" };
        assert!(
            line.strip_prefix(word).is_some_and(|rest| rest[1..].trim_end() == format!("{PADDING} {number}")),
            "{line}"
        );
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", program_of(&child))).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    drop(feeder.join().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(peak_kib < 40 * 1024, "{peak_kib} KiB for input of {} KiB", LINES as usize * (PADDING.len() + 8) / 1024);
}

/// Runs the program on a terminal of its own (`script` of util-linux), and gives what the terminal was sent.
fn on_a_terminal(local: &Local, environment: &[(&str, &str)]) -> Option<String> {
    let line = format!("'{}' lookup --server '{}' \"$LINE\" missing", env!("CARGO_BIN_EXE_linekeep"), local.server());
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env_remove("NO_COLOR")
        .env("LINE", KNOWN[2])
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .ok()?;
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_terminal_gets_colours_and_no_control_character_of_a_line() {
    let local = Local::start(Behaviour::Correct);
    let Some(said) = on_a_terminal(&local, &[]) else { return eprintln!("skipped: the program `script` is not here") };
    assert_eq!(said, "\x1b[32mfound\x1b[0m\ttab\\tand\\u{1b}[31m\r\n\x1b[33mmissing\x1b[0m\tmissing\r\n");
    let said = on_a_terminal(&local, &[("NO_COLOR", "1")]).unwrap();
    assert_eq!(said, "found\ttab\\tand\\u{1b}[31m\r\nmissing\tmissing\r\n");
    // Anywhere else, a line is what was asked, byte for byte.
    assert_eq!(local.lookup(&[KNOWN[2]], b"").out, format!("found\t{}\n", KNOWN[2]));
}

#[test]
fn help_teaches_with_examples_and_the_version_is_said() {
    let help = linekeep(&["lookup", "--help"], b"");
    assert_eq!(help.code, Some(0));
    for taught in ["Examples:", "--psk-file siem.key", "LINEKEEP_SERVER", "Exit code: 0"] {
        assert!(help.out.contains(taught), "{taught}");
    }
    assert_eq!(linekeep(&["--version"], b"").out, format!("linekeep {}\n", env!("CARGO_PKG_VERSION")));
}
