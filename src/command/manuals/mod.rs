//! `linekeep-manuals`: writes the man pages and shell completions, out of the definitions that read command lines and the
//! configuration, and out of the documents that are pages too. What is said here and nowhere else stands in the `.md`
//! files beside this one: files, environment, examples.

mod definition;
mod help;
mod markdown;
mod page;

use super::{control, daemon, lookup};
use crate::config;
use clap::Command;
use clap_complete::Shell;
use page::{Body, Page};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const PROTOCOL: &str = include_str!("../../../docs/protocol.md");
const PKI: &str = include_str!("../../../pki/linekeep-pki");

/// Writes them into the folder that was named.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        eprintln!("Usage: linekeep-manuals FOLDER\nWrites FOLDER/man and FOLDER/completions.");
        return ExitCode::from(2);
    };
    let written = files().and_then(|files| files.iter().try_for_each(|file| file.write(Path::new(&folder))));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("linekeep-manuals: {fault}");
            ExitCode::from(1)
        }
    }
}

/// One file, by its way from the folder.
struct Written {
    path: PathBuf,
    text: Vec<u8>,
}

impl Written {
    fn write(&self, folder: &Path) -> Result<(), String> {
        let path = folder.join(&self.path);
        let fault = |error: io::Error| format!("{}: {error}", path.display());
        path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(fault)?;
        std::fs::write(&path, &self.text).map_err(fault)
    }
}

fn files() -> Result<Vec<Written>, String> {
    let mut files = Vec::new();
    for page in pages()? {
        let path = format!("man/{}.{}", page.name, page.section).into();
        files.push(Written { path, text: page.render().into_bytes() });
    }
    for definition in [daemon::definition, control::definition, lookup::definition] {
        files.extend([Shell::Bash, Shell::Zsh, Shell::Fish].map(|shell| completion(shell, definition())));
    }
    Ok(files)
}

fn completion(shell: Shell, mut definition: Command) -> Written {
    let name = definition.get_name().to_owned();
    let path = match shell {
        Shell::Zsh => format!("completions/zsh/_{name}"),
        Shell::Fish => format!("completions/fish/{name}.fish"),
        _ => format!("completions/bash/{name}"),
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut definition, name, &mut text);
    Written { path: path.into(), text }
}

fn pages() -> Result<Vec<Page>, String> {
    let defined = |name, section, definition, also| {
        let mut page = definition::page(name, section, definition).map_err(|error| error.to_string())?;
        markdown::add(also, &mut page).map(|()| page)
    };
    Ok(vec![
        defined("linekeepd", 8, daemon::definition(), include_str!("linekeepd.md"))?,
        defined("linekeepctl", 8, control::definition(), include_str!("linekeepctl.md"))?,
        defined("linekeep", 1, lookup::definition(), include_str!("linekeep.md"))?,
        of_configuration()?,
        of_documents(
            "linekeep-protocol",
            "the line protocol of linekeep",
            PROTOCOL,
            include_str!("linekeep-protocol.md"),
        )?,
        of_pki()?,
    ])
}

fn of_configuration() -> Result<Page, String> {
    let mut page = Page::new("linekeep.toml", 5, "configuration of linekeepd");
    let mut file = Body::default();
    file.paragraph(page::marked(&format!("`{}`", config::DEFAULT_FILE)));
    page.add("SYNOPSIS", file);
    markdown::add(&config::reference(), &mut page)?;
    markdown::add(include_str!("linekeep.toml.md"), &mut page)?;
    Ok(page)
}

fn of_documents(name: &'static str, purpose: &str, document: &str, also: &str) -> Result<Page, String> {
    let mut page = Page::new(name, 7, purpose);
    markdown::add(document, &mut page)?;
    markdown::add(also, &mut page)?;
    Ok(page)
}

fn of_pki() -> Result<Page, String> {
    let mut page = help::page_of_script("linekeep-pki", PKI)?;
    markdown::add(include_str!("linekeep-pki.md"), &mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    /// What stands in the Markdown beside this file says once more where things are.
    #[test]
    fn pages_name_the_files_of_the_code() {
        let page =
            |name| pages().unwrap().into_iter().find(|page| page.name == name).unwrap().render().replace("\\-", "-");
        for (name, files) in [
            ("linekeepd", &[config::DEFAULT_FILE, config::DEFAULT_CONTROL_SOCKET, process::DEFAULT_PID_FILE][..]),
            ("linekeepctl", &[config::DEFAULT_FILE, config::DEFAULT_CONTROL_SOCKET]),
            ("linekeep.toml", &[config::DEFAULT_FILE]),
        ] {
            let text = page(name);
            let (_, section) = text.split_once("\n.SH FILES\n").unwrap();
            let named: Vec<&str> = section.split(".SH").next().unwrap().lines().collect();
            for file in files {
                assert!(named.contains(&format!("\\fB{file}\\fR").as_str()), "{file} in {named:?} of {name}");
            }
        }
    }

    #[test]
    fn every_command_and_every_option_is_on_its_page() {
        for (definition, page) in
            [daemon::definition(), control::definition(), lookup::definition()].into_iter().zip(pages().unwrap())
        {
            let (name, text) = (page.name, page.render().replace("\\-", "-"));
            let mut commands = vec![(definition, String::new())];
            while let Some((command, way)) = commands.pop() {
                for argument in command.get_arguments() {
                    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
                    let option = argument.get_long().map(|long| format!("\\fB--{long}\\fR"));
                    let shown = option.or(value).unwrap();
                    assert!(text.contains(&shown), "{shown} of `{way}` on {name}");
                }
                for below in command.get_subcommands() {
                    let way = format!("{way} {}", below.get_name()).trim_start().to_owned();
                    let heading =
                        if way.contains(' ') { format!("\n.SS \"{way}\"\n") } else { format!("\n.SS {way}\n") };
                    assert!(text.contains(&heading), "`{way}` on {name}");
                    commands.push((below.clone(), way));
                }
            }
        }
    }
}
