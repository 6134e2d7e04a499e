//! The committed man pages and completions, as a reader and a shell meet them. Whether they are stale, `make check` says.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use rstest::rstest;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::daemon::{Folder, own_user};

#[rstest]
#[case::commands("linekeepctl", &["psk", ""], &["new", "list", "rotate", "revoke", "import"])]
#[case::commands_of_commands("linekeepctl", &["audit", "key", ""], &["new"])]
#[case::options("linekeepd", &["--"], &["--config", "--user", "--foreground", "--pid-file"])]
#[case::options_of_commands("linekeepd", &["check", "--q"], &["--quiet"])]
#[case::values("linekeep", &["lookup", "--progress", "a"], &["auto", "always"])]
fn bash_completes(#[case] program: &str, #[case] typed: &[&str], #[case] offered: &[&str]) {
    // As bash does it: the function that was registered, called with the program, the word, and the one before it.
    let script = r#"
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        [[ $(complete -p "$1") =~ \ -F\ ([^ ]+) ]]
        "${BASH_REMATCH[1]}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let file = home("completions/bash").join(program);
    let mut bash = Command::new("bash");
    let output = bash.args(["--norc", "-c", script, "bash"]).arg(file).arg(program).args(typed).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let missing: Vec<_> = offered.iter().filter(|word| !shown.lines().any(|line| line == **word)).collect();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(missing.is_empty() && said.is_empty(), "{missing:?} of {typed:?} is not in {shown:?}; {said}");
}

#[test]
fn every_page_that_a_page_leads_to_is_there() {
    let pages: Vec<PathBuf> = std::fs::read_dir(home("man")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(pages.len(), 6, "{pages:?}");
    let mut led = 0;
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap().replace("\\-", "-");
        for (name, behind) in text.split("\\fBlinekeep").skip(1).filter_map(|rest| rest.split_once("\\fR(")) {
            let Some(section) = behind.chars().next().filter(char::is_ascii_digit) else { continue };
            let named = home("man").join(format!("linekeep{name}.{section}"));
            assert!(named.exists(), "{} leads to {}", page.display(), named.display());
            led += 1;
        }
    }
    assert!(led > 15, "only {led} found");
}

/// The example of linekeep.toml(5) is one that the daemon takes, once its files are there.
#[test]
fn the_example_of_the_configuration_is_good() {
    let page = std::fs::read_to_string(home("man/linekeep.toml.5")).unwrap();
    let (_, example) = page.split_once(".SH EXAMPLES").unwrap();
    let example = example.split_once(".EX\n").unwrap().1.split_once(".EE\n").unwrap().0.replace("\\-", "-");
    let folder = Folder::new();
    let keyring = folder.write("keyring", format!("siem:{}\n", "5a".repeat(32)));
    let list = folder.write("list", "a line\n");
    let mut moved = example.clone();
    for (named, here) in [("/etc/linekeep/keyring", keyring), ("/var/lib/linekeep/lists", list)] {
        assert!(moved.contains(named), "{named} is not in {example}");
        moved = moved.replace(named, here.to_str().unwrap());
    }
    let mut linekeepd = Command::new(env!("CARGO_BIN_EXE_linekeepd"));
    linekeepd.args(["check", "--user", &own_user(), "--config"]).arg(folder.write("linekeep.toml", moved));
    let checked = linekeepd.output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

fn home(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
