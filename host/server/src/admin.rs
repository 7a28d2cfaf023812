//! The admin listener: liveness, readiness, metrics. For operators, never for
//! the open internet.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::clock::now_ms;
use crate::http::crowd::{Crowd, Peer};
use crate::http::stream::{Answering, Guarded};
use crate::intake::Intake;
use crate::limits::Limits;
use crate::listener::{Listener, Stream};
use crate::telemetry::Registry;

/// Connections to the admin listener at once. For a further one, the oldest of
/// the address that has the most is closed.
const MAX_CONNECTIONS: usize = 64;

/// How long readiness may take to show.
const READY_TIME: Duration = Duration::from_secs(5);

/// What the admin listener reports on.
pub struct Admin {
    /// Asked whether its component and its journal work.
    pub intake: Arc<Intake>,
    /// What was counted.
    pub registry: Registry,
    /// How long an open task may go without a new event until it is stale.
    pub stale_after: Duration,
}

type Answer = http::Response<Full<Bytes>>;

impl Admin {
    /// Serves until it is dropped.
    pub async fn serve(self: Arc<Self>, listener: impl Into<Listener>) {
        let listener = listener.into();
        let connections = Crowd::new(MAX_CONNECTIONS);
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                // Out of file descriptors: others must end first.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            // Nobody is held here: a new connection always has a place.
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
                let (method, path) = (request.method(), request.uri().path());
                let answer = admin.answer(method, path).await;
                answering.set(false);
                Ok::<_, Infallible>(answer)
            }
        });
        // How it ended makes no difference.
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(&self, method: &Method, path: &str) -> Answer {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
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
            _ => text(StatusCode::NOT_FOUND, "/healthz, /readyz or /metrics\n"),
        }
    }

    /// The journal takes a write, the component answers, and pushes are not being
    /// refused.
    async fn ready(&self) -> Result<(), String> {
        if let Some(reason) = self.intake.refusing() {
            return Err(reason);
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
                .map_err(|error| format!("journal: {error:?}"))
        };
        tokio::time::timeout(READY_TIME, ready)
            .await
            .unwrap_or_else(|_| Err("not in time".into()))
    }

    async fn metrics(&self) -> Answer {
        let stale_after_ms = u64::try_from(self.stale_after.as_millis()).unwrap_or(u64::MAX);
        let stale_before_ms = now_ms().saturating_sub(stale_after_ms);
        let commits = self.intake.journal();
        let journal = commits.journal();
        // What the journal cannot tell now is absent; the rest still counts.
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

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = http::Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    answer
}
