//! TLS to the server: its certificate and its name are always verified.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::TlsFiles;
use crate::error::OpenError;

/// Returns how to begin TLS. Without `files`, connections do not use it.
pub(crate) fn connector(files: Option<&TlsFiles>) -> Result<MakeRustlsConnect, OpenError> {
    let builder = batchtask_trust::client(roots(files)?);
    let builder = builder.map_err(|error| OpenError::Tls(error.to_string()))?;
    let config = match files.and_then(|files| files.client.as_ref()) {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let (chain, key_of_cert) = (certificates(cert)?, private_key(key)?);
            let with_cert = builder.with_client_auth_cert(chain, key_of_cert);
            with_cert.map_err(|error| unusable(cert, &error))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Returns the authorities in the file, or those that the system trusts.
fn roots(files: Option<&TlsFiles>) -> Result<RootCertStore, OpenError> {
    let Some(files) = files else {
        return Ok(RootCertStore::empty());
    };
    let Some(path) = &files.root_cert else {
        // Certificates that cannot be read are missing in the result; the
        // handshake then fails with a clear error.
        return Ok(batchtask_trust::system_roots());
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(path, &error))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|error| unusable(path, &error))?;
    if found.is_empty() {
        return Err(unusable(path, &"it contains no certificate"));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, OpenError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> OpenError {
    OpenError::TlsFile {
        path: PathBuf::from(path),
        reason: reason.to_string(),
    }
}
