//! Warns about certificates that rustls accepts but clients would refuse, so that
//! every push would be lost.

use std::path::Path;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::BasicConstraints;

use crate::clock::now_ms;

/// Logs warnings about a server's certificate chain.
pub(super) fn warn_of_server(path: &Path, chain: &[CertificateDer<'_>]) {
    let found = server_warnings(&decoded(chain), now());
    log(path, &found);
}

/// Logs warnings about the authorities of client certificates.
pub(super) fn warn_of_authorities(path: &Path, authorities: &[CertificateDer<'_>]) {
    let found = authority_warnings(&decoded(authorities), now());
    log(path, &found);
}

/// Returns the time since 1970.
fn now() -> Duration {
    Duration::from_millis(now_ms())
}

fn log(path: &Path, found: &[String]) {
    for text in found {
        tracing::warn!("`{}`: {text}", path.display());
    }
}

/// Decodes the certificates up to the first that is not valid DER.
fn decoded(chain: &[CertificateDer<'_>]) -> Vec<Certificate> {
    let decoded = chain.iter().map(|der| Certificate::from_der(der));
    decoded.map_while(Result::ok).collect()
}

fn server_warnings(chain: &[Certificate], now: Duration) -> Vec<String> {
    let mut found = validity_warnings(chain, now);
    if chain.first().is_some_and(is_authority) {
        found
            .push("certificate 1 is an authority's: put the server's own certificate first".into());
    }
    for (number, pair) in (1..).zip(chain.windows(2)) {
        let [certificate, next] = pair else { continue };
        if certificate.tbs_certificate().issuer() != next.tbs_certificate().subject() {
            found.push(format!(
                "certificate {number} was not issued by certificate {}: put the server's own \
                 certificate first, and after each certificate that of its issuer",
                number + 1
            ));
        }
    }
    found
}

fn authority_warnings(authorities: &[Certificate], now: Duration) -> Vec<String> {
    let mut found = validity_warnings(authorities, now);
    for (number, authority) in (1..).zip(authorities) {
        if !is_authority(authority) {
            found.push(format!(
                "certificate {number} is not an authority's, so it cannot prove any client: use \
                 the certificate of the authority that signs the clients' certificates"
            ));
        }
    }
    found
}

fn validity_warnings(certificates: &[Certificate], now: Duration) -> Vec<String> {
    let mut found = Vec::new();
    for (number, certificate) in (1..).zip(certificates) {
        let validity = certificate.tbs_certificate().validity();
        let (from, to) = (validity.not_before, validity.not_after);
        if to.to_unix_duration() < now {
            found.push(format!("certificate {number} expired at {to}: renew it"));
        }
        if from.to_unix_duration() > now {
            found.push(format!(
                "certificate {number} is not valid before {from}: check the clock of this host"
            ));
        }
    }
    found
}

fn is_authority(certificate: &Certificate) -> bool {
    let certificate = certificate.tbs_certificate();
    let constraints = certificate.get_extension::<BasicConstraints>();
    matches!(constraints, Ok(Some((_, constraints))) if constraints.ca)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    /// A root, an intermediate authority, and a server's certificate.
    fn chain() -> [Certificate; 3] {
        let mut issuer: Option<Issuer<'_, KeyPair>> = None;
        ["root", "intermediate", "server"].map(|name| {
            let mut params = CertificateParams::new(vec![name.into()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            if name != "server" {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
            let key = KeyPair::generate().unwrap();
            let certificate = match &issuer {
                None => params.self_signed(&key),
                Some(issuer) => params.signed_by(&key, issuer),
            };
            issuer = Some(Issuer::new(params, key));
            Certificate::from_der(certificate.unwrap().der()).unwrap()
        })
    }

    #[test]
    fn a_chain_begins_with_the_server_and_goes_on_with_issuers() {
        let [root, intermediate, server] = &chain();
        let warnings = |chain: &[&Certificate]| {
            let chain: Vec<_> = chain.iter().copied().cloned().collect();
            server_warnings(&chain, now()).join("\n")
        };
        for chain in [
            &[server][..],
            &[server, intermediate],
            &[server, intermediate, root],
        ] {
            assert_eq!(warnings(chain), "");
        }
        assert!(warnings(&[root]).contains("certificate 1 is an authority's"));
        let found = warnings(&[intermediate, server]);
        assert!(found.contains("certificate 1 is an authority's"), "{found}");
        assert!(found.contains("certificate 1 was not issued by certificate 2"));
        let found = warnings(&[server, root, intermediate]);
        assert!(found.contains("certificate 1 was not issued by certificate 2"));
        assert!(found.contains("certificate 2 was not issued by certificate 3"));
    }

    #[test]
    fn a_certificate_is_valid_from_one_time_to_another() {
        let [.., server] = chain();
        let validity = server.tbs_certificate().validity();
        let (from, to) = (validity.not_before, validity.not_after);
        let at = |now| validity_warnings(std::slice::from_ref(&server), now).join("\n");
        let second = Duration::from_secs(1);
        assert_eq!(at(from.to_unix_duration() + second), "");
        assert!(at(from.to_unix_duration() - second).contains("not valid before"));
        assert_eq!(at(to.to_unix_duration() - second), "");
        assert!(at(to.to_unix_duration() + second).contains("expired at"));
    }

    #[test]
    fn client_certificates_come_from_an_authority() {
        let [root, _, server] = chain();
        let found = authority_warnings(&[root, server], now()).join("\n");
        assert!(
            found.starts_with("certificate 2 is not an authority's"),
            "{found}"
        );
    }
}
