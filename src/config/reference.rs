//! The configuration reference, made from the same definitions that read the file.

use super::key::Described;
use super::{audit, client, dataset, forward, listener, penalties, sections};
use std::fmt::Write;

/// A section, and what it is for.
const SECTIONS: [(&str, &str, &[Described]); 9] = [
    ("[server]", "Limits that hold for all listeners together. May be left out.", sections::SERVER),
    ("[penalties]", "What failed logins and slow handshakes cost a source. May be left out.", penalties::PENALTIES),
    ("[log]", "Where events are told. May be left out.", sections::LOG),
    ("[audit]", "The trail, and what is recorded of queries. May be left out.", audit::AUDIT),
    ("[[forward]]", "Where records go beside the local log. As many as are wanted.", forward::FORWARD),
    ("[control]", "The socket of `linekeepctl`. May be left out.", sections::CONTROL),
    ("[[listener]]", "Where to listen, and what proves who a client is. At least one.", listener::LISTENER),
    ("[[dataset]]", "A list. At least one.", dataset::DATASET),
    (
        "[[client]]",
        "Who may ask what. Without any, only listeners with `unlisted = \"allow\"`, `mode = \"none\"` or \
        `transport = \"plain\"` let somebody in.",
        client::CLIENT,
    ),
];

/// The settings of the system that linekeep replaces, and where each has its place.
const FORMER: [(&str, &str); 14] = [
    ("`host`, `port`", "`[[listener]] address`; several listeners, IPv4, IPv6 and UNIX sockets"),
    ("`max_connections`", "`[server] max-connections`, with caps per source and for handshakes beside it"),
    ("`linuxpath`", "`[[dataset]] paths`; several files, folders and patterns, several lists"),
    (
        "`REREAD_ON_QUERY`",
        "`[[dataset]] freshness`: `True` is `\"on-query\"`, `False` is `\"on-reload\"`; the default here is `\"on-change\"`",
    ),
    ("`cache_size_mb`, `preload_data`", "`[server] max-index-bytes`, a ceiling that holds; every list is loaded whole"),
    ("`ssl_enable`, `use_ssl`", "`[[listener]] transport`; plain on loopback and UNIX sockets only"),
    ("`certfile`, `keyfile`", "`[[listener]] certificate`, `private-key`"),
    ("`cafile`", "`[[listener]] client-ca`, `crl`"),
    ("`psk`", "`[[listener]] keyring`: one random key a client, in a file of its own; never a pass phrase"),
    ("`thread_pool_size`", "`[server] threads`; a thread serves thousands of connections, so one a core is right"),
    ("`socket_timeout`", "`[server] handshake-deadline`, `idle-timeout`, `write-deadline`, `drain-deadline`"),
    ("`connection_backlog`", "`[server] backlog`"),
    ("`log_level`", "`[log] level`"),
    ("`log_file`, `max_log_size_mb`, `log_backup_count`", "`[log] local`: the journal or syslog keep, cut and rotate"),
];

/// The reference as Markdown; `docs/configuration.md` is this text.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         <!-- Made by `linekeepd reference > docs/configuration.md` from the definitions that read the file; do not edit. -->\n\n\
         One TOML file, by default `/etc/linekeep/linekeep.toml`. `linekeepd check` tells every fault in it, each with file, line, \
         column and key. An unknown key is a fault. Relative paths are taken from the folder of the file. Times are written as \
         `\"10s\"`, `\"500ms\"` or `\"1m 30s\"`, sizes as bytes or as `\"512 MiB\"`.\n\n\
         On reload (SIGHUP, `linekeepctl reload`) configuration, keys, certificates and CRLs are read anew, all or nothing, and \
         with them lists whose files changed; of one that has become unreadable or breaks a guard the last good generation \
         stays, and the rest takes effect. `threads`, `backlog`, `[log]`, `[audit]` but for its `queries`, `[control]`, and the name, place and address of a listener need a restart; a reload that would change one is refused.\n",
    );
    for (name, purpose, keys) in SECTIONS {
        let _ = write!(page, "\n## `{name}`\n\n{purpose}\n");
        for key in keys {
            let default = key.default.map_or("none".to_owned(), |default| format!("`{default}`"));
            let _ = write!(page, "\n### `{}`\n\n{}\n\n", key.name, key.meaning);
            let _ = write!(page, "- allowed: {}\n- default: {default}\n", key.allowed);
        }
    }
    page.push_str("\n## Coming from the Python string search server\n\n| there | here |\n| --- | --- |\n");
    for (there, here) in FORMER {
        let _ = writeln!(page, "| {there} | {here} |");
    }
    page
}
