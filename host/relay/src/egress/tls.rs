//! Authorities and client certificates.

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::OptionError;

/// How TLS connections to a receiver are made.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct TlsOptions {
    /// The authorities that its certificate may come from, PEM. `None`: those of the
    /// system.
    pub authorities: Option<Vec<u8>>,
    /// The client certificate with its chain, and its private key, PEM.
    pub identity: Option<Identity>,
}

/// A client certificate.
#[derive(Clone, Eq, PartialEq)]
pub struct Identity {
    /// The certificate with its chain, PEM.
    pub chain: Vec<u8>,
    /// The private key, PEM.
    pub key: Vec<u8>,
}

impl TlsOptions {
    /// Returns the configuration. The system's authorities are read only if `is_https`.
    pub(crate) fn config(&self, is_https: bool) -> Result<ClientConfig, OptionError> {
        let roots = if is_https || self.authorities.is_some() {
            let roots = batchtask_trust::roots(self.authorities.as_deref());
            roots.map_err(unusable("ca"))?
        } else {
            RootCertStore::empty()
        };
        let builder = batchtask_trust::client(roots).map_err(unusable("url"))?;
        let Some(identity) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let key = PrivateKeyDer::from_pem_slice(&identity.key);
        let no_key = |_| OptionError::new("client_key", "it is not a private key, PEM");
        let chain = batchtask_trust::certificates(&identity.chain);
        let chain = chain.map_err(unusable("client_cert"))?;
        let config = builder.with_client_auth_cert(chain, key.map_err(no_key)?);
        config.map_err(unusable("client_cert"))
    }
}

/// Returns how an error becomes one of this option.
fn unusable<E: ToString>(option: &'static str) -> impl Fn(E) -> OptionError {
    move |error| OptionError::new(option, error.to_string())
}
