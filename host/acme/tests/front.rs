//! [`Front`]: a server in front of Pebble, with what Pebble lacks: suggestions for the renewal
//! (ARI), and limits of the rate.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use batchtask_platform::{HttpClient, TransportOptions};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::pebble::Pebble;
use crate::support::PATIENCE;

/// Its addresses, and what it was asked.
pub(crate) struct Front {
    address: SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    pebble: SocketAddr,
    client: HttpClient,
    suggestion: Mutex<Option<Value>>,
    asked: Mutex<u32>,
    orders: Mutex<Vec<String>>,
    /// The answer to each order, instead of Pebble's.
    refusal: Mutex<Option<(StatusCode, &'static str, String)>>,
}

impl Front {
    pub(crate) async fn start(pebble: &Pebble) -> Self {
        let options = TransportOptions {
            authorities: Some(pebble.authority()),
            ..TransportOptions::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            pebble: pebble.address(),
            client: HttpClient::new(&options, true).unwrap(),
            suggestion: Mutex::default(),
            asked: Mutex::default(),
            orders: Mutex::default(),
            refusal: Mutex::default(),
        });
        let acceptor = acceptor(pebble);
        let serving = inner.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, inner) = (acceptor.clone(), serving.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let answer = service_fn(move |request| {
                        let inner = inner.clone();
                        async move { Ok::<_, std::convert::Infallible>(inner.answer(request).await) }
                    });
                    let connection = http1::Builder::new();
                    let _ = connection
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                });
            }
        });
        Self { address, inner }
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// Suggests to renew certificates between these times.
    pub(crate) fn suggest(&self, start: &str, end: &str) {
        let window = json!({ "suggestedWindow": { "start": start, "end": end } });
        *self.inner.suggestion.lock().unwrap() = Some(window);
    }

    /// Refuses orders.
    pub(crate) fn refuse(&self, status: StatusCode, media_type: &'static str, body: &str) {
        let refusal = (status, media_type, body.to_owned());
        *self.inner.refusal.lock().unwrap() = Some(refusal);
    }

    /// Waits until it was asked when to renew.
    pub(crate) async fn is_asked(&self) {
        let asked = async {
            while *self.inner.asked.lock().unwrap() == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap();
    }

    /// The orders. One whose nonce was refused is sent again, and counts once.
    pub(crate) fn orders(&self) -> Vec<String> {
        let mut orders = self.inner.orders.lock().unwrap().clone();
        orders.dedup();
        orders
    }
}

fn acceptor(pebble: &Pebble) -> TlsAcceptor {
    let [certificate, key] = pebble.server();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(&certificate).unwrap()],
            PrivateKeyDer::from_pem_slice(&key).unwrap(),
        );
    Arc::new(config.unwrap()).into()
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (mut head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = head.uri.path().to_owned();
        if path.starts_with("/renewal-info/") {
            *self.asked.lock().unwrap() += 1;
            let suggestion = self.suggestion.lock().unwrap().clone();
            let body = Bytes::from(suggestion.unwrap().to_string());
            return Response::builder()
                .header("content-type", "application/json")
                .header("retry-after", "21600")
                .body(body.into())
                .unwrap();
        }
        if path.starts_with("/order-plz") {
            let message: Value = serde_json::from_slice(&body).unwrap();
            let payload = message["payload"].as_str().unwrap();
            let payload = URL_SAFE_NO_PAD.decode(payload).unwrap();
            let order = String::from_utf8(payload).unwrap();
            self.orders.lock().unwrap().push(order);
            if let Some((status, media_type, body)) = self.refusal.lock().unwrap().clone() {
                return Response::builder()
                    .status(status)
                    .header("content-type", media_type)
                    .header("retry-after", "7200")
                    .body(Bytes::from(body).into())
                    .unwrap();
            }
        }
        // The header `host` stays, so Pebble's URLs lead here.
        head.uri = format!("https://{}{}", self.pebble, head.uri)
            .parse()
            .unwrap();
        let host = head.headers["host"].clone();
        let request = Request::from_parts(head, Full::from(body));
        let answer = self.client.request(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let mut body = body.collect().await.unwrap().to_bytes();
        if path == "/dir" && self.suggestion.lock().unwrap().is_some() {
            let mut directory: Value = serde_json::from_slice(&body).unwrap();
            let host = host.to_str().unwrap();
            directory["renewalInfo"] = format!("https://{host}/renewal-info").into();
            body = directory.to_string().into();
        }
        let mut answer = Response::from_parts(head, Full::from(body));
        answer.headers_mut().remove("content-length");
        answer.headers_mut().remove("transfer-encoding");
        answer
    }
}
