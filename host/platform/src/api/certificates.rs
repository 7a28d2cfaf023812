//! Authorities (CA certificates), which prove receivers and devices.

use batchtask_notification::time;
use http::Method;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::lenient::or_default;
use crate::pages::Filter;

const PATH: &str = "certificates";

/// An authority. The platform does not show the certificate itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Certificate {
    /// Its id.
    pub certificate_id: String,
    /// The common name of its subject.
    #[serde(default, deserialize_with = "or_default")]
    pub cn_name: String,
    /// The organisation of its subject.
    #[serde(default, deserialize_with = "or_default")]
    pub owner: String,
    /// Whether its owner has proved to have its key.
    #[serde(default, deserialize_with = "or_default", rename = "status")]
    pub is_verified: bool,
    /// The common name of the certificate that proves it.
    pub verify_code: Option<String>,
    /// When its life begins: `yyyyMMdd'T'HHmmss'Z'`.
    pub effective_date: Option<String>,
    /// When its life ends.
    pub expiry_date: Option<String>,
}

impl Certificate {
    /// Returns when its life ends, in milliseconds since 1970.
    pub fn expires_at_ms(&self) -> Option<u64> {
        time::parse(self.expiry_date.as_deref()?)
    }
}

#[derive(Serialize)]
struct NewCertificate<'a> {
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Verification<'a> {
    verify_content: &'a str,
}

/// All authorities.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllCertificates;

impl Filter for AllCertificates {
    type Item = Certificate;
    const OPERATION: &'static str = "list the CA certificates";
    const PATH: &'static str = PATH;
    const ITEMS: &'static str = "certificates";
}

impl Client {
    /// Uploads an authority as PEM, for all resource spaces or for one.
    ///
    /// # Errors
    /// The call failed.
    pub async fn upload_certificate(
        &self,
        pem: &str,
        app_id: Option<&str>,
    ) -> Result<Certificate, Error> {
        let body = NewCertificate {
            content: pem,
            app_id,
        };
        let call = Call::new("upload the CA certificate", Method::POST, &[PATH]).json(&body);
        self.send(&call).await?.json()
    }

    /// Proves an authority with a certificate that it issued for its
    /// [`verify_code`](Certificate::verify_code).
    ///
    /// # Errors
    /// The call failed.
    pub async fn verify_certificate(&self, certificate_id: &str, pem: &str) -> Result<(), Error> {
        let path = [PATH, certificate_id, "action"];
        let call = Call::new("verify the CA certificate", Method::POST, &path)
            .query("action_id", Some("verify"))
            .json(&Verification {
                verify_content: pem,
            });
        self.send(&call).await.map(drop)
    }

    /// Deletes an authority. Devices that it proves can then no longer connect.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_certificate(&self, certificate_id: &str) -> Result<(), Error> {
        let path = [PATH, certificate_id];
        let call = Call::new("delete the CA certificate", Method::DELETE, &path);
        self.send(&call).await.map(drop)
    }
}
