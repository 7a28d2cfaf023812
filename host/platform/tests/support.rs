//! Clients of the platform in memory, and the recorded requests.

use std::time::Duration;

use batchtask_platform::{
    AccessKey, Client, ClientOptions, Credentials, Edition, Endpoint, Password, Retry, Secret,
};
use serde_json::Value;

use crate::fake::{self, Fake};

/// Everything that no error and no `Debug` may contain.
pub(crate) const SECRETS: [&str; 4] = [
    fake::SECRET_KEY,
    fake::PASSWORD,
    fake::SECURITY_TOKEN,
    "MIImadeUp",
];

pub(crate) fn key() -> AccessKey {
    AccessKey {
        id: fake::KEY_ID.into(),
        secret: Secret::new(fake::SECRET_KEY),
        security_token: None,
    }
}

pub(crate) fn password() -> Credentials {
    Credentials::Password(Password {
        user: "user".into(),
        domain: "tenant".into(),
        password: Secret::new(fake::PASSWORD),
        project: fake::REGION.into(),
    })
}

/// Options for a platform, without waits between calls.
pub(crate) fn options(fake: &Fake) -> ClientOptions {
    let edition = match fake.state().is_derived {
        true => Edition::Standard,
        false => Edition::Basic,
    };
    let url = fake.url();
    let endpoint = Endpoint::new(edition, fake::REGION, Some(&url)).unwrap();
    let endpoint = endpoint.with_iam(&url).unwrap();
    let mut options = ClientOptions::new(endpoint, fake::PROJECT, Credentials::Keys(key()));
    options.calls_per_second = 100_000;
    options.retry = Retry {
        attempts: 4,
        first_delay: Duration::from_millis(2),
    };
    options.transport.timeout = Duration::from_secs(10);
    options
}

pub(crate) fn client(fake: &Fake) -> Client {
    Client::new(options(fake)).unwrap()
}

/// The recorded requests of one of the two signatures.
pub(crate) fn recorded(is_derived: bool) -> Vec<Value> {
    let text = match is_derived {
        true => include_str!("fixtures/v11-hmac-sha256.json"),
        false => include_str!("fixtures/sdk-hmac-sha256.json"),
    };
    let file: Value = serde_json::from_str(text).unwrap();
    file["exchanges"].as_array().unwrap().clone()
}

/// Returns an error with its causes, as a program prints it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}
