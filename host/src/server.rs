//! The public listener: HTTP on one side, the receiver on the other.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use batchtask_guest::outcomes::Refusal;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::limits::{
    BODY_TIME, DRAIN_TIME, HEADER_BYTES, HEADER_FIELDS, HEADER_TIME, MAX_IN_FLIGHT,
};
use crate::receiver::{Receiver, Request, Response, refusal};

/// Serves a receiver over HTTP.
pub struct Server {
    receiver: Receiver,
    max_body_bytes: usize,
    in_flight: Semaphore,
}

impl Server {
    /// A server that reads no more than `max_body_bytes` of a body.
    pub fn new(receiver: Receiver, max_body_bytes: usize) -> Self {
        Self {
            receiver,
            max_body_bytes,
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
        }
    }

    /// Accepts connections until `stop` resolves, then lets what is in flight
    /// end.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let server = Arc::new(self);
        let graceful = GracefulShutdown::new();
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => server.clone().spawn(stream, &graceful),
                    Err(error) => refused_connection(&error).await,
                },
                () = &mut stop => break,
            }
        }
        drop(listener);
        if tokio::time::timeout(DRAIN_TIME, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("some requests did not end in time and were cut off");
        }
    }

    fn spawn(self: Arc<Self>, stream: TcpStream, graceful: &GracefulShutdown) {
        // Answers are small and written whole: waiting to fill a packet only
        // delays them.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .max_headers(HEADER_FIELDS)
            .max_buf_size(HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Full<Bytes>> {
        let started = Instant::now();
        let method = request.method().clone();
        let response = match self.in_flight.try_acquire() {
            Ok(_permit) => match self.read(request).await {
                Ok(request) => self.receiver.exchange(request).await,
                Err(early) => early,
            },
            Err(_) => refusal(Refusal::Overloaded, None),
        };
        log(&method, &response, started);
        http_response(response)
    }

    /// The whole request, or the answer to one that cannot be had whole.
    async fn read(&self, request: http::Request<Incoming>) -> Result<Request, Response> {
        let (head, body) = request.into_parts();
        let declared = hyper::body::Body::size_hint(&body).lower();
        if declared > self.max_body_bytes as u64 {
            return Err(refusal(Refusal::BodyTooLarge, None));
        }
        let body = Limited::new(body, self.max_body_bytes).collect();
        let body = match tokio::time::timeout(BODY_TIME, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(refusal(Refusal::BodyTooLarge, None));
            }
            Ok(Err(error)) => {
                return Err(refusal(Refusal::BodyIncomplete, Some(error.to_string())));
            }
            Err(_elapsed) => return Err(refusal(Refusal::BodyTimeout, None)),
        };
        let target = head.uri.path_and_query();
        let headers = head.headers.iter();
        Ok(Request {
            method: head.method.as_str().to_owned(),
            target: target.map_or("/", |target| target.as_str()).to_owned(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: body.into(),
        })
    }
}

/// A connection that could not be taken, for want of file descriptors or
/// because it was gone already. Only the former lasts; a pause lets others end.
async fn refused_connection(error: &std::io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
}

fn http_response(response: Response) -> http::Response<Full<Bytes>> {
    let status = StatusCode::from_u16(response.status);
    let mut answer = http::Response::new(Full::new(Bytes::from(response.body)));
    *answer.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        // What the component sends are names and values of its own making; one
        // that is none is left out.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    // What was not read of a body must not be taken for the next request.
    if matches!(response.status, 408 | 413)
        || response.report.outcome == Refusal::BodyIncomplete.label()
    {
        let close = HeaderValue::from_static("close");
        answer.headers_mut().insert(header::CONNECTION, close);
    }
    answer
}

/// One line a request. The path is left out: it may hold a secret.
fn log(method: &http::Method, response: &Response, started: Instant) {
    let report = &response.report;
    tracing::info!(
        %method,
        status = response.status,
        outcome = report.outcome,
        app_id = report.app_id,
        task_id = report.task_id,
        detail = report.detail,
        signature = report.signature,
        ms = started.elapsed().as_secs_f64() * 1e3,
        "request"
    );
}
