//! The metric of when the server's certificate expires.

use prometheus::IntGauge;
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// The metric. It is 0 if the certificate cannot be decoded.
pub(super) struct Expiry(IntGauge);

impl Expiry {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let gauge = IntGauge::new(
            "batchtask_tls_certificate_expiry_timestamp_seconds",
            "When the server's certificate expires, in seconds since 1970.",
        )?;
        Ok(Self(gauge))
    }

    pub(super) fn gauge(&self) -> &IntGauge {
        &self.0
    }

    /// Sets the metric to the expiry time of the first certificate in a chain.
    pub(super) fn set(&self, chain: &[CertificateDer<'_>]) {
        let seconds = chain.first().and_then(expires_at_seconds);
        if seconds.is_none() {
            tracing::warn!(
                "cannot read when the TLS certificate expires, because it is not valid DER"
            );
        }
        self.0.set(seconds.unwrap_or_default());
    }
}

fn expires_at_seconds(certificate: &CertificateDer<'_>) -> Option<i64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let not_after = certificate.tbs_certificate().validity().not_after;
    not_after.to_unix_duration().as_secs().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_certificate_has_no_expiry_time() {
        let expiry = Expiry::new().unwrap();
        expiry.set(&[CertificateDer::from(b"no DER".to_vec())]);
        assert_eq!(expiry.gauge().get(), 0);
        expiry.set(&[]);
        assert_eq!(expiry.gauge().get(), 0);
    }
}
