//! Authorities and client certificates.

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
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
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| OptionError::new("url", error.to_string()))?;
        let builder = match &self.authorities {
            Some(pem) => builder.with_root_certificates(roots(pem)?),
            None if is_https => builder.with_native_roots().map_err(no_authorities)?,
            None => builder.with_root_certificates(RootCertStore::empty()),
        };
        let Some(identity) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let key = PrivateKeyDer::from_pem_slice(&identity.key);
        let no_key = |_| OptionError::new("client_key", "it is not a private key, PEM");
        let chain = certificates("client_cert", &identity.chain)?;
        let config = builder.with_client_auth_cert(chain, key.map_err(no_key)?);
        config.map_err(|error| OptionError::new("client_cert", error.to_string()))
    }
}

fn no_authorities(error: std::io::Error) -> OptionError {
    let reason = format!("this system has no certificate authorities: {error}");
    OptionError::new("ca", reason)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, OptionError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| {
            OptionError::new("ca", format!("a certificate cannot be used: {error}"))
        })?;
    }
    Ok(roots)
}

fn certificates(
    option: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, OptionError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(OptionError::new(option, "it contains no certificate")),
        Err(error) => Err(OptionError::new(option, format!("it is not PEM: {error}"))),
    }
}
