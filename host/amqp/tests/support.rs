//! A client with an inbox in memory.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batchtask_amqp::{Client, Credentials, Inbox, Metrics, Options, Pace, State, Verdict};
use bytes::Bytes;
use prometheus::core::Collector;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::brokers::{ACCESS_CODE, ACCESS_KEY, PATIENCE};

/// A body that the inbox can never store.
pub(crate) const NEVER: &str = "never";

/// What the inbox has stored.
#[derive(Default)]
pub(crate) struct Store {
    /// How often each body was stored.
    bodies: Mutex<HashMap<Bytes, usize>>,
    count: AtomicUsize,
    /// Whether nothing can be stored now.
    pub(crate) is_full: AtomicBool,
    pub(crate) attempts: AtomicUsize,
}

/// An inbox. Storing takes some time, as a commit does.
struct Slow(Arc<Store>, Duration);

impl Inbox for Slow {
    async fn accept(&self, body: Bytes) -> Verdict {
        let Self(store, time) = self;
        store.attempts.fetch_add(1, SeqCst);
        if !time.is_zero() {
            tokio::time::sleep(*time).await;
        }
        if store.is_full.load(SeqCst) {
            return Verdict::Retry;
        }
        if body == NEVER {
            return Verdict::Never;
        }
        *store.bodies.lock().unwrap().entry(body).or_default() += 1;
        store.count.fetch_add(1, SeqCst);
        Verdict::Stored
    }
}

impl Store {
    /// How many messages were stored.
    pub(crate) fn len(&self) -> usize {
        self.count.load(SeqCst)
    }

    /// How often a body was stored.
    pub(crate) fn has(&self, body: &[u8]) -> usize {
        self.bodies.lock().unwrap().get(body).copied().unwrap_or(0)
    }

    /// How often a body with this beginning was stored.
    pub(crate) fn starting_with(&self, start: &[u8]) -> usize {
        let bodies = self.bodies.lock().unwrap();
        let such = bodies.iter().filter(|(body, _)| body.starts_with(start));
        such.map(|(_, count)| count).sum()
    }

    /// How many different bodies were stored.
    pub(crate) fn distinct(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }

    /// Waits until this many different bodies are stored.
    pub(crate) async fn reaches(&self, count: usize) {
        let waiting = async {
            while self.distinct() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{} of {count} are stored", self.distinct()));
    }
}

/// A client that runs.
pub(crate) struct Running {
    pub(crate) store: Arc<Store>,
    client: Arc<Client<Slow>>,
    metrics: Metrics,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Options for a broker with this authority. Attempts to connect follow one another fast.
pub(crate) fn options(url: &str, ca: &Path) -> Options {
    let mut options = Options::new(url.parse().expect("a URL"));
    options.authorities = Some(fs::read(ca).expect("a file"));
    options.pace = Pace {
        first: Duration::from_millis(200),
        longest: Duration::from_secs(1),
        steady: Duration::from_secs(1),
    };
    options
}

pub(crate) fn credentials(codes: &[&str]) -> Credentials {
    Credentials {
        access_key: ACCESS_KEY.into(),
        access_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
    }
}

impl Running {
    pub(crate) fn start(options: Options) -> Self {
        Self::with(options, &[ACCESS_CODE], Duration::ZERO)
    }

    /// A client with these access codes, whose inbox takes this long.
    pub(crate) fn with(options: Options, codes: &[&str], time: Duration) -> Self {
        let store = Arc::<Store>::default();
        let metrics = Metrics::new().expect("metrics");
        let inbox = Slow(store.clone(), time);
        let client = Client::new(options, credentials(codes), inbox, metrics.clone());
        let client = Arc::new(client.expect("valid options"));
        let stop = CancellationToken::new();
        let (running, stopped) = (client.clone(), stop.clone());
        Self {
            store,
            client,
            metrics,
            stop,
            task: tokio::spawn(async move { running.run(stopped).await }),
        }
    }

    pub(crate) fn use_codes(&self, codes: &[&str]) {
        self.client.use_credentials(credentials(codes));
    }

    /// Waits until the state is such.
    pub(crate) async fn is(&self, what: &str, is_such: impl Fn(&State) -> bool) -> State {
        let mut state = self.client.state();
        let waited = tokio::time::timeout(PATIENCE, state.wait_for(is_such)).await;
        let state = waited.map(|state| state.expect("it runs").clone());
        state.unwrap_or_else(|_| panic!("it is not {what}: {:?}", self.client.state().borrow()))
    }

    /// Waits until it receives and nothing is wrong.
    pub(crate) async fn is_well(&self) {
        self.is("well", |state| {
            state.is_connected && state.problem.is_none()
        })
        .await;
    }

    /// Waits until the problem has these words.
    pub(crate) async fn has_problem(&self, words: &str) -> State {
        let has = |state: &State| {
            let problem = state.problem.as_deref();
            problem.is_some_and(|problem| problem.contains(words))
        };
        self.is(words, has).await
    }

    /// Returns a metric, with its value for this label if it has one.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let families = self.metrics.collect();
        let name = format!("batchtask_amqp_{name}");
        let family = families.iter().find(|family| family.name() == name);
        let mut metrics = family.expect("a metric").get_metric().iter();
        let metric = metrics.find(|metric| {
            let mut labels = metric.get_label().iter();
            label.is_empty() || labels.any(|found| found.value() == label)
        });
        let metric = metric.expect("a label");
        metric.get_counter().get_value() + metric.get_gauge().get_value()
    }

    /// Stops it, and waits for its end.
    pub(crate) async fn stop(self) -> Arc<Store> {
        self.stop.cancel();
        self.task.await.expect("no panic");
        self.store
    }
}

/// Different bodies.
pub(crate) fn bodies(prefix: &str, count: usize) -> Vec<String> {
    let body = |number| format!(r#"{{"{prefix}": {number}, "text": "{}"}}"#, "é".repeat(150));
    (0..count).map(body).collect()
}
