//! A manager, and a server that answers challenges.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batchtask_acme::schedule::Memory;
use batchtask_acme::{Certificate, Challenge, Manager, Metrics, Options, Responder, Shared, State};
use prometheus::core::Collector;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::Acceptor;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::LazyConfigAcceptor;
use tokio_util::sync::CancellationToken;

use crate::pebble::Pebble;

/// How long a test waits for a state.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) const NAME: &str = "receiver.example.com";

/// The protocol of a handshake in which a CA checks a name.
const ALPN: &[u8] = b"acme-tls/1";

/// Milliseconds of a day.
pub(crate) const DAY_MS: u64 = 24 * 3600 * 1000;

/// A server that only answers challenges.
#[derive(Default)]
pub(crate) struct Server {
    configs: Mutex<BTreeMap<String, Arc<ServerConfig>>>,
    /// The names that it was asked for, and answered.
    answered: Mutex<Vec<String>>,
}

impl Server {
    /// Listens on a free port.
    pub(crate) async fn start() -> (Arc<Self>, SocketAddr) {
        let server = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = serving.clone();
                tokio::spawn(async move {
                    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
                    let Ok(hello) = hello else { return };
                    let config = server.config(&hello.client_hello());
                    if let Some(config) = config {
                        let _ = hello.into_stream(config).await;
                    }
                });
            }
        });
        (server, address)
    }

    fn config(&self, hello: &rustls::server::ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let is_challenge = hello.alpn()?.eq([ALPN]);
        let name = hello.server_name().filter(|_| is_challenge)?;
        let config = self.configs.lock().unwrap().get(name).cloned()?;
        self.answered.lock().unwrap().push(name.to_owned());
        Some(config)
    }

    pub(crate) fn answered(&self) -> Vec<String> {
        self.answered.lock().unwrap().clone()
    }

    /// Whether it would answer a challenge now.
    pub(crate) fn has_challenges(&self) -> bool {
        !self.configs.lock().unwrap().is_empty()
    }
}

impl Responder for Server {
    fn answer(&self, challenges: Vec<Challenge>) {
        let config = |challenge: Challenge| {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let key = provider
                .key_provider
                .load_private_key(challenge.key)
                .unwrap();
            let key = CertifiedKey::new(vec![challenge.certificate], key);
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
            config.alpn_protocols = vec![ALPN.to_vec()];
            (challenge.name, Arc::new(config))
        };
        *self.configs.lock().unwrap() = challenges.into_iter().map(config).collect();
    }
}

/// A CA, a server, and a folder.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) server: Arc<Server>,
    pub(crate) pebble: Pebble,
}

impl World {
    /// `None`: the CA is not installed.
    pub(crate) async fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (server, address) = Server::start().await;
        let pebble = Pebble::start(folder.path(), address.port())?;
        Some(Self {
            folder,
            server,
            pebble,
        })
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// The options for these names.
    pub(crate) fn options(&self, names: &[&str]) -> Options {
        let domains = names.iter().map(|name| name.parse().unwrap()).collect();
        let mut options = Options::new(domains, self.cache());
        options.directory = self.pebble.directory();
        options.authorities = Some(self.pebble.authority());
        options
    }

    pub(crate) fn start(&self, options: Options) -> Running {
        Running::start(options, self.server.clone(), None)
    }

    /// The certificate in the cache.
    pub(crate) fn certificate(&self) -> Certificate {
        certificate(&self.cache())
    }

    /// Checks that the certificate in the cache is for this name, and that clients accept it.
    pub(crate) async fn accepts(&self, name: &str) {
        verify(&self.certificate(), &self.pebble.root().await, name);
    }

    /// Writes a certificate of another CA into the cache, whose life began and ends this number
    /// of days from now.
    pub(crate) fn write_certificate(&self, name: &str, from_days: i64, until_days: i64) -> String {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs();
        let at = |days: i64| {
            let seconds = now as i64 + days * (DAY_MS as i64 / 1000);
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.try_into().unwrap())
        };
        (params.not_before, params.not_after) = (at(from_days), at(until_days));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
        fs::create_dir_all(self.cache()).unwrap();
        fs::write(self.cache().join("certificate.pem"), &pem).unwrap();
        pem
    }

    /// What is remembered in the cache.
    pub(crate) fn memory(&self) -> Memory {
        let text = fs::read_to_string(self.cache().join("state.json")).unwrap();
        let state: serde_json::Value = serde_json::from_str(&text).unwrap();
        serde_json::from_value(state["memory"].clone()).unwrap()
    }

    /// Changes what is remembered, as if time had passed.
    pub(crate) fn change_memory(&self, change: impl FnOnce(&mut Memory)) {
        let path = self.cache().join("state.json");
        let text = fs::read_to_string(&path).unwrap();
        let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut memory = self.memory();
        change(&mut memory);
        state["memory"] = serde_json::to_value(memory).unwrap();
        fs::write(&path, state.to_string()).unwrap();
    }

    /// The id of the account in the cache.
    pub(crate) fn account(&self) -> String {
        let text = fs::read_to_string(self.cache().join("account.json")).unwrap();
        let account: serde_json::Value = serde_json::from_str(&text).unwrap();
        account["credentials"]["id"].as_str().unwrap().to_owned()
    }

    /// The mode of each file in the cache.
    pub(crate) fn modes(&self) -> BTreeMap<String, u32> {
        let entries = fs::read_dir(self.cache()).unwrap();
        let mode = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            (entry.file_name().into_string().unwrap(), mode)
        };
        entries.map(mode).collect()
    }
}

pub(crate) fn certificate(cache: &Path) -> Certificate {
    let pem = fs::read_to_string(cache.join("certificate.pem")).unwrap();
    Certificate::parse(&pem).unwrap()
}

/// Checks that a client with this root accepts the certificate.
pub(crate) fn verify(certificate: &Certificate, root: &str, name: &str) {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
    let chain = CertificateDer::pem_slice_iter(certificate.pem().as_bytes());
    let chain: Vec<_> = chain.collect::<Result<_, _>>().unwrap();
    let verified = verifier.build().unwrap().verify_server_cert(
        &chain[0],
        &chain[1..],
        &ServerName::try_from(name.to_owned()).unwrap(),
        &[],
        UnixTime::now(),
    );
    verified.unwrap();
}

/// A manager that runs.
pub(crate) struct Running {
    pub(crate) manager: Arc<Manager>,
    metrics: Metrics,
    state: watch::Receiver<State>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(
        options: Options,
        responder: Arc<dyn Responder>,
        shared: Option<Arc<dyn Shared>>,
    ) -> Self {
        options.check().unwrap();
        let metrics = Metrics::new().unwrap();
        let manager = Manager::new(options, responder, metrics.clone(), shared).unwrap();
        let manager = Arc::new(manager);
        let stop = CancellationToken::new();
        let (running, stopped) = (manager.clone(), stop.clone());
        Self {
            state: manager.state(),
            task: tokio::spawn(async move { running.run(stopped).await }),
            manager,
            metrics,
            stop,
        }
    }

    /// Waits until the state matches, and returns it.
    pub(crate) async fn reaches(&mut self, matches: impl Fn(&State) -> bool) -> State {
        let reached = tokio::time::timeout(PATIENCE, self.state.wait_for(|state| matches(state)));
        let reached = reached.await.map(|state| state.unwrap().clone());
        reached.unwrap_or_else(|_| panic!("the state stays {:?}", *self.state.borrow()))
    }

    /// Waits for a certificate with which nothing is wrong.
    pub(crate) async fn is_good(&mut self) {
        let state = self.reaches(|state| state.has_certificate || state.problem.is_some());
        let state = state.await;
        assert_eq!(state.problem, None);
    }

    /// Waits for a problem, and returns its text.
    pub(crate) async fn problem(&mut self) -> String {
        let state = self.reaches(|state| state.problem.is_some()).await;
        state.problem.unwrap()
    }

    /// Waits until this number of certificates was issued.
    pub(crate) async fn has_issued(&self, count: u64) {
        let issued = async {
            let failed = self.orders("failed");
            while self.value("batchtask_acme_orders_total", "issued") != count {
                assert_eq!(self.orders("failed"), failed, "{:?}", *self.state.borrow());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let issued = tokio::time::timeout(PATIENCE, issued).await;
        issued.unwrap_or_else(|_| panic!("{:?}", *self.state.borrow()));
    }

    /// The number of orders with this result.
    pub(crate) fn orders(&self, result: &str) -> u64 {
        self.value("batchtask_acme_orders_total", result)
    }

    fn value(&self, name: &str, label: &str) -> u64 {
        let families = self.metrics.collect();
        let family = families
            .iter()
            .find(|family| family.name() == name)
            .unwrap();
        let mut metrics = family.get_metric().iter();
        let has_label =
            |metric: &&prometheus::proto::Metric| metric.get_label()[0].value() == label;
        metrics.find(has_label).unwrap().get_counter().get_value() as u64
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap();
    }
}
