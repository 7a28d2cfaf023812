//! Clients and hosts with TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::Full;
use hyper::body::Body;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::host::{QUIET, Setup};

pub(crate) const NAME: &str = "receiver.example.com";

pub(crate) type Versions = &'static [&'static SupportedProtocolVersion];
pub(crate) const TLS12: Versions = &[&rustls::version::TLS12];
pub(crate) const TLS13: Versions = &[&rustls::version::TLS13];

/// Runs `batchtask tls self-signed`.
pub(crate) fn self_signed(folder: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_batchtask"));
    command.args(["tls", "self-signed"]).arg(folder);
    command.args(["--host", NAME, "--host", "127.0.0.1"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

/// Sets up a host with the certificate in this folder, and its journal there.
pub(crate) fn setup(folder: &Path) -> Setup {
    with_certificate(Setup::in_folder(folder).variable(QUIET), folder)
}

/// Adds the certificate in this folder to a setup.
pub(crate) fn with_certificate(mut setup: Setup, folder: &Path) -> Setup {
    for (option, file) in [("--tls-cert", "cert.pem"), ("--tls-key", "key.pem")] {
        setup = setup.argument(option).argument(folder.join(file));
    }
    setup
}

/// The TLS configuration of a client.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) roots: RootCertStore,
    pub(crate) versions: Versions,
    pub(crate) protocols: Vec<Vec<u8>>,
    pub(crate) identity: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
}

impl Caller {
    /// Returns a client that trusts this authority.
    pub(crate) fn trusting(authority: &Path) -> Self {
        let mut caller = Self {
            roots: RootCertStore::empty(),
            versions: rustls::ALL_VERSIONS,
            protocols: Vec::new(),
            identity: None,
        };
        caller.trust(authority);
        caller
    }

    pub(crate) fn trust(&mut self, authority: &Path) {
        let authority = CertificateDer::from_pem_file(authority).unwrap();
        self.roots.add(authority).unwrap();
    }

    pub(crate) fn speaking(&self, protocol: &str) -> Self {
        let protocols = vec![protocol.into()];
        Self {
            protocols,
            ..self.clone()
        }
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .unwrap(),
        };
        config.alpn_protocols.clone_from(&self.protocols);
        config
    }

    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(NAME).unwrap();
        TlsConnector::from(Arc::new(self.config()))
            .connect(name, stream)
            .await
    }
}

pub(crate) type Sender = SendRequest<Full<Bytes>>;

pub(crate) async fn http2<B>(stream: TlsStream<TcpStream>) -> hyper::Result<SendRequest<B>>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

pub(crate) fn request_http2(body: String) -> Request<Full<Bytes>> {
    Request::post(format!("https://{NAME}/notifications"))
        .version(Version::HTTP_2)
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap()
}
