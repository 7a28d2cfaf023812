//! Hashes and signatures over a handshake, as the client sent it.

use std::sync::{Arc, LazyLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::hash::{Context, Hash, HashAlgorithm, Output};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CipherSuiteCommon, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite,
};

use super::client_hello::unmask;

/// Returns the cryptography for a server behind a
/// [`MaskedStream`](super::MaskedStream): that of ring, except that a masked
/// ClientHello is unmasked before it is hashed.
pub fn provider() -> Arc<CryptoProvider> {
    // Suites live as long as the program, so they are made once.
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = ring::default_provider();
        provider.cipher_suites.iter_mut().for_each(unmasking_suite);
        Arc::new(provider)
    });
    PROVIDER.clone()
}

fn unmasking_suite(suite: &mut SupportedCipherSuite) {
    *suite = match *suite {
        SupportedCipherSuite::Tls12(suite) => {
            SupportedCipherSuite::Tls12(Box::leak(Box::new(Tls12CipherSuite {
                common: common(&suite.common),
                ..*suite
            })))
        }
        SupportedCipherSuite::Tls13(suite) => {
            SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
                common: common(&suite.common),
                ..*suite
            })))
        }
    };
}

fn common(common: &CipherSuiteCommon) -> CipherSuiteCommon {
    CipherSuiteCommon {
        hash_provider: Box::leak(Box::new(UnmaskingHash(common.hash_provider))),
        ..*common
    }
}

/// A hash function whose input is the messages of a handshake.
struct UnmaskingHash(&'static dyn Hash);

impl Hash for UnmaskingHash {
    fn start(&self) -> Box<dyn Context> {
        Box::new(Unmasking(self.0.start()))
    }

    fn hash(&self, data: &[u8]) -> Output {
        self.0.hash(data)
    }

    fn output_len(&self) -> usize {
        self.0.output_len()
    }

    fn algorithm(&self) -> HashAlgorithm {
        self.0.algorithm()
    }

    fn fips(&self) -> bool {
        self.0.fips()
    }
}

/// A hash in progress. rustls adds one message at a time. It may also add a
/// ClientHello without its binders.
struct Unmasking(Box<dyn Context>);

impl Context for Unmasking {
    fn fork_finish(&self) -> Output {
        self.0.fork_finish()
    }

    fn fork(&self) -> Box<dyn Context> {
        Box::new(Self(self.0.fork()))
    }

    fn finish(self: Box<Self>) -> Output {
        self.0.finish()
    }

    fn update(&mut self, data: &[u8]) {
        let Some((place, sent)) = unmask(data) else {
            return self.0.update(data);
        };
        self.0.update(&data[..place]);
        self.0.update(&sent);
        self.0.update(&data[place + sent.len()..]);
    }
}

/// Returns a verifier of client certificates behind a
/// [`MaskedStream`](super::MaskedStream). It is needed because in TLS 1.2 a client
/// signs the messages, not their hash.
pub fn verifier(verifier: Arc<dyn ClientCertVerifier>) -> Arc<dyn ClientCertVerifier> {
    Arc::new(UnmaskingVerifier(verifier))
}

#[derive(Debug)]
struct UnmaskingVerifier(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for UnmaskingVerifier {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        messages: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some((place, sent)) = unmask(messages) else {
            return self
                .0
                .verify_tls12_signature(messages, certificate, signature);
        };
        let mut messages = messages.to_vec();
        messages[place..place + sent.len()].copy_from_slice(&sent);
        self.0
            .verify_tls12_signature(&messages, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        hash: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(hash, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.0.requires_raw_public_keys()
    }
}
