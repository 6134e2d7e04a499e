//! From the definition of a command line to the sections of its page: SYNOPSIS, DESCRIPTION, OPTIONS, COMMANDS, and what
//! stands behind the help. `clap_mangen` writes each list of options; all commands stand on one page.

use super::help;
use super::page::{Body, Page, marked, sentence};
use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, bold, italic, roman};
use std::io;

/// More options than this, and the synopsis names none.
const MOST_IN_SYNOPSIS: usize = 8;

/// A whole page out of a definition.
pub(super) fn page(name: &'static str, section: u8, definition: Command) -> io::Result<Page> {
    let mut root = definition.disable_help_subcommand(true);
    root.build();
    let mut page = Page::new(name, section, &purpose(&root));

    let mut synopsis = Body::default();
    forms(&root, &root, &[], &mut synopsis);
    page.add("SYNOPSIS", synopsis);

    let mut description = Body::default();
    say(&root, &mut description);
    page.add("DESCRIPTION", description);

    let mut options = Body::default();
    list_options(&root, &[], &mut options)?;
    page.add("OPTIONS", options);

    let mut commands = Body::default();
    for command in root.get_subcommands() {
        tell(&root, command, &[], &mut commands)?;
    }
    page.add("COMMANDS", commands);

    let mut environment = Body::default();
    name_variables(&root, &mut environment);
    page.add("ENVIRONMENT", environment);

    add_help(&root, &mut page);
    Ok(page)
}

/// The first sentence of the help, as a phrase behind the name.
fn purpose(root: &Command) -> String {
    let about = root.get_long_about().or_else(|| root.get_about()).map(ToString::to_string).unwrap_or_default();
    let phrase = about.lines().next().unwrap_or_default();
    let mut letters = phrase.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// A line for each way to call it.
fn forms(root: &Command, command: &Command, above: &[&str], body: &mut Body) {
    if !command.is_subcommand_required_set() {
        body.control("SY", &[root.get_name()]);
        let mut line = Vec::new();
        if !above.is_empty() {
            line.extend(arguments_of(root).filter(|argument| argument.is_global_set()).flat_map(form));
            line.extend([bold(above.join(" ")), roman(" ")]);
        }
        let own = arguments_of(command).filter(|argument| above.is_empty() || !is_of_root(argument, root));
        let (options, values): (Vec<_>, Vec<_>) = own.partition(|argument| !argument.is_positional());
        if options.len() > MOST_IN_SYNOPSIS {
            line.push(roman("[OPTION]... "));
        } else {
            line.extend(options.into_iter().flat_map(form));
        }
        line.extend(values.into_iter().flat_map(form));
        body.line(line);
        body.control("YS", &[]);
    }
    for below in command.get_subcommands() {
        forms(root, below, &[above, &[below.get_name()]].concat(), body);
    }
}

fn arguments_of(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| !argument.is_hide_set() && !is_for_everybody(argument))
}

fn is_for_everybody(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version)
}

fn is_of_root(argument: &Arg, root: &Command) -> bool {
    root.get_arguments().any(|own| own.is_global_set() && own.get_id() == argument.get_id())
}

/// One argument in the synopsis; its parts never come apart at the end of a line.
fn form(argument: &Arg) -> Vec<Inline> {
    let value = argument.get_value_names().map(|names| names.join("\u{a0}")).unwrap_or_default();
    let takes_values = argument.get_num_args().is_some_and(|range| range.takes_values());
    let many = matches!(argument.get_action(), ArgAction::Append);
    let mut line = Vec::new();
    if !argument.is_required_set() {
        line.push(roman("["));
    }
    if let Some(long) = argument.get_long() {
        line.push(bold(format!("--{long}")));
    }
    if takes_values {
        line.extend((!argument.is_positional()).then(|| roman("\u{a0}")));
        line.push(italic(value));
    }
    if !argument.is_required_set() {
        line.push(roman("]"));
    }
    line.push(roman(if many { "... " } else { " " }));
    line
}

/// One command and those below it.
fn tell(root: &Command, command: &Command, above: &[&str], body: &mut Body) -> io::Result<()> {
    let way = [above, &[command.get_name()]].concat();
    body.control("SS", &[&way.join(" ")]);
    say(command, body);
    let inherited: Vec<&str> =
        command.get_arguments().filter(|own| is_of_root(own, root)).map(|own| own.get_id().as_str()).collect();
    list_options(command, &inherited, body)?;
    command.get_subcommands().try_for_each(|below| tell(root, below, &way, body))
}

/// What the help says of a command, in paragraphs.
fn say(command: &Command, body: &mut Body) {
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    for paragraph in about.split("\n\n") {
        body.paragraph(marked(&sentence(paragraph)));
    }
}

/// The arguments below their headings, those without one first.
fn list_options(command: &Command, hidden: &[&str], body: &mut Body) -> io::Result<()> {
    let is_shown = |argument: &Arg| {
        let is_root = hidden.is_empty() && command.get_version().is_some();
        !hidden.contains(&argument.get_id().as_str()) && (is_root || !is_for_everybody(argument))
    };
    let mut headings = vec![None];
    for argument in command.get_arguments().filter(|argument| is_shown(argument)) {
        let heading = argument.get_help_heading();
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let of_heading = command.clone().mut_args(|argument| {
            let hide = !is_shown(&argument) || argument.get_help_heading() != heading;
            let help = argument.get_long_help().or_else(|| argument.get_help());
            let help = help.map(|help| sentence(&help.to_string())).unwrap_or_default();
            argument.help_heading(None::<&str>).hide(hide).long_help(help)
        });
        let mut rendered = Vec::new();
        Man::new(of_heading).render_options_section(&mut rendered)?;
        let rendered = String::from_utf8_lossy(&rendered);
        let Some((_, options)) = rendered.split_once("\n.SH OPTIONS\n") else { continue };
        if let Some(heading) = heading {
            body.paragraph(vec![italic(heading)]);
        }
        body.rendered(&tidy(options));
    }
    Ok(())
}

/// What people mark as code becomes bold here too.
fn tidy(options: &str) -> String {
    let mut text = String::new();
    for line in options.lines() {
        let parts: Vec<&str> = line.split('`').collect();
        for (number, part) in parts.iter().enumerate() {
            let font = match number {
                0 => "",
                _ if parts.len() % 2 == 0 => "`",
                odd if odd % 2 == 1 => "\\fB",
                _ => "\\fR",
            };
            text.push_str(font);
            text.push_str(part);
        }
        text.push('\n');
    }
    text
}

/// Variables that stand for options, of the command and of all below it.
fn name_variables(command: &Command, body: &mut Body) {
    for argument in arguments_of(command) {
        if let (Some(variable), Some(long)) = (argument.get_env(), argument.get_long()) {
            let said = vec![roman("Stands for "), bold(format!("--{long}")), roman(" where that is not given.")];
            body.item(vec![bold(variable.to_string_lossy())], said);
        }
    }
    for below in command.get_subcommands() {
        name_variables(below, body);
    }
}

/// What stands behind the help, of the command and of all below it.
fn add_help(command: &Command, page: &mut Page) {
    if let Some(text) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        help::add(&text.to_string(), page);
    }
    for below in command.get_subcommands() {
        add_help(below, page);
    }
}
