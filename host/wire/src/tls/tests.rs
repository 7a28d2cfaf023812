//! Messages for tests, and handshakes with OpenSSL, which can send any server name.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{MaskedStream, provider, verifier};

/// Returns a list of server names with this host name only.
pub(super) fn server_name(name: &[u8]) -> Vec<u8> {
    let mut list = vec![0];
    list.extend(vector16(name));
    vector16(&list)
}

/// Returns a ClientHello whose second extension is this list of server names, and
/// whose third extension offers TLS 1.3.
pub(super) fn hello(server_name: &[u8]) -> Vec<u8> {
    let mut extensions = vec![0, 23, 0, 0, 0, 0];
    extensions.extend(vector16(server_name));
    extensions.extend([0, 43, 0, 5, 4, 3, 4, 3, 3]);
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(vector16(&extensions));
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1], &length[1..], &body].concat()
}

fn vector16(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length, bytes].concat()
}

/// Splits a message into records of at most `bytes_max` bytes.
pub(super) fn in_records(message: &[u8], bytes_max: usize) -> Vec<u8> {
    let records = message.chunks(bytes_max);
    records
        .flat_map(|record| [&[22, 3, 1][..], &vector16(record)].concat())
        .collect()
}

/// Random bytes are passed on, and at most two bytes are changed.
#[test]
fn of_random_bytes_at_most_the_type_of_an_extension_is_changed() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..20_000 {
        let name: Vec<u8> = (0..random.usize(..90)).map(|_| random.u8(..)).collect();
        let mut bytes = in_records(&hello(&server_name(&name)), random.usize(1..300));
        for _ in 0..random.usize(..4) {
            let place = random.usize(..bytes.len());
            bytes[place] = random.u8(..);
        }
        bytes.truncate(random.usize(..bytes.len() * 2));
        let (mut flight, mut held) = (super::flight::FirstFlight::default(), bytes.clone());
        flight.follow(&mut held);
        let differences = bytes.iter().zip(&held).filter(|(a, b)| a != b);
        assert!(differences.count() <= 2);
    }
}

/// An authority, and a certificate from it with its key.
struct Identity {
    authority: rcgen::Certificate,
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
}

fn identity() -> Identity {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["receiver.example.com".into()]).unwrap();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "leaf");
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Identity {
        authority,
        certificate,
        key,
    }
}

/// Starts a server that answers each connection with `hello`, and returns its
/// port.
async fn serve(identity: &Identity, asks_for_certificates: bool) -> u16 {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap();
    let builder = if asks_for_certificates {
        let mut roots = RootCertStore::empty();
        roots.add(identity.authority.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
        builder.with_client_cert_verifier(verifier(clients.build().unwrap()))
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
    let chain = vec![identity.certificate.der().clone()];
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let accepted = acceptor.accept(MaskedStream::new(stream)).await;
            if let Ok(mut stream) = accepted {
                let _ = stream.write_all(b"hello\n").await;
                let _ = stream.shutdown().await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            }
        }
    });
    port
}

/// Runs a handshake with OpenSSL, and returns what it prints. Returns `None` if
/// OpenSSL is not installed.
async fn openssl(port: u16, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]);
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().ok()?;
    let output = tokio::task::spawn_blocking(move || {
        let mut child = child;
        // The end of the input would end the connection before tickets arrive.
        let input = child.stdin.take();
        let output = child.wait_with_output().unwrap();
        drop(input);
        output
    });
    let output = output.await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&said).into_owned())
}

fn write_pem(folder: &Path, identity: &Identity) -> [String; 2] {
    let files = [
        ("cert.pem", identity.certificate.pem()),
        ("key.pem", identity.key.serialize_pem()),
    ];
    files.map(|(name, pem)| {
        let path = folder.join(name);
        std::fs::write(&path, pem).unwrap();
        path.to_str().unwrap().to_owned()
    })
}

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

fn names() -> Vec<String> {
    let mut names: Vec<String> = [
        "receiver.example.com",
        "receiver.example.com:443",
        "127.0.0.1:443",
        "*.x",
        "a b",
        "-",
        "..",
        "b\u{fc}cher.example",
    ]
    .map(String::from)
    .into();
    names.push("x".repeat(70) + ".example.com");
    names.push("x".repeat(255));
    let mut random = fastrand::Rng::with_seed(6);
    names.extend((0..10).map(|_| {
        (0..random.usize(1..80))
            .map(|_| random.char('!'..'~'))
            .collect()
    }));
    names
}

#[tokio::test]
async fn any_name_is_accepted_in_both_versions_and_after_a_retry() {
    let port = serve(&identity(), false).await;
    for name in names() {
        for version in VERSIONS {
            let arguments = [version, "-servername", &name];
            let Some(said) = openssl(port, &arguments).await else {
                eprintln!("skipped: no openssl");
                return;
            };
            assert!(said.contains("\nhello\n"), "{name} {version}: {said}");
        }
        // The client's key share is of a group that the server does not support.
        let retry = ["-tls1_3", "-groups", "P-521:X25519", "-servername", &name];
        let said = openssl(port, &retry).await.unwrap();
        assert!(said.contains("\nhello\n"), "{name}: {said}");
        let either = ["-servername", &name];
        let said = openssl(port, &either).await.unwrap();
        assert!(said.contains("\nhello\n"), "{name}: {said}");
    }
}

#[tokio::test]
async fn a_session_is_resumed_under_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("session");
    let session = session.to_str().unwrap();
    let port = serve(&identity(), false).await;
    for version in VERSIONS {
        for groups in ["X25519:P-256", "P-521:X25519:P-256"] {
            let common = [
                version,
                "-groups",
                groups,
                "-servername",
                "receiver.example.com:443",
            ];
            let first = [&common[..], &["-sess_out", session]].concat();
            let Some(said) = openssl(port, &first).await else {
                eprintln!("skipped: no openssl");
                return;
            };
            assert!(said.contains("\nNew, "), "{said}");
            let again = [&common[..], &["-sess_in", session]].concat();
            let said = openssl(port, &again).await.unwrap();
            assert!(said.contains("\nReused, "), "{version} {groups}: {said}");
            assert!(said.contains("\nhello\n"), "{version} {groups}: {said}");
        }
    }
}

#[tokio::test]
async fn a_client_certificate_is_verified_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let identity = identity();
    let [certificate, key] = write_pem(folder.path(), &identity);
    let port = serve(&identity, true).await;
    for version in VERSIONS {
        for name in ["receiver.example.com", "receiver.example.com:443"] {
            let mut arguments = vec![version, "-servername", name];
            let Some(said) = openssl(port, &arguments).await else {
                eprintln!("skipped: no openssl");
                return;
            };
            assert!(!said.contains("\nhello\n"), "{version} {name}: {said}");
            arguments.extend(["-cert", &certificate, "-key", &key]);
            let said = openssl(port, &arguments).await.unwrap();
            assert!(said.contains("\nhello\n"), "{version} {name}: {said}");
        }
    }
}
