//! From Markdown to sections of a page. Knows what our documents use of it and refuses everything else, so that nothing
//! of a document is lost in silence.

use super::page::{Body, Page};
use clap_mangen::roff::{Inline, bold, italic, roman};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Documents that are pages of their own.
const PAGES: [(&str, &str, &str); 2] =
    [("configuration.md", "linekeep.toml", "(5)"), ("protocol.md", "linekeep-protocol", "(7)")];

/// Adds a document to a page: its title is left out, what stands before the first heading is the DESCRIPTION, headings
/// of the second rank begin sections. Below them one that is all code is a term, and what follows belongs to it.
pub(super) fn add(text: &str, page: &mut Page) -> Result<(), String> {
    let name = page.name;
    let mut reader = Reader::new(page);
    for (event, place) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        let line = text.get(..place.start).map_or(0, |before| before.matches('\n').count() + 1);
        reader.take(event).map_err(|fault| format!("{name}: line {line} of its Markdown: {fault}"))?;
    }
    reader.end_section("");
    Ok(())
}

struct Reader<'a> {
    page: &'a mut Page,
    title: String,
    body: Body,
    /// What was read of the paragraph, cell, heading or block that is not at its end yet.
    inlines: Vec<Inline>,
    fonts: Fonts,
    link: Option<(String, usize)>,
    code: Option<String>,
    table: Option<Table>,
    is_in_term: bool,
    /// Within a list: whether the item has said something already.
    item: Option<bool>,
    /// Right behind a term, where a paragraph needs no space before it.
    is_fresh: bool,
}

#[derive(Default)]
struct Fonts {
    strong: bool,
    emphasis: bool,
}

#[derive(Default)]
struct Table {
    head: Vec<String>,
    row: Vec<Vec<Inline>>,
}

impl<'a> Reader<'a> {
    fn new(page: &'a mut Page) -> Reader<'a> {
        Reader {
            page,
            title: "DESCRIPTION".to_owned(),
            body: Body::default(),
            inlines: Vec::new(),
            fonts: Fonts::default(),
            link: None,
            code: None,
            table: None,
            is_in_term: false,
            item: None,
            is_fresh: false,
        }
    }

    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(tag) => return self.begin(tag),
            Event::End(tag) => return self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.inlines.push(match (self.fonts.strong, self.fonts.emphasis) {
                    (true, _) => bold(text.as_ref()),
                    (false, true) => italic(text.as_ref()),
                    (false, false) => roman(text.as_ref()),
                }),
            },
            Event::Code(code) => self.inlines.push(bold(code.as_ref())),
            Event::SoftBreak => self.inlines.push(roman(" ")),
            // A remark for those who look into the document itself.
            Event::Html(html) if html.starts_with("<!--") || html.trim().is_empty() => {}
            other => return Err(format!("no page can show {other:?}")),
        }
        Ok(())
    }

    fn begin(&mut self, tag: Tag<'_>) -> Result<(), String> {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock | Tag::TableRow | Tag::TableCell | Tag::TableHead => {}
            Tag::Heading { .. } => self.inlines.clear(),
            Tag::Strong => self.fonts.strong = true,
            Tag::Emphasis => self.fonts.emphasis = true,
            Tag::Link { dest_url, .. } => self.link = Some((dest_url.to_string(), self.inlines.len())),
            Tag::CodeBlock(_) if self.item.is_none() => self.code = Some(String::new()),
            Tag::List(None) if self.item.is_none() => {
                self.item = Some(false);
                // What is listed of a term is short, and stands together.
                if self.is_in_term {
                    self.body.control("PD", &["0"]);
                }
            }
            Tag::Item => self.item = Some(false),
            Tag::Table(_) => self.table = Some(Table::default()),
            other => return Err(format!("no page can show {other:?} here")),
        }
        Ok(())
    }

    fn end(&mut self, tag: TagEnd) -> Result<(), String> {
        match tag {
            TagEnd::Heading(level) => self.head(level)?,
            TagEnd::Paragraph | TagEnd::Item => self.paragraph(),
            TagEnd::List(_) => {
                self.item = None;
                if self.is_in_term {
                    self.body.control("PD", &[]);
                }
            }
            TagEnd::Strong => self.fonts.strong = false,
            TagEnd::Emphasis => self.fonts.emphasis = false,
            TagEnd::Link => self.follow()?,
            TagEnd::CodeBlock => self.body.code(&self.code.take().unwrap_or_default()),
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.inlines);
                self.table.get_or_insert_default().row.push(cell);
            }
            TagEnd::TableHead => {
                let table = self.table.get_or_insert_default();
                table.head = std::mem::take(&mut table.row).iter().map(|cell| plain(cell)).collect();
            }
            TagEnd::TableRow => self.row(),
            TagEnd::Table => self.table = None,
            TagEnd::HtmlBlock => {}
            other => return Err(format!("no page can show {other:?}")),
        }
        Ok(())
    }

    fn head(&mut self, level: HeadingLevel) -> Result<(), String> {
        let words = std::mem::take(&mut self.inlines);
        match (level, words.as_slice()) {
            (HeadingLevel::H1, _) if self.body.is_empty() => {}
            (HeadingLevel::H2, [Inline::Bold(code)]) => self.end_section(code),
            (HeadingLevel::H2, words) => self.end_section(&plain(words).to_uppercase()),
            (HeadingLevel::H3, [Inline::Bold(_)]) => {
                self.end_term();
                self.body.paragraph(words);
                self.body.control("RS", &["4"]);
                (self.is_in_term, self.is_fresh) = (true, true);
            }
            (HeadingLevel::H3, words) => {
                self.end_term();
                self.body.control("SS", &[&plain(words)]);
            }
            _ => return Err(format!("no page has a place for a heading {level}")),
        }
        Ok(())
    }

    fn end_term(&mut self) {
        if std::mem::take(&mut self.is_in_term) {
            self.body.control("RE", &[]);
        }
    }

    fn end_section(&mut self, next: &str) {
        self.end_term();
        let body = std::mem::take(&mut self.body);
        let title = std::mem::replace(&mut self.title, next.to_owned());
        self.page.add(&title, body);
    }

    fn paragraph(&mut self) {
        let words = std::mem::take(&mut self.inlines);
        let is_fresh = std::mem::take(&mut self.is_fresh);
        match &mut self.item {
            _ if words.is_empty() => {}
            None if is_fresh => self.body.line(words),
            None => self.body.paragraph(words),
            Some(has_spoken) if *has_spoken => {
                self.body.control("IP", &["\"\"", "2"]);
                self.body.line(words);
            }
            Some(has_spoken) => {
                *has_spoken = true;
                self.body.bullet(words);
            }
        }
    }

    /// A row is a term and what is said of it. The columns behind the second one say their heads.
    fn row(&mut self) {
        let table = self.table.get_or_insert_default();
        let mut cells = std::mem::take(&mut table.row).into_iter();
        let term = cells.next().unwrap_or_default();
        self.body.item(term, cells.next().unwrap_or_default());
        for (head, mut cell) in table.head.iter().skip(2).zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            cell.insert(0, roman(format!("{head}: ")));
            self.body.control("br", &[]);
            self.body.line(cell);
        }
    }

    /// Where a link leads, in words that a terminal can show.
    fn follow(&mut self) -> Result<(), String> {
        let (target, begins) = self.link.take().unwrap_or_default();
        let text = plain(self.inlines.get(begins..).unwrap_or_default());
        let Some(file) = target.split('#').next().filter(|file| !file.is_empty()) else { return Ok(()) };
        if !file.ends_with(".md") || file.contains(':') || file.starts_with('.') {
            return Err(format!("a page cannot lead to {target}"));
        }
        let mut way = match PAGES.iter().find(|(document, ..)| *document == file) {
            Some((_, page, section)) => vec![bold(*page), roman(*section)],
            None => vec![italic(format!("docs/{file}"))],
        };
        if text == file {
            self.inlines.truncate(begins);
        } else {
            way.insert(0, roman(" ["));
            way.push(roman("]"));
        }
        self.inlines.append(&mut way);
        Ok(())
    }
}

fn plain(inlines: &[Inline]) -> String {
    let words = inlines.iter().map(|inline| match inline {
        Inline::Roman(text) | Inline::Bold(text) | Inline::Italic(text) => text.as_str(),
        Inline::LineBreak => " ",
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn shown(text: &str) -> Result<String, String> {
        let mut page = Page::new("x", 7, "y");
        add(text, &mut page)?;
        Ok(page.render().split_once(".SH NAME\nx \\- y\n").unwrap().1.to_owned())
    }

    #[rstest]
    #[case::paragraphs("# T\n\none\ntwo\n\nthree", ".SH DESCRIPTION\n.PP\none two\n.PP\nthree\n")]
    #[case::sections("## Of a `b`\n\nc", ".SH \"OF A B\"\n.PP\nc\n")]
    #[case::sections_of_code("## `[b]`\n\nc", ".SH [b]\n.PP\nc\n")]
    #[case::fonts("**a** *b* `c`", ".SH DESCRIPTION\n.PP\n\\fBa\\fR \\fIb\\fR \\fBc\\fR\n")]
    #[case::lists("- a\n- b", ".SH DESCRIPTION\n.IP \\(bu 2\na\n.IP \\(bu 2\nb\n")]
    #[case::terms("## s\n### `k`\n\na\n\nb", ".SH S\n.PP\n\\fBk\\fR\n.RS 4\na\n.PP\nb\n.RE\n")]
    #[case::lists_of_terms(
        "## s\n### `k`\n- a\n- b",
        ".SH S\n.PP\n\\fBk\\fR\n.RS 4\n.PD 0\n.IP \\(bu 2\na\n.IP \\(bu 2\nb\n.PD\n.RE\n"
    )]
    #[case::below_sections("## s\n### Stop\n\na", ".SH S\n.SS Stop\n.PP\na\n")]
    #[case::code("    a\n      b", ".SH DESCRIPTION\n.PP\n.RS 4\n.EX\na\n  b\n.EE\n.RE\n")]
    #[case::tables("|h|i|j|\n|-|-|-|\n|a|b|c|\n|d|e||", ".SH DESCRIPTION\n.TP\na\nb\n.br\nj: c\n.TP\nd\ne\n")]
    #[case::link_to_a_page("[protocol.md](protocol.md#x)", ".SH DESCRIPTION\n.PP\n\\fBlinekeep\\-protocol\\fR(7)\n")]
    #[case::link_to_a_document("[d](decisions/1.md)", ".SH DESCRIPTION\n.PP\nd [\\fIdocs/decisions/1.md\\fR]\n")]
    #[case::link_within("[d](#e)", ".SH DESCRIPTION\n.PP\nd\n")]
    #[case::remarks("<!-- a -->\n\nb", ".SH DESCRIPTION\n.PP\nb\n")]
    fn markdown_becomes_sections(#[case] markdown: &str, #[case] roff: &str) {
        assert_eq!(shown(markdown).unwrap(), roff);
    }

    #[rstest]
    #[case::quote("a\n\n> b")]
    #[case::numbers("1. a")]
    #[case::list_in_a_list("- a\n  - b")]
    #[case::code_in_a_list("- a\n\n      b")]
    #[case::html("<b>a</b>")]
    #[case::image("![a](b.md)")]
    #[case::rule("a\n\n---")]
    #[case::deep_heading("#### a")]
    #[case::second_title("a\n\n# b")]
    #[case::link_elsewhere("[a](https://example.org/b.md)")]
    #[case::link_to_no_document("[a](../conf/linekeep.toml)")]
    fn what_is_not_known_is_refused_and_not_lost(#[case] markdown: &str) {
        let fault = shown(markdown).unwrap_err();
        assert!(fault.contains("of its Markdown: "), "{fault}");
    }
}
