//! [`Webhook`]: posts events to a URL.
//!
//! - `options`: [`WebhookOptions`], and their checks.
//! - `request`: the request for an event.
//! - `answer`: what an answer means.

mod answer;
mod options;
mod request;

use std::error::Error as StdError;
use std::io;
use std::time::{Duration, SystemTime};

use batchtask_journal::StoredEvent;
use batchtask_webhook::message;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

pub use self::options::{Mode, WebhookOptions};

use self::options::Target;
use crate::backoff::milliseconds;
use crate::egress::{Addresses, Connector, Unreached, connector};
use crate::error::OptionError;
use crate::scheduler::Outcome;

/// How long resolving and connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long an idle connection is kept.
const IDLE_TIME: Duration = Duration::from_secs(30);
/// How much of an answer's body is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A client of one receiver.
pub(crate) struct Webhook {
    client: legacy::Client<Connector, Full<Bytes>>,
    target: Target,
}

/// An answer whose body was read, up to [`ANSWER_BYTES_MAX`].
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Webhook {
    /// Returns a client that keeps up to `connections` idle connections.
    pub(crate) fn new(options: &WebhookOptions, connections: usize) -> Result<Self, OptionError> {
        let addresses = Addresses {
            link_local: options.allow_link_local,
        };
        let target = Target::new(options, addresses)?;
        let tls = options.tls.config(target.is_https())?;
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(connections)
            .build(connector(tls, addresses, CONNECT_TIME));
        Ok(Self { client, target })
    }

    /// Sends an event.
    pub(crate) async fn deliver(&self, event: &StoredEvent) -> Outcome {
        self.send(request::of_event(&self.target, event, now_s()))
            .await
    }

    /// Sends an event that was delivered before, and says so in the header.
    pub(crate) async fn replay(&self, event: &StoredEvent) -> Outcome {
        let request = request::of_event(&self.target, event, now_s());
        self.send(request.map(request::mark_replay)).await
    }

    /// Sends a message that reports nothing.
    pub(crate) async fn test(&self) -> Outcome {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let message = message::of_test(milliseconds(since));
        self.send(request::of_message(&self.target, &message, now_s()))
            .await
    }

    async fn send(&self, request: Result<Request<Full<Bytes>>, http::Error>) -> Outcome {
        let request = match request {
            Ok(request) => request,
            // Such as an id with a control character, in binary mode.
            Err(error) => return Outcome::Refused(format!("there is no request: {error}")),
        };
        let limit = self.target.timeout;
        match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(Ok(answer)) => answer.outcome(|text| self.target.shows_secret(text)),
            Ok(Err(error)) => failed(error),
            Err(_) => failed(format!("no answer within {} ms", limit.as_millis())),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let response = self.client.request(request).await;
        read(response.map_err(|error| describe(&error))?).await
    }
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

fn failed(error: String) -> Outcome {
    Outcome::SinkFailed {
        error,
        retry_after: None,
    }
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

fn now_s() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    since.as_secs()
}
