//! Asks a daemon over plain TCP, and the configurations to ask.

use super::support::daemon::{Daemon, Folder, PATIENCE};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

pub const UNAVAILABLE: &str = "list unavailable";
pub const STALE: &str = "list stale";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Yes,
    No,
    Error(String),
}

impl Answer {
    pub fn error(reason: &str) -> Answer {
        Answer::Error(reason.to_owned())
    }
}

pub struct Asker(BufReader<TcpStream>);

impl Asker {
    pub fn new(address: SocketAddr) -> Asker {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Asker(BufReader::new(stream))
    }

    pub fn ask(&mut self, query: impl AsRef<[u8]>) -> Answer {
        self.ask_all(&[query]).remove(0)
    }

    /// All questions in one write, then all answers.
    pub fn ask_all<Q: AsRef<[u8]>>(&mut self, queries: &[Q]) -> Vec<Answer> {
        let mut request = Vec::new();
        for query in queries {
            request.extend(query.as_ref());
            request.push(b'\n');
        }
        self.0.get_ref().write_all(&request).unwrap();
        queries.iter().map(|query| self.answer(query.as_ref())).collect()
    }

    fn answer(&mut self, query: &[u8]) -> Answer {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap_or_else(|error| panic!("{error}: no answer to {query:?}"));
        match line.strip_suffix('\n') {
            Some("STRING EXISTS") => Answer::Yes,
            Some("STRING NOT FOUND") => Answer::No,
            Some(other) => Answer::Error(other.strip_prefix("ERROR: ").unwrap_or(other).to_owned()),
            None => panic!("closed instead of an answer to {}", query.escape_ascii()),
        }
    }
}

/// A plain listener whose client may ask every list.
pub const LISTENER: &str = r#"
[server]
threads = 2
[[listener]]
name = "plain"
address = "127.0.0.1:0"
transport = "plain"
client = "tester"
allow = ["127.0.0.1"]
"#;

/// A list named `words`.
pub fn list(paths: &str, keys: &str) -> String {
    named_list("words", paths, keys)
}

pub fn named_list(name: &str, paths: &str, keys: &str) -> String {
    format!("[[dataset]]\nname = \"{name}\"\npaths = \"{paths}\"\n{keys}\n")
}

/// A daemon that is ready, and a connection to it.
pub fn start(folder: Folder, lists: &str) -> (Daemon, Asker) {
    let mut daemon = Daemon::start(folder, &format!("{LISTENER}{lists}"));
    let asker = Asker::new(daemon.address("plain"));
    (daemon, asker)
}
