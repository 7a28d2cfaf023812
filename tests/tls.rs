//! TLS on the public listener: both versions, both protocols, certificates of
//! clients, and new certificates without a restart.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::EXAMPLE;
use crate::support::host::{Host, QUIET, READ_TOKEN, Setup};
use crate::support::ledger::Ledger;
use crate::support::metrics::Metrics;
use crate::support::notifications::Notification;

const NAME: &str = "receiver.example.com";

type Versions = &'static [&'static SupportedProtocolVersion];
const TLS12: Versions = &[&rustls::version::TLS12];
const TLS13: Versions = &[&rustls::version::TLS13];

/// Runs `batchtask tls self-signed`.
fn self_signed(folder: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_batchtask"));
    command.args(["tls", "self-signed"]).arg(folder);
    command.args(["--host", NAME, "--host", "127.0.0.1"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

fn setup(folder: &Path) -> Setup {
    let mut setup = Setup::in_folder(folder).variable(QUIET);
    for (option, file) in [("--tls-cert", "cert.pem"), ("--tls-key", "key.pem")] {
        setup = setup.argument(option).argument(folder.join(file));
    }
    setup
}

/// Who calls: what it trusts, and what it speaks.
#[derive(Clone)]
struct Caller {
    roots: RootCertStore,
    versions: Versions,
    protocols: Vec<Vec<u8>>,
    identity: Option<(Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>)>,
}

impl Caller {
    /// One that trusts this authority.
    fn trusting(authority: &Path) -> Self {
        let mut caller = Self {
            roots: RootCertStore::empty(),
            versions: rustls::ALL_VERSIONS,
            protocols: Vec::new(),
            identity: None,
        };
        caller.trust(authority);
        caller
    }

    fn trust(&mut self, authority: &Path) {
        let authority = CertificateDer::from_pem_file(authority).unwrap();
        self.roots.add(authority).unwrap();
    }

    fn speaking(&self, protocol: &str) -> Self {
        let protocols = vec![protocol.into()];
        Self {
            protocols,
            ..self.clone()
        }
    }

    async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
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
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(NAME).unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }
}

/// Posts a notification over HTTP/1.1 on a connection of its own.
async fn post_http1(stream: TlsStream<TcpStream>, body: &str) -> std::io::Result<String> {
    let mut stream = stream;
    let request = format!(
        "POST /notifications HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn expect_200(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

async fn http2(stream: TlsStream<TcpStream>) -> Sender {
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

async fn post_http2(sender: &mut Sender, body: String) -> (StatusCode, String) {
    let request = Request::post(format!("https://{NAME}/notifications"))
        .version(Version::HTTP_2)
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// hyper drops what it was about to answer.
#[tokio::test]
async fn a_request_that_is_broken_off_is_not_in_flight_any_more() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let host = setup(folder.path()).with_admin().start();
    let caller = Caller::trusting(&folder.path().join("ca.pem")).speaking("h2");
    let mut sender = http2(caller.connect(host.address()).await.unwrap()).await;
    let request = Request::get(format!("https://{NAME}/events?after=0&wait=5"))
        .version(Version::HTTP_2)
        .header("authorization", format!("Bearer {READ_TOKEN}"))
        .body(Full::default())
        .unwrap();
    let answer = tokio::spawn(sender.send_request(request));
    let in_flight = |metrics: &Metrics| metrics.value("batchtask_in_flight_requests");
    host.counts(|metrics| in_flight(metrics) == 1.0).await;
    answer.abort();
    host.counts(|metrics| in_flight(metrics) == 0.0).await;
}

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let host = setup(folder.path()).start();
    let caller = Caller::trusting(&folder.path().join("ca.pem"));
    let mut serial = 0;
    for (versions, version) in [
        (TLS13, ProtocolVersion::TLSv1_3),
        (TLS12, ProtocolVersion::TLSv1_2),
    ] {
        let caller = Caller {
            versions,
            ..caller.clone()
        };
        for protocol in [None, Some("http/1.1")] {
            let caller = protocol.map_or(caller.clone(), |protocol| caller.speaking(protocol));
            let stream = caller.connect(host.address()).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(version));
            assert_eq!(session.alpn_protocol(), protocol.map(str::as_bytes));
            let body = Notification::numbered(serial).body();
            expect_200(&post_http1(stream, &body).await.unwrap());
            serial += 1;
        }
        let stream = caller.speaking("h2").connect(host.address()).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut sender = http2(stream).await;
        for _ in 0..20 {
            let body = Notification::numbered(serial).body();
            let (status, answer) = post_http2(&mut sender, body).await;
            assert_eq!(status, StatusCode::OK, "{answer}");
            assert!(answer.contains("recorded"), "{answer}");
            serial += 1;
        }
    }
    let stranger = Caller::trusting(&folder.path().join("ca.pem")).speaking("spdy/3");
    assert!(stranger.connect(host.address()).await.is_err());
    // Plain HTTP is no handshake.
    let mut plain = TcpStream::connect(host.address()).await.unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"));
}

#[test]
fn self_signed_overwrites_nothing_and_keeps_the_key_from_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let key = folder.path().join("key.pem");
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let before = fs::read(&key).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_batchtask"));
    command.args(["tls", "self-signed"]).arg(folder.path());
    let output = command.args(["--host", NAME]).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(fs::read(&key).unwrap(), before);
}

#[test]
fn files_that_do_not_go_together_stop_the_start() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    self_signed(one.path());
    self_signed(other.path());
    fs::copy(other.path().join("key.pem"), one.path().join("key.pem")).unwrap();
    let (code, said) = setup(one.path()).fail();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cert.pem"), "{said}");
    fs::write(one.path().join("key.pem"), "no key").unwrap();
    let (code, said) = setup(one.path()).fail();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("key.pem"), "{said}");
}

/// An authority, written to a file, and a client's certificate from it.
fn client_identity(file: &Path) -> (Vec<CertificateDer<'static>>, Arc<PrivateKeyDer<'static>>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    fs::write(file, authority.pem()).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["platform".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (vec![certificate.der().clone()], Arc::new(key))
}

#[tokio::test]
async fn a_client_without_a_certificate_of_the_authority_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let clients = folder.path().join("clients.pem");
    let identity = client_identity(&clients);
    let stranger = client_identity(&folder.path().join("strangers.pem"));
    let setup = setup(folder.path())
        .argument("--tls-client-ca")
        .argument(clients);
    let host = setup.with_admin().start();
    let caller = Caller::trusting(&folder.path().join("ca.pem"));
    for versions in [TLS13, TLS12] {
        for (identity, is_let_in) in [
            (None, false),
            (Some(stranger.clone()), false),
            (Some(identity.clone()), true),
        ] {
            let caller = Caller {
                versions,
                identity,
                ..caller.clone()
            };
            let answered = async {
                let stream = caller.connect(host.address()).await?;
                post_http1(stream, EXAMPLE).await
            };
            match answered.await {
                Ok(answer) if is_let_in => expect_200(&answer),
                Err(_) if !is_let_in => {}
                other => panic!("let in: {is_let_in}, but {other:?}"),
            }
        }
    }
    let metrics = host.metrics().await;
    assert_eq!(metrics.sum("batchtask_requests_total"), 2.0);
}

/// A body that is no notification is kept if its sender is proven. A client
/// certificate proves the sender; TLS alone does not.
#[tokio::test]
async fn a_client_certificate_proves_the_sender() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let clients = folder.path().join("clients.pem");
    let caller = Caller {
        identity: Some(client_identity(&clients)),
        ..Caller::trusting(&folder.path().join("ca.pem"))
    };
    let setup = setup(folder.path());
    let host = setup.clone().start();
    let stream = caller.connect(host.address()).await.unwrap();
    let answer = post_http1(stream, "{}").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
    host.stop();

    let host = setup.argument("--tls-client-ca").argument(clients).start();
    let stream = caller.connect(host.address()).await.unwrap();
    let answer = post_http1(stream, "{}").await.unwrap();
    expect_200(&answer);
    assert!(answer.contains(r#"{"outcome":"quarantined""#), "{answer}");
    let stream = caller.speaking("h2").connect(host.address()).await.unwrap();
    let mut sender = http2(stream).await;
    let (status, body) = post_http2(&mut sender, "{}".into()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.starts_with(r#"{"outcome":"quarantined""#), "{body}");
}

/// The server's certificate that a new connection is shown.
async fn certificate(caller: &Caller, host: &Host) -> CertificateDer<'static> {
    let stream = caller.connect(host.address()).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    shown[0].clone().into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_to_new_connections_and_drops_nothing() {
    let (folder, renewed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    self_signed(folder.path());
    self_signed(renewed.path());
    let host = setup(folder.path()).start();
    let mut caller = Caller::trusting(&folder.path().join("ca.pem"));
    caller.trust(&renewed.path().join("ca.pem"));
    let old = certificate(&caller, &host).await;
    let ledger = Arc::new(Ledger::new());
    let end = Arc::new(AtomicUsize::new(usize::MAX));
    let mut load = JoinSet::new();
    for connection in 0..4_u64 {
        let (caller, ledger, end) = (caller.clone(), ledger.clone(), end.clone());
        let address = host.address();
        load.spawn(async move {
            // One that stays as it is, and three that are made anew each time.
            let stays = caller.speaking("h2").connect(address).await.unwrap();
            let mut stays = http2(stays).await;
            let mut serial = connection << 32;
            while ledger.len() < end.load(Relaxed) {
                let notification = Notification::numbered(serial);
                let body = notification.body();
                if connection == 0 {
                    let (status, answer) = post_http2(&mut stays, body.clone()).await;
                    assert_eq!(status, StatusCode::OK, "{answer}");
                } else {
                    let stream = caller.connect(address).await.unwrap();
                    expect_200(&post_http1(stream, &body).await.unwrap());
                }
                ledger.acknowledge(notification.status_desc, body);
                serial += 1;
            }
        });
    }
    ledger.reaches(100).await;
    for file in ["cert.pem", "key.pem"] {
        // Between the two they do not go together.
        let from = renewed.path().join(file);
        fs::rename(from, folder.path().join(file)).unwrap();
        ledger.reaches(ledger.len() + 20).await;
    }
    host.says(|line| line.contains("the TLS certificate was read again"))
        .await;
    assert_ne!(certificate(&caller, &host).await, old);
    let mut of_renewed = Caller::trusting(&renewed.path().join("ca.pem"));
    of_renewed.protocols = vec![b"h2".into()];
    end.store(ledger.len() + 100, Relaxed);
    load.join_all().await;
    let mut sender = http2(of_renewed.connect(host.address()).await.unwrap()).await;
    let (status, _) = post_http2(&mut sender, EXAMPLE.into()).await;
    assert_eq!(status, StatusCode::OK);
    eprintln!("{} pushes while the certificate was renewed", ledger.len());
}

/// A handshake that stalls, and a protocol that is agreed on and not spoken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_says_nothing_ends() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let setup = setup(folder.path())
        .argument("--header-seconds")
        .argument("1");
    let host = setup.start();
    let started = Instant::now();
    let mut silent = JoinSet::new();
    let address = host.address();
    for protocol in [None, Some("http/1.1"), Some("h2")] {
        let caller = Caller::trusting(&folder.path().join("ca.pem"));
        silent.spawn(async move {
            let mut bytes = Vec::new();
            let Some(protocol) = protocol else {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(b"\x16\x03\x01").await.unwrap();
                let _ = stream.read_to_end(&mut bytes).await;
                return protocol;
            };
            let mut stream = caller.speaking(protocol).connect(address).await.unwrap();
            let _ = stream.read_to_end(&mut bytes).await;
            Some(protocol)
        });
    }
    let patience = Duration::from_secs(8);
    while let Ok(Some(ended)) = tokio::time::timeout(patience, silent.join_next()).await {
        eprintln!("{:?} ended after {:?}", ended.unwrap(), started.elapsed());
    }
    assert!(silent.is_empty(), "one goes on for ever");
}
