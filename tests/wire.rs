//! The line protocol of a real daemon: every request its answer, in order, however the network cuts, whatever the peer sends.
#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub)]

mod support;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use support::daemon::{Daemon, Folder, PATIENCE, PLAIN};

fn start(words: &str, server: &str) -> Daemon {
    let folder = Folder::new();
    folder.write("words.txt", words);
    Daemon::start(folder, &format!("{server}\n{PLAIN}"))
}

fn connect(daemon: &mut Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.address("plain")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Says nothing more and returns everything that still comes.
fn finish(mut stream: TcpStream) -> String {
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    answers
}

#[test]
fn exact_one_answer_per_request_in_order() {
    let mut daemon = start("one\ntwo\nthree\n", "");
    let mut stream = connect(&mut daemon);
    stream.write_all(b"two\nfour\nthree\ntwo \ntw\n\xc3\xa9\none\n").unwrap();
    assert_eq!(
        finish(stream),
        "STRING EXISTS\nSTRING NOT FOUND\nSTRING EXISTS\nSTRING NOT FOUND\nSTRING NOT FOUND\nSTRING NOT FOUND\nSTRING EXISTS\n"
    );
}

#[test]
fn invalid_requests_get_the_closed_error_are_counted_and_the_connection_lives_on() {
    let mut daemon = start("one\n", "");
    let mut stream = connect(&mut daemon);
    stream.write_all(b"\none\na\0b\n\xff\xfe\none\n").unwrap();
    assert_eq!(
        finish(stream),
        "ERROR: invalid query\nSTRING EXISTS\nERROR: invalid query\nERROR: invalid query\nSTRING EXISTS\n"
    );
    let ended = daemon.wait_for("event=session-ended");
    assert_eq!(support::daemon::field(&ended, "invalid"), "3");
    for (counter, count) in
        [("requests_empty_total", 1), ("requests_nul_total", 1), ("requests_not_utf8_total", 1), ("queries_total", 2)]
    {
        assert_eq!(daemon.counter(counter), count, "{counter}");
    }
}

#[test]
fn the_same_answers_a_byte_at_a_time_and_a_thousand_in_one_segment() {
    let mut daemon = start("known\n", "");
    let mut dripping = connect(&mut daemon);
    for byte in b"known\nunknown\nknown\n" {
        dripping.write_all(&[*byte]).unwrap();
    }
    assert_eq!(finish(dripping), "STRING EXISTS\nSTRING NOT FOUND\nSTRING EXISTS\n");
    let mut pouring = connect(&mut daemon);
    pouring.write_all("known\nunknown\n".repeat(500).as_bytes()).unwrap();
    assert_eq!(finish(pouring), "STRING EXISTS\nSTRING NOT FOUND\n".repeat(500));
}

#[test]
fn a_million_pipelined_lines_are_answered_in_order() {
    let mut daemon = start("0\n7\n", "");
    let stream = connect(&mut daemon);
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let lines: String = (0..1_000_000u32).map(|number| format!("{}\n", number % 10)).collect();
        writer.write_all(lines.as_bytes()).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut answered = 0u32;
    for answer in BufReader::new(stream).lines() {
        let expected = if matches!(answered % 10, 0 | 7) { "STRING EXISTS" } else { "STRING NOT FOUND" };
        assert_eq!(answer.unwrap(), expected, "answer {answered}");
        answered += 1;
    }
    writing.join().unwrap();
    assert_eq!(answered, 1_000_000);
}

#[test]
fn too_long_gets_its_answer_then_the_end_even_while_the_peer_still_sends() {
    let mut daemon = start("known\n", "[server]\nmax-query-bytes = 64\n");
    let mut stream = connect(&mut daemon);
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let mut request = b"known\n".to_vec();
        request.resize(256 * 1024, b'x');
        // The daemon may close before all of it is taken; what counts is that the answer is not lost.
        let _ = writer.write_all(&request);
    });
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers, "STRING EXISTS\nERROR: query too long\n");
    writing.join().unwrap();
    daemon.wait_for("event=session-ended reason=query-too-long invalid=1");
}

#[test]
fn the_longest_query_is_answered_and_one_byte_more_is_not() {
    let longest = "x".repeat(64);
    let mut daemon = start(&format!("{longest}\n"), "[server]\nmax-query-bytes = 64\n");
    let mut stream = connect(&mut daemon);
    writeln!(stream, "{longest}").unwrap();
    writeln!(stream, "{longest}x").unwrap();
    assert_eq!(finish(stream), "STRING EXISTS\nERROR: query too long\n");
}

#[test]
fn a_begun_line_at_the_end_is_not_answered() {
    let mut daemon = start("known\n", "");
    let mut stream = connect(&mut daemon);
    stream.write_all(b"known\nknown").unwrap();
    assert_eq!(finish(stream), "STRING EXISTS\n");
}

#[test]
fn bounded_a_client_that_never_reads_is_held_and_then_cut() {
    let mut daemon = start("known\n", "[server]\nwrite-deadline = \"1s\"\n");
    let mut stream = connect(&mut daemon);
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let before = daemon.resident();
    let requests = "known\n".repeat(16 * 1024);
    let mut sent = 0;
    let cut = loop {
        match stream.write(requests.as_bytes()) {
            Ok(bytes) => sent += bytes,
            Err(error) => break error,
        }
        assert!(sent < 1 << 30, "nothing holds this client back");
        let grown = daemon.resident().saturating_sub(before);
        assert!(grown < 16 << 20, "memory grew by {grown} bytes");
    };
    assert!(!matches!(cut.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "held but never cut: {cut}");
    daemon.wait_for("event=session-ended reason=write-deadline");
    assert_eq!(daemon.counter("sessions_ended_write_deadline_total"), 1);
}

#[test]
fn bounded_a_client_that_asks_nothing_is_ended_though_it_drips_bytes() {
    let mut daemon = start("known\n", "[server]\nidle-timeout = \"1s\"\n");
    let mut stream = connect(&mut daemon);
    let mut writer = stream.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        // Each byte is activity, none completes a request.
        while writer.write_all(b"x").is_ok() {
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    });
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    assert!(answers.is_empty());
    daemon.wait_for("event=session-ended reason=idle");
    drop(stream);
    dripping.join().unwrap();
}

#[test]
fn any_bytes_may_be_asked_where_the_listener_says_so() {
    let folder = Folder::new();
    folder.write("words.txt", b"\xff\xfe\n");
    let mut daemon = Daemon::start(folder, &PLAIN.replace("[[dataset]]", "queries = \"bytes\"\n[[dataset]]"));
    let mut stream = connect(&mut daemon);
    stream.write_all(b"\xff\xfe\n\xff\na\0\n").unwrap();
    assert_eq!(finish(stream), "STRING EXISTS\nSTRING NOT FOUND\nERROR: invalid query\n");
}

#[test]
fn a_carriage_return_counts_where_the_list_says_so() {
    let folder = Folder::new();
    folder.write("words.txt", "unix\n");
    folder.write("windows.txt", "dos\r\n");
    let more = "line-ending = \"lf\"\n[[dataset]]\nname = \"windows\"\npaths = \"windows.txt\"\n";
    let mut daemon = Daemon::start(folder, &format!("{PLAIN}{more}"));
    let mut stream = connect(&mut daemon);
    stream.write_all(b"unix\nunix\r\ndos\ndos\r\ndos\r\r\n").unwrap();
    assert_eq!(finish(stream), "STRING EXISTS\nSTRING NOT FOUND\nSTRING EXISTS\nSTRING EXISTS\nSTRING NOT FOUND\n");
}
