//! Builds the request of a call, signed or with a token.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::Full;

use crate::call::Call;
use crate::credentials::AccessKey;
use crate::error::Error;
use crate::options::ClientOptions;
use crate::secret::Secret;
use crate::signing::{DATE_HEADER, SignedRequest, compact_time};

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// A header whose value is text.
type Header = (HeaderName, String);

/// The proof that a request carries.
pub(crate) enum Proof<'a> {
    /// A signature with this key, made at this time.
    Signature { key: &'a AccessKey, now_ms: u64 },
    /// A token of IAM.
    Token(&'a Secret),
}

/// Builds the request for a target: a path with a query.
pub(crate) fn build(
    options: &ClientOptions,
    call: &Call,
    target: &str,
    proof: &Proof<'_>,
) -> Result<Request<Full<Bytes>>, Error> {
    let operation = call.operation;
    let uri = options.endpoint.origin.uri(target);
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri.map_err(|error| no_request(operation, error))?;
    for (name, value) in headers(options, call, target, proof) {
        let value = HeaderValue::try_from(value);
        let mut value = value.map_err(|error| no_request(operation, error))?;
        value.set_sensitive(name == AUTHORIZATION || name == AUTH_TOKEN || name == SECURITY_TOKEN);
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-security-token");

fn no_request(operation: &'static str, error: impl Into<crate::error::Source>) -> Error {
    let source = error.into();
    Error::NoRequest { operation, source }
}

/// Returns all headers of a request.
fn headers(options: &ClientOptions, call: &Call, target: &str, proof: &Proof<'_>) -> Vec<Header> {
    // The platform wants a media type even without a body.
    let mut headers = vec![
        (CONTENT_TYPE, "application/json".to_owned()),
        (HOST, options.endpoint.host().to_owned()),
    ];
    let instance = options.instance_id.clone();
    headers.extend(instance.map(|id| (HeaderName::from_static("instance-id"), id)));
    let proof = match proof {
        Proof::Token(token) => (AUTH_TOKEN, token.expose().to_owned()),
        Proof::Signature { key, now_ms } => {
            headers.push((HeaderName::from_static(DATE_HEADER), compact_time(*now_ms)));
            let token = key.security_token.as_ref();
            headers.extend(token.map(|token| (SECURITY_TOKEN, token.expose().to_owned())));
            (
                AUTHORIZATION,
                signature(options, call, target, key, &headers),
            )
        }
    };
    headers.push(proof);
    headers.push((
        USER_AGENT,
        concat!("batchtask/", env!("CARGO_PKG_VERSION")).to_owned(),
    ));
    headers
}

/// Signs a request with these headers, which are in alphabetical order.
fn signature(
    options: &ClientOptions,
    call: &Call,
    target: &str,
    key: &AccessKey,
    headers: &[Header],
) -> String {
    let signed: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let request = SignedRequest {
        method: call.method.as_str(),
        target,
        headers: &signed,
        body: &call.body,
    };
    let endpoint = &options.endpoint;
    request.authorization(endpoint.algorithm, key, &endpoint.region)
}
