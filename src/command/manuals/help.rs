//! From text that was written for a terminal to sections: what stands behind the help of a command, and the whole help
//! of `linekeep-pki`. Knows their form and refuses another.

use super::page::{Body, Page, form, marked, sentence};
use clap_mangen::roff::bold;

/// A title, and the lines below it, the rest of its own line first.
struct Part<'a> {
    title: &'a str,
    lines: Vec<&'a str>,
}

/// Adds a section for each part of what stands behind a command's help.
pub(super) fn add(text: &str, page: &mut Page) {
    for part in parts(text) {
        let mut body = Body::default();
        match part.title {
            "Exit status" | "Exit code" => {
                statuses(&part.lines.join(" "), &mut body);
                page.add("EXIT STATUS", body);
            }
            title => {
                prose(&part.lines, &mut body);
                page.add(&title.to_uppercase(), body);
            }
        }
    }
}

/// A part begins where a line begins with a few plain words and a colon.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for line in text.lines() {
        match (title(line), parts.last_mut()) {
            (Some((title, rest)), _) => parts.push(Part { title, lines: vec![rest] }),
            (None, Some(part)) => part.lines.push(line),
            (None, None) => {}
        }
    }
    for part in &mut parts {
        part.lines.retain(|line| !line.trim().is_empty());
    }
    parts
}

fn title(line: &str) -> Option<(&str, &str)> {
    let (title, rest) = line.split_once(':')?;
    let is_plain = title.starts_with(|first: char| first.is_ascii_uppercase())
        && title.chars().all(|letter| letter.is_ascii_alphabetic() || letter == ' ')
        && title.split(' ').count() <= 3;
    is_plain.then_some((title, rest.trim_start()))
}

/// `0 this; 1 that`: a number begins what is said of it. Whole sentences behind the last one are of no number.
fn statuses(text: &str, body: &mut Body) {
    let (list, rest) = text.split_once(". ").unwrap_or((text, ""));
    let mut items: Vec<String> = Vec::new();
    for word in list.split(' ') {
        let begins = word.parse::<u8>().is_ok() && items.last().is_none_or(|item| item.ends_with([';', ',']));
        match items.last_mut() {
            Some(item) if !begins => *item = format!("{item} {word}"),
            _ => items.push(word.to_owned()),
        }
    }
    for item in items {
        let (number, said) = item.split_once(' ').unwrap_or((&item, ""));
        body.item(vec![bold(number)], marked(&sentence(said.trim_end_matches([';', ',']))));
    }
    if !rest.is_empty() {
        body.paragraph(marked(rest));
    }
}

/// Lines at the first one's depth are text, deeper ones are shown as they stand.
fn prose(lines: &[&str], body: &mut Body) {
    let base = lines.first().map_or(0, |line| depth(line));
    for block in lines.chunk_by(|one, next| (depth(one) > base) == (depth(next) > base)) {
        if block.iter().all(|line| depth(line) > base) {
            let least = block.iter().map(|line| depth(line)).min().unwrap_or(base);
            let code: Vec<&str> = block.iter().filter_map(|line| line.get(least..)).collect();
            body.code(&code.join("\n"));
        } else {
            body.paragraph(marked(&block.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")));
        }
    }
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The page of a script, out of its own help as it stands between the marks of its here-document.
pub(super) fn page_of_script(name: &'static str, script: &str) -> Result<Page, String> {
    let (_, behind) =
        script.split_once("<<'USAGE'\n").ok_or_else(|| format!("{name}: no <<'USAGE' begins its help"))?;
    let (text, _) = behind.split_once("\nUSAGE\n").ok_or_else(|| format!("{name}: no USAGE ends its help"))?;
    let purpose = text.lines().next().and_then(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let mut page = Page::new(name, 1, purpose.ok_or_else(|| format!("{name}: its help says not first what it is"))?);
    for part in parts(text) {
        let mut body = Body::default();
        match part.title {
            "Usage" => {
                let commands = terms(name, &part.lines)?;
                let mut synopsis = Body::default();
                for (typed, said) in &commands {
                    let arguments = typed.strip_prefix(name).unwrap_or(typed);
                    synopsis.control("SY", &[name]);
                    synopsis.line(form(arguments.trim_start()));
                    synopsis.control("YS", &[]);
                    body.item(form(arguments.trim_start()), marked(&sentence(said)));
                }
                page.add("SYNOPSIS", synopsis);
                page.add("COMMANDS", body);
            }
            "Options" => {
                for (term, said) in terms(name, &part.lines)? {
                    body.item(form(&term), marked(&sentence(&said)));
                }
                page.add("OPTIONS", body);
            }
            "Files in DIR" => {
                for (term, said) in terms(name, &part.lines)? {
                    body.item(form(&format!("DIR/{term}")), marked(&sentence(&said)));
                }
                page.add("FILES", body);
            }
            "Example" => {
                body.code(&part.lines.iter().map(|line| line.trim_start()).collect::<Vec<_>>().join("\n"));
                page.add("EXAMPLES", body);
            }
            other => return Err(format!("{name}: its help has a part `{other}` that no page has a place for")),
        }
    }
    Ok(page)
}

/// `  TERM    what is said of it`, parted by two blanks or more; deeper lines go on with that.
fn terms(name: &str, lines: &[&str]) -> Result<Vec<(String, String)>, String> {
    let mut terms: Vec<(String, String)> = Vec::new();
    for line in lines {
        match (depth(line), terms.last_mut()) {
            (2, _) => {
                let parted = line.trim().split_once("  ");
                let (term, said) = parted.ok_or_else(|| format!("{name}: no two blanks part a term in {line:?}"))?;
                terms.push((term.to_owned(), said.trim().to_owned()));
            }
            (3.., Some((_, said))) => *said = format!("{said} {}", line.trim()),
            _ => return Err(format!("{name}: {line:?} in its help belongs to no term")),
        }
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut page = Page::new("x", 1, "y");
        add(text, &mut page);
        page.render().split_once(".SH NAME\nx \\- y\n").unwrap().1.to_owned()
    }

    #[test]
    fn every_exit_status_is_a_term() {
        let page = shown("Exit status: 0 done; 1 refused by 3 of\n4; 70 a defect. Words go elsewhere.");
        let terms = ".TP\n\\fB0\\fR\ndone.\n.TP\n\\fB1\\fR\nrefused by 3 of 4.\n.TP\n\\fB70\\fR\na defect.\n";
        assert_eq!(page, format!(".SH \"EXIT STATUS\"\n{terms}.PP\nWords go elsewhere.\n"));
    }

    #[test]
    fn deeper_lines_are_shown_as_they_stand() {
        let page = shown("Examples:\n  In a script.\n    a | b\n      c\nOutput: a line:\n  d\nand more");
        let code = |code: &str| format!(".PP\n.RS 4\n.EX\n{code}\n.EE\n.RE\n");
        let output = format!(".SH OUTPUT\n.PP\na line:\n{}.PP\nand more\n", code("d"));
        assert_eq!(page, format!("{output}.SH EXAMPLES\n.PP\nIn a script.\n{}", code("a | b\n  c")));
    }

    #[test]
    fn a_script_whose_help_has_another_form_is_refused() {
        let script = |part: &str| format!("cat <<'USAGE'\nx: y\n\n{part}\nUSAGE\n");
        for part in ["Words:\n  a  b", "Usage:\n  x a", "Options:\n      b"] {
            assert!(page_of_script("x", &script(part)).is_err(), "{part}");
        }
        assert!(page_of_script("x", &script("Usage:\n  x a  b\n     c")).unwrap().render().contains("\nb c.\n"));
    }
}
