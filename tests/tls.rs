//! TLS on the public listener: both versions, both protocols, any server name,
//! certificates of clients, and new certificates without a restart.

use std::convert::Infallible;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use rustls::ProtocolVersion;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;

use crate::support::EXAMPLE;
use crate::support::host::{Host, READ_TOKEN};
use crate::support::ledger::Ledger;
use crate::support::metrics::Metrics;
use crate::support::notifications::Notification;
use crate::support::random::Random;
use crate::support::tls::{
    Caller, NAME, Sender, TLS12, TLS13, http2, request_http2, self_signed, setup,
};

/// Posts a notification over HTTP/1.1, and closes the connection.
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

async fn post_http2(sender: &mut Sender, body: String) -> (StatusCode, String) {
    let answer = sender.send_request(request_http2(body)).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// hyper drops the future of a request that the client has reset.
#[tokio::test]
async fn a_request_that_is_reset_is_no_longer_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let host = setup(folder.path()).with_admin().start();
    let caller = Caller::trusting(&folder.path().join("ca.pem")).speaking("h2");
    let mut sender = http2(caller.connect(host.address()).await.unwrap())
        .await
        .unwrap();
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

/// A long body, which counts the bytes that were sent of it.
struct LongBody {
    left: usize,
    sent: Arc<AtomicUsize>,
}

impl Body for LongBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let length = self.left.min(16 << 10);
        self.left -= length;
        self.sent.fetch_add(length, Relaxed);
        let frame = Frame::data(vec![b' '; length].into());
        Poll::Ready((length > 0).then_some(Ok(frame)))
    }
}

/// Some clients, such as curl 7.88, drop an answer that comes before they have sent the body.
#[tokio::test]
async fn a_refusal_comes_after_a_long_body_over_http2() {
    const BYTES: usize = 3 << 20;
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let host = setup(folder.path()).start();
    let caller = Caller::trusting(&folder.path().join("ca.pem")).speaking("h2");
    for (path, status) in [("/notifications", 415), ("/nowhere", 404), ("/login", 401)] {
        // On a busy machine, the host may see a pause in the body, and stop waiting for it.
        let mut sent_in_time = false;
        for _ in 0..5 {
            let stream = caller.connect(host.address()).await.unwrap();
            let mut sender = http2(stream).await.unwrap();
            let sent = Arc::new(AtomicUsize::new(0));
            let body = LongBody {
                left: BYTES,
                sent: sent.clone(),
            };
            let request = Request::post(format!("https://{NAME}{path}"))
                .version(Version::HTTP_2)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body)
                .unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path}");
            sent_in_time |= sent.load(Relaxed) == BYTES;
            if sent_in_time {
                break;
            }
        }
        assert!(sent_in_time, "{path}");
    }
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
        let mut sender = http2(stream).await.unwrap();
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
    // Plain HTTP is not a handshake.
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
fn files_that_do_not_match_stop_the_start() {
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

/// Posts the example with OpenSSL, which can send any server name. Returns `None` if
/// OpenSSL is not installed.
fn post_with_openssl(address: SocketAddr, name: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-servername", name, "-connect"]);
    command.arg(address.to_string()).args(arguments);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().ok()?;
    let length = EXAMPLE.len();
    let request = format!(
        "POST /notifications HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{EXAMPLE}"
    );
    // It may have ended because the handshake failed.
    let _ = child.stdin.as_mut().unwrap().write_all(request.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&said).into_owned())
}

/// Even a server name that is not a DNS name is accepted, because there is one
/// certificate for all names.
#[tokio::test]
async fn any_server_name_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let host = setup(folder.path()).start();
    let mut random = Random::new(13);
    let mut names: Vec<String> = [
        NAME,
        "receiver.example.com:443",
        "127.0.0.1:443",
        "127.0.0.1",
        "*.x",
        "a b",
        "-",
        "b\u{fc}cher.example",
    ]
    .map(String::from)
    .into();
    names.push(format!("{}.example.com", "x".repeat(70)));
    names.extend((0..8).map(|_| {
        let letters = (0..1 + random.below(60)).map(|_| char::from(33 + random.below(94) as u8));
        letters.collect()
    }));
    for name in &names {
        for arguments in [
            &["-tls1_2"][..],
            &["-tls1_3"],
            // The first key share is of a group that the host does not support.
            &["-tls1_3", "-groups", "P-521:X25519"],
            &["-alpn", "http/1.1"],
        ] {
            let Some(said) = post_with_openssl(host.address(), name, arguments) else {
                eprintln!("skipped: no openssl");
                return;
            };
            assert!(
                said.contains("HTTP/1.1 200 OK\r\n"),
                "{name} {arguments:?}: {said}"
            );
        }
    }
}

#[tokio::test]
async fn a_client_certificate_is_verified_under_any_server_name() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let clients = folder.path().join("clients.pem");
    let (chain, key) = client_identity(&clients);
    let identity = folder.path().join("identity.der");
    let (certificate, key_file) = (
        identity.with_extension("cert"),
        identity.with_extension("key"),
    );
    fs::write(&certificate, &chain[0]).unwrap();
    fs::write(&key_file, key.secret_der()).unwrap();
    let setup = setup(folder.path()).argument("--tls-client-ca");
    let host = setup.argument(clients).start();
    let [certificate, key_file] = [&certificate, &key_file].map(|path| path.to_str().unwrap());
    let der = [
        "-certform",
        "DER",
        "-keyform",
        "DER",
        "-cert",
        certificate,
        "-key",
        key_file,
    ];
    for version in ["-tls1_2", "-tls1_3"] {
        let arguments = [&[version][..], &der].concat();
        let said = post_with_openssl(host.address(), "127.0.0.1:443", &arguments);
        let Some(said) = said else {
            eprintln!("skipped: no openssl");
            return;
        };
        assert!(said.contains("HTTP/1.1 200 OK\r\n"), "{version}: {said}");
        let said = post_with_openssl(host.address(), "127.0.0.1:443", &[version]).unwrap();
        assert!(!said.contains("HTTP/1.1 "), "{version}: {said}");
    }
}

/// Over HTTP/2, a head has the same limits, and must not be ambiguous either.
#[tokio::test]
async fn the_head_of_a_request_over_http_2_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let host = setup(folder.path()).with_admin().start();
    let caller = Caller::trusting(&folder.path().join("ca.pem")).speaking("h2");
    let mut sender = http2(caller.connect(host.address()).await.unwrap())
        .await
        .unwrap();
    let fields = |count, length| {
        let fields = (0..count).map(move |number| (format!("x{number}"), "y".repeat(length)));
        fields.collect::<Vec<_>>()
    };
    let host_is = |host: &str| vec![("host".to_owned(), host.to_owned())];
    for (what, fields, status) in [
        ("another host", host_is("other.example.com"), 400),
        ("two hosts", [host_is(NAME), host_is(NAME)].concat(), 400),
        ("too many fields", fields(101, 1), 431),
        ("too many bytes", fields(4, 5000), 431),
        ("the same host", host_is(NAME), 200),
        (
            "the host with its port",
            host_is("receiver.example.com:443"),
            200,
        ),
        ("a hundred fields with the length", fields(99, 60), 200),
        (
            "a long cookie",
            vec![("cookie".to_owned(), "c".repeat(7000))],
            200,
        ),
    ] {
        let mut request = Request::post(format!("https://{NAME}/notifications"));
        for (name, value) in fields {
            request = request.header(name, value);
        }
        let request = request
            .version(Version::HTTP_2)
            .body(Full::from(EXAMPLE))
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{what}");
    }
    let metrics = host.metrics().await;
    assert_eq!(metrics.requests("recorded"), 1.0);
    assert_eq!(metrics.requests("duplicate"), 3.0);
    assert_eq!(metrics.sum("batchtask_requests_total"), 4.0);
}

/// A host with certificates that clients would refuse starts, but logs warnings.
#[tokio::test]
async fn certificates_that_are_probably_wrong_cause_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "expired");
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let clients = folder.path().join("clients.pem");
    let other = rcgen::CertificateParams::new(vec!["other".to_owned()]).unwrap();
    let other = other
        .self_signed(&rcgen::KeyPair::generate().unwrap())
        .unwrap();
    fs::write(&clients, other.pem()).unwrap();
    fs::write(
        folder.path().join("cert.pem"),
        certificate.pem() + &other.pem(),
    )
    .unwrap();
    fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    let setup = setup(folder.path()).argument("--tls-client-ca");
    let host = setup.argument(clients).start();
    for warning in [
        "cert.pem`: certificate 1 expired at 2001-01-01T00:00:00Z",
        "cert.pem`: certificate 1 is an authority's",
        "cert.pem`: certificate 1 was not issued by certificate 2",
        "clients.pem`: certificate 1 is not an authority's",
    ] {
        host.says(|line| line.contains(" WARN ") && line.contains(warning))
            .await;
    }
}

/// Makes an authority, writes it to a file, and returns a client certificate from it.
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

/// A body that is not a notification is quarantined if its sender is proven. A client
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
    let mut sender = http2(stream).await.unwrap();
    let (status, body) = post_http2(&mut sender, "{}".into()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.starts_with(r#"{"outcome":"quarantined""#), "{body}");
}

/// Returns the server's certificate on a new connection.
async fn certificate(caller: &Caller, host: &Host) -> CertificateDer<'static> {
    let stream = caller.connect(host.address()).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    shown[0].clone().into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_used_for_new_connections_and_drops_nothing() {
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
            // One task keeps its connection; the three others open a new one each time.
            let stays = caller.speaking("h2").connect(address).await.unwrap();
            let mut stays = http2(stays).await.unwrap();
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
        // Between the two steps, the files do not match.
        let from = renewed.path().join(file);
        fs::rename(from, folder.path().join(file)).unwrap();
        ledger.reaches(ledger.len() + 20).await;
    }
    host.says(|line| line.contains("the TLS certificate was reloaded"))
        .await;
    assert_ne!(certificate(&caller, &host).await, old);
    let mut of_renewed = Caller::trusting(&renewed.path().join("ca.pem"));
    of_renewed.protocols = vec![b"h2".into()];
    end.store(ledger.len() + 100, Relaxed);
    load.join_all().await;
    let mut sender = http2(of_renewed.connect(host.address()).await.unwrap())
        .await
        .unwrap();
    let (status, _) = post_http2(&mut sender, EXAMPLE.into()).await;
    assert_eq!(status, StatusCode::OK);
    eprintln!("{} pushes while the certificate was renewed", ledger.len());
}

/// A handshake stalls, or no request follows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_ends() {
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
    assert!(silent.is_empty(), "a connection does not end");
}
