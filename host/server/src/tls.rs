//! TLS for the public listener: certificates from PEM files, which are reloaded
//! when they change.
//!
//! - `challenges`: certificates with which a CA checks who controls a name.
//! - `expiry`: the metrics of when the certificate expires.
//! - `chain`: warns about certificates that clients would refuse.

mod chain;
mod challenges;
mod expiry;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

pub use self::challenges::ChallengeCertificate;
use self::challenges::Challenges;
use self::expiry::Expiry;
use crate::telemetry::Registry;

/// How often the files are checked for changes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The paths of the certificates and the key.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain, beginning with the server's own certificate.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The authorities that must have issued client certificates, or `None` if
    /// clients need no certificate.
    pub client_ca: Option<PathBuf>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or contains no PEM data of the expected kind.
    #[error("`{path}`: {}", file_problem(cause))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: pem::Error,
    },
    /// The metric of the expiry time cannot be created.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    /// The private key is not that of the certificate.
    #[error("the certificate `{cert}` and the private key `{key}` do not belong together")]
    KeyMismatch {
        /// The file of the certificate.
        cert: PathBuf,
        /// The file of the private key.
        key: PathBuf,
    },
    /// The files were read, but cannot be used.
    #[error("`{path}`: {cause}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl TlsError {
    /// The file at fault, if there is one.
    pub fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::File { path, .. } | Self::Certificate { path, .. } => Some(path),
            Self::KeyMismatch { key, .. } => Some(key),
            Self::Metrics(_) => None,
        }
    }
}

/// Returns what is wrong with a PEM file.
fn file_problem(cause: &pem::Error) -> String {
    match cause {
        pem::Error::NoItemsFound => "it contains no PEM data of the expected kind".into(),
        cause => cause.to_string(),
    }
}

/// The TLS configuration in use, and the files that it came from.
pub struct Tls {
    files: TlsFiles,
    /// The stamps of the files from before they were first read.
    loaded: Vec<Option<Stamp>>,
    /// `None`: there is no certificate yet.
    current: RwLock<Option<Certificates>>,
    /// `None`: another program obtains the certificate.
    challenges: Option<Challenges>,
    expiry: Expiry,
}

impl Tls {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = files.stamps();
        let read = Certificates::read(&files)?;
        let tls = Self::new(files, loaded, None)?;
        tls.put(read);
        Ok(tls)
    }

    /// Does the same for files that this program obtains from a CA. Until they can be used,
    /// every handshake fails, except those in which the CA checks who controls a name.
    ///
    /// # Errors
    /// The authorities of client certificates cannot be used.
    pub fn load_later(files: TlsFiles) -> Result<Self, TlsError> {
        let loaded = files.stamps();
        files.read_authorities()?;
        let has_certificate = files.cert.exists();
        let tls = Self::new(files, loaded, Some(Challenges::default()))?;
        match tls.read() {
            Ok(read) => {
                tls.put(read);
            }
            // It is replaced.
            Err(error) if has_certificate => {
                tracing::warn!(%error, "the TLS certificate cannot be used");
            }
            Err(_) => {}
        }
        Ok(tls)
    }

    fn new(
        files: TlsFiles,
        loaded: Vec<Option<Stamp>>,
        challenges: Option<Challenges>,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            files,
            loaded,
            current: RwLock::default(),
            challenges,
            expiry: Expiry::new()?,
        })
    }

    /// Returns when the life of the certificate begins and ends, in milliseconds since 1970,
    /// if there is a certificate and it can be read.
    pub fn life_ms(&self) -> Option<(u64, u64)> {
        self.expiry.life_ms()
    }

    /// Answers these challenges of a CA from now on, and no others. Only for certificates
    /// that are [loaded later](Self::load_later).
    ///
    /// # Errors
    /// A certificate cannot be used.
    pub fn answer_challenges(
        &self,
        certificates: Vec<ChallengeCertificate>,
    ) -> Result<(), rustls::Error> {
        match &self.challenges {
            Some(challenges) => challenges.set(certificates),
            None => Ok(()),
        }
    }

    /// Registers the metrics of when the certificate expires.
    pub(crate) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.expiry.register(registry)
    }

    /// Returns the configuration for the next handshake, or `None` if there is no
    /// certificate yet.
    pub(crate) fn config(&self) -> Option<Arc<ServerConfig>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|current| current.config.clone())
    }

    /// Returns the challenges, if this program obtains the certificate.
    pub(crate) fn challenges(&self) -> Option<&Challenges> {
        self.challenges.as_ref()
    }

    /// Reads the files again, for [`use_certificates`](Self::use_certificates).
    ///
    /// # Errors
    /// The files cannot be used.
    pub fn read(&self) -> Result<Certificates, TlsError> {
        Certificates::read(&self.files)
    }

    /// Uses other certificates from the next handshake on, and logs it, unless they are
    /// those in use. Open connections are not affected.
    pub fn use_certificates(&self, certificates: Certificates) {
        if self.put(certificates) {
            tracing::info!("the TLS certificate was reloaded");
        }
    }

    /// Returns whether these are not the certificates in use.
    fn put(&self, certificates: Certificates) -> bool {
        certificates.warn(&self.files);
        self.expiry.set(&certificates.chain);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_same = |current: &Certificates| current.is_same(&certificates);
        let has_changed = !current.as_ref().is_some_and(is_same);
        *current = Some(certificates);
        has_changed
    }

    /// Reloads the files whenever they have changed. If they cannot be used, for
    /// example because only one of them has been replaced so far, the previous
    /// configuration stays in use. Open connections are not affected.
    pub async fn watch(&self) {
        let mut seen = self.loaded.clone();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let stamps = self.files.stamps();
            if stamps == seen {
                continue;
            }
            match self.read() {
                Ok(certificates) => {
                    self.use_certificates(certificates);
                    seen = stamps;
                }
                Err(error) => tracing::warn!(%error, "cannot reload the TLS certificate"),
            }
        }
    }
}

/// Certificates in the order in which a file contains them.
type Chain = Vec<CertificateDer<'static>>;

/// Metadata that shows whether a file was replaced. Times alone are not enough:
/// two files that are written within one clock tick have the same times.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    inode: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl TlsFiles {
    fn read_authorities(&self) -> Result<Option<Chain>, TlsError> {
        self.client_ca.as_deref().map(certificates).transpose()
    }

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

/// The contents of the files, which belong together.
pub struct Certificates {
    chain: Chain,
    authorities: Option<Chain>,
    config: Arc<ServerConfig>,
}

impl Certificates {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let chain = certificates(&files.cert)?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|cause| TlsError::File {
            path: files.key.clone(),
            cause,
        })?;
        let authorities = files.read_authorities()?;
        let builder = ServerConfig::builder_with_provider(batchtask_wire::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| certificate_error(&files.cert, error))?;
        let builder = match files.client_ca.as_ref().zip(authorities.as_ref()) {
            None => builder.with_no_client_auth(),
            Some((path, authorities)) => {
                builder.with_client_cert_verifier(client_verifier(path, authorities)?)
            }
        };
        let mut config =
            builder
                .with_single_cert(chain.clone(), key)
                .map_err(|error| match error {
                    rustls::Error::InconsistentKeys(_) => TlsError::KeyMismatch {
                        cert: files.cert.clone(),
                        key: files.key.clone(),
                    },
                    error => certificate_error(&files.cert, error),
                })?;
        // Use the server's order of cipher suites, the strongest first.
        config.ignore_client_order = true;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            chain,
            authorities,
            config: Arc::new(config),
        })
    }

    /// The key need not be compared: it belongs to the first certificate.
    fn is_same(&self, other: &Self) -> bool {
        self.chain == other.chain && self.authorities == other.authorities
    }

    /// Logs warnings about the certificates.
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

/// Reads the certificates in a PEM file.
///
/// # Errors
/// The file cannot be read, or contains no certificate.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file_error = |cause| TlsError::File {
        path: path.to_owned(),
        cause,
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(file_error)?
        .collect::<Result<_, _>>()
        .map_err(file_error)?;
    if found.is_empty() {
        return Err(file_error(pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn certificate_error(
    path: &Path,
    error: impl std::error::Error + Send + Sync + 'static,
) -> TlsError {
    TlsError::Certificate {
        path: path.to_owned(),
        cause: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_replaced_file_is_noticed_even_if_it_was_written_in_the_same_tick() {
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
