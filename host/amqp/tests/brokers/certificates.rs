//! Certificates of brokers.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// The certificate of a broker on this machine, and its authority.
pub(crate) struct Certificates {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// Makes them in a folder.
    pub(crate) fn make(folder: &Path) -> Self {
        let made = Self {
            ca: folder.join("amqp-ca.pem"),
            cert: folder.join("amqp-cert.pem"),
            key: folder.join("amqp-key.pem"),
        };
        let (authority, issuer) = authority();
        let key = KeyPair::generate().expect("a key");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("names");
        let cert = params.signed_by(&key, &issuer).expect("a certificate");
        fs::write(&made.ca, authority).expect("a file");
        fs::write(&made.cert, cert.pem()).expect("a file");
        fs::write(&made.key, key.serialize_pem()).expect("a file");
        made
    }
}

/// Makes an authority. Returns its certificate as PEM.
pub(crate) fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let cert = params.self_signed(&key).expect("a certificate");
    (cert.pem(), Issuer::new(params, key))
}
