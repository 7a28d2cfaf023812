//! Requests that hyper reads and the framing passes on are read in the same way, with
//! the same bodies, by a strict reader of RFC 9112.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use batchtask_wire::framing::{Framing, FramingReader, Requests};
use batchtask_wire::head::ambiguity;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A request that was read: its target and its body.
type Taken = (String, Vec<u8>);

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, came)) = bytes.split_first() else {
        return;
    };
    let taken = served(came, usize::from(*piece) + 1);
    let strict = strict(came);
    assert!(strict.starts_with(&taken), "{taken:?} is not of {strict:?}");
});

/// Returns the requests that a server accepts.
fn served(came: &[u8], piece: usize) -> Vec<Taken> {
    let taken = Rc::new(RefCell::new(Vec::new()));
    let requests = Requests::default();
    let stream = Pieces { came, piece };
    let stream = FramingReader::new(stream, Framing::new(requests.clone()));
    let service = service_fn(|request: http::Request<Incoming>| {
        let ambiguity = requests.next_ambiguity().or_else(|| ambiguity(&request));
        let taken = taken.clone();
        async move {
            let mut answer = http::Response::new(Empty::<Bytes>::new());
            *answer.status_mut() = http::StatusCode::NOT_FOUND;
            if ambiguity.is_some() {
                let close = http::HeaderValue::from_static("close");
                answer.headers_mut().insert("connection", close);
                return Ok::<_, Infallible>(answer);
            }
            let target = request.uri().to_string();
            if let Ok(body) = request.into_body().collect().await {
                taken.borrow_mut().push((target, body.to_bytes().into()));
            }
            Ok(answer)
        }
    });
    let connection = http1::Builder::new()
        .half_close(true)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), service);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let _ = runtime.unwrap().block_on(connection);
    taken.take()
}

/// A connection on which bytes arrive in pieces, and whose answers are ignored.
struct Pieces<'a> {
    came: &'a [u8],
    piece: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.piece.min(self.came.len()).min(buffer.remaining());
        let (piece, rest) = self.came.split_at(count);
        buffer.put_slice(piece);
        self.came = rest;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Returns the requests before the first one that is not strictly valid.
fn strict(mut bytes: &[u8]) -> Vec<Taken> {
    let mut all = Vec::new();
    loop {
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
        }
        let Some(request) = strict_request(&mut bytes) else {
            return all;
        };
        all.push(request);
    }
}

fn strict_request(bytes: &mut &[u8]) -> Option<Taken> {
    let line = strict_line(bytes)?;
    let words: Vec<_> = line.split(' ').collect();
    let &[_, target, version] = &words[..] else {
        return None;
    };
    if target.contains('#') {
        return None;
    }
    let (mut length, mut is_chunked, mut hosts) = (None, false, 0);
    loop {
        let line = strict_line(bytes)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        let value = value.trim_matches([' ', '\t']);
        match &*name.to_ascii_lowercase() {
            "content-length" => {
                let value: u64 = value.parse().ok().filter(|_| !value.starts_with('+'))?;
                if length.is_some_and(|length| length != value) {
                    return None;
                }
                length = Some(value);
            }
            "transfer-encoding" => {
                if is_chunked || !value.eq_ignore_ascii_case("chunked") || version != "HTTP/1.1" {
                    return None;
                }
                is_chunked = true;
            }
            "host" => hosts += 1,
            _ => {}
        }
    }
    let body = match length {
        Some(_) if is_chunked => return None,
        Some(length) => take(bytes, length)?,
        None if is_chunked => strict_chunks(bytes)?,
        None => Vec::new(),
    };
    let has_host = hosts == 1 || hosts == 0 && version == "HTTP/1.0";
    // In the form in which the server reports it.
    let target: Vec<u8> = target.chars().map(|letter| letter as u8).collect();
    let target = http::Uri::try_from(target).ok().filter(|_| has_host)?;
    Some((target.to_string(), body))
}

fn strict_chunks(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = strict_line(bytes)?;
        let size = line
            .split_once(';')
            .map_or(&*line, |(size, _)| size.trim_end_matches([' ', '\t']));
        if size.is_empty() || !size.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let size = u64::from_str_radix(size, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend(take(bytes, size)?);
        *bytes = bytes.strip_prefix(b"\r\n")?;
    }
    while !strict_line(bytes)?.is_empty() {}
    Some(body)
}

fn take(bytes: &mut &[u8], count: u64) -> Option<Vec<u8>> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(count).ok()?)?;
    *bytes = rest;
    Some(taken.to_vec())
}

/// Reads a line that ends in CR LF and contains no other CR, LF or NUL.
fn strict_line(bytes: &mut &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| b"\r\n\0".contains(byte))?;
    let rest = bytes[end..].strip_prefix(b"\r\n")?;
    let line = bytes[..end].iter().map(|byte| char::from(*byte)).collect();
    *bytes = rest;
    Some(line)
}
