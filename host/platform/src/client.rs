//! [`Client`]: sends calls, spaces them, and repeats them while that can help.

use http::HeaderMap;

use crate::answer::{Answer, Asked, Failure};
use crate::call::Call;
use crate::credentials::Credentials;
use crate::error::{Error, OptionError};
use crate::options::ClientOptions;
use crate::pace::Pace;
use crate::refusal::Cause;
use crate::request::{self, Proof};
use crate::signing::encoded;
use crate::token::{self, Tokens};
use crate::transport::Transport;

/// A client of the platform's application API, for one project. Its calls are
/// grouped by resource in [`api`](crate::api).
pub struct Client {
    options: ClientOptions,
    transport: Transport,
    pace: Pace,
    tokens: Tokens,
    /// The path before that of each call.
    base: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.host()).finish()
    }
}

impl Client {
    /// Makes a client. Nothing is sent yet.
    ///
    /// # Errors
    /// An option cannot be used.
    pub fn new(options: ClientOptions) -> Result<Self, OptionError> {
        options.check()?;
        let endpoint = &options.endpoint;
        let is_https = endpoint.origin.is_https() || endpoint.iam.is_https();
        Ok(Self {
            transport: Transport::new(&options.transport, is_https)?,
            pace: Pace::new(options.calls_per_second),
            tokens: Tokens::default(),
            base: format!("/v5/iot/{}", encoded(&options.project_id)),
            options,
        })
    }

    /// Returns this client's time, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        (self.options.clock)()
    }

    pub(crate) fn host(&self) -> &str {
        self.options.endpoint.host()
    }

    /// Sends a call, and repeats it while that can help.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Error> {
        let mut attempt = 1;
        let mut has_renewed_token = false;
        loop {
            let failure = match self.attempt(call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if !has_renewed_token && self.is_stale_token(&failure.error) {
                self.tokens.forget().await;
                has_renewed_token = true;
                continue;
            }
            let delay = self.options.retry.delay(attempt, failure.retry_after);
            match delay.filter(|_| is_worth_repeating(call, &failure.error)) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(failure.error),
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Answer, Failure> {
        self.pace.turn().await;
        let now_ms = self.now_ms();
        let target = call.target(&self.base);
        let token;
        let proof = match &self.options.credentials {
            Credentials::Keys(key) => Proof::Signature { key, now_ms },
            Credentials::Password(password) => {
                let iam = &self.options.endpoint.iam;
                let tokens = &self.tokens;
                token = tokens.token(&self.transport, iam, password, now_ms).await?;
                Proof::Token(&token)
            }
        };
        let request = request::build(&self.options, call, &target, &proof)?;
        let proofs = sensitive_values(request.headers());
        let raw = self.transport.exchange(call.operation, request).await?;
        let mut secrets = self.options.credentials.secrets();
        secrets.extend(proofs.iter().chain(&call.secrets).map(String::as_str));
        let (operation, host) = (call.operation, self.host());
        Asked {
            operation,
            host,
            secrets,
            now_ms,
        }
        .judge(raw)
    }

    /// Whether the platform refused a token, which may have been revoked.
    fn is_stale_token(&self, error: &Error) -> bool {
        let is_refused = error.refusal().is_some_and(|refusal| {
            refusal.cause == Cause::WrongCredentials && refusal.operation != token::OPERATION
        });
        is_refused && matches!(self.options.credentials, Credentials::Password(_))
    }
}

/// Returns the values that an error must not repeat: tokens and signatures.
fn sensitive_values(headers: &HeaderMap) -> Vec<String> {
    let sensitive = headers.values().filter(|value| value.is_sensitive());
    let texts = sensitive.filter_map(|value| value.to_str().ok());
    texts.map(str::to_owned).collect()
}

/// Whether a call should be sent again. A call that was refused for its rate was
/// not carried out. After any other failure it may have been, so only a call that
/// may be carried out twice is repeated.
fn is_worth_repeating(call: &Call, error: &Error) -> bool {
    match error.refusal().map(|refusal| refusal.cause) {
        Some(Cause::RateLimit) => true,
        // A second attempt after a timeout would double the wait.
        _ if matches!(error, Error::TooSlow { .. }) => false,
        _ => error.is_temporary() && call.is_idempotent(),
    }
}
