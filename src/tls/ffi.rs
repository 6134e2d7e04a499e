//! The two OpenSSL calls that the openssl crate lacks. The only unsafe file of this room.
#![allow(unsafe_code)]

use foreign_types::ForeignTypeRef;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslContextBuilder, SslRef};
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

unsafe extern "C" {
    /// SSL_CTX_set_record_padding_callback(3). `SSL_CTX` is opaque, so a pointer to it may pass as one to anything.
    fn SSL_CTX_set_block_padding(context: *mut c_void, block_bytes: usize) -> c_int;

    /// SSL_CTX_set_info_callback(3).
    fn SSL_CTX_set_info_callback(
        context: *mut c_void,
        callback: Option<unsafe extern "C" fn(*mut c_void, c_int, c_int)>,
    );
}

/// Bits of what the callback is told (openssl/ssl.h).
const SSL_CB_READ: c_int = 0x04;
const SSL_CB_ALERT: c_int = 0x4000;

/// An alert (RFC 8446 section 6) that went over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    /// Whether the peer sent it.
    pub(crate) received: bool,
    /// Its description.
    pub(crate) number: u8,
}

/// Has every connection of `context` remember the last alert. [`prepare_alerts`] makes room for it on each.
pub(crate) fn note_alerts(context: &mut SslContextBuilder) {
    // SAFETY: the builder owns a live SSL_CTX and we hold it alone; the call stores a function pointer, and `alerted` lives as
    // long as the program. The declaration is that of openssl/ssl.h, an SSL being opaque.
    unsafe { SSL_CTX_set_info_callback(context.as_ptr().cast(), Some(alerted)) }
}

/// Makes room on a connection for its last alert.
///
/// # Errors
/// When OpenSSL has none.
pub(crate) fn prepare_alerts(ssl: &mut SslRef) -> Result<(), ErrorStack> {
    let index = match ALERT.get() {
        Some(index) => *index,
        None => {
            let fresh = Ssl::new_ex_index()?;
            *ALERT.get_or_init(|| fresh)
        }
    };
    ssl.set_ex_data(index, AtomicU32::new(0));
    Ok(())
}

/// The last alert that went over a connection.
pub(crate) fn last_alert(ssl: &SslRef) -> Option<Alert> {
    let noted = ssl.ex_data(*ALERT.get()?)?.load(Relaxed);
    (noted != 0).then(|| Alert { received: noted & RECEIVED != 0, number: noted.to_le_bytes()[0] })
}

static ALERT: OnceLock<Index<Ssl, AtomicU32>> = OnceLock::new();

/// Marks that there is one, since close_notify has the number 0, and whose it is.
const THERE: u32 = 1 << 8;
const RECEIVED: u32 = 1 << 9;

unsafe extern "C" fn alerted(ssl: *mut c_void, what: c_int, value: c_int) {
    if what & SSL_CB_ALERT == 0 || ssl.is_null() {
        return;
    }
    // SAFETY: OpenSSL calls this with the connection that it works on, which lives at least as long as the call, on the thread
    // that holds it; only its extra data is looked at, and that is shared by reference alone.
    let ssl = unsafe { SslRef::from_ptr(ssl.cast()) };
    let received = if what & SSL_CB_READ != 0 { RECEIVED } else { 0 };
    if let Some(note) = ALERT.get().and_then(|index| ssl.ex_data(*index)) {
        // The lower byte is the description, the one above it the level.
        note.store(THERE | received | u32::from(value.to_le_bytes()[0]), Relaxed);
    }
}

/// Pads TLS 1.3 records to a multiple of so many bytes (at most 16384). Does nothing in TLS 1.2.
pub(crate) fn pad_records(context: &mut SslContextBuilder, block_bytes: usize) -> Result<(), ErrorStack> {
    // SAFETY: the builder owns a live SSL_CTX and we hold it alone; the call stores a number in it and keeps no pointer.
    // The declaration is that of openssl/ssl.h since 1.1.1, and libssl is linked by the openssl crate.
    match unsafe { SSL_CTX_set_block_padding(context.as_ptr().cast(), block_bytes) } {
        1 => Ok(()),
        _ => Err(ErrorStack::get()),
    }
}
