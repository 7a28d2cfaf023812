//! [`Client`]: a keep-alive connection. It accepts only complete, well-formed answers,
//! and distinguishes a broken answer from a missing one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use rustls::ClientConfig;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::host::READ_TOKEN;
use super::platform::ANSWER_TIME;
use super::signing::Operands;
use super::tls::{self, Caller};

/// A connection, opened on first use.
pub(crate) struct Client {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    /// Signs posts with this token, if there is one.
    token: Option<&'static str>,
    http2: Option<Http2>,
    stream: Option<Box<dyn Stream>>,
    patience: Duration,
}

/// A connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no connection, or it ended before the first byte of an answer.
    NotAnswered(#[expect(dead_code, reason = "read by `Debug`")] std::io::Error),
    /// The answer was not complete in time.
    Late,
    /// The answer was malformed or incomplete.
    Broken(#[expect(dead_code, reason = "read by `Debug`")] String),
}

type Head = (u16, HeaderMap);

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            token: None,
            http2: None,
            stream: None,
            patience: ANSWER_TIME,
        }
    }

    /// Returns a client that uses TLS.
    pub(crate) fn over_tls(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        Self {
            tls: Some(config),
            ..Self::new(address)
        }
    }

    /// Returns a client that posts over HTTP/2, and reads over HTTP/1.1.
    pub(crate) fn over_http2(address: SocketAddr, caller: &Caller) -> Self {
        let http2 = Http2 {
            caller: caller.speaking("h2"),
            sender: None,
        };
        Self {
            http2: Some(http2),
            ..Self::over_tls(address, Arc::new(caller.config()))
        }
    }

    /// Signs posts with this token.
    pub(crate) fn signing(self, token: &'static str) -> Self {
        let token = Some(token);
        Self { token, ..self }
    }

    /// Returns the address of the host.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns another client of the same host, with its own connection.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.address)
    }

    /// Sets how long an answer may take.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Posts a notification, which must be answered.
    pub(crate) async fn post(&mut self, body: impl AsRef<[u8]>) -> Answer {
        self.try_post(body).await.expect("an answer")
    }

    pub(crate) async fn try_post(&mut self, body: impl AsRef<[u8]>) -> Result<Answer, Failure> {
        if let Some(http2) = &mut self.http2 {
            let posted = http2.post(self.address, body.as_ref());
            let posted = tokio::time::timeout(self.patience, posted).await;
            return posted.unwrap_or(Err(Failure::Late));
        }
        let operands = self.token.map(Operands::now);
        let signature = operands.as_ref().map(Operands::signature);
        let headers = match operands.as_ref().zip(signature.as_ref()) {
            Some((operands, signature)) => operands.headers(signature).to_vec(),
            None => vec![("content-type", "application/json")],
        };
        self.exchange("POST", "/notifications", &headers, body.as_ref())
            .await
    }

    /// Reads a resource with the read token. The request must be answered.
    pub(crate) async fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target, &[], b"").await
    }

    /// Reads a resource with the read token. It must exist.
    pub(crate) async fn read(&mut self, target: &str) -> Value {
        let answer = self.get(target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer.json()
    }

    /// Sends a request with the read token. It must be answered.
    pub(crate) async fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let token = format!("Bearer {READ_TOKEN}");
        let headers = [headers, &[("authorization", &token)]].concat();
        self.exchange(method, target, &headers, body)
            .await
            .expect("an answer")
    }

    /// Sends a request and reads the answer, on the former connection if it is still
    /// open.
    pub(crate) async fn exchange(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Failure> {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if method != "GET" && method != "HEAD" {
            request += &format!("content-length: {}\r\n", body.len());
        }
        request += "\r\n";
        let request = [request.as_bytes(), body].concat();
        self.exchange_bytes(&request, method == "HEAD").await
    }

    /// Sends these bytes, a request or a part of it, and reads an answer.
    pub(crate) async fn exchange_bytes(
        &mut self,
        request: &[u8],
        is_head: bool,
    ) -> Result<Answer, Failure> {
        let patience = self.patience;
        let stream = self.stream.take();
        let exchanged = async {
            let mut stream = match stream {
                Some(stream) => stream,
                None => self.connect().await.map_err(Failure::NotAnswered)?,
            };
            // A host may answer and close before it has read the whole request. Then
            // the answer counts, and a failed write does not matter.
            let (mut reading, mut writing) = tokio::io::split(&mut stream);
            let (written, read) = tokio::join!(
                writing.write_all(request),
                read_answer(&mut reading, is_head)
            );
            let answer = read?;
            let last = answer.header("connection") == Some("close");
            if written.is_ok() && !last {
                self.stream = Some(stream);
            }
            Ok(answer)
        };
        tokio::time::timeout(patience, exchanged)
            .await
            .unwrap_or(Err(Failure::Late))
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let connector = TlsConnector::from(config.clone());
        let name = self.address.ip().into();
        Ok(Box::new(connector.connect(name, stream).await?))
    }

    /// Sends the head of a request with `Expect: 100-continue`, and waits until the
    /// host asks for the body. From then on the request is in progress.
    pub(crate) async fn begin(&mut self, target: &str, length: usize) {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut stream = self.connect().await.expect("a connection");
        stream
            .write_all(head.as_bytes())
            .await
            .expect("it is taken");
        let mut answer = [0; CONTINUE.len()];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(answer, CONTINUE);
        self.stream = Some(stream);
    }

    /// Sends the beginning of a request, and closes the sending side.
    pub(crate) async fn break_off(&mut self, request: &[u8]) -> Result<Answer, Failure> {
        let mut stream = self.connect().await.map_err(Failure::NotAnswered)?;
        stream
            .write_all(request)
            .await
            .map_err(Failure::NotAnswered)?;
        stream.shutdown().await.map_err(Failure::NotAnswered)?;
        read_answer(&mut stream, false).await
    }
}

/// An HTTP/2 connection, opened on first use.
struct Http2 {
    caller: Caller,
    sender: Option<tls::Sender>,
}

impl Http2 {
    async fn post(&mut self, address: SocketAddr, body: &[u8]) -> Result<Answer, Failure> {
        let not_answered = |error: hyper::Error| Failure::NotAnswered(std::io::Error::other(error));
        let mut sender = match self.sender.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => {
                let stream = self.caller.connect(address).await;
                let handshake = tls::http2(stream.map_err(Failure::NotAnswered)?);
                handshake.await.map_err(not_answered)?
            }
        };
        let body = String::from_utf8(body.to_vec()).expect("UTF-8");
        let answer = sender.send_request(tls::request_http2(body)).await;
        let (head, body) = answer.map_err(not_answered)?.into_parts();
        let body = body.collect().await;
        let body = body.map_err(|error| Failure::Broken(error.to_string()))?;
        self.sender = Some(sender);
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes().to_vec(),
        })
    }
}

async fn read_answer(
    stream: &mut (impl AsyncReadExt + Unpin),
    is_head: bool,
) -> Result<Answer, Failure> {
    let mut bytes = Vec::with_capacity(2048);
    let (head_end, (status, headers)) = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = parse_head(&bytes[..end]);
            break (end + 4, head.ok_or_else(|| broken(&bytes))?);
        }
        read_more(stream, &mut bytes).await?;
    };
    let length = match headers.get("content-length") {
        // These answers have no body.
        _ if is_head || matches!(status, 204 | 304) => Some(0),
        Some(value) => value.to_str().ok().and_then(|text| text.parse().ok()),
        None => None,
    };
    let length: usize = length.ok_or_else(|| broken(&bytes))?;
    while bytes.len() < head_end + length {
        read_more(stream, &mut bytes).await?;
    }
    if bytes.len() > head_end + length {
        return Err(broken(&bytes));
    }
    Ok(Answer {
        status,
        headers,
        body: bytes.split_off(head_end),
    })
}

/// Reads at least one byte.
async fn read_more(
    stream: &mut (impl AsyncReadExt + Unpin),
    bytes: &mut Vec<u8>,
) -> Result<(), Failure> {
    match stream.read_buf(bytes).await {
        Ok(1..) => Ok(()),
        Ok(0) if bytes.is_empty() => Err(Failure::NotAnswered(
            std::io::ErrorKind::UnexpectedEof.into(),
        )),
        Err(error) if bytes.is_empty() => Err(Failure::NotAnswered(error)),
        _ => Err(broken(bytes)),
    }
}

fn parse_head(head: &[u8]) -> Option<Head> {
    let mut lines = str::from_utf8(head).ok()?.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers.append(
            HeaderName::try_from(name).ok()?,
            HeaderValue::try_from(value.trim()).ok()?,
        );
    }
    Some((status.parse().ok()?, headers))
}

fn broken(bytes: &[u8]) -> Failure {
    Failure::Broken(String::from_utf8_lossy(bytes).into_owned())
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON: {}", self.text()))
    }

    /// Returns the outcome of a 200, or the name of a problem, which must have the
    /// form of RFC 9457.
    #[track_caller]
    pub(crate) fn outcome(&self) -> String {
        let json = self.json();
        if self.status == 200 {
            return json["outcome"].as_str().unwrap_or("read").to_owned();
        }
        let text = self.text();
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(json["status"], self.status, "{text}");
        assert!(json["title"].is_string(), "{text}");
        let uri = json["type"].as_str().expect("a type URI");
        uri.strip_prefix("urn:batchtask:problem:")
            .expect("a type of ours")
            .to_owned()
    }

    /// Checks the status, and the outcome or the name of the problem.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16, outcome: &str) -> &Self {
        assert_eq!(
            (self.status, self.outcome().as_str()),
            (status, outcome),
            "{}",
            self.text()
        );
        self
    }
}
