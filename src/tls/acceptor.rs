//! Building the TLS side of a listener: what it offers, what it asks for, and what it never does.
//! Knows the configuration's modes and the cipher policy. `docs/decisions/0002-cipher-policy.md` argues the choices.

use crate::cipher_policy::{
    CIPHERS_CERTIFICATE, CIPHERS_EITHER, CIPHERS_PSK, GROUPS, Profile, RECORD_PADDING_BYTES, SECURITY_LEVEL,
    SUITES_CERTIFICATE, SUITES_PSK,
};
use crate::config::{ClientTrust, Mode, ServerCertificate};
use crate::identity::{Keyring, Reader};
use crate::protocol::Form;
use crate::tls::evidence::Asks;
use crate::tls::fault::BuildFault;
use crate::tls::paper::Paper;
use crate::tls::psk::{self, DecoyKeys};
use crate::tls::server_certificate::Credentials;
use crate::tls::trust::Trust;
use crate::tls::{certificate, ffi};
use openssl::error::ErrorStack;
use openssl::ssl::{
    AlpnError, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode,
    SslVersion,
};
use std::path::Path;
use std::sync::Arc;

/// The TLS side of one listener. Cheap to clone; a reload builds a new one and drops the old.
#[derive(Clone)]
pub struct Acceptor {
    pub(crate) context: SslContext,
    pub(crate) asks: Asks,
    pub(crate) keyring: Option<Arc<Keyring>>,
    /// Whether a client's certificate has to name its use.
    pub(crate) eku: bool,
    /// Tells this acceptor and its clones from every other.
    pub(crate) mark: Arc<()>,
    papers: Vec<Paper>,
}

impl Acceptor {
    /// Reads every file that the mode names and builds the acceptor. `decoy` is drawn once a process; `reader` is who will
    /// have to read the private files in service.
    ///
    /// # Errors
    /// Every fault of every file at once.
    pub fn build(
        profile: Profile,
        mode: &Mode,
        decoy: &DecoyKeys,
        reader: Reader,
    ) -> Result<Acceptor, Vec<BuildFault>> {
        let mut desk = Desk { reader, faults: Vec::new(), papers: Vec::new() };
        let Some(material) = desk.lay_out(mode) else { return Err(desk.faults) };
        let keyring = material.keyring();
        let eku = match mode {
            Mode::Certificate { trust, .. } | Mode::Either { trust, .. } => trust.require_client_eku,
            Mode::Psk { .. } | Mode::None { .. } => true,
        };
        let (asks, context) = context(profile, material, decoy, eku).map_err(|errors| vec![errors.into()])?;
        Ok(Acceptor { context, asks, keyring, eku, mark: Arc::default(), papers: desk.papers })
    }

    /// The files of certificates and CRLs behind it, as they were read.
    #[must_use]
    pub fn papers(&self) -> &[Paper] {
        &self.papers
    }

    /// Its keyring.
    #[must_use]
    pub fn keyring(&self) -> Option<&Keyring> {
        self.keyring.as_deref()
    }
}

/// What a mode loads. A PSK acceptor has no place for a certificate: with one loaded OpenSSL may drop the PSK without a
/// word and go on.
enum Material {
    Psk(Arc<Keyring>),
    Certificate(Credentials, Trust),
    Either(Arc<Keyring>, Credentials, Trust),
    Nothing(Credentials),
}

impl Material {
    fn keyring(&self) -> Option<Arc<Keyring>> {
        match self {
            Material::Psk(keyring) | Material::Either(keyring, ..) => Some(Arc::clone(keyring)),
            Material::Certificate(..) | Material::Nothing(_) => None,
        }
    }
}

/// Where files are read and checked; every one of them before any fault is told.
struct Desk {
    reader: Reader,
    faults: Vec<BuildFault>,
    papers: Vec<Paper>,
}

impl Desk {
    fn lay_out(&mut self, mode: &Mode) -> Option<Material> {
        match mode {
            Mode::Psk { keyring } => self.keyring(keyring).map(Material::Psk),
            Mode::Certificate { server, trust } => {
                let (server, trust) = (self.server(server), self.trust(trust));
                Some(Material::Certificate(server?, trust?))
            }
            Mode::Either { keyring, server, trust } => {
                let (keyring, server, trust) = (self.keyring(keyring), self.server(server), self.trust(trust));
                Some(Material::Either(keyring?, server?, trust?))
            }
            Mode::None { server, client: _ } => self.server(server).map(Material::Nothing),
        }
    }

    fn keyring(&mut self, path: &Path) -> Option<Arc<Keyring>> {
        let loaded = Keyring::load(path, self.reader);
        self.keep(loaded.map(Arc::new).map_err(|faults| faults.into_iter().map(BuildFault::from).collect()))
    }

    fn server(&mut self, files: &ServerCertificate) -> Option<Credentials> {
        self.file(&files.certificate);
        let loaded = Credentials::load(files, self.reader);
        self.keep(loaded)
    }

    fn trust(&mut self, files: &ClientTrust) -> Option<Trust> {
        self.file(&files.client_ca);
        files.crl.iter().for_each(|path| self.file(path));
        let loaded = Trust::load(files);
        self.keep(loaded)
    }

    /// Read before it is loaded: if it changes in between, it is taken for renewed once more, never for unchanged.
    /// What cannot be read is told by the loading.
    fn file(&mut self, path: &Path) {
        self.papers.extend(Paper::read(path));
    }

    fn keep<T>(&mut self, loaded: Result<T, Vec<BuildFault>>) -> Option<T> {
        loaded.map_err(|faults| self.faults.extend(faults)).ok()
    }
}

fn context(
    profile: Profile,
    material: Material,
    decoy: &DecoyKeys,
    eku: bool,
) -> Result<(Asks, SslContext), ErrorStack> {
    let mut context = common(profile)?;
    let (ciphers, suites, asks) = match material {
        Material::Psk(keyring) => {
            psk::accept_keys(&mut context, keyring, decoy.clone())?;
            (CIPHERS_PSK, SUITES_PSK, Asks::Psk)
        }
        Material::Certificate(server, trust) => {
            server.show(&mut context)?;
            trust.apply(&mut context)?;
            certificate::demand(&mut context, eku)?;
            (CIPHERS_CERTIFICATE, SUITES_CERTIFICATE, Asks::Certificate)
        }
        Material::Either(keyring, server, trust) => {
            psk::accept_keys(&mut context, keyring, decoy.clone())?;
            server.show(&mut context)?;
            trust.apply(&mut context)?;
            certificate::demand(&mut context, eku)?;
            (CIPHERS_EITHER, SUITES_PSK, Asks::Either)
        }
        Material::Nothing(server) => {
            server.show(&mut context)?;
            context.set_verify(SslVerifyMode::NONE);
            (CIPHERS_CERTIFICATE, SUITES_CERTIFICATE, Asks::Nothing)
        }
    };
    context.set_cipher_list(ciphers)?;
    context.set_ciphersuites(suites)?;
    Ok((asks, context.build()))
}

/// What holds in every mode.
fn common(profile: Profile) -> Result<SslContextBuilder, ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::tls_server())?;
    context.set_security_level(SECURITY_LEVEL);
    context.set_min_proto_version(Some(match profile {
        Profile::Intermediate => SslVersion::TLS1_2,
        Profile::Modern => SslVersion::TLS1_3,
    }))?;
    context.set_max_proto_version(Some(SslVersion::TLS1_3))?;
    context.set_groups_list(GROUPS)?;
    // No resumption of any kind: a ticket outlives revocation, and lets a certificate pass for a PSK.
    context.set_options(SslOptions::NO_TICKET);
    context.set_num_tickets(0)?;
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    // Not for resumption: where certificates are asked for, OpenSSL fails a TLS 1.3 PSK without it (internal error).
    context.set_session_id_context(b"linekeep")?;
    context
        .set_options(SslOptions::NO_RENEGOTIATION | SslOptions::NO_COMPRESSION | SslOptions::CIPHER_SERVER_PREFERENCE);
    context.set_mode(SslMode::RELEASE_BUFFERS | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE);
    // One system call a record instead of two, for header and body: a fifth of what a single query costs.
    context.set_read_ahead(true);
    ffi::pad_records(&mut context, RECORD_PADDING_BYTES)?;
    ffi::note_alerts(&mut context);
    // Called only for clients that offer something. What is not chosen is passed over in silence, not refused: a client
    // that offers other protocols has always got lines here, and the same bytes as one that offers none.
    context.set_alpn_select_callback(|_, offer| Form::choose(offer).ok_or(AlpnError::NOACK));
    Ok(context)
}
