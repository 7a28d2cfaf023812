//! The admin listener: liveness, readiness and metrics. It must not be reachable
//! from the internet.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use batchtask_guest::journal::error_text;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::clock::now_ms;
use crate::http::answers::with_head;
use crate::http::crowd::{Crowd, Peer};
use crate::http::exchange::request_of;
use crate::http::stream::{Answering, Guarded};
use crate::intake::Intake;
use crate::limits::Limits;
use crate::listener::{Listener, Stream};
use crate::operations::{Operations, is_operation};
use crate::telemetry::Registry;

/// Connections to the admin listener at once. Beyond this, a new connection
/// replaces the oldest one of the address that has the most.
const MAX_CONNECTIONS: usize = 64;

/// The time limit of the readiness check.
const READY_TIME: Duration = Duration::from_secs(5);

/// The parts that the admin listener reports on.
pub struct Admin {
    /// The intake, whose component and journal are checked for readiness.
    pub intake: Arc<Intake>,
    /// The metrics.
    pub registry: Registry,
    /// Answers the requests of operators.
    pub operations: Option<Arc<dyn Operations>>,
    /// Checks what else is needed for readiness. Returns the reason if it is not there.
    pub channel: Option<ReadyCheck>,
}

/// A check for readiness, which does not wait.
pub type ReadyCheck = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// An answer of the admin listener.
pub type Answer = http::Response<Full<Bytes>>;

impl Admin {
    /// Serves until the future is dropped.
    pub async fn serve(self: Arc<Self>, listener: impl Into<Listener>) {
        let listener = listener.into();
        let connections = Crowd::new(MAX_CONNECTIONS);
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                // No file descriptor is available, so wait until connections end.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            // No member is held here, so a new connection always has a place.
            let Some(member) = connections.enter(Peer::at(peer.map(|peer| peer.ip()))) else {
                continue;
            };
            let admin = self.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = admin.connection(stream) => {}
                    () = member.evicted() => {}
                }
            });
        }
    }

    async fn connection(self: Arc<Self>, stream: Stream) {
        let answering = Answering::default();
        let stream = Guarded::new(stream, &Limits::DEFAULT, answering.clone());
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let (admin, answering) = (self.clone(), answering.clone());
            async move {
                answering.set(true);
                let (head, _) = request.into_parts();
                let answer = admin.answer(&head).await;
                answering.set(false);
                Ok::<_, Infallible>(answer)
            }
        });
        // It does not matter how the connection ended.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(&self, head: &Parts) -> Answer {
        let (method, path) = (&head.method, head.uri.path());
        if let Some(operations) = &self.operations
            && let Some(answer) = operate(&**operations, head).await
        {
            return answer;
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "use GET or HEAD\n");
            let allow = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(header::ALLOW, allow);
            return answer;
        }
        match path {
            "/healthz" => text(StatusCode::OK, "alive\n"),
            "/readyz" => match self.ready().await {
                Ok(()) => text(StatusCode::OK, "ready\n"),
                Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
            },
            "/metrics" => self.metrics().await,
            _ => text(StatusCode::NOT_FOUND, "use /healthz, /readyz or /metrics\n"),
        }
    }

    /// Checks that pushes are not being refused, and that the component and the
    /// journal work. Returns the reason if not.
    async fn ready(&self) -> Result<(), String> {
        if let Some(reason) = self.intake.refusing() {
            let journal = self.intake.journal().failure();
            let journal = journal.map_or(String::new(), |text| format!("; journal: {text}"));
            return Err(reason + &journal);
        }
        if let Some(channel) = &self.channel {
            channel()?;
        }
        let ready = async {
            self.intake
                .check()
                .await
                .map_err(|error| format!("component: {error}"))?;
            let journal = self.intake.journal();
            journal
                .probe()
                .await
                .map_err(|error| format!("journal: {}", error_text(error)))
        };
        tokio::time::timeout(READY_TIME, ready)
            .await
            .unwrap_or_else(|_| Err("the check timed out".into()))
    }

    async fn metrics(&self) -> Answer {
        let stale_before_ms = now_ms().saturating_sub(self.intake.settings().stale_after_ms);
        let commits = self.intake.journal();
        let journal = commits.journal();
        // If the journal cannot be read now, only the metrics of tasks are missing.
        let tasks = journal.summarize(stale_before_ms).await.ok();
        let rendered = self
            .registry
            .render(&commits.stats(), &journal.measures(), tasks.as_ref());
        match rendered {
            Ok(body) => {
                let mut answer = text(StatusCode::OK, body);
                let format = HeaderValue::from_static(prometheus::TEXT_FORMAT);
                answer.headers_mut().insert(header::CONTENT_TYPE, format);
                answer
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

/// Answers a request of an operator. Returns `None` if it is not one.
async fn operate(operations: &dyn Operations, head: &Parts) -> Option<Answer> {
    let request = request_of(head);
    if !is_operation(&request.method, &request.target) {
        return None;
    }
    let Some(response) = operations.answer(&request).await else {
        let reason = "this receiver has no operate token: set BATCHTASK_OPERATE_TOKEN\n";
        return Some(text(StatusCode::NOT_FOUND, reason));
    };
    let body = Full::new(response.body.into());
    Some(with_head(response.status, response.headers, body))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = http::Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    answer
}
