//! [`Challenges`]: certificates with which a CA checks who controls a name (TLS-ALPN-01,
//! RFC 8737).

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ClientHello;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// The protocol of such a handshake.
const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// A certificate that answers a challenge.
pub struct ChallengeCertificate {
    /// The name that is checked.
    pub name: String,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// The challenges that are answered now, by name.
#[derive(Default)]
pub(crate) struct Challenges(RwLock<BTreeMap<String, Arc<ServerConfig>>>);

impl Challenges {
    pub(super) fn set(&self, certificates: Vec<ChallengeCertificate>) -> Result<(), rustls::Error> {
        let configs = certificates.into_iter().map(|certificate| {
            let name = certificate.name.to_ascii_lowercase();
            Ok((name, config(certificate.certificate, certificate.key)?))
        });
        let configs = configs.collect::<Result<_, rustls::Error>>()?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = configs;
        Ok(())
    }

    /// Returns the configuration for a handshake that asks for a challenge: for this protocol
    /// only, and a name that is checked now.
    pub(crate) fn config(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        let is_challenge = protocols.next() == Some(CHALLENGE_PROTOCOL);
        if !is_challenge || protocols.next().is_some() {
            return None;
        }
        let name = hello.server_name()?.to_ascii_lowercase();
        let configs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        configs.get(&name).cloned()
    }
}

/// Clients of such a handshake have no certificate, so the server asks for no certificate.
fn config(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = batchtask_wire::tls::provider();
    let key = provider.key_provider.load_private_key(key)?;
    // Without the check of rustls, which refuses the critical extension in it.
    let resolver = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![CHALLENGE_PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}
