//! The acceptor and the evidence rule.
