//! Certificates from a CA that speaks ACME: the real program against Pebble.

#[allow(dead_code, reason = "the tests of `host/acme` use the rest")]
#[path = "../host/acme/tests/pebble/mod.rs"]
pub(crate) mod pebble;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use self::pebble::Pebble;
use crate::shared;
use crate::shared::server::Server;
use crate::support::host::{Host, Setup};
use crate::support::mounts::small_disk;
use crate::support::notifications::Notification;
use crate::support::tls::{Caller, NAME};

/// A CA, the socket to which it connects, and a folder.
struct World {
    folder: TempDir,
    socket: Arc<TcpListener>,
    pebble: Pebble,
}

impl World {
    /// `None`: the CA is not installed.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let port = socket.local_addr().unwrap().port();
        let pebble = Pebble::start(folder.path(), port)?;
        Some(Self {
            folder,
            socket,
            pebble,
        })
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("acme")
    }

    /// A host that obtains its certificate from the CA.
    fn setup(&self) -> Setup {
        let setup = Setup::in_folder(self.folder.path()).inheriting(&self.socket);
        self.with_acme(setup, &self.cache())
    }

    fn with_acme(&self, setup: Setup, cache: &Path) -> Setup {
        let (directory, authority) = (self.pebble.directory(), self.pebble.authority_path());
        with_acme(setup, cache, &directory, &authority)
    }

    /// A client that trusts what the CA issues.
    async fn caller(&self) -> Caller {
        let root = self.folder.path().join("root.pem");
        fs::write(&root, self.pebble.root().await).unwrap();
        Caller::trusting(&root)
    }

    /// Writes a certificate that another CA issued some time ago. Two thirds of its life have
    /// passed. Returns a client that trusts it.
    fn write_old_certificate(&self, path: &Path) -> Caller {
        let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::days(70);
        params.not_after = now + time::Duration::days(20);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, certificate.clone() + &key.serialize_pem()).unwrap();
        let root = self.folder.path().join("old.pem");
        fs::write(&root, certificate).unwrap();
        Caller::trusting(&root)
    }
}

/// Adds a certificate from this CA to a setup. `authority` is that of the CA's own server.
pub(crate) fn with_acme(setup: Setup, cache: &Path, directory: &str, authority: &Path) -> Setup {
    setup
        .variable(("BATCHTASK_ACME_CA", text(authority)))
        .with_admin()
        .variable(("BATCHTASK_ACME_DOMAINS", NAME))
        .variable(("BATCHTASK_ACME_ACCEPT_TERMS", "true"))
        .variable(("BATCHTASK_ACME_CACHE", text(cache)))
        .variable(("BATCHTASK_ACME_DIRECTORY", directory))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn post(mut stream: TlsStream<TcpStream>, number: u64) {
    let body = Notification::numbered(number).body();
    let request = format!(
        "POST /notifications HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

/// Waits until the client accepts the certificate of the host.
async fn accepts(caller: &Caller, host: &Host) -> TlsStream<TcpStream> {
    let connected = async {
        loop {
            if let Ok(stream) = caller.connect(host.address()).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let connected = tokio::time::timeout(Duration::from_secs(120), connected).await;
    connected.unwrap_or_else(|_| panic!("{}", host.said()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_obtained_and_used_again_after_a_restart() {
    let Some(mut world) = World::new() else {
        return;
    };
    let caller = world.caller().await;
    let host = world.setup().start();
    post(accepts(&caller, &host).await, 1).await;
    host.says(|line| line.contains("a CA checked who controls a name"))
        .await;
    let issued = r#"batchtask_acme_orders_total{result="issued"}"#;
    host.counts(|metrics| metrics.value(issued) == 1.0).await;
    let metrics = host.metrics().await;
    let start = metrics.value("batchtask_tls_certificate_start_timestamp_seconds");
    let end = metrics.value("batchtask_tls_certificate_expiry_timestamp_seconds");
    assert!(start > 0.0 && end > start);
    assert_eq!(metrics.value("batchtask_acme_failures_in_a_row"), 0.0);
    assert!(metrics.value("batchtask_acme_next_order_timestamp_seconds") > start);
    assert_eq!(host.admin().get("/readyz").await.status, 200);
    // Challenges are answered only while the CA checks.
    let stranger = caller.speaking("acme-tls/1");
    assert!(stranger.connect(host.address()).await.is_err());
    host.signal(Signal::HUP);
    host.says(|line| line.contains("reloaded: no option has changed"))
        .await;
    post(caller.connect(host.address()).await.unwrap(), 2).await;
    let setup = host.setup().clone();
    host.stop();

    world.pebble.stop();
    let host = setup.start();
    post(caller.connect(host.address()).await.unwrap(), 3).await;
    assert_eq!(host.metrics().await.value(issued), 0.0);
    host.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_without_a_restart() {
    let Some(world) = World::new() else {
        return;
    };
    let old = world.write_old_certificate(&world.cache().join("certificate.pem"));
    let new = world.caller().await;
    let host = world.setup().start();
    // The old one is used until then.
    let stream = accepts(&new, &host).await;
    post(stream, 1).await;
    assert!(old.connect(host.address()).await.is_err());
    host.says(|line| line.contains("the TLS certificate was reloaded"))
        .await;
    host.stop();
}

/// Without a certificate the host says so, and everything else works.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_the_host_waits_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("acme");
    // No program listens there.
    let authority = a_certificate(folder.path());
    let setup = Setup::in_folder(folder.path());
    let setup = with_acme(setup, &cache, "https://127.0.0.1:1/dir", &authority);
    let host = setup.start();
    host.says(|line| line.contains("the CA at `127.0.0.1` cannot be reached: Connection refused"))
        .await;
    let failures = "batchtask_acme_failures_in_a_row";
    host.counts(|metrics| metrics.value(failures) == 1.0).await;
    let ready = host.admin().get("/readyz").await;
    assert_eq!(ready.status, 503);
    let reason = ready.text();
    assert!(
        reason.contains("there is no TLS certificate: the CA at"),
        "{reason}"
    );
    let mut caller = Caller::trusting(&authority);
    for protocols in [vec![], vec!["acme-tls/1".into()], vec!["h2".into()]] {
        caller.protocols = protocols;
        let error = caller.connect(host.address()).await.unwrap_err();
        assert!(error.to_string().contains("InternalError"), "{error}");
    }
    let refused = r#"batchtask_connection_failures_total{reason="no_certificate"}"#;
    assert_eq!(host.metrics().await.value(refused), 3.0);
    host.stop();
}

/// The file of some certificate.
fn a_certificate(folder: &Path) -> PathBuf {
    let certificate = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let path = folder.join("some.pem");
    fs::write(&path, certificate.cert.pem()).unwrap();
    path
}

/// The disk of the cache has room for the old certificate and the state, not for an account.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk_the_old_certificate_stays() {
    let Some(world) = World::new() else {
        return;
    };
    fs::create_dir(world.cache()).unwrap();
    let Some(mut wrapper) = small_disk(&world.cache(), "8k") else {
        return;
    };
    let old_path = world.folder.path().join("certificate.pem");
    let old = world.write_old_certificate(&old_path);
    let place = world.cache().join("certificate.pem");
    let copy = format!("cp {} {} && exec \"$@\"", text(&old_path), text(&place));
    wrapper.extend(["sh", "-c", &copy, "sh"].map(String::from));
    let setup = Setup::in_folder(world.folder.path()).under(wrapper);
    let setup = world.with_acme(setup, &world.cache());
    let host = setup.start();
    host.says(|line| line.contains("acme/") && line.contains("No space left on device"))
        .await;
    post(old.connect(host.address()).await.unwrap(), 1).await;
    let issued = r#"batchtask_acme_orders_total{result="issued"}"#;
    assert_eq!(host.metrics().await.value(issued), 0.0);
    assert_eq!(host.admin().get("/readyz").await.status, 200);
    host.stop();
}

/// The CA reaches one of the hosts, which need not be the one that orders.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_on_one_postgres_share_a_certificate() {
    let Some(world) = World::new() else {
        return;
    };
    let Some(server) = Server::start(&[]) else {
        return;
    };
    let setup = |number: u32| {
        let cache = world.folder.path().join(format!("acme-{number}"));
        let setup = shared::setup(&server.url(), world.folder.path());
        let setup = world.with_acme(setup, &cache);
        setup.variable(("BATCHTASK_ACME_SHARE_SECRET", "shAreSeCreT000000"))
    };
    let caller = world.caller().await;
    let first = setup(1).start();
    let second = setup(2).inheriting(&world.socket).start();
    post(accepts(&caller, &first).await, 1).await;
    post(accepts(&caller, &second).await, 2).await;
    let mut issued = 0.0;
    for host in [&first, &second] {
        let metrics = host.metrics().await;
        issued += metrics.value(r#"batchtask_acme_orders_total{result="issued"}"#);
        assert_eq!(metrics.value("batchtask_acme_failures_in_a_row"), 0.0);
    }
    assert_eq!(issued, 1.0);
    first.stop();
    second.stop();
}
