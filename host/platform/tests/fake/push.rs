//! Pushes notifications as the stored rules, actions and certificates say.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use ring::digest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Fake, State};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// An action, as far as a push needs it.
struct Target {
    url: Uri,
    /// The certificate of the CA, as PEM.
    authority: Option<String>,
    server_name: Option<String>,
    /// The header fields of the signature.
    signature: Vec<(&'static str, String)>,
}

impl Fake {
    /// Pushes the notification of a task in this resource space through every active
    /// rule. Returns the status of each answer, or why there is no answer.
    pub(crate) async fn push(&self, app_id: &str, body: &str) -> Vec<Result<u16, String>> {
        let targets = targets(&mut self.state(), app_id);
        let mut results = Vec::new();
        for target in targets {
            let pushed = target.push(body.to_owned()).await;
            results.push(pushed.map_err(|error| error.to_string()));
        }
        results
    }
}

fn targets(state: &mut State, app_id: &str) -> Vec<Target> {
    let is_ours = |rule: &&Value| {
        rule["active"] == true
            && rule["subject"]["resource"] == "batchtask"
            && rule["subject"]["event"] == "update"
            && (rule["app_type"] == "GLOBAL" || rule["app_id"] == app_id)
    };
    let rules = state.store.rules.items.iter().filter(is_ours);
    let rules: Vec<Value> = rules.map(|rule| rule["rule_id"].clone()).collect();
    let actions = state.store.actions.items.iter();
    let details: Vec<Value> = actions
        .filter(|action| rules.contains(&action["rule_id"]))
        .map(|action| action["channel_detail"]["http_forwarding"].clone())
        .filter(Value::is_object)
        .collect();
    details.iter().map(|http| target(state, http)).collect()
}

fn target(state: &mut State, http: &Value) -> Target {
    let text = |name: &str| http[name].as_str().map(str::to_owned);
    let certificates = &mut state.store.certificates;
    let certificate = text("cert_id").and_then(|id| certificates.find(&id).ok().cloned());
    let authority = certificate.and_then(|it| it["content"].as_str().map(str::to_owned));
    let token = text("token").filter(|_| http["signature_enable"] == true);
    Target {
        url: http["url"].as_str().unwrap().parse().unwrap(),
        authority,
        server_name: text("cn_name").filter(|_| http["sni_enable"] == true),
        signature: token.map_or_else(Vec::new, |token| signature(state, &token)),
    }
}

/// Signs: SHA-256 over the sorted texts of token, timestamp and nonce.
fn signature(state: &mut State, token: &str) -> Vec<(&'static str, String)> {
    let nonce = format!("nonce{:08}", state.store.number());
    let timestamp = (state.now_ms() / 1000).to_string();
    let mut texts = [token, &timestamp, &nonce];
    texts.sort_unstable();
    let digest = digest::digest(&digest::SHA256, texts.concat().as_bytes());
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    vec![
        ("signature", hex.collect()),
        ("timestamp", timestamp),
        ("nonce", nonce),
    ]
}

impl Target {
    async fn push(self, body: String) -> Result<u16, Error> {
        let is_https = self.url.scheme_str() == Some("https");
        let host = self.url.host().unwrap_or_default();
        let port = self
            .url
            .port_u16()
            .unwrap_or(if is_https { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        if !is_https {
            return self.post(stream, body).await;
        }
        let name = self.server_name.as_deref().unwrap_or(host);
        // The name may have a port.
        let name = name.split(':').next().unwrap_or_default().to_owned();
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        let stream = connector
            .connect(ServerName::try_from(name)?, stream)
            .await?;
        self.post(stream, body).await
    }

    /// Trusts the uploaded CA, and nothing else.
    fn tls(&self) -> Result<ClientConfig, Error> {
        let authority = self.authority.as_ref().ok_or("no CA was uploaded")?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions()?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.enable_sni = self.server_name.is_some();
        Ok(config)
    }

    async fn post<S>(self, stream: S, body: String) -> Result<u16, Error>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
        TokioIo<S>: Read + Write,
    {
        let stream = TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        tokio::spawn(connection);
        let path = self.url.path_and_query().ok_or("no path")?.as_str();
        let host = self.url.authority().ok_or("no host")?.as_str();
        let mut request = Request::post(path)
            .header("host", host)
            .header("content-type", "application/json");
        for (name, value) in &self.signature {
            request = request.header(*name, value);
        }
        let request = request.body(Full::<Bytes>::from(body))?;
        Ok(sender.send_request(request).await?.status().as_u16())
    }
}
