//! [`Tokens`]: gets a token from IAM by password, and keeps it while it is valid.

use batchtask_notification::time;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::answer::{Answer, Asked};
use crate::credentials::Password;
use crate::endpoint::Origin;
use crate::error::Error;
use crate::secret::Secret;
use crate::transport::Transport;

/// The operation, for errors.
pub(crate) const OPERATION: &str = "get a token from IAM";

/// A token is not used during the last part of its life, in milliseconds.
const MARGIN_MS: u64 = 5 * 60 * 1000;

/// The assumed life of a token whose end cannot be read, in milliseconds.
const ASSUMED_LIFE_MS: u64 = 60 * 60 * 1000;

/// The current token.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<Option<Token>>);

#[derive(Clone)]
struct Token {
    text: Secret,
    expires_at_ms: u64,
}

impl Tokens {
    /// Returns a valid token. Only one request for a token is in progress at a time.
    pub(crate) async fn token(
        &self,
        transport: &Transport,
        iam: &Origin,
        password: &Password,
        now_ms: u64,
    ) -> Result<Secret, Error> {
        let mut current = self.0.lock().await;
        if let Some(token) = &*current
            && now_ms + MARGIN_MS < token.expires_at_ms
        {
            return Ok(token.text.clone());
        }
        let raw = transport
            .exchange(OPERATION, request(iam, password)?)
            .await?;
        let asked = Asked {
            operation: OPERATION,
            host: &iam.host,
            secrets: vec![password.password.expose()],
            now_ms,
        };
        let answer = asked.judge(raw).map_err(|failure| failure.error)?;
        let token = Token::of(&answer, now_ms)?;
        Ok(current.insert(token).text.clone())
    }

    /// Forgets the token, because the platform refused it.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

impl Token {
    fn of(answer: &Answer, now_ms: u64) -> Result<Self, Error> {
        let text = answer.headers.get("x-subject-token");
        let text = text.and_then(|text| text.to_str().ok());
        let text = text.ok_or_else(|| answer.unexpected("no header `X-Subject-Token`"))?;
        let body: Value = answer.json()?;
        let expires_at = body.pointer("/token/expires_at").and_then(Value::as_str);
        Ok(Self {
            text: Secret::new(text),
            expires_at_ms: expires_at
                .and_then(expiry_ms)
                .unwrap_or(now_ms + ASSUMED_LIFE_MS),
        })
    }
}

/// Parses a time with microseconds.
fn expiry_ms(text: &str) -> Option<u64> {
    time::parse_milliseconds(&format!("{}Z", text.get(..23)?))
}

/// Returns the body of the request for a token.
fn body(password: &Password) -> Value {
    json!({"auth": {
        "identity": {
            "methods": ["password"],
            "password": {"user": {
                "name": password.user,
                "password": password.password,
                "domain": {"name": password.domain},
            }},
        },
        "scope": {"project": {"name": password.project}},
    }})
}

fn request(iam: &Origin, password: &Password) -> Result<Request<Full<Bytes>>, Error> {
    let malformed = |source| Error::NoRequest {
        operation: OPERATION,
        source,
    };
    let uri = iam
        .uri("/v3/auth/tokens")
        .map_err(|error| malformed(error.into()))?;
    let host = HeaderValue::try_from(&iam.host).map_err(|error| malformed(error.into()))?;
    let mut request = Request::new(Full::new(body(password).to_string().into()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json;charset=utf-8"),
    );
    Ok(request)
}
