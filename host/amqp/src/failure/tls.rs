//! Failures of TLS handshakes.

use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::{Failure, Reason};
use crate::options::Broker;

impl Failure {
    /// The failure of a TLS handshake.
    pub(crate) fn of_tls(broker: &Broker, error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let Some(inner) = inner else {
            let text = format!("{broker} ended the TLS handshake: {error}");
            return Self::new(Reason::Tls, text);
        };
        let text = match inner {
            rustls::Error::InvalidCertificate(error) => of_certificate(broker, error),
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                format!("{broker} does not speak TLS: check the port in `amqp.url`")
            }
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => {
                format!("{broker} does not speak TLS 1.2 or 1.3")
            }
            error => format!("the TLS handshake with {broker} failed: {error}"),
        };
        Self::new(Reason::Tls, text)
    }
}

fn of_certificate(broker: &Broker, error: &CertificateError) -> String {
    match error {
        // Another authority may have the name of the trusted one.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "the certificate of {broker} is not from a trusted authority: set `amqp.ca` to its \
             authority"
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the certificate of {broker} is for another name: check `amqp.url`")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("the certificate of {broker} has expired, or the clock of this host is ahead")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!(
                "the certificate of {broker} is not valid yet, or the clock of this host is behind"
            )
        }
        error => format!("the certificate of {broker} cannot be trusted: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_reported_with_what_to_do() {
        let broker: Broker = "amqps://iot.example.com".parse().unwrap();
        for (error, words) in [
            (CertificateError::UnknownIssuer, "set `amqp.ca`"),
            (CertificateError::BadSignature, "set `amqp.ca`"),
            (CertificateError::NotValidForName, "check `amqp.url`"),
            (CertificateError::Expired, "has expired, or the clock"),
            (
                CertificateError::NotValidYet,
                "is not valid yet, or the clock",
            ),
            (CertificateError::Revoked, "cannot be trusted: "),
        ] {
            let error = io::Error::new(
                io::ErrorKind::InvalidData,
                rustls::Error::InvalidCertificate(error),
            );
            let failure = Failure::of_tls(&broker, &error);
            assert_eq!(failure.reason, Reason::Tls);
            assert!(failure.text.contains("iot.example.com:5671"), "{failure}");
            assert!(failure.text.contains(words), "{failure}");
        }
    }
}
