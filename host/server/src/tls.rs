//! TLS for the public listener: certificates from PEM files, read again when
//! they change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where the certificates are.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain, the server's own first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The authorities that clients' certificates must come from; none when
    /// clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM of the kind.
    #[error("`{path}`: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The files were read, but do not go together.
    #[error("`{path}`: {source}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The configuration that is in force, and where it came from.
pub struct Tls {
    files: TlsFiles,
    /// The files as they were before they were first read.
    loaded: Vec<Option<Stamp>>,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = files.stamps();
        let config = RwLock::new(read(&files)?);
        Ok(Self {
            files,
            loaded,
            config,
        })
    }

    /// What the next handshake is to use.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the files again whenever they changed. Connections that are open
    /// keep what they have; files that do not go together, as while they are
    /// being replaced, change nothing.
    pub async fn watch(&self) {
        let mut seen = self.loaded.clone();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let stamps = self.files.stamps();
            if stamps == seen {
                continue;
            }
            match read(&self.files) {
                Ok(config) => {
                    *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
                    seen = stamps;
                    tracing::info!("the TLS certificate was read again");
                }
                Err(error) => tracing::warn!(%error, "the TLS certificate was not replaced"),
            }
        }
    }
}

/// What tells a file from the one that was in its place before. Not its times
/// alone: of two that were written within one tick of the clock they are equal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    inode: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl TlsFiles {
    fn stamps(&self) -> Vec<Option<Stamp>> {
        [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()]
            .into_iter()
            .flatten()
            .map(|path| fs::metadata(path).ok().as_ref().map(Stamp::of))
            .collect()
    }
}

impl Stamp {
    fn of(data: &fs::Metadata) -> Self {
        Self {
            inode: (data.dev(), data.ino()),
            length: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::File {
        path: files.key.clone(),
        source,
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| certificate_error(&files.cert, error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(path)? {
                roots
                    .add(authority)
                    .map_err(|error| certificate_error(path, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .map_err(|error| certificate_error(path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| certificate_error(&files.cert, error))?;
    // Ours is the order of preference: the strongest first.
    config.ignore_client_order = true;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates in a PEM file.
///
/// # Errors
/// The file cannot be read, or contains no certificate.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file_error = |source| TlsError::File {
        path: path.to_owned(),
        source,
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(file_error)?
        .collect::<Result<_, _>>()
        .map_err(file_error)?;
    if found.is_empty() {
        return Err(file_error(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn certificate_error(
    path: &Path,
    error: impl std::error::Error + Send + Sync + 'static,
) -> TlsError {
    TlsError::Certificate {
        path: path.to_owned(),
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_file_is_another_though_it_was_written_in_the_same_tick() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, next] = ["cert.pem", "next.pem"].map(|name| folder.path().join(name));
        let now = SystemTime::now();
        for path in [&cert, &next] {
            fs::write(path, "as long").unwrap();
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(now).unwrap();
        }
        let files = TlsFiles {
            key: folder.path().join("missing"),
            cert: cert.clone(),
            client_ca: None,
        };
        let before = files.stamps();
        assert_eq!(before, files.stamps());
        assert_eq!(before[1], None);
        fs::rename(next, &cert).unwrap();
        assert_ne!(before, files.stamps());
    }
}
