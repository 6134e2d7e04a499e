//! What an observer of a real daemon's TLS 1.3 connection can count: records and their lengths.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use openssl::ssl::{Ssl, SslStream};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use support::daemon::{Daemon, Folder, PATIENCE};
use support::peers::{self, Shows, Version};
use support::tap::Tap;

const KEY: &str = "aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11aa11";

fn start() -> Daemon {
    let folder = Folder::new();
    folder.write("words.txt", "known\n");
    folder.write("keyring", format!("alice:{KEY}\n"));
    Daemon::start(
        folder,
        "[[listener]]\nname = \"psk\"\naddress = \"127.0.0.1:0\"\nmode = \"psk\"\nkeyring = \"keyring\"\n\
         allow = [\"127.0.0.1\"]\n[[dataset]]\nname = \"words\"\npaths = \"words.txt\"\n\
         [[client]]\nname = \"alice\"\npsk-identities = [\"alice\"]\n",
    )
}

/// Asks everything in one record and returns the lengths of the records that brought the answers.
fn answer_records(daemon: &mut Daemon, requests: &str) -> Vec<usize> {
    let stream = TcpStream::connect(daemon.address("psk")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let context = peers::context(Version::V13, &Shows::psk("alice", KEY));
    let mut stream = SslStream::new(Ssl::new(&context).unwrap(), Tap::on(stream)).unwrap();
    stream.connect().unwrap();
    let handshake = stream.get_ref().record_lengths().len();
    stream.write_all(requests.as_bytes()).unwrap();
    let mut answers = BufReader::new(&mut stream).lines();
    for _ in requests.lines() {
        answers.next().unwrap().unwrap();
    }
    drop(answers);
    stream.get_ref().record_lengths().split_off(handshake)
}

#[test]
fn all_answers_to_one_read_leave_in_one_write() {
    let mut daemon = start();
    let records = answer_records(&mut daemon, &"known\nabsent\n\n".repeat(250));
    assert_eq!(records.len(), 1, "750 answers in {records:?}");
}

#[test]
fn a_single_reply_has_one_length_whatever_it_says() {
    let mut daemon = start();
    let lengths = ["known\n", "absent\n", "\n", &format!("{}\n", "x".repeat(5000))]
        .map(|request| answer_records(&mut daemon, request)[0]);
    assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{lengths:?}");
}
