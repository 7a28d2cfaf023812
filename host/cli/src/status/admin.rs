//! [`Admin`]: a client of the admin listener, over TCP or a Unix socket.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::answer::{ANSWER_TIME, Answer, ClientError, MAX_ANSWER_BYTES};

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
        // A listener on all interfaces.
        let host = if text.starts_with(':') {
            "127.0.0.1"
        } else {
            ""
        };
        Some(Self::Tcp(format!("{host}{text}")))
    }

    /// Returns why the receiver is not ready, or `None` if it is.
    pub(super) async fn not_ready(&self) -> Result<Option<String>, ClientError> {
        let answer = self.get("/readyz").await?;
        let reason = String::from_utf8_lossy(&answer.body).trim().to_owned();
        Ok(Some(reason).filter(|_| answer.status != StatusCode::OK))
    }

    /// Returns the metrics without labels.
    pub(super) async fn metrics(&self) -> Result<BTreeMap<String, f64>, ClientError> {
        let answer = self.get("/metrics").await?;
        Ok(parse_metrics(&String::from_utf8_lossy(&answer.body)))
    }

    async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        let url = match self {
            Self::Tcp(address) => format!("http://{address}"),
            Self::Unix(socket) => format!("unix:{}", socket.display()),
        };
        let exchange = async {
            match self {
                Self::Tcp(address) => exchange(TcpStream::connect(address).await?, path).await,
                Self::Unix(socket) => exchange(UnixStream::connect(socket).await?, path).await,
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
    path: &str,
) -> Result<Answer, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path).header(HOST, "admin");
    let request = request.body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await?;
    connection.abort();
    Ok(Answer {
        status: head.status,
        body: body.to_bytes(),
    })
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
