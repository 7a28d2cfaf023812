//! [`Call`]: one call of the application API.

use bytes::Bytes;
use http::Method;
use serde::Serialize;

use crate::signing::encoded;

/// One call of the application API.
pub(crate) struct Call {
    /// The operation, as a verb phrase for errors: "list the rules".
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    /// The path below `/v5/iot/PROJECT`, encoded.
    path: String,
    query: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// Secrets in the body, which a refusal could repeat.
    pub(crate) secrets: Vec<String>,
}

impl Call {
    pub(crate) fn new(operation: &'static str, method: Method, path: &[&str]) -> Self {
        let mut encoded_path = String::new();
        for segment in path.iter().flat_map(|part| part.split('/')) {
            encoded_path.push('/');
            encoded_path.push_str(&encoded(segment));
        }
        Self {
            operation,
            method,
            path: encoded_path,
            query: Vec::new(),
            body: Bytes::new(),
            secrets: Vec::new(),
        }
    }

    /// Adds a parameter, if it has a value.
    pub(crate) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query
            .extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// Sets the body. The types of this crate always serialise.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(body).unwrap_or_default().into();
        self
    }

    /// Names secrets in the body.
    pub(crate) fn with_secrets(mut self, secrets: Vec<String>) -> Self {
        self.secrets = secrets;
        self
    }

    /// Whether the call may be repeated although it may have succeeded: a second
    /// `POST` could create a second resource.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.method != Method::POST
    }

    /// Returns the path and the query, which is sorted by name as it is signed.
    pub(crate) fn target(&self, base: &str) -> String {
        let mut pairs: Vec<String> = self
            .query
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        pairs.sort_unstable();
        let mark = if pairs.is_empty() { "" } else { "?" };
        format!("{base}{}{mark}{}", self.path, pairs.join("&"))
    }
}
