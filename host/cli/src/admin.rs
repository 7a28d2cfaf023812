//! Clients of the admin listener, over TCP or a Unix socket: [`Admin`] asks what anyone may
//! know, and [`Operator`] what needs the operate token.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::answer::{ANSWER_TIME, Answer, ClientError, MAX_ANSWER_BYTES, Refusal};
use super::config::{ADMIN, OPERATE_TOKEN, Values};
use super::exit::Usage;
use super::table::escape_unprintable;

/// The address of an admin listener.
#[derive(Debug)]
pub(super) enum Admin {
    Tcp(String),
    Unix(PathBuf),
}

impl Admin {
    /// Parses an address. Returns `None` for `off`.
    pub(super) fn at(text: &str) -> Option<Self> {
        if text == "off" {
            return None;
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return Some(Self::Unix(path.into()));
        }
        // A listener on all interfaces is reached over loopback.
        Some(Self::Tcp(match text.rsplit_once(':') {
            Some(("" | "0.0.0.0" | "[::]", port)) => format!("127.0.0.1:{port}"),
            _ => text.to_owned(),
        }))
    }

    /// Returns why the receiver is not ready, or `None` if it is.
    pub(super) async fn not_ready(&self) -> Result<Option<String>, ClientError> {
        self.refusal("/readyz").await
    }

    /// Returns the text of an answer whose status is not 200, or `None` if it is 200.
    pub(super) async fn refusal(&self, path: &str) -> Result<Option<String>, ClientError> {
        let answer = self.exchange(Method::GET, path, None).await?;
        let reason = String::from_utf8_lossy(&answer.body).trim().to_owned();
        Ok(Some(reason).filter(|_| answer.status != StatusCode::OK))
    }

    /// Returns the metrics without labels.
    pub(super) async fn metrics(&self) -> Result<BTreeMap<String, f64>, ClientError> {
        let answer = self.exchange(Method::GET, "/metrics", None).await?;
        Ok(parse_metrics(&String::from_utf8_lossy(&answer.body)))
    }

    fn url(&self) -> String {
        match self {
            Self::Tcp(address) => format!("http://{address}"),
            Self::Unix(socket) => format!("unix:{}", socket.display()),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "admin");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let url = self.url();
        let exchange = async {
            let request = request.body(Empty::<Bytes>::new())?;
            match self {
                Self::Tcp(address) => exchange(TcpStream::connect(address).await?, request).await,
                Self::Unix(socket) => exchange(UnixStream::connect(socket).await?, request).await,
            }
        };
        match tokio::time::timeout(ANSWER_TIME, exchange).await {
            Ok(answer) => answer.map_err(|source| ClientError::Unreachable { url, source }),
            Err(_) => Err(ClientError::TooSlow { url }),
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<Answer, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
    connection.abort();
    Ok(Answer {
        status: head.status,
        body: body.to_bytes(),
    })
}

/// An operator, who has the operate token.
pub(super) struct Operator {
    admin: Admin,
    authorization: HeaderValue,
}

impl Operator {
    pub(super) fn new(values: &mut Values) -> anyhow::Result<Self> {
        let admin = values.value(&ADMIN);
        let tokens = values.value(&OPERATE_TOKEN);
        values.check()?;
        let admin = admin.as_deref().and_then(Admin::at).ok_or(Usage(
            "`admin` is `off`, so the receiver cannot be operated",
        ))?;
        // The first of two is the new one.
        let token = tokens.first().ok_or(Usage(
            "there is no operate token: set BATCHTASK_OPERATE_TOKEN to the receiver's token",
        ))?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))?;
        authorization.set_sensitive(true);
        Ok(Self {
            admin,
            authorization,
        })
    }

    /// Sends a request, and returns the JSON of its answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
    ) -> anyhow::Result<T> {
        let authorization = Some(&self.authorization);
        let answer = self.admin.exchange(method, path, authorization).await?;
        if answer.status == StatusCode::NOT_FOUND && !is_json(&answer.body) {
            anyhow::bail!("the receiver has no operate token: set `operate_token` there");
        }
        if answer.status != StatusCode::OK {
            let detail = Refusal::of(&answer).detail;
            anyhow::bail!("the receiver refused: {}", escape_unprintable(&detail));
        }
        let url = self.admin.url();
        let value = serde_json::from_slice(&answer.body);
        Ok(value.map_err(|source| ClientError::NotUnderstood { url, source })?)
    }
}

fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

fn parse_metrics(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let value = value.parse().ok()?;
            (!name.contains('{')).then(|| (name.to_owned(), value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_the_option_admin() {
        for (text, expected) in [
            ("127.0.0.1:9090", Some("Tcp(\"127.0.0.1:9090\")")),
            (":9090", Some("Tcp(\"127.0.0.1:9090\")")),
            ("0.0.0.0:9090", Some("Tcp(\"127.0.0.1:9090\")")),
            ("[::]:9090", Some("Tcp(\"127.0.0.1:9090\")")),
            ("[::1]:9090", Some("Tcp(\"[::1]:9090\")")),
            ("unix:/run/admin", Some("Unix(\"/run/admin\")")),
            ("off", None),
        ] {
            let found = Admin::at(text).map(|admin| format!("{admin:?}"));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn samples_without_labels_are_metrics() {
        let metrics = parse_metrics("# HELP a b\na 1\nb{c=\"d\"} 2\ne 3.5\nf\n");
        let expected = BTreeMap::from([("a".to_owned(), 1.0), ("e".to_owned(), 3.5)]);
        assert_eq!(metrics, expected);
    }
}
