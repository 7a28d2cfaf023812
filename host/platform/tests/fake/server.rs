//! The listener, and the faults that a test can order.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::refusal::Refusal;
use super::{Fault, Seen, State, proof, routes};

type Answer = Response<BoxBody<Bytes, io::Error>>;
type Shared = Arc<Mutex<State>>;

pub(super) async fn start(state: Shared) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let state = state.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| serve(state.clone(), request));
                let http = hyper::server::conn::http1::Builder::new();
                // A cut connection is an error here.
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, task)
}

async fn serve(state: Shared, request: Request<Incoming>) -> Result<Answer, io::Error> {
    let seen = read(request).await?;
    let (fault, delay) = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        (state.fault(), state.delay)
    };
    tokio::time::sleep(delay).await;
    let cut = || io::Error::other("cut by the test");
    match fault {
        None => Ok(answer(&state, carried_out(&state, &seen))),
        Some(Fault::CutBefore) => Err(cut()),
        Some(Fault::CutAfter) => {
            let _ = carried_out(&state, &seen);
            Err(cut())
        }
        Some(Fault::Hang) => std::future::pending().await,
        Some(fault) => Ok(faulty(&state, &seen, fault)),
    }
}

async fn read(request: Request<Incoming>) -> io::Result<Seen> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    Ok(Seen {
        method: head.method.to_string(),
        target: head.uri.path_and_query().unwrap().to_string(),
        headers: headers.collect(),
        body: String::from_utf8(body.to_vec()).map_err(io::Error::other)?,
        at: Instant::now(),
    })
}

/// The answer of the platform itself: a status and a body.
type Outcome = Result<(u16, Option<Value>), Refusal>;

fn carried_out(state: &Shared, seen: &Seen) -> Outcome {
    let mut state = state.lock().unwrap();
    if seen.target == "/v3/auth/tokens" {
        return proof::token(&mut state, seen);
    }
    proof::check(&state, seen)?;
    routes::route(&mut state, seen)
}

fn answer(state: &Shared, outcome: Outcome) -> Answer {
    let (status, body) = match outcome {
        Ok((status, body)) => (status, body),
        Err(refusal) => (refusal.status, Some(refusal.body())),
    };
    let token = body
        .as_ref()
        .and_then(|body| body.get("x_subject_token").cloned());
    let text = body.map_or(String::new(), |body| body.to_string());
    let mut answer = head(state, status).body(whole(text)).unwrap();
    if let Some(Value::String(token)) = token {
        answer
            .headers_mut()
            .insert("x-subject-token", token.parse().unwrap());
    }
    answer
}

fn head(state: &Shared, status: u16) -> http::response::Builder {
    let state = state.lock().unwrap();
    let now = UNIX_EPOCH + Duration::from_millis(state.now_ms());
    Response::builder()
        .status(status)
        .header("date", httpdate::fmt_http_date(now))
        .header("x-request-id", format!("trace-{:04}", state.seen.len()))
        .header("content-type", "application/json")
}

fn faulty(state: &Shared, seen: &Seen, fault: Fault) -> Answer {
    match fault {
        Fault::TooMany(after) => {
            let body = json!({"error_code": "APIGW.0308", "error_msg": "The throttling threshold has been reached."});
            let mut answer = head(state, 429).body(whole(body.to_string())).unwrap();
            if let Some(after) = after {
                answer.headers_mut().insert("retry-after", after.into());
            }
            answer
        }
        Fault::Refuse(status, code, message) => {
            let body = json!({"error_code": code, "error_msg": message});
            head(state, status).body(whole(body.to_string())).unwrap()
        }
        Fault::Echo => {
            let message = format!("Invalid input data. {} {:?}", seen.body, seen.headers);
            let body = json!({"error_code": "IOTDA.000006", "error_msg": message});
            head(state, 400).body(whole(body.to_string())).unwrap()
        }
        Fault::Html(status) => {
            let mut answer = head(state, status)
                .body(whole("<!doctype html><title>Log in</title>".into()))
                .unwrap();
            answer
                .headers_mut()
                .insert("content-type", "text/html; charset=utf-8".parse().unwrap());
            answer
        }
        Fault::Answer(status, Value::Null) => {
            head(state, status).body(whole(String::new())).unwrap()
        }
        Fault::Answer(status, body) => head(state, status).body(whole(body.to_string())).unwrap(),
        Fault::HalfJson => head(state, 200)
            .body(whole(r#"{"rules": [{"rule_"#.into()))
            .unwrap(),
        Fault::Truncated => head(state, 200)
            .body(BodyExt::boxed(Repeated::then_error(1)))
            .unwrap(),
        Fault::Endless => head(state, 200)
            .body(BodyExt::boxed(Repeated::then_error(usize::MAX)))
            .unwrap(),
        Fault::CutBefore | Fault::CutAfter | Fault::Hang => unreachable!("no answer"),
    }
}

fn whole(text: String) -> BoxBody<Bytes, io::Error> {
    let never = |never: Infallible| match never {};
    Full::from(text).map_err(never).boxed()
}

/// A body that repeats a part of JSON a number of times, and then breaks off.
struct Repeated {
    left: usize,
    /// Whether the head had time to leave.
    is_flushed: bool,
}

impl Repeated {
    fn then_error(left: usize) -> Self {
        Self {
            left,
            is_flushed: false,
        }
    }
}

impl Body for Repeated {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 && !self.is_flushed {
            self.is_flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.left == 0 {
            return Poll::Ready(Some(Err(io::Error::other("broken off by the test"))));
        }
        self.left -= 1;
        let part = Bytes::from(format!("{{\"rules\": [{}", " ".repeat(64 << 10)));
        Poll::Ready(Some(Ok(Frame::data(part))))
    }
}
