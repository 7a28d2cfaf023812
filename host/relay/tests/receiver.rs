//! A receiver of webhooks that fails in many ways.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// How long a test waits for a state.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the receiver does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    /// It accepts the event.
    Accept,
    /// It accepts the event, and answers after a while.
    AcceptSlowly(Duration),
    /// It accepts the event, but the connection breaks in the middle of the answer.
    AcceptAndBreak,
    /// It accepts the event, and its answer never ends.
    AcceptEndlessly,
    /// It answers with this status and these fields of the header.
    Answer(u16, Vec<(&'static str, String)>),
    /// It answers 200 with this body, which may say that it failed.
    Say(String),
    /// It never answers.
    Hang,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The path and the query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether the receiver accepted it.
    pub(crate) is_accepted: bool,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn seq(&self) -> u64 {
        self.json()["sequence"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn task(&self) -> String {
        self.json()["subject"].as_str().unwrap().to_owned()
    }
}

type React = dyn Fn(&Received) -> Reaction + Send + Sync;

/// A receiver that listens until it is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    log: Arc<Log>,
    task: tokio::task::JoinHandle<()>,
}

struct Log {
    react: Box<React>,
    received: Mutex<Vec<Received>>,
    accepted: watch::Sender<usize>,
}

impl Receiver {
    pub(crate) async fn start(
        react: impl Fn(&Received) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(None, react).await
    }

    pub(crate) async fn start_with(
        tls: Option<TlsAcceptor>,
        react: impl Fn(&Received) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Log {
            react: Box::new(react),
            received: Mutex::default(),
            accepted: watch::Sender::new(0),
        });
        let shared = log.clone();
        let task = tokio::spawn(async move {
            // Ends the connections, too, when it is aborted.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (log, tls) = (shared.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, log, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn received_count(&self) -> usize {
        self.log.received.lock().unwrap().len()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.log.received.lock().unwrap().clone()
    }

    pub(crate) fn accepted(&self) -> Vec<Received> {
        let mut received = self.received();
        received.retain(|received| received.is_accepted);
        received
    }

    /// Waits until this many requests were accepted, including repetitions.
    pub(crate) async fn accepts(&self, count: usize) {
        let mut accepted = self.log.accepted.subscribe();
        let waiting = accepted.wait_for(|accepted| *accepted >= count);
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        let so_far = *self.log.accepted.borrow();
        assert!(waited.is_ok(), "{so_far} of {count} were accepted");
    }

    /// Waits until every event up to `last` was accepted.
    pub(crate) async fn accepts_all(&self, last: u64) {
        let is_complete = || {
            let seqs: BTreeSet<u64> = self.accepted().iter().map(Received::seq).collect();
            seqs.range(1..=last).count() as u64 == last
        };
        let complete = async {
            // Looking at all of them for each one that arrives would take too long.
            while !is_complete() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, complete).await;
        assert!(waited.is_ok(), "not all of {last} events were accepted");
    }

    /// Checks that every event up to `last` was accepted, in order within its task, and
    /// always under the same id. Returns how many were accepted more than once.
    pub(crate) fn check(&self, last: u64) -> usize {
        let mut ids: BTreeMap<u64, String> = BTreeMap::new();
        let mut last_of_task: BTreeMap<String, u64> = BTreeMap::new();
        let mut repetitions = 0;
        for received in self.accepted() {
            let (seq, task) = (received.seq(), received.task());
            let id = received.field("webhook-id").to_owned();
            assert_eq!(received.json()["id"], id.as_str());
            match ids.insert(seq, id.clone()) {
                Some(former) => {
                    assert_eq!(former, id, "the id of {seq} changed");
                    repetitions += 1;
                }
                None => {
                    let before = last_of_task.insert(task, seq);
                    assert!(before < Some(seq), "{seq} came after {before:?}");
                }
            }
        }
        let missing: Vec<u64> = (1..=last).filter(|seq| !ids.contains_key(seq)).collect();
        assert!(missing.is_empty(), "{missing:?} were not accepted");
        repetitions
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, log: Arc<Log>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let log = log.clone();
        async move { Ok::<_, Infallible>(log.answer(request).await) }
    });
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Log {
    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return response(400, Answer::whole(""));
        };
        let mut received = Received {
            target: head.uri.to_string(),
            headers: head.headers,
            body: body.to_bytes(),
            is_accepted: false,
        };
        let reaction = (self.react)(&received);
        received.is_accepted = !matches!(reaction, Reaction::Answer(..) | Reaction::Hang);
        let is_accepted = received.is_accepted;
        self.received.lock().unwrap().push(received);
        if is_accepted {
            self.accepted.send_modify(|accepted| *accepted += 1);
        }
        match reaction {
            Reaction::Accept => response(200, Answer::whole("ok")),
            Reaction::AcceptSlowly(time) => {
                tokio::time::sleep(time).await;
                response(204, Answer::whole(""))
            }
            Reaction::AcceptAndBreak => response(200, Answer::Broken { begun: false }),
            Reaction::AcceptEndlessly => response(200, Answer::Endless),
            Reaction::Answer(status, fields) => {
                let mut response = response(status, Answer::whole("no: a reason"));
                for (name, value) in fields {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                response
            }
            Reaction::Say(body) => response(200, Answer::Whole(Some(body.into()))),
            Reaction::Hang => std::future::pending().await,
        }
    }
}

fn response(status: u16, answer: Answer) -> Response<Answer> {
    let mut response = Response::new(answer);
    *response.status_mut() = status.try_into().unwrap();
    response
}

/// The body of an answer.
enum Answer {
    Whole(Option<Bytes>),
    Broken { begun: bool },
    Endless,
}

impl Answer {
    fn whole(text: &'static str) -> Self {
        Self::Whole((!text.is_empty()).then(|| Bytes::from_static(text.as_bytes())))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        const PIECE: Bytes = Bytes::from_static(&[b'x'; 4096]);
        Poll::Ready(match self.get_mut() {
            Self::Whole(whole) => whole.take().map(|whole| Ok(Frame::data(whole))),
            Self::Broken { begun } if *begun => Some(Err(io::Error::other("broken"))),
            Self::Broken { begun } => {
                *begun = true;
                Some(Ok(Frame::data(PIECE)))
            }
            Self::Endless => Some(Ok(Frame::data(PIECE))),
        })
    }
}
