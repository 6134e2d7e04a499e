//! The configuration: every fault at once and at its place, nothing shipped that is not good, the reference never stale.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

use linekeep::config::{self, Bind, Mode, Protection};
use proptest::prelude::*;
use rstest::rstest;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE: &str = "/etc/linekeep/linekeep.toml";

const GOOD: &str = r#"[[listener]]
name = "main"
address = "127.0.0.1:44445"
allow = ["127.0.0.1"]
mode = "psk"
keyring = "keyring"
[[dataset]]
name = "words"
paths = "words.txt"
"#;

fn faults(text: &str) -> Vec<String> {
    config::parse(text, Path::new(FILE)).map_or_else(|faults| faults.lines(), |_| Vec::new())
}

#[test]
fn ten_faults_give_ten_lines_each_with_file_line_key_found_and_allowed() {
    let text = r#"[server]
threds = 4
backlog = "many"
max-query-bytes = 0
idle-timeout = "soon"
[log]
level = "chatty"
[[listener]]
name = "main"
address = "localhost:44445"
allow = ["192.0.2.1/24"]
mode = "psk"
certificate = "server.pem"
[[dataset]]
name = "words"
paths = "words.txt"
line-ending = "crlf"
[[client]]
name = "alice"
psk-identities = ["alice"]
datasets = ["wrods"]
keyring = "here"
"#;
    // The keyring of listener "main" is missing as well, which makes eleven; it is given here to keep them ten.
    let text =
        text.replace("keyring = \"here\"\n", "").replace("mode = \"psk\"", "mode = \"psk\"\nkeyring = \"keyring\"");
    let expected = [
        (2, "[server] threds", "an unknown key", "did you mean threads?"),
        (3, "[server] backlog", "\"many\"", "a whole number from 1 to 65535"),
        (4, "[server] max-query-bytes", "0", "a whole number from 1 to 65536"),
        (5, "[server] idle-timeout", "\"soon\"", "a time from"),
        (7, "[log] level", "\"chatty\"", "\"error\", \"warning\", \"notice\" or \"info\""),
        (10, "[[listener]] \"main\" address", "\"localhost:44445\"", "an address and port"),
        (11, "[[listener]] \"main\" allow", "the range that holds this address is 192.0.2.0/24", "an array"),
        (14, "[[listener]] \"main\" certificate", "\"server.pem\"", "loads no certificate"),
        (18, "[[dataset]] \"words\" line-ending", "\"crlf\"", "\"auto\" or \"lf\""),
        (22, "[[client]] \"alice\" datasets", "\"wrods\"", "did you mean words?"),
    ];
    let found = faults(&text);
    // The faulty dataset is not in the file's meaning, but its name is known all the same.
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (line, (number, key, what, allowed)) in found.iter().zip(expected) {
        assert!(line.starts_with(&format!("{FILE}:{number}:")), "{line}");
        for part in [format!(": {key}: found "), what.to_owned(), "allowed: ".to_owned()] {
            assert!(line.contains(&part), "{part} in {line}");
        }
        assert!(line[line.find("allowed: ").unwrap()..].contains(allowed), "{allowed} in {line}");
    }
}

/// Every element that is wrong, at its own line; a name that is taken or unknown as well.
#[test]
fn every_element_of_an_array_is_told_at_its_own_line() {
    let text = GOOD.replace("[\"127.0.0.1\"]", "[\n\"x\",\n\"::1\",\n\"192.0.2.1/24\", 3]")
        + "[[client]]\nname = \"a\"\npsk-identities = [\n\"i\",\n\"i\"]\ncertificates = [\n\"dns:x\",\n\"ip:x\"]\n\
           [[client]]\nname = \"b\"\npsk-identities = [\n\"i\"]\ndatasets = [\n\"words\",\n\"wrods\"]\n";
    let places: Vec<_> = match config::parse(&text, Path::new(FILE)) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0.iter().map(|fault| (fault.line, fault.column, fault.found.clone())).collect(),
    };
    let mut told: Vec<_> = places.iter().map(|(line, column, found)| (*line, *column, found.as_str())).collect();
    let bad_range = told.remove(1);
    assert!(bad_range.0 == 7 && bad_range.1 == 1 && bad_range.2.contains("192.0.2.0/24"), "{bad_range:?}");
    // Client "a" has no meaning as long as one of its certificates has none, so nothing is compared with it.
    assert_eq!(told[0].0, 5);
    assert_eq!(told[1..], [(7, 17, "3"), (20, 1, "\"ip:x\""), (27, 1, "\"wrods\"")]);
}

#[test]
fn one_identity_is_one_client_also_within_an_array() {
    let text = format!("{GOOD}[[client]]\nname = \"a\"\npsk-identities = [\n\"i\",\n\"j\",\n\"i\"]\n");
    let found = faults(&text);
    assert!(found.len() == 1 && found[0].starts_with(&format!("{FILE}:15:1:")), "{found:?}");
}

/// Behind a break the parser guesses: only the break is told, and what is wrong on lines that it could read.
#[rstest]
#[case::header("[[dataset]]", "[[dataset]", &[7])]
#[case::first_header("[[listener]]", "[[listener]", &[1])]
#[case::key_without_value("name = \"main\"", "name \"main\"", &[2])]
#[case::unquoted("mode = \"psk\"", "mode = psk", &[5])]
#[case::unquoted_and_wrong("mode = \"psk\"", "mode = pks", &[5])]
#[case::open_string("name = \"main\"", "name = \"main", &[2])]
#[case::break_and_fault("mode = \"psk\"", "mode = psk\nprofile = \"old\"", &[5, 6])]
#[case::twice("mode = \"psk\"", "mode = \"psk\"\nmode = \"psk\"\nprofile = \"old\"", &[6, 7])]
fn what_only_follows_from_broken_toml_is_not_told(#[case] good: &str, #[case] bad: &str, #[case] lines: &[usize]) {
    let faults = config::parse(&GOOD.replacen(good, bad, 1), Path::new(FILE)).unwrap_err();
    assert_eq!(faults.0.iter().map(|fault| fault.line).collect::<Vec<_>>(), lines, "{:#?}", faults.lines());
}

/// As Linux does, tried with each pair: what `check` lets pass can be bound.
#[rstest]
#[case("127.0.0.1:1", "127.0.0.1:1", true)]
#[case("0.0.0.0:1", "127.0.0.1:1", true)]
#[case("[::]:1", "127.0.0.1:1", true)]
#[case("[::]:1", "[::1]:1", true)]
#[case("[::]:1", "0.0.0.0:1", true)]
#[case("[::ffff:127.0.0.1]:1", "127.0.0.1:1", true)]
#[case("[::ffff:0.0.0.0]:1", "127.0.0.1:1", true)]
#[case("0.0.0.0:1", "[::1]:1", false)]
#[case("127.0.0.1:1", "127.0.0.2:1", false)]
#[case("127.0.0.1:1", "127.0.0.1:2", false)]
#[case("127.0.0.1:0", "127.0.0.1:0", false)]
#[case("[fe80::1%1]:1", "[fe80::1%2]:1", false)]
fn addresses_that_cannot_both_be_bound_are_faults(#[case] one: &str, #[case] other: &str, #[case] collide: bool) {
    for (one, other) in [(one, other), (other, one)] {
        let second = format!(
            "[[listener]]\nname = \"other\"\naddress = \"{other}\"\nallow = [\"::1\"]\nmode = \"psk\"\nkeyring = \"k\"\n"
        );
        let found = faults(&(GOOD.replace("127.0.0.1:44445", one) + &second));
        assert_eq!(found.len(), usize::from(collide), "{one} {other} {found:?}");
        assert!(
            found.iter().all(|line| line.contains("\"other\" address") && line.contains("\"main\" has it already"))
        );
    }
}

#[rstest]
#[case::the_control_socket("/run/linekeep/control.sock", &["address", "[control] socket has it already"])]
#[case::too_long_for_the_kernel(&"/long".repeat(22), &["address", "110 bytes", "at most 107 bytes"])]
#[case::invisible("/run/\\u001b", &["address"])]
fn a_unix_socket_that_cannot_be_bound_is_a_fault(#[case] path: &str, #[case] words: &[&str]) {
    let text = GOOD.replace("127.0.0.1:44445", &format!("unix:{path}")).replace("allow = [\"127.0.0.1\"]\n", "");
    let found = faults(&text);
    assert!(found.len() == 1 && words.iter().all(|word| found[0].contains(word)), "{found:?}");
}

#[test]
fn a_control_socket_that_is_switched_off_is_in_nobodys_way() {
    let text =
        GOOD.replace("127.0.0.1:44445", "unix:/run/linekeep/control.sock").replace("allow = [\"127.0.0.1\"]\n", "");
    assert_eq!(faults(&format!("[control]\nenabled = false\n{text}")), Vec::<String>::new());
}

/// The daemon leaves the folder that it was started in.
#[test]
fn paths_of_a_file_that_was_named_relatively_are_absolute() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("linekeep.toml"), GOOD).unwrap();
    let up = "../".repeat(std::env::current_dir().unwrap().components().count() - 1);
    let relative = Path::new(&up).join(folder.path().strip_prefix("/").unwrap());
    let config = config::load(&relative.join("linekeep.toml")).unwrap();
    let Protection::Tls { mode: Mode::Psk { keyring }, .. } = &config.listeners[0].protection else { panic!() };
    for path in [keyring, &config.datasets[0].paths[0]] {
        assert!(path.is_absolute(), "{path:?}");
        assert_eq!(path.parent().unwrap().canonicalize().unwrap(), folder.path().canonicalize().unwrap());
    }
}

/// `/dev/zero` says that it is empty, and never ends.
#[test]
fn bounded_a_file_without_end_is_one_fault() {
    let lines = config::load(Path::new("/dev/zero")).unwrap_err().lines();
    assert!(lines.len() == 1 && lines[0].contains("at most 1 MiB"), "{lines:?}");
}

/// Puts `line` into the good file, before its `[[dataset]]`, and expects one fault that holds all `words`.
#[rstest]
#[case::unknown_section("[sever]", &["sever", "unknown section", "did you mean server?"])]
#[case::not_a_section("server = 3", &["unknown key"])]
#[case::twice_the_key("mode = \"none\"", &["TOML", "duplicate key"])]
#[case::syntax("profile == 3", &["TOML", ":7:", "extra `=`"])]
#[case::wrong_type("queries = true", &["queries", "found true", "\"utf-8\" or \"bytes\""])]
#[case::client_in_psk("client = \"x\"", &["client", "proves its own name"])]
#[case::ca_in_psk("client-ca = \"x\"", &["client-ca", "loads no certificate"])]
#[case::key_in_psk("private-key = \"x\"", &["private-key", "loads no certificate"])]
#[case::unix_mode_on_tcp("socket-mode = \"0600\"", &["socket-mode", "UNIX"])]
#[case::profile("profile = \"old\"", &["profile", "\"modern\""])]
#[case::source_above_all("[server]\nmax-connections = 5\nmax-connections-per-source = 6", &[":9:", "found 6", "at most max-connections = 5"])]
#[case::never("[server]\nidle-timeout = \"10000years\"", &["idle-timeout"])]
#[case::past_all_time("[server]\nidle-timeout = \"18446744073709551615s 1000ms\"", &["idle-timeout", "found \"1844674407370955"])]
#[case::at_once("[server]\nidle-timeout = \"0s\"", &["idle-timeout"])]
#[case::negative("[server]\nbacklog = -1", &["backlog", "found -1"])]
#[case::huge("[server]\nthreads = 99999999999999999999", &["threads"])]
#[case::world("[control]\nmode = \"0666\"", &["mode", "\"0666\"", "nothing for others"])]
#[case::ceiling("[server]\nmax-index-bytes = \"4 GB\"", &["max-index-bytes", "MiB"])]
#[case::same_listener("[[listener]]\nname = \"main\"\naddress = \"127.0.0.1:1\"\nallow = [\"::1\"]\nmode = \"psk\"\nkeyring = \"k\"", &["[[listener]] \"main\"", ":8:", "has it already"])]
#[case::same_address("[[listener]]\nname = \"other\"\naddress = \"127.0.0.1:44445\"\nallow = [\"::1\"]\nmode = \"psk\"\nkeyring = \"k\"", &[":9:", "\"main\" has it already"])]
#[case::same_dataset("[[dataset]]\nname = \"words\"\npaths = \"x\"", &["[[dataset]] \"words\"", "has it already"])]
#[case::same_identity("[[client]]\nname = \"a\"\npsk-identities = [\"x\"]\n[[client]]\nname = \"b\"\npsk-identities = [\"x\"]", &["\"b\" psk-identities", "\"a\" has it already"])]
#[case::same_certificate("[[client]]\nname = \"a\"\ncertificates = [\"dns:X\"]\n[[client]]\nname = \"b\"\ncertificates = [\"dns:x\"]", &["\"b\" certificates", "\"a\" has it already"])]
#[case::identity("[[client]]\nname = \"a\"\npsk-identities = [\"x:y\"]", &["psk-identities"])]
#[case::kind_of_name("[[client]]\nname = \"a\"\ncertificates = [\"ip:x\"]", &["certificates", "subjectAltName", "cn:NAME"])]
#[case::rate("[[client]]\nname = \"a\"\nqueries-per-second = 0", &["queries-per-second", "found 0"])]
#[case::burst_alone("[[client]]\nname = \"a\"\nburst = 5", &["burst", "without queries-per-second"])]
#[case::networks("[[client]]\nname = \"a\"\nnetworks = []", &["networks", "an empty array"])]
#[case::local_time("[[client]]\nname = \"a\"\nexpires = 2026-12-24T18:00:00", &["expires", "without its offset"])]
#[case::no_day("[[client]]\nname = \"a\"\nexpires = \"2026-02-30\"", &["expires", "2026-02-30"])]
#[case::never_there("[[client]]\nname = \"a\"\nnot-before = 2026-12-24\nexpires = 2026-12-24", &["expires", "behind not-before"])]
#[case::enabled("[[client]]\nname = \"a\"\nenabled = \"yes\"", &["enabled", "true or false"])]
#[case::no_penalty_ever("[penalties]\nenforce-from = \"20m\"", &["enforce-from", "longest"])]
#[case::exempt("[penalties]\nexempt = [\"x\"]", &["exempt"])]
#[case::early("[server]\nearly-refusal-from = 0", &["early-refusal-from", "percentage"])]
#[case::proxies("trusted-proxies = [\"10.0.0.1/8\"]", &["trusted-proxies", "10.0.0.0/8"])]
#[case::eku_without_certificates("require-client-eku = false", &["require-client-eku"])]
#[case::digest("[[client]]\nname = \"a\"\ncertificates = [\"sha256:ab\"]", &["certificates"])]
#[case::datasets("[[client]]\nname = \"a\"\ndatasets = \"words\"", &["datasets", "an array"])]
#[case::not_sections("[client]\nname = \"a\"", &["[[client]]", "sections [[client]]"])]
fn one_fault_is_told_at_its_place(#[case] line: &str, #[case] words: &[&str]) {
    let text = GOOD.replace("[[dataset]]\nname = \"words\"", &format!("{line}\n[[dataset]]\nname = \"words\""));
    let found = faults(&text);
    assert_eq!(found.len(), 1, "{found:#?}");
    for word in words {
        assert!(found[0].contains(word), "{word} in {}", found[0]);
    }
}

#[rstest]
#[case("2026-12-24", 1_798_070_400)]
#[case("\"2026-12-24\"", 1_798_070_400)]
#[case("2026-12-24T18:00:00Z", 1_798_135_200)]
#[case("2026-12-24 18:00:00z", 1_798_135_200)]
#[case("\"2026-12-24T18:00:00+01:00\"", 1_798_131_600)]
#[case("2026-12-24T18:00:00.5-00:30", 1_798_137_000)]
fn a_moment_is_read_as_it_was_meant(#[case] typed: &str, #[case] seconds: u64) {
    let text = format!("{GOOD}[[client]]\nname = \"a\"\nexpires = {typed}\n");
    let config = config::parse(&text, Path::new(FILE)).unwrap();
    let expires = config.clients[0].expires.unwrap();
    assert_eq!(expires.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), seconds);
}

#[rstest]
#[case::wildcard("0.0.0.0:1", true)]
#[case::network("192.0.2.1:1", true)]
#[case::v6_wildcard("[::]:1", true)]
#[case::mapped_network("[::ffff:192.0.2.1]:1", true)]
#[case::loopback("127.0.0.9:1", false)]
#[case::v6_loopback("[::1]:1", false)]
fn plain_tcp_stays_on_loopback(#[case] address: &str, #[case] refused: bool) {
    let text = GOOD
        .replace("127.0.0.1:44445", address)
        .replace("mode = \"psk\"\nkeyring = \"keyring\"", "transport = \"plain\"\nclient = \"x\"");
    let found = faults(&text);
    assert_eq!(found.len(), usize::from(refused), "{found:?}");
    assert!(found.iter().all(|line| line.contains("loopback")));
}

#[rstest]
#[case::none_without_client("none", "certificate = \"c\"\nprivate-key = \"k\"", &["client"])]
#[case::none_without_certificate("none", "client = \"x\"", &["certificate", "private-key"])]
#[case::certificate_without_ca("certificate", "certificate = \"c\"\nprivate-key = \"k\"", &["client-ca"])]
#[case::certificate_with_keyring("certificate", "certificate = \"c\"\nprivate-key = \"k\"\nclient-ca = \"a\"\nkeyring = \"r\"", &["keyring"])]
#[case::either_without_anything("either", "", &["keyring", "certificate", "private-key", "client-ca"])]
#[case::psk_without_keyring("psk", "", &["keyring"])]
fn every_mode_has_its_keys_and_no_other(#[case] mode: &str, #[case] keys: &str, #[case] named: &[&str]) {
    let found = faults(&GOOD.replace("mode = \"psk\"\nkeyring = \"keyring\"", &format!("mode = \"{mode}\"\n{keys}")));
    assert_eq!(found.len(), named.len(), "{found:#?}");
    for (line, key) in found.iter().zip(named) {
        assert!(line.contains(&format!("\"main\" {key}: ")), "{key} in {line}");
    }
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(faults("").len(), 2, "a listener and a dataset");
    let found = faults("[[listener]]\n[[dataset]]\n");
    for key in ["1 name", "1 address", "1 allow", "1 mode", "[[dataset]] 1 name", "[[dataset]] 1 paths"] {
        assert!(found.iter().any(|line| line.contains(key)), "{key} in {found:#?}");
    }
}

#[test]
fn relative_paths_are_taken_from_the_folder_of_the_file() {
    let config = config::parse(GOOD, Path::new(FILE)).unwrap();
    assert_eq!(config.datasets[0].paths, [PathBuf::from("/etc/linekeep/words.txt")]);
    let Protection::Tls { mode: Mode::Psk { keyring }, .. } = &config.listeners[0].protection else { panic!() };
    assert_eq!(keyring, Path::new("/etc/linekeep/keyring"));
}

#[test]
fn caps_that_nobody_wrote_fit_under_those_that_somebody_did() {
    let config = config::parse(&format!("[server]\nmax-connections = 10\n{GOOD}"), Path::new(FILE)).unwrap();
    let server = config.server;
    assert_eq!(
        (server.max_connections_per_source, server.max_handshakes, server.max_handshakes_per_source),
        (10, 10, 10)
    );
}

fn shipped() -> Vec<PathBuf> {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let mut files: Vec<_> = [conf.clone(), conf.join("examples")]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_shipped_configuration_is_good() {
    let files = shipped();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let config = config::load(&file).unwrap_or_else(|faults| panic!("{:#?}", faults.lines()));
        assert!(!config.listeners.is_empty());
    }
}

#[test]
fn the_shipped_default_listens_on_loopback_only() {
    let config = config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/linekeep.toml")).unwrap();
    assert!(
        config
            .listeners
            .iter()
            .all(|listener| matches!(listener.bind, Bind::Tcp(address) if address.ip().is_loopback()))
    );
}

/// The commented default shows every key, and what it shows as a default is the default.
#[test]
fn the_commented_default_tells_the_truth() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/linekeep.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let shown: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|letter: char| letter.is_ascii_lowercase()) && !key.starts_with("group") => {
                key
            }
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(config::parse(&shown, &file), config::parse(&text, &file));
    for line in config::reference().lines().filter(|line| line.starts_with("### `")) {
        let key = line.trim_start_matches("### `").trim_end_matches('`');
        assert!(text.contains(&format!("{key} = ")), "{key} is not shown in conf/linekeep.toml");
    }
}

#[test]
fn defaults_are_those_of_the_design() {
    let config = config::parse(GOOD, Path::new(FILE)).unwrap();
    assert_eq!(config.control.unwrap().socket, Path::new(config::DEFAULT_CONTROL_SOCKET));
    let server = config.server;
    assert_eq!(server.handshake_deadline, Duration::from_secs(10));
    assert_eq!(server.idle_timeout, Duration::from_secs(60));
    assert_eq!(server.max_query_bytes, 4096);
    assert_eq!(server.threads, std::thread::available_parallelism().unwrap().get());
}

#[test]
fn the_reference_is_not_stale() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == config::reference(),
        "docs/configuration.md is stale; make it anew: cargo run --bin linekeepd -- reference > docs/configuration.md"
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/records.md");
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == linekeep::audit::reference(),
        "docs/records.md is stale; make it anew: cargo run --bin linekeepd -- reference --records > docs/records.md"
    );
}

#[test]
fn control_characters_of_the_file_do_not_reach_the_terminal() {
    for line in faults(&GOOD.replace("\"main\"", "\"\\u001b[2J\\n\"")) {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    for mark in ['\u{202e}', '\u{2028}', '\u{200b}', '\u{2066}', '\u{feff}'] {
        let found = faults(&GOOD.replace("mode =", &format!("\"{mark}\" = 1\nmode =")));
        assert!(found.len() == 1 && !found[0].contains(mark) && found[0].contains("\\u{"), "{found:?}");
    }
}

#[rstest]
#[case::missing(None, "No such file")]
#[case::not_utf8(Some(&b"# one\n# \xff\n"[..]), ":2:")]
fn a_file_that_cannot_be_read_is_one_fault(#[case] content: Option<&[u8]>, #[case] word: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("linekeep.toml");
    if let Some(content) = content {
        std::fs::write(&file, content).unwrap();
    }
    let lines = config::load(&file).unwrap_err().lines();
    assert!(lines.len() == 1 && lines[0].contains(word), "{lines:?}");
}

proptest! {
    #[test]
    fn bounded_no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = faults(&text);
    }

    #[test]
    fn bounded_no_mutation_of_a_good_file_makes_it_panic(at in 0usize..400, cut in 0usize..40, with in "[\\[\\]\"=a-z0-9 \n,{}.\u{e9}-]{0,20}") {
        let whole = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/examples/mutual-tls.toml")).unwrap();
        let letters: Vec<char> = whole.chars().collect();
        let at = at.min(letters.len());
        let end = (at + cut).min(letters.len());
        let text: String = letters[..at].iter().chain(with.chars().collect::<Vec<_>>().iter()).chain(&letters[end..]).collect();
        let _ = faults(&text);
    }
}
