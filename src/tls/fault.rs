//! Why an acceptor cannot be built, in words for whoever has to mend it.

use crate::identity::{KeyringFault, PrivateFileFault};
use openssl::error::ErrorStack;
use std::path::PathBuf;

/// Why an acceptor cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildFault {
    /// The keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringFault),
    /// The private key's file.
    #[error(transparent)]
    PrivateKey(#[from] PrivateFileFault),
    /// A file that is no secret cannot be read.
    #[error("{}: cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// What stands in a file cannot be used.
    #[error("{}: {complaint}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was found, and what is allowed.
        complaint: String,
    },
    /// OpenSSL refused a setting of ours: a defect, or a library that lacks it.
    #[error("OpenSSL refuses the cipher policy: {0}")]
    OpenSsl(#[from] ErrorStack),
}

impl BuildFault {
    pub(crate) fn file(path: &std::path::Path, complaint: impl Into<String>) -> BuildFault {
        BuildFault::File { path: path.to_owned(), complaint: complaint.into() }
    }
}

/// OpenSSL's own first reason, for a message; its error text holds source files and numbers that help nobody here.
pub(crate) fn reason(errors: &ErrorStack) -> &'static str {
    errors.errors().first().and_then(openssl::error::Error::reason).unwrap_or("OpenSSL gives no reason")
}
