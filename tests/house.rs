//! Holds the house: floors, room sizes, first lines, fences around unsafe code, no way to panic.
//! Reads the sources as tokens, so that comments and strings never count; knows no Rust beyond that.
#![allow(clippy::unwrap_used, clippy::panic)]

use rstest::rstest;
use std::path::Path;

/// The rooms of every floor. A room uses only rooms on lower floors.
const FLOORS: [&[&str]; 6] = [
    &["index", "protocol", "event", "normalise", "allowlist", "proxy_header", "cipher_policy", "secret"],
    &["config", "metrics"],
    &["dataset", "identity", "tls", "audit"],
    &["server", "client"],
    &["process"],
    &["command"],
];

/// Who may use a neighbour: a handshake proves identities, so `tls` speaks in their words.
const NEIGHBOURS: [(&str, &str); 1] = [("tls", "identity")];

/// Lines of one file in `src/` or `benches/`, tests in it counted: what can still be known by heart.
const MOST_LINES: usize = 450;

/// Where unsafe code may stand.
const FENCES: [&str; 4] = ["src/process/", "src/tls/ffi.rs", "src/index/machine.rs", "benches/performance/fenced.rs"];

#[test]
fn the_house_stands() {
    let files = sources();
    let faults: Vec<String> = files.iter().flat_map(|(path, source)| faults(path, source)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// A test that reads nothing holds nothing: the files and paths that everybody knows are among those read.
#[test]
fn the_sources_are_really_read() {
    let files = sources();
    let read = |path: &str| &files.iter().find(|(read, _)| read == path).unwrap_or_else(|| panic!("{path}")).1;
    let used = |path: &str| uses(path, &tokens(read(path))).into_iter().map(|(_, room)| room).collect::<Vec<_>>();
    assert!(used("src/server/session.rs").contains(&"identity".to_owned()));
    assert!(used("src/identity/register.rs").contains(&"config".to_owned()));
    assert!(used("src/bin/linekeepd.rs").is_empty() && programs_use(&tokens(read("src/bin/linekeepd.rs"))).len() == 1);
    for room in FLOORS.into_iter().flatten() {
        assert!(files.iter().any(|(path, _)| room_of(path) == Some(room)), "{room} has a floor and no file");
    }
}

/// Every Rust file of the project, by its path from the project's folder.
fn sources() -> Vec<(String, String)> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> = ["src", "tests", "benches", "fuzz/fuzz_targets"].map(|folder| home.join(folder)).into();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(home).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// Everything that is wrong with one file.
fn faults(path: &str, source: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !source.starts_with("//! ") {
        faults.push(format!("{path}:1: says not what it is for and what it may know; begin it with a line `//! ...`"));
    }
    if !["src/", "benches/"].iter().any(|folder| path.starts_with(folder)) {
        return faults;
    }
    let lines = source.lines().count();
    if lines > MOST_LINES {
        faults.push(format!("{path}: {lines} lines; at most {MOST_LINES}: part it into two rooms"));
    }
    let tokens = tokens(source);
    faults.extend(fence_faults(path, &tokens));
    // Benches have no floors, and nobody's service ends when one panics.
    if path.starts_with("src/") {
        faults.extend(floor_faults(path, &tokens));
        faults.extend(panic_faults(path, &tokens));
    }
    faults
}

fn floor_faults(path: &str, tokens: &[Token]) -> Vec<String> {
    if path.starts_with("src/bin/") {
        let others = programs_use(tokens).into_iter().filter(|(_, room)| room != "command");
        return others
            .map(|(line, room)| format!("{path}:{line}: uses {room}; a program uses command alone"))
            .collect();
    }
    let uses = uses(path, tokens);
    let Some(room) = room_of(path) else {
        return uses.into_iter().map(|(line, used)| format!("{path}:{line}: uses {used}; lib.rs only names")).collect();
    };
    let Some(floor) = floor_of(room) else {
        return vec![format!("{path}: unknown room {room}: give it a floor")];
    };
    let mut faults = Vec::new();
    for (line, used) in uses.into_iter().filter(|(_, used)| used != room) {
        match floor_of(&used) {
            None => faults.push(format!("{path}:{line}: unknown room {used}: give it a floor")),
            Some(below) if below < floor || NEIGHBOURS.contains(&(room, used.as_str())) => {}
            Some(other) => {
                faults.push(format!(
                    "{path}:{line}: {room} (floor {floor}) uses {used} (floor {other}); only lower ones"
                ));
            }
        }
    }
    faults
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn fence_faults(path: &str, tokens: &[Token]) -> Vec<String> {
    if FENCES.iter().any(|fence| path.starts_with(fence)) {
        return Vec::new();
    }
    let beyond = tokens.iter().filter(|token| ["unsafe", "unsafe_code"].contains(&token.text.as_str()));
    beyond.map(|token| format!("{path}:{}: {}; allowed in {FENCES:?} only", token.line, token.text)).collect()
}

fn panic_faults(path: &str, tokens: &[Token]) -> Vec<String> {
    if path.ends_with("/tests.rs") || path.contains("/tests/") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let tokens = without_tests(tokens);
    for three in tokens.windows(3) {
        let [before, word, after] = [0, 1, 2].map(|place| three[place].text.as_str());
        let call = matches!((before, word, after), ("." | "::", "unwrap" | "expect", _));
        let mac = matches!((word, after), ("panic" | "todo" | "unimplemented" | "dbg", "!"));
        if call || mac {
            faults.push(format!("{path}:{}: {word}; return an error that carries evidence", three[1].line));
        }
    }
    faults
}

/// The room that a file belongs to; none for `lib.rs` and the programs.
fn room_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let room = inside.split('/').next()?;
    if ["bin", "lib.rs"].contains(&room) { None } else { Some(room.strip_suffix(".rs").unwrap_or(room)) }
}

/// How many modules stand between a file and the crate's root, itself counted.
fn depth_of(path: &str) -> usize {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    if inside == "lib.rs" {
        return 0;
    }
    inside.split('/').count() - usize::from(inside.ends_with("/mod.rs"))
}

/// The rooms that a file's paths lead to, by `crate::`, by `super::` often enough, or by the crate's own name.
/// What would hide the way (`crate::*`, `use crate as ...`) comes out as a room that nobody knows.
fn uses(path: &str, tokens: &[Token]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut braces = Vec::new();
    for (place, token) in tokens.iter().enumerate() {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        let before = |steps: usize| place.checked_sub(steps).map_or("", text);
        match token.text.as_str() {
            "{" => braces.push(before(2) == "mod"),
            "}" => drop(braces.pop()),
            "crate" if text(place + 1) == "::" => follow(tokens, place + 2, 0, &mut found),
            "crate" if (before(1), text(place + 1)) != ("(", ")") => found.push((token.line, "crate".to_owned())),
            "super" | "self" if before(1) != "::" && text(place + 1) == "::" => {
                let depth = depth_of(path) + braces.iter().filter(|module| **module).count();
                follow(tokens, place, depth, &mut found);
            }
            _ => {}
        }
    }
    found
}

/// Follows a path or a tree of paths that begins `depth` modules below the root, and notes what it names in the root.
/// Returns at the end of every branch, so a tree is read to its end.
fn follow(tokens: &[Token], mut place: usize, mut depth: usize, found: &mut Vec<(usize, String)>) {
    while let Some(token) = tokens.get(place) {
        match token.text.as_str() {
            "::" => {}
            "super" => depth = depth.saturating_sub(1),
            "self" if depth > 0 => {}
            "{" => {
                for branch in branches(tokens, place) {
                    follow(tokens, branch, depth, found);
                }
                return;
            }
            _ if depth > 0 => return,
            name => return found.push((token.line, name.to_owned())),
        }
        place += 1;
    }
}

/// Where the branches of a tree begin that opens at `open`.
fn branches(tokens: &[Token], open: usize) -> Vec<usize> {
    let mut begins = vec![open + 1];
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," if depth == 1 => begins.push(place + 1),
            _ => {}
        }
    }
    begins.retain(|begin| tokens.get(*begin).is_some_and(|token| token.text != "}"));
    begins
}

/// What a program uses of the library.
fn programs_use(tokens: &[Token]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (place, token) in tokens.iter().enumerate().filter(|(_, token)| token.text == "linekeep") {
        match tokens.get(place + 1) {
            Some(next) if next.text == "::" => follow(tokens, place + 2, 0, &mut found),
            _ => found.push((token.line, "linekeep".to_owned())),
        }
    }
    found
}

/// The tokens that are built into the programs: without the items under `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<&Token> {
    let mut kept = Vec::new();
    let mut place = 0;
    while let Some(token) = tokens.get(place) {
        let words: Vec<&str> = tokens[place..].iter().take(7).map(|token| token.text.as_str()).collect();
        if words == ["#", "[", "cfg", "(", "test", ")", "]"] {
            place = end_of_item(tokens, place + 7);
        } else {
            kept.push(token);
            place += 1;
        }
    }
    kept
}

/// Behind the item that begins at `place`: its `;` or its block.
fn end_of_item(tokens: &[Token], place: usize) -> usize {
    let mut depth = 0_usize;
    for (place, token) in tokens.iter().enumerate().skip(place) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth <= 1 => return place + 1,
            "}" => depth -= 1,
            ";" if depth == 0 => return place + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// A word or a mark of the source, and its line.
#[derive(Debug)]
struct Token {
    line: usize,
    text: String,
}

/// The source's words and marks, without blanks, comments, and the content of strings and characters.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest, first);
        let text = &rest[..length];
        let skipped = first.is_whitespace() || text.starts_with("//") || text.starts_with("/*");
        if !skipped {
            let word = if text.ends_with(['"', '\'', '#']) && length > 1 { "\"\"" } else { text };
            tokens.push(Token { line, text: word.to_owned() });
        }
        line += text.matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn token_length(rest: &str, first: char) -> usize {
    let word = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
    let behind = &rest[word..];
    match first {
        _ if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
        _ if rest.starts_with("/*") => comment_length(rest),
        _ if rest.starts_with("::") => 2,
        '"' => string_length(rest),
        '\'' => character_length(rest),
        _ if ["r", "br", "cr"].contains(&&rest[..word]) && is_raw_string(behind) => word + raw_string_length(behind),
        _ if ["b", "c"].contains(&&rest[..word]) && behind.starts_with('"') => word + string_length(behind),
        _ if word > 0 => word,
        other => other.len_utf8(),
    }
}

/// Comments nest.
fn comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let step = &rest.as_bytes()[at..];
        match step {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A character in quotes, or the quote of a lifetime alone.
fn character_length(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), Some((at, letter))) => {
            let escaped = at + letter.len_utf8();
            rest[escaped..].find('\'').map_or(rest.len(), |end| escaped + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

fn is_raw_string(behind: &str) -> bool {
    behind.trim_start_matches('#').starts_with('"')
}

fn raw_string_length(behind: &str) -> usize {
    let hashes = behind.len() - behind.trim_start_matches('#').len();
    let end = format!("\"{}", "#".repeat(hashes));
    behind[hashes + 1..].find(&end).map_or(behind.len(), |at| hashes + 1 + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest]
    #[case::plain("use crate::config::Mode;", &["config"])]
    #[case::tree("use crate::{event, index::{self, Index}, secret::Secret as S,};", &["event", "index", "secret"])]
    #[case::in_a_tree("use {std::fmt, crate::config};", &["config"])]
    #[case::in_line("fn f(x: crate::config::Mode) -> bool { crate::event::g() }", &["config", "event"])]
    #[case::broken_over_lines("use crate::\n  config\n  ::Mode;", &["config"])]
    #[case::comment("// crate::config\n/* crate::a /* crate::b */ crate::c */ /// [`crate::d`]", &[])]
    #[case::string(r##"let a = ("crate::a \" crate::b", r#"crate::" c"#, b"crate::d", 'c', '"', '\'', crate::config::x);"##, &["config"])]
    #[case::lifetime("fn f<'a>(x: &'a str) { crate::config::x::<'a>('\"') }", &["config"])]
    #[case::visibility("pub(crate) fn f() {} pub(super) fn g() {} pub(in crate::tls) fn h() {}", &["tls"])]
    #[case::glob("use crate::*;", &["*"])]
    #[case::renamed("use crate as house;", &["crate"])]
    #[case::itself("use crate::{self as house};", &["self"])]
    #[case::own_parent("use super::fault; use self::x::y;", &[])]
    #[case::super_twice("use super::super::config::Mode;", &["config"])]
    #[case::super_in_a_tree("use super::{fault, super::{config, event::Event}};", &["config", "event"])]
    #[case::super_by_self("use self::super::super::config;", &["config"])]
    #[case::inner_module("mod tests { use super::super::x; mod a { use super::super::super::super::config; } }", &["config"])]
    #[case::behind_an_inner_module("mod tests { fn f() {} } use super::super::config;", &["config"])]
    fn every_way_into_another_room_is_seen(#[case] source: &str, #[case] rooms: &[&str]) {
        let seen: Vec<String> = uses("src/tls/trust.rs", &tokens(source)).into_iter().map(|(_, room)| room).collect();
        assert_eq!(seen, rooms);
    }

    #[rstest]
    #[case::below("src/config/key.rs", "use crate::allowlist;", None)]
    #[case::itself("src/config/key.rs", "use crate::config::Name;", None)]
    #[case::the_one_neighbour("src/tls/psk.rs", "use crate::identity::Keyring;", None)]
    #[case::not_back("src/identity/mod.rs", "use crate::tls::Acceptor;", Some(":2: identity (floor 2) uses tls"))]
    #[case::neighbour("src/server/mod.rs", "use crate::client::Client;", Some("server (floor 3) uses client"))]
    #[case::on_the_ground("src/allowlist.rs", "use crate::event::Event;", Some("allowlist (floor 0) uses event"))]
    #[case::above("src/index/vector.rs", "use super::super::config;", Some("index (floor 0) uses config"))]
    #[case::unknown("src/config/key.rs", "use crate::cellar::Wine;", Some("unknown room cellar"))]
    #[case::unknown_itself("src/cellar/mod.rs", "", Some("unknown room cellar"))]
    #[case::library("src/lib.rs", "pub mod config;", None)]
    #[case::a_back_door("src/lib.rs", "pub use crate::config::Mode;", Some("lib.rs only names"))]
    #[case::program("src/bin/linekeepd.rs", "use linekeep::command::{daemon, control};", None)]
    #[case::wilful_program("src/bin/linekeepd.rs", "use linekeep::{command, server::x};", Some("uses server"))]
    fn a_room_uses_only_rooms_on_lower_floors(#[case] path: &str, #[case] source: &str, #[case] fault: Option<&str>) {
        let source = format!("//! A room.\n{source}");
        assert_told(&faults(path, &source), fault);
    }

    #[rstest]
    #[case::fence("src/process/alone.rs", "#![allow(unsafe_code)] fn f() { unsafe { g() } }", None)]
    #[case::block("src/tls/psk.rs", "fn f() { unsafe { g() } }", Some("unsafe;"))]
    #[case::bench_fence("benches/performance/fenced.rs", "fn f() { unsafe { g() } }", None)]
    #[case::bench("benches/performance/main.rs", "fn f() { unsafe { g() } }", Some("unsafe;"))]
    #[case::bench_may_panic("benches/performance/main.rs", "fn f() { g().unwrap() }", None)]
    #[case::permission("src/tls/psk.rs", "#![allow(unsafe_code)]", Some("unsafe_code;"))]
    #[case::word("src/tls/psk.rs", "fn f() { \"unsafe\"; } // unsafe", None)]
    #[case::unwrap("src/tls/psk.rs", "fn f() { g().unwrap() }", Some("unwrap;"))]
    #[case::unwrap_by_name("src/tls/psk.rs", "fn f() { g().map(Option::unwrap) }", Some("unwrap;"))]
    #[case::expect("src/tls/psk.rs", "fn f() { g()\n.expect(\"x\") }", Some(":3: expect;"))]
    #[case::kin("src/tls/psk.rs", "#[expect(dead_code)] fn f() { g().unwrap_or(1) }", None)]
    #[case::panic("src/tls/psk.rs", "fn f() { panic!() }", Some("panic;"))]
    #[case::todo("src/tls/psk.rs", "fn f() { todo!() }", Some("todo;"))]
    #[case::unimplemented("src/tls/psk.rs", "fn f() { unimplemented!() }", Some("unimplemented;"))]
    #[case::debug("src/tls/psk.rs", "fn f() { dbg!(1) }", Some("dbg;"))]
    #[case::tests("src/tls/psk.rs", "#[cfg(test)]\nmod tests { fn f() { g().unwrap() } }", None)]
    #[case::test_file("src/tls/tests.rs", "fn f() { g().unwrap() }", None)]
    #[case::test_folder("src/tls/tests/door.rs", "fn f() { g().unwrap() }", None)]
    #[case::behind_tests("src/tls/psk.rs", "#[cfg(test)] mod tests; fn f() { g().unwrap() }", Some("unwrap;"))]
    #[case::behind_more_tests("src/tls/psk.rs", "#[cfg(test)] mod t { fn h() {} } fn f() { panic!() }", Some("panic;"))]
    fn fences_hold_and_nothing_panics(#[case] path: &str, #[case] source: &str, #[case] fault: Option<&str>) {
        let source = format!("//! A room.\n{source}");
        assert_told(&faults(path, &source), fault);
    }

    #[rstest]
    #[case::good("tests/wire.rs", "//! The wire.\n", None)]
    #[case::silent("tests/wire.rs", "use x;\n", Some("says not what it is for"))]
    #[case::late("src/tls/psk.rs", "use x;\n//! Late.\n", Some("says not what it is for"))]
    fn a_file_says_what_it_is_for(#[case] path: &str, #[case] source: &str, #[case] fault: Option<&str>) {
        assert_told(&faults(path, source), fault);
    }

    #[rstest]
    #[case("src/tls/psk.rs", MOST_LINES, None)]
    #[case("src/tls/psk.rs", MOST_LINES + 1, Some("451 lines"))]
    #[case("tests/wire.rs", MOST_LINES + 1, None)]
    #[case("benches/performance/main.rs", MOST_LINES + 1, Some("451 lines"))]
    fn a_room_is_small(#[case] path: &str, #[case] lines: usize, #[case] fault: Option<&str>) {
        assert_told(&faults(path, &"//! A line.\n".repeat(lines)), fault);
    }

    /// Exactly this one fault, or none.
    fn assert_told(faults: &[String], expected: Option<&str>) {
        match (faults, expected) {
            ([], None) => {}
            ([fault], Some(part)) => assert!(fault.contains(part), "{fault}"),
            _ => panic!("{faults:?}, expected {expected:?}"),
        }
    }
}
