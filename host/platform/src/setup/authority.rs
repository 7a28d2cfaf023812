//! [`Authority`]: the CA certificate that a receiver's certificate comes from.

use batchtask_notification::base64;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectKeyIdentifier};

use crate::api::certificates::Certificate;
use crate::error::OptionError;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The ends of two lives that differ by at most this are the same, in milliseconds:
/// a day, in case the platform shows another time zone.
const TOLERANCE_MS: u64 = 24 * 60 * 60 * 1000;

/// A CA certificate, as PEM, and the parts of it that the platform shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    pem: String,
    common_name: String,
    expires_at_ms: u64,
    /// Whether subject and issuer are the same.
    is_root: bool,
}

/// The line before a certificate in PEM.
const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";

const CHAIN_INCOMPLETE: &str = "the server's certificate chain does not end with the CA: name \
    the file of the CA certificate";

impl Authority {
    /// Parses one certificate.
    ///
    /// # Errors
    /// It is not exactly one certificate in PEM, or its subject has no common name.
    pub fn from_pem(pem: &str) -> Result<Self, OptionError> {
        let fail = |reason: &str| OptionError::new("ca", reason);
        let mut all = CertificateDer::pem_slice_iter(pem.as_bytes());
        let first = all
            .next()
            .ok_or_else(|| fail("it contains no certificate"))?;
        let first = first.map_err(|_| fail("it is not PEM"))?;
        if all.next().is_some() {
            return Err(fail(
                "it contains several certificates: name only that of the CA",
            ));
        }
        let certificate =
            X509::from_der(&first).map_err(|_| fail("the certificate is malformed"))?;
        let common_name = common_name(&certificate);
        let content = certificate.tbs_certificate();
        let expires_at = content.validity().not_after;
        Ok(Self {
            is_root: content.subject() == content.issuer(),
            pem: pem.to_owned(),
            common_name: common_name.ok_or_else(|| fail("its subject has no common name"))?,
            expires_at_ms: expires_at.to_unix_duration().as_secs().saturating_mul(1000),
        })
    }

    /// Parses the last certificate of a server's chain, which must be that of the CA.
    ///
    /// # Errors
    /// The chain does not end with a certificate that its own subject issued, or the
    /// certificate cannot be used.
    pub fn of_chain(pem: &str) -> Result<Self, OptionError> {
        let last = pem.rfind(PEM_BEGIN).and_then(|start| pem.get(start..));
        let incomplete = || OptionError::new("ca", CHAIN_INCOMPLETE);
        let authority = Self::from_pem(last.ok_or_else(incomplete)?)?;
        if authority.is_root {
            Ok(authority)
        } else {
            Err(incomplete())
        }
    }

    /// Finds the authority that issued the last certificate of a server's chain among these,
    /// for chains that do not contain it.
    ///
    /// # Errors
    /// The chain cannot be read, or the authority is not among them. The reason names it.
    pub fn of_issuer(pem: &str, known: &[CertificateDer<'_>]) -> Result<Self, OptionError> {
        let fail = |reason: &str| OptionError::new("ca", reason);
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes());
        let last = chain
            .last()
            .ok_or_else(|| fail("it contains no certificate"))?;
        let last = last.ok().and_then(|der| X509::from_der(&der).ok());
        let last = last.ok_or_else(|| fail("the certificate is malformed"))?;
        let known = known.iter().find(|der| issued(der, &last));
        let known = known.ok_or_else(|| {
            let issuer = last.tbs_certificate().issuer();
            let reason = format!(
                "its root is `{issuer}`, which this system does not have: name the file of that \
                 CA certificate"
            );
            OptionError::new("ca", reason)
        })?;
        Self::from_pem(&to_pem(known))
    }

    /// Returns the certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Returns the common name of its subject.
    pub fn common_name(&self) -> &str {
        &self.common_name
    }

    /// Returns when its life ends, in milliseconds since 1970.
    pub fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms
    }

    /// Whether the platform's certificate is this one. The platform does not show
    /// the certificate itself.
    pub(crate) fn is(&self, certificate: &Certificate) -> bool {
        let expires_at_ms = certificate.expires_at_ms();
        certificate.cn_name == self.common_name
            && expires_at_ms.is_none_or(|ms| ms.abs_diff(self.expires_at_ms) <= TOLERANCE_MS)
    }
}

/// Whether a root issued a certificate, by its name and, if both have it, the id of its key.
fn issued(root: &[u8], certificate: &X509) -> bool {
    let Ok(root) = X509::from_der(root) else {
        return false;
    };
    let (root, certificate) = (root.tbs_certificate(), certificate.tbs_certificate());
    let own_id = root.get_extension::<SubjectKeyIdentifier>();
    let own_id = own_id.ok().flatten().map(|(_, id)| id.0);
    let issuer_id = certificate.get_extension::<AuthorityKeyIdentifier>();
    let issuer_id = issuer_id.ok().flatten();
    let issuer_id = issuer_id.and_then(|(_, id)| id.key_identifier);
    let has_other_key = own_id.zip(issuer_id).is_some_and(|(own, id)| own != id);
    root.subject() == certificate.issuer() && root.subject() == root.issuer() && !has_other_key
}

/// A certificate as PEM (RFC 7468): lines of 64 characters.
fn to_pem(der: &[u8]) -> String {
    let mut text = format!("{PEM_BEGIN}\n");
    for bytes in der.chunks(48) {
        text += &base64(bytes);
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

fn common_name(certificate: &X509) -> Option<String> {
    let subject = certificate.tbs_certificate().subject();
    let mut attributes = subject.iter();
    let value = &attributes.find(|it| it.oid == COMMON_NAME)?.value;
    let utf8 = value.decode_as::<Utf8StringRef<'_>>().ok();
    let printable = || value.decode_as::<PrintableStringRef<'_>>().ok();
    let utf8 = utf8.map(|text| text.as_str().to_owned());
    utf8.or_else(|| printable().map(|text| text.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    /// An authority with this name, and its key.
    fn authority(name: &str) -> (CertificateParams, KeyPair, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        (params, key, certificate.into())
    }

    #[test]
    fn the_root_of_a_chain_is_found_by_its_name_and_key() {
        let (params, key, root) = authority("root");
        // The same name with another key, and another name.
        let known = [authority("root").2, authority("other").2, root.clone()];
        let issuer = Issuer::new(params, key);
        let mut server = CertificateParams::new(["a.example".to_owned()]).unwrap();
        server.use_authority_key_identifier_extension = true;
        let server = server.signed_by(&KeyPair::generate().unwrap(), &issuer);
        let chain = server.unwrap().pem();
        let found = Authority::of_issuer(&chain, &known).unwrap();
        assert_eq!(found.common_name(), "root");
        let pem = CertificateDer::from_pem_slice(found.pem().as_bytes()).unwrap();
        assert_eq!(pem, root);
        let error = Authority::of_issuer(&chain, &known[..2]).unwrap_err();
        assert!(error.reason.contains("its root is `CN=root`"), "{error}");
        assert!(Authority::of_issuer("", &known).is_err());
    }
}
