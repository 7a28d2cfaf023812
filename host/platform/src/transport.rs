//! [`Transport`]: one request, one whole answer, within bounds. Over TLS or not,
//! through a proxy or not.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy;

use crate::connector::{self, Connector, NoTunnel, TransportOptions, UnknownHost};
use crate::error::{Error, OptionError, Source};

/// The longest answer, in bytes. A page of 50 tasks, each with a list of targets,
/// is the longest that is known.
pub(crate) const MAX_ANSWER_BYTES: usize = 16 << 20;

/// A complete answer.
pub(crate) struct RawAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A client with a pool of connections.
pub(crate) struct Transport {
    http: legacy::Client<Connector, Full<Bytes>>,
    timeout: Duration,
    proxy: Option<String>,
}

impl Transport {
    pub(crate) fn new(options: &TransportOptions, is_https: bool) -> Result<Self, OptionError> {
        Ok(Self {
            http: connector::client(options, is_https)?,
            timeout: options.timeout,
            proxy: options
                .proxy
                .as_ref()
                .map(|proxy| proxy.origin.host.clone()),
        })
    }

    /// Sends a request, and reads the whole answer. `operation` is part of
    /// an error's text.
    pub(crate) async fn exchange(
        &self,
        operation: &'static str,
        request: Request<Full<Bytes>>,
    ) -> Result<RawAnswer, Error> {
        let host = request
            .headers()
            .get(HOST)
            .and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default().to_owned();
        let exchanged = tokio::time::timeout(self.timeout, self.answer(request)).await;
        match exchanged {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => Err(self.error(operation, host, failure)),
            Err(_) => Err(Error::TooSlow {
                operation,
                host,
                after: self.timeout,
            }),
        }
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<RawAnswer, Failure> {
        let answer = self.http.request(request).await.map_err(Failure::Head)?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(Failure::Body)?.to_bytes();
        Ok(RawAnswer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    fn error(&self, operation: &'static str, host: String, failure: Failure) -> Error {
        match failure {
            Failure::Body(source) if source.is::<LengthLimitError>() => {
                let limit = MAX_ANSWER_BYTES;
                Error::TooLong {
                    operation,
                    host,
                    limit,
                }
            }
            Failure::Body(source) => Error::Truncated {
                operation,
                host,
                source,
            },
            Failure::Head(error) => self.head_error(operation, host, error),
        }
    }

    fn head_error(&self, operation: &'static str, host: String, error: legacy::Error) -> Error {
        let is_unknown = find::<UnknownHost>(&error).is_some();
        let is_tunnel = find::<NoTunnel>(&error).is_some();
        let is_tls = find::<rustls::Error>(&error).is_some();
        // The outer error only says that it is one of the client.
        let source: Source = error.into();
        match &self.proxy {
            Some(proxy) if is_tunnel => {
                let proxy = proxy.clone();
                Error::Proxy {
                    operation,
                    host,
                    proxy,
                    source,
                }
            }
            _ if is_tls => Error::Tls {
                operation,
                host,
                source,
            },
            _ if is_unknown => Error::UnknownHost {
                operation,
                host,
                source,
            },
            _ => Error::Unreachable {
                operation,
                host,
                source,
            },
        }
    }
}

/// Where an exchange failed.
enum Failure {
    Head(legacy::Error),
    Body(Source),
}

/// Finds an error of a type in a chain of errors.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // The source of an `io::Error` is that of the error in it.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        current = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
