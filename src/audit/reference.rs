//! The reference of records and counters, made from the definitions that write and count them.

use crate::event::{Event, Kind, Refusal};
use crate::metrics::Metrics;
use std::fmt::Write;

/// The reference as Markdown; `docs/records.md` is this text.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Records and counters\n\n\
         <!-- Made by `linekeepd reference --records > docs/records.md` from the definitions that write them; do not edit. -->\n\n\
         A record is one line: `event=NAME severity=WORD`, the fields in order, `message=\"...\"`. Values with other characters than letters, digits \
         and `-._:/@+,%[]` are quoted and escaped, and cut at 256 characters. In the journal the fields are `LINEKEEP_EVENT`, `LINEKEEP_SOURCE` and so on; \
         `journalctl LINEKEEP_EVENT=client-denied` finds them. `connection` ties the records of one connection together, as long as the daemon runs.\n\n\
         ## Records\n\n| event | severity | when | fields |\n| --- | --- | --- | --- |\n",
    );
    for Kind { name, severity, meaning, fields, .. } in Event::KINDS {
        let fields: Vec<String> = fields.iter().map(|field| format!("`{}`", field.replace('_', "-"))).collect();
        let _ = writeln!(page, "| `{name}` | {} | {} | {} |", severity.name(), plain(meaning), fields.join(", "));
    }
    let reasons: Vec<String> = Refusal::WORDS.iter().map(|(_, word)| format!("`{word}`")).collect();
    let _ = write!(page, "\nReasons of `connection-refused`: {}.\n", reasons.join(", "));
    page.push_str("\n## Counters\n\n`linekeepctl status` shows them.\n\n| counter | counts |\n| --- | --- |\n");
    for (name, meaning, _) in Metrics::default().read() {
        let _ = writeln!(page, "| `{name}` | {meaning} |");
    }
    page
}

/// A doc comment as the cell of a table.
fn plain(meaning: &str) -> String {
    meaning.trim().replace("[`Event::Reloaded`]", "`reloaded`").replace('|', "\\|")
}
