//! [`Sink`]: a server that records the posted messages.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How the sink answers.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// It closes the connection.
    Closed,
    /// It answers 204 as soon as this many requests have arrived.
    Together(usize),
    /// It never answers.
    Never,
}

/// A request that arrived.
#[derive(Clone)]
pub(crate) struct Posted {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Posted {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).expect("a header field")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

pub(crate) struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<(Answer, Vec<Posted>)>,
    /// How many requests have arrived.
    arrived: watch::Sender<usize>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, (Answer, Vec<Posted>)> {
        self.state.lock().expect("no holder panics")
    }
}

impl Sink {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            state: Mutex::new((Answer::Status(204), Vec::new())),
            arrived: watch::Sender::new(0),
        });
        let state = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = state.clone();
                let serve = hyper::service::service_fn(move |request| take(state.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/events?from=test", self.address)
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.shared.state().0 = answer;
    }

    pub(crate) fn posted(&self) -> Vec<Posted> {
        self.shared.state().1.clone()
    }
}

async fn take(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Empty<Bytes>>, &'static str> {
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "/events?from=test");
    let (head, body) = request.into_parts();
    let text = |value: &http::HeaderValue| value.to_str().expect("text").to_owned();
    let headers = head.headers.iter();
    let headers = headers
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    let body = body.collect().await.map_err(|_| "it broke off")?.to_bytes();
    let body = String::from_utf8(body.into()).expect("text");
    let answer = {
        let mut state = shared.state();
        state.1.push(Posted { headers, body });
        state.0
    };
    shared.arrived.send_modify(|arrived| *arrived += 1);
    let respond = |status: u16| {
        let response = hyper::Response::builder().status(status);
        Ok(response.body(Empty::new()).expect("a response"))
    };
    match answer {
        Answer::Status(status) => respond(status),
        Answer::Together(requests) => {
            let mut arrived = shared.arrived.subscribe();
            let enough = arrived.wait_for(|arrived| *arrived >= requests).await;
            enough.map_err(|_| "the sink is gone").map(drop)?;
            respond(204)
        }
        Answer::Closed => Err("closed"),
        Answer::Never => std::future::pending().await,
    }
}
