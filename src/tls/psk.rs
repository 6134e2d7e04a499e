//! Pre-shared keys: what the server answers when a peer names an identity, and what it remembers of that.
//! Knows the keyring; whether the key was then used is for the evidence rule to say.

use crate::identity::Keyring;
use crate::identity::key_line::KEY_BYTES;
use crate::secret::Secret;
use crate::tls::evidence::Claim;
use hmac::{Hmac, KeyInit, Mac};
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslContextBuilder, SslRef};
use sha2::Sha256;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Length of a decoy key in bytes: that of the keys which linekeep makes.
const DECOY_BYTES: usize = 32;

/// Keys for identities that nobody has: HMAC-SHA256 of the identity, under a secret of this process.
/// With them a stranger's handshake fails exactly where one with a wrong key fails, and no alert tells which
/// identities exist. Drawn once a process and kept across reloads, so that an identity's decoy does not change.
#[derive(Clone, Debug)]
pub struct DecoyKeys(Arc<Secret>);

impl DecoyKeys {
    /// Draws the secret.
    ///
    /// # Errors
    /// When OpenSSL's random generator has nothing to give.
    pub fn draw() -> Result<DecoyKeys, ErrorStack> {
        let mut secret = vec![0; DECOY_BYTES];
        openssl::rand::rand_priv_bytes(&mut secret)?;
        Ok(DecoyKeys(Arc::new(Secret::new(secret))))
    }

    fn key(&self, identity: &[u8]) -> Option<Secret> {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).ok()?;
        Some(Secret::new(mac.chain_update(identity).finalize().into_bytes().to_vec()))
    }
}

/// Has `context` accept the keyring's keys.
///
/// # Errors
/// When OpenSSL has no room for the note that the callback leaves on a connection.
pub fn accept_keys(
    context: &mut SslContextBuilder,
    keyring: impl Into<Arc<Keyring>>,
    decoy: DecoyKeys,
) -> Result<(), ErrorStack> {
    let index = claim_index()?;
    let keyring = keyring.into();
    context.set_psk_server_callback(move |ssl, identity, out| {
        let identity = identity.unwrap_or_default();
        // Known, unknown and over: every step is the same, and only the last copy chooses. The decoy is drawn for all, and
        // the nearest entry is read whole for all.
        let (Some(decoy), Some(nearest)) = (decoy.key(identity), keyring.nearest(identity)) else { return Ok(0) };
        let known = bool::from(nearest.identity().as_bytes().ct_eq(identity)) & !nearest.is_over(SystemTime::now());
        let (mut right, length) = ([0; *KEY_BYTES.end()], nearest.key().len());
        let Some(space) = right.get_mut(..length) else { return Ok(0) };
        space.copy_from_slice(nearest.key().expose());
        // Overwritten on every call: one handshake may name several identities, and after a HelloRetryRequest all again.
        ssl.set_ex_data(index, Claim { identity: identity.to_vec(), known });
        let key = if known { &right[..length] } else { decoy.expose() };
        let given = out.get_mut(..key.len()).map(|out| out.copy_from_slice(key)).map_or(0, |()| key.len());
        right.zeroize();
        Ok(given)
    });
    Ok(())
}

/// The identity that the peer named last.
pub(crate) fn claim(ssl: &SslRef) -> Option<Claim> {
    ssl.ex_data(claim_index().ok()?).cloned()
}

fn claim_index() -> Result<Index<Ssl, Claim>, ErrorStack> {
    static INDEX: OnceLock<Index<Ssl, Claim>> = OnceLock::new();
    match INDEX.get() {
        Some(index) => Ok(*index),
        None => {
            let fresh = Ssl::new_ex_index()?;
            Ok(*INDEX.get_or_init(|| fresh))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoy_is_steady_within_a_process_and_worthless_outside() {
        let (one, other) = (DecoyKeys::draw().unwrap(), DecoyKeys::draw().unwrap());
        let key = one.key(b"mallory").unwrap();
        assert_eq!(key.len(), DECOY_BYTES);
        assert_eq!(Some(&key), one.clone().key(b"mallory").as_ref());
        assert_ne!(Some(&key), one.key(b"mallorz").as_ref());
        assert_ne!(Some(&key), other.key(b"mallory").as_ref());
    }

    /// RFC 4231 section 4.2, so that it is HMAC-SHA256 and not something like it.
    #[test]
    fn a_decoy_is_the_hmac_of_the_identity() {
        let decoy = DecoyKeys(Arc::new(Secret::new(vec![0x0b; 20])));
        let expected = Secret::from_hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        assert_eq!(decoy.key(b"Hi There"), expected);
    }
}
