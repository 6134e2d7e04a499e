//! A man page in the making: sections of roff, in the order in which readers look for them. Knows nothing of where the
//! words come from; what stands between backticks is printed bold, wherever it comes from.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// Sections that every reader looks for in the same place; others stand behind COMMANDS, in their own order.
const FIRST: [&str; 5] = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS"];
const LAST: [&str; 6] = ["SIGNALS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"];

/// A page: what `man` is asked for, and what it shows.
pub(super) struct Page {
    pub(super) name: &'static str,
    pub(super) section: u8,
    sections: Vec<(String, Body)>,
}

impl Page {
    pub(super) fn new(name: &'static str, section: u8, purpose: &str) -> Page {
        let mut page = Page { name, section, sections: Vec::new() };
        let mut body = Body::default();
        body.text(&Roff::from(roman(format!("{name} - {purpose}"))));
        page.add("NAME", body);
        page
    }

    /// Adds a section, or to the section that has this title.
    pub(super) fn add(&mut self, title: &str, body: Body) {
        match self.sections.iter_mut().find(|(known, _)| known == title) {
            _ if body.0.is_empty() => {}
            Some((_, known)) => known.0.push_str(&body.0),
            None => self.sections.push((title.to_owned(), body)),
        }
    }

    /// The whole page. It bears the version and no date, so that the same source makes the same page on every day.
    pub(super) fn render(mut self) -> String {
        self.sections.sort_by_key(|(title, _)| place(title));
        let mut head = Roff::new();
        let source = format!("linekeep {}", env!("CARGO_PKG_VERSION"));
        head.control("TH", [&self.name.to_uppercase(), &self.section.to_string(), "\"\"", &source, "linekeep"]);
        // Half of the words are code: none is hyphenated, and the right edge is ragged, without holes in the lines.
        head.control("nr", ["HY", "0"]);
        head.control("nh", []);
        head.control("ad", ["l"]);
        let mut text = format!(".\\\" Made by `make manuals`; do not edit.\n{}", head.render());
        for (title, body) in self.sections {
            let mut heading = Body::default();
            heading.control("SH", &[&title]);
            text.push_str(&heading.0);
            text.push_str(&body.0);
        }
        text
    }
}

fn place(title: &str) -> usize {
    let last = || LAST.iter().position(|known| *known == title).map(|place| FIRST.len() + 1 + place);
    FIRST.iter().position(|known| *known == title).or_else(last).unwrap_or(FIRST.len())
}

/// What a section says, as roff.
#[derive(Default)]
pub(super) struct Body(String);

impl Body {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn control(&mut self, name: &str, arguments: &[&str]) {
        let mut roff = Roff::new();
        roff.control(name, arguments.iter().copied());
        self.text(&roff);
    }

    pub(super) fn line(&mut self, inlines: Vec<Inline>) {
        let mut roff = Roff::new();
        roff.text(inlines);
        self.text(&roff);
    }

    /// A sentence a line, as roff(7) wants it: so no line is too long to read.
    fn sentences(&mut self, inlines: Vec<Inline>) {
        let mut whole = Body::default();
        whole.line(inlines);
        let mut rest = whole.0.as_str();
        while let Some(end) = rest
            .match_indices(". ")
            .map(|(at, _)| at)
            .find(|at| rest[at + 2..].starts_with(|letter: char| letter.is_ascii_uppercase()))
        {
            self.0.push_str(&rest[..=end]);
            self.0.push('\n');
            rest = &rest[end + 2..];
        }
        self.0.push_str(rest);
    }

    /// Without the definition that each rendering begins with: the page has it once.
    pub(super) fn text(&mut self, roff: &Roff) {
        self.rendered(&roff.render());
    }

    pub(super) fn rendered(&mut self, roff: &str) {
        let preamble = Roff::new().render();
        // A backslash of the text's own: `\\` is one only where nothing reads it twice.
        self.0.push_str(&roff.strip_prefix(&preamble).unwrap_or(roff).replace("\\\\", "\\[rs]"));
    }

    pub(super) fn paragraph(&mut self, inlines: Vec<Inline>) {
        self.control("PP", &[]);
        self.sentences(inlines);
    }

    /// A term, and what is said of it.
    pub(super) fn item(&mut self, term: Vec<Inline>, said: Vec<Inline>) {
        self.control("TP", &[]);
        self.line(term);
        self.sentences(said);
    }

    pub(super) fn bullet(&mut self, said: Vec<Inline>) {
        self.control("IP", &["\\(bu", "2"]);
        self.sentences(said);
    }

    /// Lines as they stand.
    pub(super) fn code(&mut self, code: &str) {
        self.control("PP", &[]);
        self.control("RS", &["4"]);
        self.control("EX", &[]);
        for line in code.trim_end().lines() {
            self.line(vec![roman(without_tabs(line))]);
        }
        self.control("EE", &[]);
        self.control("RE", &[]);
    }
}

/// As a terminal shows them: the stops of roff stand elsewhere.
fn without_tabs(line: &str) -> String {
    let mut shown = String::new();
    for (number, part) in line.split('\t').enumerate() {
        if number > 0 {
            let column = shown.chars().count();
            shown.push_str(&" ".repeat(8 - column % 8));
        }
        shown.push_str(part);
    }
    shown
}

/// Text as people type it in help: `code` between backticks becomes bold. A single backtick stays one.
pub(super) fn marked(text: &str) -> Vec<Inline> {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len() % 2 == 0 {
        return vec![roman(text)];
    }
    let inlines = parts.iter().enumerate().filter(|(_, part)| !part.is_empty());
    inlines.map(|(number, part)| if number % 2 == 1 { bold(*part) } else { roman(*part) }).collect()
}

/// A form of use: what is typed as it stands is bold, what stands for something else, in capitals, is italic.
pub(super) fn form(text: &str) -> Vec<Inline> {
    let mut inlines = Vec::new();
    for part in text.split_inclusive([' ', '[', ']', '.']) {
        let word = part.trim_end_matches([' ', '[', ']', '.']);
        let is_value = word.chars().all(|letter| letter.is_ascii_uppercase());
        inlines.extend((!word.is_empty()).then(|| if is_value { italic(word) } else { bold(word) }));
        inlines.extend(part.strip_prefix(word).filter(|rest| !rest.is_empty()).map(roman));
    }
    inlines
}

/// A help text ends as a sentence does; clap takes the full stop away from short ones.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.is_empty() || text.ends_with(['.', '?', '!', ':']) { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_stand_where_readers_look_for_them() {
        let mut page = Page::new("linekeep", 1, "look lines up");
        for title in ["SEE ALSO", "OWN", "SYNOPSIS", "FILES", "OWN"] {
            let mut body = Body::default();
            body.line(vec![roman(format!("of {title}"))]);
            page.add(title, body);
        }
        let page = page.render();
        let titles: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        assert_eq!(titles, ["NAME", "SYNOPSIS", "OWN", "FILES", "\"SEE ALSO\""]);
        assert!(page.contains("\nlinekeep \\- look lines up\n"), "{page}");
        assert!(page.contains("of OWN\nof OWN\n"), "{page}");
    }

    #[test]
    fn nothing_in_the_words_is_taken_for_a_request() {
        let mut body = Body::default();
        body.paragraph(marked(".so /etc/passwd"));
        body.code("'br\n> a\\n\tb");
        assert_eq!(body.0, ".PP\n\\&.so /etc/passwd\n.PP\n.RS 4\n.EX\n\\*(Aqbr\n> a\\[rs]n   b\n.EE\n.RE\n");
    }

    #[test]
    fn every_sentence_stands_on_a_line_of_its_own() {
        let mut body = Body::default();
        body.paragraph(marked("One, e.g. two. Three 1. 5 `x`. A `y`."));
        assert_eq!(body.0, ".PP\nOne, e.g. two.\nThree 1. 5 \\fBx\\fR.\nA \\fBy\\fR.\n");
    }

    #[test]
    fn a_form_tells_words_from_what_stands_for_something() {
        let parts =
            [bold("new"), roman(" "), roman("["), bold("--dns"), roman(" "), italic("N"), roman("]"), roman(".")];
        assert_eq!(form("new [--dns N]."), parts);
    }

    #[test]
    fn code_is_bold_and_a_single_backtick_is_none() {
        assert_eq!(marked("a `b` c"), [roman("a "), bold("b"), roman(" c")]);
        assert_eq!(marked("a ` c"), [roman("a ` c")]);
    }
}
