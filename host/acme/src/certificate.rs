//! [`Certificate`]: a chain and its key, and what is written in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::CertificateIdentifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectAltName};

use crate::domain::Domain;
use crate::schedule::Validity;

/// A certificate chain and its private key, which belong together, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    pem: String,
    names: BTreeSet<String>,
    from_ms: u64,
    until_ms: u64,
    id: String,
    ari: Option<CertificateIdentifier<'static>>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Certificate").field(&self.names).finish()
    }
}

impl Certificate {
    /// Parses a chain that begins with the server's own certificate, and a private key.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub fn parse(pem: &str) -> Result<Self, String> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| format!("it is not PEM: {error}"))?;
        let leaf = chain.first().ok_or("it contains no certificate")?.clone();
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes());
        let key = key.map_err(|_| "it contains no private key")?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                "the certificate and the private key do not belong together".to_owned()
            }
            error => error.to_string(),
        })?;
        let malformed = |_| "the certificate is malformed";
        let leaf = X509::from_der(&leaf).map_err(malformed)?;
        let content = leaf.tbs_certificate();
        let milliseconds = |time: x509_cert::time::Time| {
            let since_1970 = time.to_unix_duration().as_secs();
            since_1970.saturating_mul(1000)
        };
        let serial = serial(content.serial_number().as_bytes());
        Ok(Self {
            pem: pem.to_owned(),
            names: names(&leaf).map_err(malformed)?,
            from_ms: milliseconds(content.validity().not_before),
            until_ms: milliseconds(content.validity().not_after),
            id: URL_SAFE_NO_PAD.encode(&serial),
            ari: ari(&leaf, &serial),
        })
    }

    /// Returns chain and key, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns when its life begins and ends, in milliseconds since 1970.
    pub fn life_ms(&self) -> (u64, u64) {
        (self.from_ms, self.until_ms)
    }

    /// Whether it is for all of these names.
    pub fn covers(&self, domains: &[Domain]) -> bool {
        let mut domains = domains.iter();
        domains.all(|domain| self.names.contains(domain.as_str()))
    }

    /// Returns what the schedule must know. `is_wanted`: it is for all wanted names, and
    /// from the wanted CA.
    pub(crate) fn validity(&self, is_wanted: bool) -> Validity {
        Validity {
            id: self.id.clone(),
            from_ms: self.from_ms,
            until_ms: self.until_ms,
            is_wanted,
        }
    }

    /// Returns its serial number, in base64.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns its name in questions about its renewal (RFC 9773, section 4.1). `None`: it
    /// does not say who issued it.
    pub(crate) fn ari(&self) -> Option<CertificateIdentifier<'static>> {
        self.ari.clone()
    }
}

fn names(certificate: &X509) -> Result<BTreeSet<String>, x509_cert::der::Error> {
    let extension = certificate
        .tbs_certificate()
        .get_extension::<SubjectAltName>()?;
    let names = extension.map_or_else(Vec::new, |(_, names)| names.0);
    let name = |name: GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    };
    Ok(names.into_iter().filter_map(name).collect())
}

/// The content of a serial number in DER: a number that is not negative.
fn serial(bytes: &[u8]) -> Vec<u8> {
    let sign = bytes.first().is_some_and(|first| *first >= 0x80);
    let zero = sign.then_some(0);
    zero.into_iter().chain(bytes.iter().copied()).collect()
}

fn ari(certificate: &X509, serial: &[u8]) -> Option<CertificateIdentifier<'static>> {
    let content = certificate.tbs_certificate();
    let extension = content.get_extension::<AuthorityKeyIdentifier>();
    let (_, issuer) = extension.ok()??;
    let issuer = issuer.key_identifier?;
    Some(CertificateIdentifier::new(
        issuer.as_bytes().into(),
        serial.into(),
    ))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyIdMethod, KeyPair};
    use rcgen::{SerialNumber, SigningKey};

    use super::*;

    fn domains(texts: &[&str]) -> Vec<Domain> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn signed(names: &[&str], key: &impl SigningKey) -> String {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // The issuer and the serial number of the example in RFC 9773, section 4.1.
        ca.key_identifier_method = KeyIdMethod::PreSpecified(vec![
            0x69, 0x88, 0x5B, 0x6B, 0x87, 0x46, 0x40, 0x41, 0xE1, 0xB3, 0x7B, 0x84, 0x7B, 0xA0,
            0xAE, 0x2C, 0xDE, 0x01, 0xC8, 0xD4,
        ]);
        let issuer = Issuer::new(ca, ca_key);
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.serial_number = Some(SerialNumber::from_slice(&[0x87, 0x65, 0x43, 0x21]));
        params.use_authority_key_identifier_extension = true;
        params.signed_by(key, &issuer).unwrap().pem()
    }

    #[test]
    fn a_certificate_is_for_some_names_and_has_a_name_of_its_own() {
        let key = KeyPair::generate().unwrap();
        let pem = signed(&["a.example.com", "*.b.example.com"], &key) + &key.serialize_pem();
        let certificate = Certificate::parse(&pem).unwrap();
        assert!(certificate.covers(&domains(&["A.example.com", "*.b.example.com"])));
        assert!(!certificate.covers(&domains(&["a.example.com", "c.b.example.com"])));
        let ari = certificate.ari().unwrap().to_string();
        assert_eq!(ari, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
        assert!(!format!("{certificate:?}").contains("KEY"));
    }

    #[test]
    fn chain_and_key_belong_together() {
        let key = KeyPair::generate().unwrap();
        let pem = signed(&["a.example.com"], &key);
        let other = KeyPair::generate().unwrap();
        for (pem, problem) in [
            (String::new(), "no certificate"),
            (key.serialize_pem(), "no certificate"),
            (pem.clone(), "no private key"),
            (pem + &other.serialize_pem(), "do not belong together"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned()
                    + &key.serialize_pem(),
                "",
            ),
        ] {
            let error = Certificate::parse(&pem).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
