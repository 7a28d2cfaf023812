//! [`HttpClient`]: posts to one URL. [`Exchange`]: sends requests to any.

use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

use super::{Addresses, Connector, TlsOptions, Unreached, connector};
use crate::error::OptionError;

/// How long resolving and connecting may take.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long an idle connection is kept.
const IDLE_TIME: Duration = Duration::from_secs(30);
/// How much of an answer's body is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How a URL is reached.
#[derive(Default, Eq, PartialEq)]
pub struct HttpOptions {
    /// The URL, which may contain a secret.
    pub url: String,
    /// Authorities and client certificate.
    pub tls: TlsOptions,
    /// How long a request may take, from connecting to the end of the answer.
    pub timeout: Duration,
    /// Whether the URL may lead to a link-local address, or to that of a metadata
    /// service.
    pub allow_link_local: bool,
}

/// A client of one URL.
pub(crate) struct HttpClient {
    exchange: Exchange,
    uri: Uri,
}

/// Sends requests, and reads the answers, within limits.
pub(crate) struct Exchange {
    client: legacy::Client<Connector, Full<Bytes>>,
    timeout: Duration,
}

/// An answer whose body was read, up to [`ANSWER_BYTES_MAX`].
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl HttpClient {
    /// Returns a client that keeps up to `connections` idle connections.
    pub(crate) fn new(options: &HttpOptions, connections: usize) -> Result<Self, OptionError> {
        let addresses = Addresses {
            private: true,
            link_local: options.allow_link_local,
        };
        let uri = checked_uri(&options.url)?;
        let host = uri.host().unwrap_or_default();
        addresses.check_literal(host, "url")?;
        let tls = options.tls.config(uri.scheme() == Some(&Scheme::HTTPS))?;
        Ok(Self {
            exchange: Exchange::new(tls, addresses, connections, options.timeout),
            uri,
        })
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether a text contains the path or the query of the URL, which may be secret.
    pub(crate) fn shows_url(&self, text: &str) -> bool {
        let path = Some(self.uri.path()).filter(|path| *path != "/");
        let mut secrets = [path, self.uri.query()].into_iter().flatten();
        secrets.any(|secret| !secret.is_empty() && text.contains(secret))
    }

    /// Sends a request. An error says what failed.
    pub(crate) async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        self.exchange.exchange(request).await
    }
}

impl Exchange {
    /// Keeps up to `connections` idle connections to each host.
    pub(crate) fn new(
        tls: ClientConfig,
        addresses: Addresses,
        connections: usize,
        timeout: Duration,
    ) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(connections)
            .build(connector(tls, addresses, CONNECT_TIME));
        Self { client, timeout }
    }

    /// Sends a request. An error says what failed.
    pub(crate) async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let exchange = async {
            let response = self.client.request(request).await;
            read(response.map_err(|error| describe(&error))?).await
        };
        let limit = self.timeout;
        let exchanged = tokio::time::timeout(limit, exchange).await;
        exchanged.unwrap_or_else(|_| Err(no_answer_within(limit)))
    }
}

/// Says that there was no answer in time.
pub(crate) fn no_answer_within(limit: Duration) -> String {
    format!("no answer within {} ms", limit.as_millis())
}

impl Addresses {
    /// Refuses a host that is an address that may not be used.
    pub(crate) fn check_literal(self, host: &str, option: &'static str) -> Result<(), OptionError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<IpAddr>().ok();
        match address.and_then(|address| self.refusal(address)) {
            Some(reason) => {
                let reason = format!("the address is not allowed: {reason}");
                Err(OptionError::new(option, reason))
            }
            None => Ok(()),
        }
    }
}

/// Parses a URL. The error does not show it.
pub(crate) fn checked_uri(url: &str) -> Result<Uri, OptionError> {
    let invalid = |reason: &str| OptionError::new("url", reason);
    let uri: Uri = url.parse().map_err(|_| invalid("it is not a URL"))?;
    let is_http = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme());
    if !is_http {
        return Err(invalid("it must begin with `https://` or `http://`"));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err(invalid("it must not have a user name"));
    }
    if url.contains('#') {
        return Err(invalid("it must not have a fragment (`#…`)"));
    }
    Ok(uri)
}

async fn read(response: Response<Incoming>) -> Result<Answer, String> {
    let (head, mut body) = response.into_parts();
    let mut answer = Answer {
        status: head.status,
        headers: head.headers,
        body: Vec::new(),
    };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer was cut off: {error}"))?;
        if let Ok(data) = frame.into_data() {
            let room = ANSWER_BYTES_MAX - answer.body.len();
            answer.body.extend(data.iter().take(room));
        }
        if answer.body.len() == ANSWER_BYTES_MAX {
            // The rest is not read, which closes the connection.
            break;
        }
    }
    Ok(answer)
}

/// Describes a request without an answer. The client's own error says little, so the
/// innermost one is shown.
fn describe(error: &legacy::Error) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(source) = innermost.source() {
        if innermost.is::<Unreached>() {
            break;
        }
        innermost = source;
    }
    let wrapped = innermost.downcast_ref::<io::Error>();
    let wrapped = wrapped.and_then(io::Error::get_ref);
    let is_tls = wrapped.is_some_and(|error| error.is::<rustls::Error>());
    if is_tls || innermost.is::<rustls::Error>() {
        format!("TLS failed: {innermost}")
    } else if innermost.is::<Unreached>() {
        innermost.to_string()
    } else {
        format!("the connection broke: {innermost}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_url_may_be_secret() {
        let options = HttpOptions {
            url: "http://example.com/hooks/hush-1?key=hush-2".into(),
            ..HttpOptions::default()
        };
        let client = HttpClient::new(&options, 1).unwrap();
        assert!(client.shows_url("Cannot POST /hooks/hush-1"));
        assert!(client.shows_url("unknown key=hush-2"));
        assert!(!client.shows_url("no such / hook"));
    }

    fn refusal(url: &str) -> Option<String> {
        let options = HttpOptions {
            url: url.into(),
            ..HttpOptions::default()
        };
        HttpClient::new(&options, 1)
            .err()
            .map(|error| error.to_string())
    }

    #[tokio::test]
    async fn urls_are_checked_and_not_shown() {
        for url in [
            "http://example.com/hook?a=b",
            "http://[::1]:80",
            "http://10.0.0.1/",
        ] {
            assert_eq!(refusal(url), None, "{url}");
        }
        for url in [
            "",
            "hush.example.com",
            "ftp://hush/",
            "https://u:hush@example.com/",
            "https://example.com/#hush",
            "http://169.254.169.254/hush",
            "http://[::ffff:a9fe:a9fe]/hush",
            "http://0.0.0.0/hush",
            "https://a b/hush",
        ] {
            let refusal = refusal(url).expect(url);
            assert!(refusal.starts_with("`url`: "), "{refusal}");
            assert!(!refusal.contains("hush"), "{refusal}");
        }
    }
}
