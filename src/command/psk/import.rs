//! Key files of other programs, line by line into identities and keys. Knows their forms, as those programs read them;
//! what a keyring takes is `identity/`'s business. No complaint holds a byte of a line.

use crate::identity::keyring_file::NewKey;
use crate::secret::Secret;
use clap::ValueEnum;

/// Forms of other programs' key files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// `IDENTITY:KEY`: a key of hexadecimal digits alone is taken as such, any other as it is typed.
    Stunnel,
    /// `identity:hex`.
    Mosquitto,
    /// One key in hex, and nothing else.
    Zabbix,
}

/// Each with the number of its line, counted from 1.
type Numbered<T> = Vec<(usize, T)>;

/// Keys and faults of a file. `identity` is for a form that has none.
pub(super) fn read(text: &[u8], form: Form, identity: Option<&str>) -> (Numbered<NewKey>, Numbered<String>) {
    let (mut keys, mut faults) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let read = match form {
            // Blanks are part of a key here, and nothing begins a comment: stunnel would take either as it stands.
            Form::Stunnel => stunnel(line.strip_suffix(b"\r").unwrap_or(line)),
            Form::Mosquitto => uncommented(line).and_then(mosquitto),
            Form::Zabbix => uncommented(line).map(|line| zabbix(line, identity.unwrap_or_default())),
        };
        match read {
            None => {}
            Some(Ok(key)) => keys.push((number, key)),
            Some(Err(complaint)) => faults.push((number, complaint.to_owned())),
        }
    }
    (keys, faults)
}

type Read = Option<Result<NewKey, &'static str>>;

fn stunnel(line: &[u8]) -> Read {
    let pair =
        |(identity, key): (&str, &[u8])| new(identity, hex_in_pairs(key).unwrap_or_else(|| Secret::new(key.to_vec())));
    (!line.is_empty()).then(|| split(line).map(pair))
}

fn mosquitto(line: &[u8]) -> Read {
    Some(split(line).and_then(|(identity, key)| Ok(new(identity, hex(key)?))))
}

fn zabbix(line: &[u8], identity: &str) -> Result<NewKey, &'static str> {
    Ok(new(identity, hex(line)?))
}

fn uncommented(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii();
    (!line.is_empty() && !line.starts_with(b"#")).then_some(line)
}

fn split(line: &[u8]) -> Result<(&str, &[u8]), &'static str> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("no colon")?;
    let identity = std::str::from_utf8(&line[..colon]).map_err(|_| "the identity is not UTF-8")?;
    Ok((identity, &line[colon + 1..]))
}

fn hex(digits: &[u8]) -> Result<Secret, &'static str> {
    let key = std::str::from_utf8(digits).ok().and_then(Secret::from_hex);
    key.ok_or("the key is not written as pairs of hexadecimal digits")
}

/// As OpenSSL's `OPENSSL_hexstr2buf` reads, which stunnel asks: colons may stand between the pairs.
fn hex_in_pairs(text: &[u8]) -> Option<Secret> {
    let mut digits = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b':' if digits.len() % 2 == 0 => {}
            digit => digits.push(*digit),
        }
    }
    hex(Secret::new(digits).expose()).ok()
}

fn new(identity: &str, key: Secret) -> NewKey {
    NewKey { identity: identity.to_owned(), key, stands_for: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const HEX: &str = "00112233445566778899aabbccddeeff";

    fn one(text: &str, form: Form) -> Vec<u8> {
        let (keys, faults) = read(text.as_bytes(), form, Some("zed"));
        assert!(keys.len() == 1 && faults.is_empty(), "{faults:?}");
        keys[0].1.key.expose().to_vec()
    }

    /// Each as stunnel 5.68 took it from a client with that key.
    #[rstest]
    #[case::digits(HEX.to_owned(), None)]
    #[case::capitals(HEX.to_uppercase(), None)]
    #[case::colons("00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff".to_owned(), None)]
    #[case::some_colons("0011:22334455:66778899aabbccddeeff:".to_owned(), None)]
    #[case::carriage_return(format!("{HEX}\r"), None)]
    #[case::odd(format!("{HEX}f"), Some(format!("{HEX}f")))]
    #[case::blank_behind(format!("{HEX} "), Some(format!("{HEX} ")))]
    #[case::words("sixteen bytes at least".to_owned(), Some("sixteen bytes at least".to_owned()))]
    #[case::blanks_around(" sixteen bytes at least ".to_owned(), Some(" sixteen bytes at least ".to_owned()))]
    #[case::colon_in_words("sixteen bytes: at least".to_owned(), Some("sixteen bytes: at least".to_owned()))]
    fn exact_a_stunnel_key_is_what_stunnel_makes_of_it(#[case] typed: String, #[case] raw: Option<String>) {
        let expected = raw.map_or_else(|| Secret::from_hex(HEX).unwrap().expose().to_vec(), String::into_bytes);
        assert_eq!(one(&format!("siem:{typed}\n"), Form::Stunnel), expected);
    }

    #[rstest]
    #[case(Form::Mosquitto, format!("# theirs\n\n siem:{HEX}\r\n"))]
    #[case(Form::Zabbix, format!("{HEX}\n"))]
    fn the_other_forms_are_hexadecimal_digits(#[case] form: Form, #[case] text: String) {
        assert_eq!(one(&text, form), Secret::from_hex(HEX).unwrap().expose());
    }

    #[rstest]
    #[case(Form::Stunnel, "a:long enough a key\n; a word\n#none\n", &[2, 3])]
    #[case(Form::Mosquitto, "a:zz\nb\nc:0\n", &[1, 2, 3])]
    #[case(Form::Zabbix, "secret words\n", &[1])]
    fn every_line_that_is_no_key_is_named_without_its_bytes(
        #[case] form: Form,
        #[case] text: &str,
        #[case] lines: &[usize],
    ) {
        let (_, faults) = read(text.as_bytes(), form, Some("zed"));
        assert_eq!(faults.iter().map(|(line, _)| *line).collect::<Vec<_>>(), lines);
        assert!(!format!("{faults:?}").contains("word"), "{faults:?}");
    }
}
