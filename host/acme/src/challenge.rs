//! [`Challenge`]: the answer to a TLS-ALPN-01 challenge (RFC 8737).

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::error::Error;

/// The length of the proof in the certificate, in bytes: a SHA-256 digest.
const PROOF_BYTES: usize = 32;

/// A certificate that proves to the CA who controls a name. It is only for handshakes that
/// ask for the protocol `acme-tls/1` and this name.
pub struct Challenge {
    /// The name.
    pub name: String,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// Answers challenges on the port that serves.
pub trait Responder: Send + Sync + 'static {
    /// Answers these challenges from now on, and no others.
    fn answer(&self, challenges: Vec<Challenge>);
}

impl Challenge {
    pub(crate) fn new(name: &str, proof: &[u8]) -> Result<Self, Error> {
        let fail = |reason: &dyn std::fmt::Display| {
            Error::failed("make the certificate of a challenge", reason)
        };
        if proof.len() != PROOF_BYTES {
            return Err(fail(&"the proof is not a SHA-256 digest"));
        }
        let key = KeyPair::generate().map_err(|error| fail(&error))?;
        let mut params = CertificateParams::new([name.to_owned()]).map_err(|error| fail(&error))?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(proof)];
        let certificate = params.self_signed(&key).map_err(|error| fail(&error))?;
        Ok(Self {
            name: name.to_owned(),
            certificate: certificate.into(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}
