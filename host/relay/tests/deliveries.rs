//! A relay with a receiver that fails in many ways.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use batchtask_journal::{
    Appended, Entry, Event, EventFlags, GroupCommit, MemoryJournal, Source, group_commit,
};
use batchtask_relay::circuit::CircuitState;
use batchtask_relay::scheduler::AfterDead;
use batchtask_relay::{
    Command, CommandError, EventOptions, Filter, HttpOptions, Identity, Kind, Mode, Passing, Relay,
    Replay, Reply, Sink, SinkOptions, SinkStatus, Start, TlsOptions, WebhookOptions,
};
use batchtask_webhook::Key;
use batchtask_webhook::signature::signatures;
use fastrand::Rng;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::receiver::{PATIENCE, Reaction, Received, Receiver};

const KEYS: [&str; 2] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_c2Vjb25kLXNlY3JldC1vZi10aGUtdGVzdHM=",
];

pub(crate) fn journal() -> Arc<GroupCommit> {
    let journal = Arc::new(MemoryJournal::default());
    let options = group_commit::Options::default();
    Arc::new(GroupCommit::new(journal, options, None).unwrap())
}

pub(crate) fn event(task: usize, number: u64) -> Event {
    let mut digest = vec![0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    Event {
        app_id: "app".into(),
        task_id: format!("task-{task}"),
        task_type: "softwareUpgrade".into(),
        status: "Processing".into(),
        status_desc: String::new(),
        event_time: None,
        event_time_ms: None,
        request_id: None,
        digest,
        occurred_at_ms: number + 1,
        rank: 2,
        received_at_ms: 1_700_000_000_000,
        source: Source::Push,
        signature: None,
        flags: EventFlags::empty(),
        body: format!("{{\"number\":{number}}}").into_bytes(),
    }
}

/// Stores events `first..` of `tasks` tasks.
async fn store(journal: &GroupCommit, first: u64, count: u64, tasks: usize) {
    let mut rng = Rng::with_seed(first);
    for number in first..first + count {
        let event = event(rng.usize(0..tasks), number);
        let written = journal.write(Entry::Event(event, None)).await;
        assert_eq!(written.unwrap(), Appended::Recorded);
    }
}

fn options(url: &str) -> SinkOptions {
    SinkOptions {
        name: "hook".into(),
        filter: Filter::default(),
        start: Start::Beginning,
        passing: Passing::Events(EventOptions {
            parallel: 64,
            retries: vec![Duration::from_millis(50); 2],
            after_dead: AfterDead::Skip,
        }),
        kind: Kind::Webhook(WebhookOptions {
            http: HttpOptions {
                url: url.into(),
                timeout: Duration::from_secs(5),
                ..HttpOptions::default()
            },
            ..WebhookOptions::default()
        }),
    }
}

fn webhook(options: &mut SinkOptions) -> &mut WebhookOptions {
    match &mut options.kind {
        Kind::Webhook(webhook) => webhook,
        _ => panic!("not a webhook"),
    }
}

fn events(options: &mut SinkOptions) -> &mut EventOptions {
    match &mut options.passing {
        Passing::Events(events) => events,
        Passing::Digests(_) | Passing::Alerts(..) => panic!("not a sink of events"),
    }
}

fn sink(options: SinkOptions) -> Arc<Sink> {
    Arc::new(Sink::new(options).unwrap())
}

/// A relay that runs.
pub(crate) struct Running {
    pub(crate) relay: Arc<Relay>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(journal: &Arc<GroupCommit>, options: Vec<SinkOptions>) -> Self {
        let sinks = options.into_iter().map(sink).collect();
        let relay = Arc::new(Relay::new(journal.clone(), "host", sinks));
        let stop = CancellationToken::new();
        let (runs, stopped) = (relay.clone(), stop.clone());
        let task = tokio::spawn(async move { runs.run(stopped).await });
        Self { relay, stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Waits until the status of the sink `hook` fulfils a condition.
    pub(crate) async fn until(&self, holds: impl Fn(&SinkStatus) -> bool) -> SinkStatus {
        let started = Instant::now();
        loop {
            let mut statuses = self.relay.statuses();
            statuses.retain(|status| status.name == "hook");
            if let Some(status) = statuses.pop().filter(&holds) {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "{:?}", self.relay.statuses());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn command(&self, command: Command) -> Result<Reply, CommandError> {
        let started = Instant::now();
        loop {
            match self.relay.command("hook", command.clone()).await {
                Err(CommandError::NotRunning(_) | CommandError::UnknownSink(_))
                    if started.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                reply => return reply,
            }
        }
    }
}

/// Whether a failure has been published.
fn has_failed(status: &SinkStatus) -> bool {
    status.counts.last_error.is_some()
}

/// A receiver that fails one of five requests at random, in every way.
fn flaky(seed: u64) -> impl Fn(&Received) -> Reaction + Send + Sync {
    let rng = Mutex::new(Rng::with_seed(seed));
    move |_| {
        let mut rng = rng.lock().unwrap();
        match rng.u8(0..100) {
            0..=7 => Reaction::Answer(503, vec![]),
            8..=12 => Reaction::Answer(500, vec![]),
            13..=15 => Reaction::AcceptAndBreak,
            16..=18 => Reaction::Answer(429, vec![("retry-after", "0".into())]),
            19 => Reaction::Answer(408, vec![]),
            20..=22 => Reaction::AcceptSlowly(Duration::from_millis(rng.u64(0..100))),
            _ => Reaction::Accept,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_arrives_in_order_although_the_receiver_fails() {
    const EVENTS: u64 = 3000;
    let journal = journal();
    store(&journal, 0, EVENTS / 2, 100).await;
    let receiver = Receiver::start(flaky(1)).await;
    // The relay is stopped a few times.
    for part in 1..=3 {
        let running = Running::start(&journal, vec![options(&receiver.url())]);
        receiver.accepts(part * 300).await;
        running.stop().await;
    }
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    store(&journal, EVENTS / 2, EVENTS / 2, 100).await;
    let status = running
        .until(|status| status.last_seq == EVENTS && status.lag_events() == 0)
        .await;
    assert!(status.results.sink_failed > 100, "{status:?}");
    receiver.accepts_all(EVENTS).await;
    assert_eq!(status.counts.dead, 0);
    running.stop().await;
    let repetitions = receiver.check(EVENTS);
    eprintln!("{EVENTS} events, {repetitions} accepted more than once");
    // After a graceful stop nothing that was delivered is sent again.
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    let before = receiver.received().len();
    running.until(|status| status.last_seq == EVENTS).await;
    running.stop().await;
    assert_eq!(receiver.received().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_delays_everything_and_loses_nothing() {
    let journal = journal();
    let is_up = Arc::new(AtomicBool::new(false));
    let up = is_up.clone();
    let receiver = Receiver::start(move |_| match up.load(Relaxed) {
        true => Reaction::Accept,
        false => Reaction::Answer(502, vec![]),
    });
    let receiver = receiver.await;
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    store(&journal, 0, 500, 50).await;
    let failing = running
        .until(|status| status.counts.circuit == CircuitState::Open && status.state() == "failing")
        .await;
    let error = failing.counts.last_error.unwrap().text;
    assert_eq!(error, "the receiver answered 502 Bad Gateway: no: a reason");
    // Only probes are sent.
    let before = receiver.received().len();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(receiver.received().len() <= before + 3);
    is_up.store(true, Relaxed);
    running
        .until(|status| status.lag_events() == 0 && status.last_seq == 500)
        .await;
    running.stop().await;
    assert_eq!(receiver.check(500), 0);
}

/// Task 0 has an event that is refused for good.
fn refuses_third(received: &Received) -> Reaction {
    match received.seq() {
        3 => Reaction::Answer(422, vec![]),
        _ => Reaction::Accept,
    }
}

async fn store_alternating(journal: &GroupCommit) {
    for number in 0..10 {
        let event = event(number as usize % 2, number);
        journal.write(Entry::Event(event, None)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_event_becomes_a_dead_letter_and_its_task_goes_on() {
    let journal = journal();
    store_alternating(&journal).await;
    let receiver = Receiver::start(refuses_third).await;
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    let status = running.until(|status| status.counts.dead == 1).await;
    assert_eq!((status.results.refused, status.results.dead), (3, 1));
    receiver.accepts(9).await;
    running.stop().await;
    let seqs: Vec<u64> = receiver.accepted().iter().map(Received::seq).collect();
    let of_task = |rest| seqs.iter().copied().filter(move |seq| seq % 2 == rest);
    assert_eq!(of_task(1).collect::<Vec<_>>(), [1, 5, 7, 9]);
    assert_eq!(of_task(0).collect::<Vec<_>>(), [2, 4, 6, 8, 10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_can_hold_its_task_until_an_operator_decides() {
    let journal = journal();
    store_alternating(&journal).await;
    let is_repaired = Arc::new(AtomicBool::new(false));
    let repaired = is_repaired.clone();
    let receiver = Receiver::start(move |received| match repaired.load(Relaxed) {
        true => Reaction::Accept,
        false => refuses_third(received),
    });
    let receiver = receiver.await;
    let holding = || {
        let mut options = options(&receiver.url());
        events(&mut options).after_dead = AfterDead::Hold;
        options
    };
    let running = Running::start(&journal, vec![holding()]);
    let dead = |status: &SinkStatus| status.counts.dead == 1 && status.counts.parked == 3;
    running.until(dead).await;
    receiver.accepts(6).await;
    running.stop().await;
    // After a restart, too.
    let running = Running::start(&journal, vec![holding()]);
    running.until(dead).await;
    let Ok(Reply::Dead(letters)) = running.command(Command::ListDead).await else {
        panic!();
    };
    let [letter] = &letters[..] else {
        panic!("{letters:?}");
    };
    assert_eq!((letter.seq, letter.attempts), (3, 3));
    assert!(letter.error.contains("422"), "{letter:?}");
    assert_eq!(receiver.accepted().len(), 6);
    let unknown = running.command(Command::RetryDead(Some(4))).await;
    assert_eq!(unknown, Err(CommandError::UnknownDeadLetter(4)));
    is_repaired.store(true, Relaxed);
    let retried = running.command(Command::RetryDead(None)).await;
    assert_eq!(retried, Ok(Reply::Changed(1)));
    running
        .until(|status| status.lag_events() == 0 && status.counts.dead == 0)
        .await;
    running.stop().await;
    assert_eq!(receiver.check(10), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_dead_letter_is_not_sent_again() {
    let journal = journal();
    store_alternating(&journal).await;
    let receiver = Receiver::start(refuses_third).await;
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    running.until(|status| status.counts.dead == 1).await;
    let dropped = running.command(Command::DropDead(Some(3))).await;
    assert_eq!(dropped, Ok(Reply::Changed(1)));
    let none = running.command(Command::DropDead(None)).await;
    assert_eq!(none, Ok(Reply::Changed(0)));
    receiver.accepts(9).await;
    running.stop().await;
    let before = receiver.received().len();
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    let status = running.until(|status| status.last_seq == 10).await;
    assert_eq!((status.counts.dead, status.lag_events()), (0, 0));
    running.stop().await;
    assert_eq!(receiver.received().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_hangs_delays_no_other() {
    let journal = journal();
    let receiver = Receiver::start(|received| match &*received.task() {
        "task-0" => Reaction::Hang,
        _ => Reaction::Accept,
    });
    let receiver = receiver.await;
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    journal
        .write(Entry::Event(event(0, 0), None))
        .await
        .unwrap();
    let started = Instant::now();
    for number in 1..400 {
        let event = event(1 + number as usize % 7, number);
        journal.write(Entry::Event(event, None)).await.unwrap();
    }
    receiver.accepts(399).await;
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_sink_sends_nothing_also_after_a_restart() {
    let journal = journal();
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    assert_eq!(running.command(Command::Pause).await, Ok(Reply::Done));
    store(&journal, 0, 20, 3).await;
    running
        .until(|status| status.lag_events() == 20 && status.state() == "paused")
        .await;
    // A test is still sent.
    assert_eq!(running.command(Command::Test).await, Ok(Reply::Accepted));
    assert_eq!(receiver.received()[0].json()["type"], "batchtask.test");
    running.stop().await;
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    running.until(|status| status.state() == "paused").await;
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(running.command(Command::Resume).await, Ok(Reply::Done));
    receiver.accepts(21).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_sends_selected_events_again_and_says_so() {
    let journal = journal();
    store_alternating(&journal).await;
    let fails = AtomicBool::new(true);
    let receiver = Receiver::start(move |received| {
        let is_replay = received.field("batchtask-replay") == "true";
        match is_replay && fails.swap(false, Relaxed) {
            true => Reaction::Answer(503, vec![]),
            false => Reaction::Accept,
        }
    });
    let receiver = receiver.await;
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    receiver.accepts(10).await;
    let replay = Command::Replay(Replay {
        from: 3,
        to: u64::MAX,
        since_ms: 0,
        task: Some(("app".into(), "task-0".into())),
    });
    assert_eq!(running.command(replay).await, Ok(Reply::Done));
    running.until(|status| status.results.replayed == 4).await;
    running.stop().await;
    let accepted = receiver.accepted();
    let (delivered, replayed) = accepted.split_at(10);
    assert!(
        delivered
            .iter()
            .all(|received| received.field("batchtask-replay").is_empty())
    );
    assert!(
        replayed
            .iter()
            .all(|received| received.field("batchtask-replay") == "true")
    );
    let seqs: Vec<u64> = replayed.iter().map(Received::seq).collect();
    assert_eq!(seqs, [3, 5, 7, 9]);
    receiver.check(10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sinks_come_and_go_while_others_run() {
    let journal = journal();
    let receivers = [(); 3].map(|()| Receiver::start(|_| Reaction::Accept));
    let [first, second, third] = receivers;
    let (first, second, third) = tokio::join!(first, second, third);
    let named = |name: &str, receiver: &Receiver, start| SinkOptions {
        name: name.into(),
        start,
        ..options(&receiver.url())
    };
    let beginning = Start::Beginning;
    let running = Running::start(&journal, vec![named("hook", &first, beginning)]);
    store(&journal, 0, 10, 2).await;
    first.accepts(10).await;
    // One is added at a number, one with the next event.
    running.until(|status| status.lag_events() == 0).await;
    let sinks = [
        named("hook", &first, beginning),
        named("late", &second, Start::Seq(8)),
        named("now", &third, Start::Now),
    ];
    running
        .relay
        .configure(sinks.into_iter().map(sink).collect());
    second.accepts(3).await;
    while running
        .relay
        .statuses()
        .iter()
        .any(|status| status.state() != "running")
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    store(&journal, 10, 5, 2).await;
    third.accepts(5).await;
    second.accepts(8).await;
    first.accepts(15).await;
    // One is removed, one gets another URL and continues there.
    let sinks = [
        named("late", &third, Start::Beginning),
        named("now", &third, Start::Now),
    ];
    running
        .relay
        .configure(sinks.into_iter().map(sink).collect());
    while running.relay.statuses().len() != 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let unknown = running.relay.command("hook", Command::Pause).await;
    assert_eq!(unknown, Err(CommandError::UnknownSink("hook".into())));
    store(&journal, 15, 5, 2).await;
    third.accepts(5 + 10).await;
    running.stop().await;
    assert_eq!(
        [&first, &second, &third].map(|receiver| receiver.accepted().len()),
        [15, 8, 15]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_selects_events() {
    let journal = journal();
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    for number in 0..20 {
        let mut event = event(1, number);
        event.app_id = format!("app-{}", number % 4);
        journal.write(Entry::Event(event, None)).await.unwrap();
    }
    let filter = Filter {
        applications: vec!["app-1".into(), "app-3".into()],
        ..Filter::default()
    };
    let options = SinkOptions {
        filter,
        ..options(&receiver.url())
    };
    let running = Running::start(&journal, vec![options]);
    running
        .until(|status| status.last_seq == 20 && status.lag_events() == 0)
        .await;
    running.stop().await;
    let mut seqs: Vec<u64> = receiver.accepted().iter().map(Received::seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=10).map(|half| half * 2).collect::<Vec<_>>());
}

/// A certificate for `127.0.0.1`, and a client certificate, of one authority.
struct Certificates {
    authority: String,
    server: (String, String),
    client: (String, String),
}

impl Certificates {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, key);
        let leaf = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            (certificate.pem(), key.serialize_pem())
        };
        Self {
            authority,
            server: leaf("127.0.0.1"),
            client: leaf("client"),
        }
    }

    /// A server that demands a client certificate.
    fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap();
        roots.add(authority).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            provider.clone(),
        );
        let (chain, key) = &self.server;
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_signed_with_both_keys_over_mutual_tls() {
    let certificates = Certificates::new();
    let acceptor = Some(certificates.acceptor());
    let receiver = Receiver::start_with(acceptor, |_| Reaction::Accept).await;
    let url = format!("https://{}/hook?x=1", receiver.address);
    let with = |identity: Option<&(String, String)>, mode| {
        let mut options = options(&url);
        webhook(&mut options).mode = mode;
        webhook(&mut options).keys = KEYS.map(|key| Key::of(key).unwrap()).to_vec();
        webhook(&mut options).headers = vec![("Authorization".into(), "Bearer hush".into())];
        webhook(&mut options).http.tls = TlsOptions {
            authorities: Some(certificates.authority.clone().into()),
            identity: identity.map(|(chain, key)| Identity {
                chain: chain.clone().into(),
                key: key.clone().into(),
            }),
        };
        options
    };
    let journal = journal();
    store(&journal, 0, 1, 1).await;
    // Without a client certificate the sink fails.
    let running = Running::start(&journal, vec![with(None, Mode::Structured)]);
    let failed = running.until(has_failed).await;
    let error = failed.counts.last_error.unwrap().text;
    assert!(error.starts_with("TLS failed: "), "{error}");
    running.stop().await;
    for mode in [Mode::Structured, Mode::Binary] {
        let mut options = with(Some(&certificates.client), mode);
        options.name = format!("{mode:?}");
        let running = Running::start(&journal, vec![options]);
        receiver
            .accepts(1 + usize::from(mode == Mode::Binary))
            .await;
        running.stop().await;
    }
    let [structured, binary] = &receiver.accepted()[..] else {
        panic!();
    };
    for received in [structured, binary] {
        let (id, timestamp) = (
            received.field("webhook-id"),
            received.field("webhook-timestamp"),
        );
        let keys = KEYS.map(|key| Key::of(key).unwrap());
        let expected = signatures(&keys, id, timestamp, &received.body);
        assert_eq!(received.field("webhook-signature"), expected.unwrap());
        assert_eq!(received.field("authorization"), "Bearer hush");
    }
    let media_type = structured.field("content-type");
    assert_eq!(media_type, "application/cloudevents+json; charset=utf-8");
    assert_eq!(structured.json()["data"]["body"], "{\"number\":0}");
    assert_eq!(binary.field("content-type"), "application/json");
    assert_eq!(binary.body, "{\"number\":0}");
    assert_eq!(binary.field("ce-id"), structured.field("webhook-id"));
    assert_eq!(binary.field("ce-type"), "batchtask.update");
    assert_eq!(binary.field("ce-sequence"), "00000000000000000001");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_not_followed_and_endless_answers_are_cut() {
    let journal = journal();
    store(&journal, 0, 1, 1).await;
    let trap = Receiver::start(|_| Reaction::Accept).await;
    let to = trap.url();
    let requests = AtomicUsize::new(0);
    let receiver = Receiver::start(move |_| match requests.fetch_add(1, Relaxed) {
        0 => Reaction::Answer(307, vec![("location", to.clone())]),
        _ => Reaction::AcceptEndlessly,
    });
    let receiver = receiver.await;
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    let status = running
        .until(|status| status.results.delivered == 1 && has_failed(status))
        .await;
    running.stop().await;
    let error = status.counts.last_error.unwrap().text;
    assert!(error.contains("redirects are not followed"), "{error}");
    assert!(trap.received().is_empty());
    assert_eq!(receiver.accepted().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_never_answers_is_a_failing_sink() {
    let journal = journal();
    store(&journal, 0, 1, 1).await;
    let receiver = Receiver::start(|_| Reaction::Hang).await;
    let mut options = options(&receiver.url());
    webhook(&mut options).http.timeout = Duration::from_millis(100);
    let running = Running::start(&journal, vec![options]);
    let status = running.until(has_failed).await;
    let error = status.counts.last_error.unwrap().text;
    assert_eq!(error, "no answer within 100 ms");
    running.stop().await;
    // Nothing listens at this address any more.
    let url = receiver.url();
    drop(receiver);
    let running = Running::start(&journal, vec![self::options(&url)]);
    let status = running.until(has_failed).await;
    let error = status.counts.last_error.unwrap().text;
    assert!(
        error.starts_with("no connection to `127.0.0.1`: "),
        "{error}"
    );
    running.stop().await;
}

/// How many events are delivered to measure how fast it is.
const MEASURED: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_delivered_fast() {
    let events = std::env::var("BATCHTASK_TEST_SINK_EVENTS");
    let events = events.map_or(MEASURED, |text| text.parse().expect("a number"));
    let journal = journal();
    store(&journal, 0, events, 500).await;
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    let started = Instant::now();
    let running = Running::start(&journal, vec![options(&receiver.url())]);
    while receiver.received_count() < events as usize {
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(started.elapsed() < PATIENCE);
    }
    let rate = events as f64 / started.elapsed().as_secs_f64();
    eprintln!("{rate:.0} events/s to a webhook on loopback, 64 in parallel");
    running.stop().await;
    assert_eq!(receiver.check(events), 0);
}
