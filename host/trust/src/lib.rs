//! TLS clients: the authorities that they trust, and how they connect.
//!
//! - `dial`: TCP connections to a host with several addresses.

mod dial;

use std::sync::{Arc, LazyLock};

use rustls::client::WantsClientCert;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

pub use self::dial::connect;

/// The authorities of the system. Their files are read once, when they are first needed.
static SYSTEM: LazyLock<Vec<CertificateDer<'static>>> =
    LazyLock::new(|| rustls_native_certs::load_native_certs().certs);

/// The configuration of a TLS client, without a client certificate yet.
pub type Builder = ConfigBuilder<ClientConfig, WantsClientCert>;

/// Why certificates cannot be used. The text does not name their file or option.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// The text is not PEM.
    #[error("it is not PEM: {0}")]
    NotPem(#[source] rustls::pki_types::pem::Error),
    /// There is no certificate in it.
    #[error("it contains no certificate")]
    NoCertificate,
    /// A certificate cannot be that of an authority.
    #[error("a certificate cannot be used: {0}")]
    Certificate(#[source] rustls::Error),
    /// No authorities are named, and the system has none.
    #[error("it is not set, and this system has no certificate authorities")]
    NoSystemAuthorities,
}

/// Begins the configuration of a client that trusts `roots`.
///
/// # Errors
/// The crypto provider supports no version of TLS.
pub fn client(roots: RootCertStore) -> Result<Builder, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots))
}

/// Returns the authorities in a PEM text. `None`: those of the system.
///
/// # Errors
/// See [`Unusable`].
pub fn roots(authorities: Option<&[u8]>) -> Result<RootCertStore, Unusable> {
    let Some(pem) = authorities else {
        let roots = system_roots();
        return if roots.is_empty() {
            Err(Unusable::NoSystemAuthorities)
        } else {
            Ok(roots)
        };
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(Unusable::Certificate)?;
    }
    Ok(roots)
}

/// Returns the authorities of the system that can be read. There may be none. Their files
/// are read once in a process.
pub fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(SYSTEM.iter().cloned());
    roots
}

/// Returns the same authorities as [`roots`], as certificates that can be read.
///
/// # Errors
/// See [`Unusable`].
pub fn authorities(authorities: Option<&[u8]>) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    roots(authorities)?;
    match authorities {
        Some(pem) => certificates(pem),
        None => {
            let is_readable = |certificate: &&CertificateDer<'static>| {
                RootCertStore::empty().add((*certificate).clone()).is_ok()
            };
            Ok(SYSTEM.iter().filter(is_readable).cloned().collect())
        }
    }
}

/// Returns the certificates in a PEM text, at least one.
///
/// # Errors
/// The text is not PEM, or has no certificate.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(Unusable::NotPem)?;
    if found.is_empty() {
        return Err(Unusable::NoCertificate);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_certificates() {
        for (pem, expected) in [
            (&b""[..], "no certificate"),
            (b"hello", "no certificate"),
            (
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "cannot be used",
            ),
            (b"-----BEGIN CERTIFICATE-----\n!\n", "not PEM"),
        ] {
            let error = roots(Some(pem)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
