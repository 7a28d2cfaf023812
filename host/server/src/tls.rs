//! TLS for the public listener: certificates from PEM files, read again when
//! they change. `expiry`: when they expire; `chain`: what is probably wrong with
//! them.

mod chain;
mod expiry;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

use self::expiry::Expiry;
use crate::telemetry::Registry;

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
    /// The metric of when the certificate expires cannot be made.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
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
    expiry: Expiry,
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = files.stamps();
        let read = Loaded::read(&files)?;
        read.warn(&files);
        let expiry = Expiry::new()?;
        expiry.set(&read.chain);
        Ok(Self {
            files,
            loaded,
            config: RwLock::new(read.config),
            expiry,
        })
    }

    /// Registers the metric of when the certificate expires.
    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(self.expiry.gauge().clone()).map(drop)
    }

    /// What the next handshake is to use.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads the files again. Connections that are open keep what they have.
    ///
    /// # Errors
    /// The files cannot be used; what was read before stays in force.
    pub fn reload(&self) -> Result<(), TlsError> {
        let read = Loaded::read(&self.files)?;
        read.warn(&self.files);
        self.expiry.set(&read.chain);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = read.config;
        Ok(())
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
            match self.reload() {
                Ok(()) => {
                    seen = stamps;
                    tracing::info!("the TLS certificate was read again");
                }
                Err(error) => tracing::warn!(%error, "the TLS certificate was not replaced"),
            }
        }
    }
}

/// Certificates in the order of their file.
type Chain = Vec<CertificateDer<'static>>;

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

/// What the files hold.
struct Loaded {
    chain: Chain,
    authorities: Option<Chain>,
    config: Arc<ServerConfig>,
}

impl Loaded {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let chain = certificates(&files.cert)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::File {
            path: files.key.clone(),
            source,
        })?;
        let authorities = files.client_ca.as_deref().map(certificates).transpose()?;
        let builder = ServerConfig::builder_with_provider(batchtask_wire::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| certificate_error(&files.cert, error))?;
        let builder = match files.client_ca.as_ref().zip(authorities.as_ref()) {
            None => builder.with_no_client_auth(),
            Some((path, authorities)) => {
                builder.with_client_cert_verifier(client_verifier(path, authorities)?)
            }
        };
        let mut config = builder
            .with_single_cert(chain.clone(), key)
            .map_err(|error| certificate_error(&files.cert, error))?;
        // Ours is the order of preference: the strongest first.
        config.ignore_client_order = true;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            chain,
            authorities,
            config: Arc::new(config),
        })
    }

    /// Logs what is probably wrong with the certificates.
    fn warn(&self, files: &TlsFiles) {
        chain::warn_of_server(&files.cert, &self.chain);
        if let Some((path, authorities)) = files.client_ca.as_ref().zip(self.authorities.as_ref()) {
            chain::warn_of_authorities(path, authorities);
        }
    }
}

fn client_verifier(
    path: &Path,
    authorities: &[CertificateDer<'static>],
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots
            .add(authority.clone())
            .map_err(|error| certificate_error(path, error))?;
    }
    let provider = batchtask_wire::tls::provider();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .map_err(|error| certificate_error(path, error))?;
    Ok(batchtask_wire::tls::verifier(verifier))
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
