//! Which form of the protocol a connection speaks, and the name by which TLS agrees on it.

/// A form of the protocol. Requests are the same in each; replies differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// What is spoken where nobody asked for anything else: [`Answer`](super::Answer)s.
    #[default]
    Plain,
    /// [`Explained`](super::Explained) answers.
    Explained,
}

/// The explained form's name in ALPN (RFC 7301). A form whose replies look different gets another number.
const EXPLAINED: &[u8] = b"linekeep-explain/1";

impl Form {
    /// The name to agree on in TLS; the plain form is that without one.
    #[must_use]
    pub fn alpn(self) -> Option<&'static [u8]> {
        match self {
            Form::Plain => None,
            Form::Explained => Some(EXPLAINED),
        }
    }

    /// The form that was agreed on by this name, or without any. A name that is none of ours was not agreed on by us.
    #[must_use]
    pub fn agreed(name: Option<&[u8]>) -> Form {
        if name == Some(EXPLAINED) { Form::Explained } else { Form::Plain }
    }

    /// Finds in a client's offer (names, each behind its length in a byte: RFC 7301 section 3.1) one that this side speaks.
    #[must_use]
    pub fn choose(offer: &[u8]) -> Option<&[u8]> {
        let mut rest = offer;
        while let Some((length, behind)) = rest.split_first() {
            let (name, next) = behind.split_at_checked(usize::from(*length))?;
            if name == EXPLAINED {
                return Some(name);
            }
            rest = next;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::alone(b"\x12linekeep-explain/1", true)]
    #[case::last(b"\x02h2\x08http/1.1\x12linekeep-explain/1", true)]
    #[case::first(b"\x12linekeep-explain/1\x02h2", true)]
    #[case::nothing(b"", false)]
    #[case::others(b"\x02h2\x08http/1.1", false)]
    #[case::another_number(b"\x12linekeep-explain/2", false)]
    #[case::longer(b"\x13linekeep-explain/10", false)]
    #[case::within_another(b"\x14\x12linekeep-explain/1!", false)]
    #[case::cut_short(b"\x12linekeep-explain/", false)]
    fn only_the_whole_name_is_chosen(#[case] offer: &[u8], #[case] chosen: bool) {
        assert_eq!(Form::choose(offer), Form::Explained.alpn().filter(|_| chosen));
        assert_eq!(Form::agreed(Form::choose(offer)) == Form::Explained, chosen);
    }

    proptest! {
        #[test]
        fn no_offer_makes_it_panic(offer in proptest::collection::vec(any::<u8>(), 0..64)) {
            _ = Form::choose(&offer);
        }
    }
}
