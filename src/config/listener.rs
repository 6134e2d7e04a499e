//! `[[listener]]`: its keys, and which of them belong together.

use super::fault::Gathering;
use super::key::{self, Described, Key, Wrong};
use super::table::{Table, Taken};
use super::{Bind, ClientTrust, Listener, Mode, Protection, ServerCertificate, Unlisted};
use crate::allowlist::Allowlist;
use crate::cipher_policy::Profile;
use crate::protocol::Text;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::de::DeValue;

const NAME: Key<String> =
    Key { name: "name", default: None, allowed: key::NAME, meaning: "Its name in records.", read: key::name };
const ADDRESS: Key<Address> = Key {
    name: "address",
    default: None,
    allowed: "an address and port such as \"127.0.0.1:44445\" or \"[::1]:44445\", or \"unix:/path\"",
    meaning: "Where it listens. Port 0 lets the kernel choose; the record `listener-up` says what it chose. \
        `[::]` takes IPv4 as well; such peers are judged by their IPv4 address.",
    read: address,
};
const SOCKET_MODE: Key<u32> = Key {
    name: "socket-mode",
    default: Some("\"0660\""),
    allowed: "permission bits such as \"0660\": read and write for the owner, nothing for others",
    meaning: "Permission bits of a UNIX socket: they decide who may connect.",
    read: key::mode,
};
const TRANSPORT: Key<Transport> = Key {
    name: "transport",
    default: Some("\"tls\""),
    allowed: "\"tls\" or \"plain\"",
    meaning: "`plain` has no TLS and is for loopback addresses and UNIX sockets only.",
    read: |value| key::word(value, &[("tls", Transport::Tls), ("plain", Transport::Plain)]),
};
const MODE: Key<ModeName> = Key {
    name: "mode",
    default: None,
    allowed: "\"psk\", \"certificate\", \"either\" or \"none\" (needed by transport tls, and for it alone)",
    meaning: "What proves who a client is: a key of the keyring, a client certificate, one of the two, or nothing: then \
        everybody in `allow` is the client that `client` names, and the daemon says so aloud at start.",
    read: |value| {
        let words = [
            ("psk", ModeName::Psk),
            ("certificate", ModeName::Certificate),
            ("either", ModeName::Either),
            ("none", ModeName::None),
        ];
        key::word(value, &words)
    },
};
const PROFILE: Key<Profile> = Key {
    name: "profile",
    default: Some("\"intermediate\""),
    allowed: "\"intermediate\" or \"modern\"",
    meaning: "`intermediate` is TLS 1.2 and 1.3, `modern` TLS 1.3 alone. Suites and groups are not configured: \
        `docs/decisions/0002-cipher-policy.md` says which they are and why.",
    read: |value| key::word(value, Profile::NAMES),
};
const CERTIFICATE: Key<PathBuf> = Key {
    name: "certificate",
    default: None,
    allowed: "the path of a PEM file, the server's own certificate first (needed by modes certificate, either and none)",
    meaning: "The server's certificate chain.",
    read: key::path,
};
const PRIVATE_KEY: Key<PathBuf> = Key {
    name: "private-key",
    default: None,
    allowed: "the path of a PEM file that nobody else can read (needed by modes certificate, either and none)",
    meaning: "The server's private key.",
    read: key::path,
};
const CLIENT_CA: Key<PathBuf> = Key {
    name: "client-ca",
    default: None,
    allowed: "the path of a PEM file of CA certificates (needed by modes certificate and either)",
    meaning: "Who signs clients.",
    read: key::path,
};
const CRL: Key<PathBuf> = Key {
    name: "crl",
    default: None,
    allowed: "the path of a PEM file of CRLs (modes certificate and either)",
    meaning: "Which of them are revoked, of every CA in a client's chain. Without it nobody is.",
    read: key::path,
};
const REQUIRE_CLIENT_EKU: Key<bool> = Key {
    name: "require-client-eku",
    default: Some("true"),
    allowed: "true or false (modes certificate and either)",
    meaning: "Whether a client's certificate has to say that it is for clients: extended key usage clientAuth (RFC 5280 section 4.2.1.12). \
        With `false` one without that extension will do; one that is only for something else never does.",
    read: key::boolean,
};
const KEYRING: Key<PathBuf> = Key {
    name: "keyring",
    default: None,
    allowed: "the path of a keyring file that nobody else can read (needed by modes psk and either)",
    meaning: "Lines of `identity:key`, the key as 32 to 128 hex digits.",
    read: key::path,
};
const CLIENT: Key<String> = Key {
    name: "client",
    default: None,
    allowed: key::NAME,
    meaning: "Who everybody is, where nobody is asked: mode none and transport plain need it. If a `[[client]]` has this \
        name, its datasets hold; else every list may be asked.",
    read: key::name,
};
const ALLOW: Key<Vec<ipnet::IpNet>> = Key {
    name: "allow",
    default: None,
    allowed: "an array of at least one address or range, such as [\"192.0.2.7\", \"192.0.2.0/24\", \"2001:db8::/32\"]",
    meaning: "Who may connect at all, decided before a byte of TLS. IPv4 peers of a dual-stack socket are judged as IPv4: \
        `::/0` lets none of them in. Not for UNIX sockets.",
    read: key::ranges,
};
const TRUSTED_PROXIES: Key<Vec<ipnet::IpNet>> = Key {
    name: "trusted-proxies",
    default: None,
    allowed: "an array of at least one address or range",
    meaning: "Load balancers that say whom they speak for: each connection from here has to begin with a PROXY header (version 1 or 2, \
        before TLS), and `allow`, penalties, caps per source, clients' `networks` and records go by the address in it. A proxy's own address need not be in `allow`. \
        A PROXY header from anyone else is refused. Not for UNIX sockets.",
    read: key::ranges,
};
const UNLISTED: Key<Unlisted> = Key {
    name: "unlisted",
    default: Some("\"refuse\""),
    allowed: "\"refuse\" or \"allow\"",
    meaning: "What to do with a proven identity that no `[[client]]` names: refuse it, or let it ask every list under its own name.",
    read: |value| key::word(value, &[("refuse", Unlisted::Refuse), ("allow", Unlisted::Allow)]),
};
const QUERIES: Key<Text> = Key {
    name: "queries",
    default: Some("\"utf-8\""),
    allowed: "\"utf-8\" or \"bytes\"",
    meaning: "Whether a query that is not UTF-8 is an error, or is looked up as it is. LF and NUL are never part of one.",
    read: |value| key::word(value, &[("utf-8", Text::Utf8), ("bytes", Text::Bytes)]),
};

pub(super) const LISTENER: &[Described] = &[
    NAME.described(),
    ADDRESS.described(),
    ALLOW.described(),
    TRUSTED_PROXIES.described(),
    TRANSPORT.described(),
    MODE.described(),
    PROFILE.described(),
    KEYRING.described(),
    CERTIFICATE.described(),
    PRIVATE_KEY.described(),
    CLIENT_CA.described(),
    CRL.described(),
    REQUIRE_CLIENT_EKU.described(),
    CLIENT.described(),
    UNLISTED.described(),
    QUERIES.described(),
    SOCKET_MODE.described(),
];

/// A listener with the place of its name and address, for faults about several listeners together.
pub(super) struct Placed {
    pub(super) listener: Listener,
    pub(super) name_at: usize,
    pub(super) address_at: usize,
}

#[derive(Clone)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tls,
    Plain,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ModeName {
    Psk,
    Certificate,
    Either,
    None,
}

fn address(value: &DeValue<'_>) -> Result<Address, Wrong> {
    let typed = key::text(value)?;
    match typed.strip_prefix("unix:") {
        Some(path) if !path.is_empty() && !path.contains(char::is_control) => Ok(Address::Unix(path.into())),
        Some(_) => Err(key::wrong(value)),
        None => typed.parse().map(Address::Tcp).map_err(|_| key::wrong(value)),
    }
}

/// Reads one listener. Every key is looked at before any missing one ends the attempt, so that all faults are found.
pub(super) fn listener(table: &Table<'_, '_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<Placed> {
    let name = table.take(&NAME, faults);
    let address = table.take(&ADDRESS, faults);
    let bind = address.as_ref().and_then(|address| bind(table, address, folder, faults));
    let allow = match address.as_ref().map(|address| &address.value) {
        Some(Address::Unix(_)) => {
            table.forbid(&ALLOW, "a UNIX socket's file mode decides who may connect", faults);
            Some(Vec::new())
        }
        // Whether an address that cannot be read needs one is not known, and not worth a second fault.
        None if table.place_of(&ADDRESS).is_some() => table.optional(&ALLOW, faults).map(|allow| allow.value),
        Some(Address::Tcp(_)) | None => table.value(&ALLOW, faults),
    };
    if let Some(Bind::Unix { .. }) = bind {
        table.forbid(&TRUSTED_PROXIES, "whoever may connect to a UNIX socket is known by the kernel's word", faults);
    }
    let trusted_proxies = table.optional(&TRUSTED_PROXIES, faults);
    let proxies_readable = trusted_proxies.is_some() || table.place_of(&TRUSTED_PROXIES).is_none();
    let protection = protection(table, bind.as_ref(), folder, faults);
    let unlisted = table.value(&UNLISTED, faults);
    let text = table.value(&QUERIES, faults);
    let (name, address) = (name?, address?);
    // A `trusted-proxies` that cannot be read must not turn proxies into clients.
    proxies_readable.then_some(())?;
    Some(Placed {
        name_at: name.at.unwrap_or(table.at),
        address_at: address.at.unwrap_or(table.at),
        listener: Listener {
            name: name.value.into(),
            bind: bind?,
            allow: Allowlist::new(allow?),
            trusted_proxies: Allowlist::new(trusted_proxies.map(|ranges| ranges.value).unwrap_or_default()),
            protection: protection?,
            unlisted: unlisted?,
            text: text?,
        },
    })
}

fn bind(table: &Table<'_, '_>, address: &Taken<Address>, folder: &Path, faults: &mut Gathering<'_>) -> Option<Bind> {
    match &address.value {
        Address::Tcp(address) => {
            table.forbid(&SOCKET_MODE, "only UNIX sockets have a file mode", faults);
            Some(Bind::Tcp(*address))
        }
        Address::Unix(path) => {
            let path = table.socket_path(&ADDRESS, address.at, folder.join(path), faults);
            let mode = table.value(&SOCKET_MODE, faults);
            Some(Bind::Unix { path: path?, mode: mode? })
        }
    }
}

fn protection(
    table: &Table<'_, '_>,
    bind: Option<&Bind>,
    folder: &Path,
    faults: &mut Gathering<'_>,
) -> Option<Protection> {
    let transport = table.take(&TRANSPORT, faults)?;
    if transport.value == Transport::Tls {
        let profile = table.value(&PROFILE, faults);
        return Some(Protection::Tls { mode: mode(table, folder, faults)?, profile: profile? });
    }
    if let Some(Bind::Tcp(address)) = bind {
        if !address.ip().to_canonical().is_loopback() {
            let found = format!("\"plain\" on {address}");
            let allowed = "\"tls\", or a loopback address or UNIX socket: what is not encrypted stays on this machine";
            table.fault(transport.at.unwrap_or(table.at), TRANSPORT.name, found, allowed, faults);
        }
    }
    let why = "transport plain has no TLS";
    table.forbid(&MODE, why, faults);
    table.forbid(&PROFILE, why, faults);
    forbid_keyring(table, why, faults);
    forbid_certificates(table, why, faults);
    forbid_unlisted(table, faults);
    table.value(&CLIENT, faults).map(|client| Protection::Plain { client: client.into() })
}

fn mode(table: &Table<'_, '_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<Mode> {
    let mode = table.value(&MODE, faults)?;
    if mode != ModeName::None {
        table.forbid(&CLIENT, "in this mode every client proves its own name", faults);
    }
    match mode {
        ModeName::Psk => {
            let why = "a psk listener loads no certificate, since OpenSSL could then drop the key without a word";
            forbid_certificates(table, why, faults);
            table.value(&KEYRING, faults).map(|keyring| Mode::Psk { keyring: folder.join(keyring) })
        }
        ModeName::Certificate => {
            forbid_keyring(table, "mode certificate takes no keys; mode either takes both", faults);
            let (server, trust) = (server(table, folder, faults), trust(table, folder, faults));
            Some(Mode::Certificate { server: server?, trust: trust? })
        }
        ModeName::Either => {
            let keyring = table.value(&KEYRING, faults);
            let (server, trust) = (server(table, folder, faults), trust(table, folder, faults));
            Some(Mode::Either { keyring: folder.join(keyring?), server: server?, trust: trust? })
        }
        ModeName::None => {
            forbid_keyring(table, "mode none asks for no proof", faults);
            table.forbid(&CLIENT_CA, "mode none asks for no certificate", faults);
            table.forbid(&CRL, "mode none asks for no certificate", faults);
            table.forbid(&REQUIRE_CLIENT_EKU, "mode none asks for no certificate", faults);
            forbid_unlisted(table, faults);
            let (server, client) = (server(table, folder, faults), table.value(&CLIENT, faults));
            Some(Mode::None { server: server?, client: client?.into() })
        }
    }
}

fn server(table: &Table<'_, '_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<ServerCertificate> {
    let (certificate, private_key) = (table.value(&CERTIFICATE, faults), table.value(&PRIVATE_KEY, faults));
    Some(ServerCertificate { certificate: folder.join(certificate?), private_key: folder.join(private_key?) })
}

fn trust(table: &Table<'_, '_>, folder: &Path, faults: &mut Gathering<'_>) -> Option<ClientTrust> {
    let client_ca = table.value(&CLIENT_CA, faults);
    let crl = table.optional(&CRL, faults).map(|crl| folder.join(crl.value));
    let require_client_eku = table.value(&REQUIRE_CLIENT_EKU, faults);
    Some(ClientTrust { client_ca: folder.join(client_ca?), crl, require_client_eku: require_client_eku? })
}

fn forbid_keyring(table: &Table<'_, '_>, why: &str, faults: &mut Gathering<'_>) {
    table.forbid(&KEYRING, why, faults);
}

fn forbid_certificates(table: &Table<'_, '_>, why: &str, faults: &mut Gathering<'_>) {
    for key in [&CERTIFICATE, &PRIVATE_KEY, &CLIENT_CA, &CRL] {
        table.forbid(key, why, faults);
    }
    table.forbid(&REQUIRE_CLIENT_EKU, why, faults);
}

fn forbid_unlisted(table: &Table<'_, '_>, faults: &mut Gathering<'_>) {
    table.forbid(&UNLISTED, "nobody proves an identity here that could be unlisted", faults);
}
