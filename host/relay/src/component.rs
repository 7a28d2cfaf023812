//! [`Component`]: passes events to a component of the operator.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use batchtask_journal::StoredEvent;
use batchtask_sandbox::{Client, Failure, Message, Options, Origin, Sandbox};
use batchtask_webhook::message::{self, ALERT_TYPE, EVENT_TYPE, TEST_TYPE, Trace};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;

use crate::backoff::milliseconds;
use crate::egress::{Addresses, Exchange, TlsOptions, failed};
use crate::error::OptionError;
use crate::report::Report;
use crate::scheduler::Outcome;
use crate::webhook::{alerts, field};

/// The options of a component.
#[derive(Default, Eq, PartialEq)]
pub struct ComponentOptions {
    /// The component, as a wasm binary.
    pub wasm: Vec<u8>,
    /// The settings that the component can read. They may be secret.
    pub settings: Vec<(String, String)>,
    /// Where its requests may be sent.
    pub hosts: Vec<Origin>,
    /// Fields that are added to the header of each request. The component cannot read them.
    pub headers: Vec<(String, String)>,
    /// Authorities and client certificate for its requests.
    pub tls: TlsOptions,
    /// The memory for each message, in bytes.
    pub memory_bytes: usize,
    /// How long a message may take.
    pub timeout: Duration,
    /// Whether a host may have a private or loopback address.
    pub allow_private: bool,
    /// Whether a host may have a link-local address, or that of a metadata service.
    pub allow_link_local: bool,
    /// The folder for the cache of compiled code, or `None` for no cache.
    pub cache_dir: Option<PathBuf>,
}

/// A component that can be called.
pub(crate) struct Component(Sandbox);

/// Sends the requests of a component.
struct Gate {
    exchange: Exchange,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Component {
    /// Compiles the component of the sink `name`.
    pub(crate) fn new(
        name: &str,
        options: &ComponentOptions,
        parallel: usize,
    ) -> Result<Self, OptionError> {
        let addresses = Addresses {
            private: options.allow_private,
            link_local: options.allow_link_local,
        };
        let has_hosts = !options.hosts.is_empty();
        let tls = options.tls.config(has_hosts)?;
        let headers = options.headers.iter();
        let gate = Gate {
            exchange: Exchange::new(tls, addresses, parallel, options.timeout),
            headers: headers
                .map(|(name, value)| field(name, value))
                .collect::<Result<_, _>>()?,
        };
        let sandbox = Options {
            name: name.to_owned(),
            wasm: options.wasm.clone(),
            settings: options.settings.clone(),
            origins: options.hosts.clone(),
            memory_bytes: options.memory_bytes,
            timeout: options.timeout,
            cache_dir: options.cache_dir.clone(),
        };
        let sandbox = Sandbox::new(&sandbox, Arc::new(gate));
        let unusable =
            |error: batchtask_sandbox::BuildError| OptionError::new("component", error.to_string());
        sandbox.map(Self).map_err(unusable)
    }

    /// Passes an event on, with the trace that it came with.
    pub(crate) async fn deliver(&self, event: &StoredEvent, trace: Option<Trace<'_>>) -> Outcome {
        let message = message::of_stored(event, trace);
        self.send(message, EVENT_TYPE, false).await
    }

    /// Passes on an event that was delivered before.
    pub(crate) async fn replay(&self, event: &StoredEvent) -> Outcome {
        let message = message::of_stored(event, None);
        self.send(message, EVENT_TYPE, true).await
    }

    /// Passes alerts on.
    pub(crate) async fn report(&self, sink: &str, report: &Report) -> Outcome {
        match alerts::message(sink, report) {
            Some(message) => self.send(message, ALERT_TYPE, false).await,
            None => self.test().await,
        }
    }

    /// Passes on a message that reports nothing.
    pub(crate) async fn test(&self) -> Outcome {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let message = message::of_test(milliseconds(since));
        self.send(message, TEST_TYPE, false).await
    }

    async fn send(&self, message: message::Message, kind: &str, is_replay: bool) -> Outcome {
        let message = Message {
            id: message.id,
            kind: kind.to_owned(),
            is_replay,
            cloud_event: String::from_utf8_lossy(&message.body).into_owned(),
        };
        match self.0.deliver(message).await {
            Ok(()) => Outcome::Delivered,
            Err(Failure::Unavailable {
                reason,
                retry_after,
            }) => Outcome::SinkFailed {
                error: reason,
                retry_after,
            },
            Err(error @ Failure::Late(_)) => failed(error.to_string()),
            // A message on which the component fails must not stop those of other tasks.
            Err(error @ (Failure::Refused(_) | Failure::Trap(_))) => {
                Outcome::Refused(error.to_string())
            }
        }
    }
}

#[async_trait]
impl Client for Gate {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let (mut head, body) = request.into_parts();
        for (name, value) in &self.headers {
            head.headers.insert(name, value.clone());
        }
        let request = Request::from_parts(head, Full::new(body));
        let answer = self.exchange.exchange(request).await?;
        let mut response = Response::new(answer.body.into());
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}
