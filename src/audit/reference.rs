//! The reference of records and counters, made from the definitions that write and count them.

use crate::audit::form;
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
    push_forms(&mut page);
    page.push_str("\n## Counters\n\n`linekeepctl status` shows them.\n\n| counter | counts |\n| --- | --- |\n");
    for (name, meaning, _) in Metrics::default().read() {
        let _ = writeln!(page, "| `{name}` | {meaning} |");
    }
    page
}

/// What `[[forward]]` makes of a record.
fn push_forms(page: &mut String) {
    let _ = write!(
        page,
        "\n## Forwarded records\n\n\
         `format = \"rfc5424\"`: facility 10 (authpriv), APP-NAME `linekeepd`, MSGID the event, every field as structured data under \
         `{}`, the message in words. On a stream each message is preceded by its length (RFC 6587 section 3.4.1).\n\n\
         `format = \"ecs\"`: one JSON object a line, by the Elastic Common Schema {}. `event.action` is the event, `@timestamp` its time, \
         `message` the words. Without TLS, `tls` and `cipher` stay under `linekeep`.\n\n| field | in ECS |\n| --- | --- |\n",
        form::STRUCTURED_DATA,
        form::SCHEMA_VERSION
    );
    for (ours, theirs) in form::SCHEMA {
        let _ = writeln!(page, "| `{ours}` | `{}` |", theirs.replace(", ", "`, `"));
    }
    page.push_str("| any other | `linekeep.FIELD`, with underscores for hyphens |\n\n| event | `event.category` | `event.outcome` |\n| --- | --- | --- |\n");
    let mut kinds: Vec<_> =
        Event::KINDS.iter().map(|kind| (form::judged(kind.name, kind.severity), kind.name)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for same in kinds.chunk_by(|one, other| one.0 == other.0) {
        let Some(((category, outcome), _)) = same.first() else { continue };
        let names: Vec<String> = same.iter().map(|(_, name)| format!("`{name}`")).collect();
        let _ = writeln!(page, "| {} | {category} | {outcome} |", names.join(", "));
    }
}

/// A doc comment as the cell of a table.
fn plain(meaning: &str) -> String {
    meaning.trim().replace("[`Event::Reloaded`]", "`reloaded`").replace('|', "\\|")
}
