//! A record in the forms of others: RFC 5424, and JSON with the names of the Elastic Common Schema (ECS 8.11). Pure; how it travels
//! is `forward.rs`'s business.

use crate::audit::Record;
use crate::audit::line::escaped;
use crate::event::Severity;
use serde_json::{Map, Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

/// LOG_AUTHPRIV (RFC 5424 section 6.2.1).
const FACILITY: u8 = 10;

/// The name of our structured data. 32473 is the enterprise number for examples and documentation (RFC 5612): we have none of our own.
pub(super) const STRUCTURED_DATA: &str = "linekeep@32473";

/// The version of the Elastic Common Schema whose names these are.
pub(super) const SCHEMA_VERSION: &str = "8.11";

/// One syslog message (RFC 5424 section 6): every field as structured data, the words for people as the message.
pub(super) fn rfc5424(record: &Record) -> String {
    let mut message = format!(
        "<{}>1 {} {} linekeepd {} {} [{STRUCTURED_DATA}",
        FACILITY * 8 + record.severity.number(),
        humantime::format_rfc3339_millis(record.time),
        host(),
        std::process::id(),
        record.event
    );
    for (name, value) in &record.fields {
        message.push_str(&format!(" {name}=\""));
        // Section 6.3.3: these three are escaped in a value. Backslashes of our own escaping are doubled with them.
        for letter in escaped(value).chars() {
            if matches!(letter, '"' | '\\' | ']') {
                message.push('\\');
            }
            message.push(letter);
        }
        message.push('"');
    }
    message.push_str("] ");
    message.push_str(record.message);
    message
}

/// Our fields that the schema has names for. All others are fields of `linekeep`, by their own names.
pub(super) const SCHEMA: &[(&str, &str)] = &[
    ("source", "source.ip, source.port"),
    ("client", "user.name"),
    ("reason", "event.reason"),
    ("tls", "tls.version"),
    ("cipher", "tls.cipher"),
];

/// One JSON object on one line.
pub(super) fn ecs(record: &Record) -> String {
    let mut object = Map::new();
    let mut ours = Map::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    let (kind, outcome) = judged(record.event, record.severity);
    put("@timestamp", json!(humantime::format_rfc3339_millis(record.time).to_string()));
    put("ecs.version", json!(SCHEMA_VERSION));
    put("event.kind", json!("event"));
    put("event.dataset", json!("linekeep.audit"));
    put("event.action", json!(record.event));
    put("event.category", json!([kind]));
    put("event.outcome", json!(outcome));
    put("event.severity", json!(record.severity.number()));
    put("log.level", json!(record.severity.name()));
    put("log.syslog.facility.code", json!(FACILITY));
    put("message", json!(record.message));
    put("service.name", json!("linekeep"));
    put("process.pid", json!(std::process::id()));
    put("host.hostname", json!(host()));
    for (name, value) in &record.fields {
        // Bounded and harmless, as everywhere; JSON escapes what is left.
        let value = escaped(value);
        let theirs =
            SCHEMA.iter().find(|(ours, _)| ours == name).filter(|(ours, _)| value != "none" || *ours == "client");
        match theirs {
            Some(("source", _)) => match (value.parse::<SocketAddr>(), value.parse::<IpAddr>()) {
                (Ok(peer), _) => {
                    put("source.ip", json!(peer.ip().to_string()));
                    put("source.port", json!(peer.port()));
                }
                (_, Ok(address)) => put("source.ip", json!(address.to_string())),
                // A local user, or a network.
                _ => drop(ours.insert(name.clone(), json!(value))),
            },
            Some(("tls", theirs)) => put(theirs, json!(value.trim_start_matches("TLSv"))),
            Some((_, theirs)) => put(theirs, json!(value)),
            None => drop(ours.insert(name.replace('-', "_"), json!(value))),
        }
    }
    put("linekeep", Value::Object(ours));
    Value::Object(object).to_string()
}

/// ECS' category and outcome of an event.
pub(super) fn judged(event: &str, severity: Severity) -> (&'static str, &'static str) {
    match event {
        "client-admitted" => ("authentication", "success"),
        "client-denied" | "handshake-failed" => ("authentication", "failure"),
        "connection-refused" | "penalty-begun" => ("network", "failure"),
        "session-ended" => ("session", "success"),
        "reloaded" | "reload-changed" => ("configuration", "success"),
        "reload-failed" => ("configuration", "failure"),
        "list-loaded" | "list-changed" | "list-restored" => ("database", "success"),
        "list-refused" | "list-stale" | "list-word-broken" => ("database", "failure"),
        _ if severity <= Severity::Warning => ("process", "unknown"),
        _ => ("process", "success"),
    }
}

/// This machine's name, as far as a syslog header takes it (RFC 5424 section 6.2.4).
fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let plain: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
        if plain.is_empty() { "-".to_owned() } else { plain }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use proptest::prelude::*;
    use std::time::SystemTime;

    fn failed(identity: &str) -> Record {
        let event = Event::HandshakeFailed {
            connection: 7,
            listener: "main".into(),
            source: "192.0.2.1:4".into(),
            proxy: "none".into(),
            reason: "no proof".into(),
            alert: "sent:51".into(),
            identity: identity.into(),
        };
        Record::new(&event, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn a_syslog_message_reads_like_this() {
        let expected = format!(
            "<84>1 1970-01-01T00:00:00.000Z {} linekeepd {} handshake-failed [linekeep@32473 connection=\"7\" listener=\"main\" \
             source=\"192.0.2.1:4\" proxy=\"none\" reason=\"no proof\" alert=\"sent:51\" identity=\"a\\\\\\\"b\\]c\"] handshake failed",
            host(),
            std::process::id()
        );
        assert_eq!(rfc5424(&failed("a\"b]c")), expected);
    }

    #[test]
    fn json_has_the_names_of_the_schema() {
        let object: Value = serde_json::from_str(&ecs(&failed("mallory"))).unwrap();
        for (name, value) in [
            ("@timestamp", json!("1970-01-01T00:00:00.000Z")),
            ("event.action", json!("handshake-failed")),
            ("event.category", json!(["authentication"])),
            ("event.outcome", json!("failure")),
            ("event.reason", json!("no proof")),
            ("source.ip", json!("192.0.2.1")),
            ("source.port", json!(4)),
            (
                "linekeep",
                json!({"connection": "7", "listener": "main", "proxy": "none", "alert": "sent:51", "identity": "mallory"}),
            ),
        ] {
            assert_eq!(object[name], value, "{name}");
        }
    }

    #[rstest::rstest]
    #[case("192.0.2.1:4", json!("192.0.2.1"), json!(4), Value::Null)]
    #[case("[2001:db8::1]:4", json!("2001:db8::1"), json!(4), Value::Null)]
    #[case("192.0.2.1", json!("192.0.2.1"), Value::Null, Value::Null)]
    #[case("2001:db8::/64", Value::Null, Value::Null, json!("2001:db8::/64"))]
    #[case("uid:1000", Value::Null, Value::Null, json!("uid:1000"))]
    fn json_has_a_source_of_every_form(
        #[case] source: &str,
        #[case] ip: Value,
        #[case] port: Value,
        #[case] ours: Value,
    ) {
        let event = Event::PenaltyBegun { listener: "main".into(), source: source.into(), seconds: 5 };
        let object: Value = serde_json::from_str(&ecs(&Record::new(&event, SystemTime::UNIX_EPOCH))).unwrap();
        assert_eq!((&object["source.ip"], &object["source.port"]), (&ip, &port));
        assert_eq!(object["linekeep"]["source"], ours);
    }

    #[test]
    fn json_names_the_client_and_the_version_as_the_schema_does() {
        let event = Event::ClientAdmitted {
            connection: 7,
            listener: "main".into(),
            source: "192.0.2.1:4".into(),
            proxy: "none".into(),
            client: "TLSv-siem".into(),
            evidence: "psk:siem".into(),
            tls: "TLSv1.3".into(),
            cipher: "TLS_AES_128_GCM_SHA256".into(),
        };
        let object: Value = serde_json::from_str(&ecs(&Record::new(&event, SystemTime::UNIX_EPOCH))).unwrap();
        assert_eq!(object["user.name"], "TLSv-siem");
        assert_eq!((&object["tls.version"], &object["tls.cipher"]), (&json!("1.3"), &json!("TLS_AES_128_GCM_SHA256")));
        assert_eq!(
            (&object["event.category"], &object["event.outcome"]),
            (&json!(["authentication"]), &json!("success"))
        );
    }

    proptest! {
        #[test]
        fn one_decision_one_record_cannot_be_broken_out_of(identity in any::<String>()) {
            let message = rfc5424(&failed(&identity));
            prop_assert!(!message.contains(char::is_control));
            let end = message.rfind("] handshake failed").unwrap();
            let data = &message[message.find('[').unwrap()..=end];
            // The only bracket that ends the data is the last one.
            let mut escaped = false;
            let ends = data.chars().filter(|letter| {
                let free = !escaped;
                escaped = free && *letter == '\\';
                free && *letter == ']'
            }).count();
            prop_assert_eq!(ends, 1);
            let json = ecs(&failed(&identity));
            prop_assert!(!json.contains('\n'));
            prop_assert!(serde_json::from_str::<Value>(&json).unwrap()["linekeep"]["identity"].is_string());
        }
    }
}
