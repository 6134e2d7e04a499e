//! The one OpenSSL call that the openssl crate lacks. The only unsafe file of this room.
#![allow(unsafe_code)]

use openssl::error::ErrorStack;
use openssl::ssl::SslContextBuilder;
use std::ffi::{c_int, c_void};

unsafe extern "C" {
    /// SSL_CTX_set_record_padding_callback(3). `SSL_CTX` is opaque, so a pointer to it may pass as one to anything.
    fn SSL_CTX_set_block_padding(context: *mut c_void, block_bytes: usize) -> c_int;
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
