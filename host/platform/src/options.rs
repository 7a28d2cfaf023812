//! [`ClientOptions`]: the options of a client.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::connector::TransportOptions;
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::error::OptionError;
use crate::pace::Retry;
use crate::secret::Secret;

/// Returns the time in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The options of a client.
#[derive(Clone)]
pub struct ClientOptions {
    /// Where the platform is.
    pub endpoint: Endpoint,
    /// The id of the project.
    pub project_id: String,
    /// The id of the instance: needed only if calls go through the management
    /// side.
    pub instance_id: Option<String>,
    /// How the client proves who it is.
    pub credentials: Credentials,
    /// How it connects.
    pub transport: TransportOptions,
    /// How many calls it sends in a second, at most.
    pub calls_per_second: u32,
    /// How it repeats calls.
    pub retry: Retry,
    /// The time of signatures.
    pub clock: Clock,
}

impl ClientOptions {
    /// Returns options with defaults: ten calls per second, five attempts, 20 s
    /// for each.
    pub fn new(
        endpoint: Endpoint,
        project_id: impl Into<String>,
        credentials: Credentials,
    ) -> Self {
        Self {
            endpoint,
            project_id: project_id.into(),
            instance_id: None,
            credentials,
            transport: TransportOptions::default(),
            calls_per_second: 10,
            retry: Retry::default(),
            clock: Arc::new(now_ms),
        }
    }

    /// Checks the options. [`Client::new`](crate::Client::new) does it, too.
    ///
    /// # Errors
    /// An option cannot be used.
    pub fn check(&self) -> Result<(), OptionError> {
        let fail = |field, reason: &str| Err(OptionError::new(field, reason));
        if !is_word(&self.project_id) {
            return fail("project_id", "it must be the id of a project, not its name");
        }
        if self.instance_id.as_deref().is_some_and(|id| !is_word(id)) {
            return fail("instance_id", "it must be the id of an instance");
        }
        if self.calls_per_second == 0 {
            return fail("calls_per_second", "it must be at least 1");
        }
        match &self.credentials {
            Credentials::Keys(key) if !is_word(&key.id) => {
                fail("access_key", "it must be the id of an access key (AK)")
            }
            Credentials::Keys(key) if !is_header_text(&key.secret) => fail(
                "secret_key",
                "it must be the secret of the access key (SK), on one line",
            ),
            Credentials::Keys(key)
                if key
                    .security_token
                    .as_ref()
                    .is_some_and(|token| !is_header_text(token)) =>
            {
                fail(
                    "security_token",
                    "it must be the token of a temporary key, on one line",
                )
            }
            Credentials::Password(password) if password.password.expose().is_empty() => {
                fail("password", "it is empty")
            }
            _ => Ok(()),
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since_ms = since.unwrap_or_default().as_millis();
    since_ms.try_into().unwrap_or(u64::MAX)
}

fn is_word(text: &str) -> bool {
    let is_legal = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    !text.is_empty() && text.bytes().all(is_legal)
}

fn is_header_text(secret: &Secret) -> bool {
    let text = secret.expose();
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic())
}
