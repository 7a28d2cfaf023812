//! The metrics of when the server's certificate expires.

use prometheus::IntGauge;
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::telemetry::Registry;

/// The metrics. They are 0 without a certificate, or if it cannot be decoded.
pub(super) struct Expiry {
    starts: IntGauge,
    expires: IntGauge,
}

impl Expiry {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            starts: IntGauge::new(
                "batchtask_tls_certificate_start_timestamp_seconds",
                "When the life of the server's certificate began, in seconds since 1970.",
            )?,
            expires: IntGauge::new(
                "batchtask_tls_certificate_expiry_timestamp_seconds",
                "When the server's certificate expires, in seconds since 1970.",
            )?,
        })
    }

    /// Registers the metrics.
    pub(super) fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(self.starts.clone())?;
        registry.register(self.expires.clone()).map(drop)
    }

    /// Returns when the life begins and ends, in milliseconds since 1970.
    pub(super) fn life_ms(&self) -> Option<(u64, u64)> {
        let ms = |gauge: &IntGauge| u64::try_from(gauge.get()).ok()?.checked_mul(1000);
        let (start_ms, end_ms) = (ms(&self.starts)?, ms(&self.expires)?);
        (end_ms > 0).then_some((start_ms, end_ms))
    }

    /// Sets the metrics to the life of the first certificate in a chain.
    pub(super) fn set(&self, chain: &[CertificateDer<'_>]) {
        let life = chain.first().and_then(life_seconds);
        if life.is_none() {
            tracing::warn!(
                "cannot read when the TLS certificate expires, because it is not valid DER"
            );
        }
        let (start, end) = life.unwrap_or_default();
        self.starts.set(start);
        self.expires.set(end);
    }
}

fn life_seconds(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs().try_into().ok();
    Some((seconds(validity.not_before)?, seconds(validity.not_after)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_certificate_has_no_life() {
        let expiry = Expiry::new().unwrap();
        for chain in [&[][..], &[CertificateDer::from(b"no DER".to_vec())]] {
            expiry.set(chain);
            assert_eq!(expiry.expires.get(), 0);
            assert_eq!(expiry.life_ms(), None);
        }
    }

    #[test]
    fn a_certificate_has_a_life() {
        let expiry = Expiry::new().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2026, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        expiry.set(&[params.self_signed(&key).unwrap().into()]);
        let start_ms = 1_767_225_600_000;
        assert_eq!(expiry.life_ms(), Some((start_ms, start_ms + 86_400_000)));
    }
}
