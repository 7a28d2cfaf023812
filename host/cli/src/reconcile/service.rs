//! [`Service`]: searches while a receiver runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use batchtask_host::Intake;
use batchtask_host::services::Stop;
use batchtask_host::telemetry::Registry;
use batchtask_journal::{Error, GroupCommit};
use batchtask_notification::hex;
use batchtask_platform::Client;
use batchtask_platform::reconcile::{Next, Query};
use tokio::sync::Mutex;

use super::Options;
use super::complaints::Complaints;
use super::feed::Feed;
use super::metrics::Metrics;
use super::search::{Answered, Failure, Search};

/// The duty that one of the hosts of a journal has.
const DUTY: &str = "reconcile";

/// For how long a host has the duty. When it ends without giving it up, another one
/// takes over after this time.
const DUTY_TIME: Duration = Duration::from_secs(30);

/// How often the duty is claimed, or renewed.
const CLAIM_EVERY: Duration = Duration::from_secs(8);

/// How long giving the duty up may take. Otherwise it ends by itself.
const RELEASE_TIME: Duration = Duration::from_secs(1);

/// The longest pause of the loop.
const TICK: Duration = Duration::from_secs(1);

/// How long to wait after the journal could not be read, or the resource spaces.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// A search for lost changes as a service of a receiver.
pub(crate) struct Service {
    client: Arc<Client>,
    intake: Arc<Intake>,
    options: Options,
    metrics: Metrics,
    complaints: Mutex<Complaints>,
    /// Identifies this receiver to the others of a shared journal.
    holder: String,
}

/// The progress of one search.
struct Run {
    search: Search,
    feed: Feed,
    /// When to read the resource spaces.
    spaces_at: Instant,
    claimed_at: Instant,
    /// When the lag was measured.
    measured_at: Instant,
}

impl Service {
    /// # Errors
    /// A metric exists already, or there are no random bytes.
    pub(crate) fn new(
        client: Client,
        intake: Arc<Intake>,
        options: Options,
        registry: &Registry,
    ) -> anyhow::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
        Ok(Self {
            client: Arc::new(client),
            intake,
            options,
            metrics: Metrics::register(registry)?,
            complaints: Mutex::default(),
            holder: hex(&bytes),
        })
    }

    /// Searches until it is stopped. Only one of the hosts of a journal does.
    pub(crate) async fn run(self: Arc<Self>, stop: Stop) {
        let searching = async {
            loop {
                match self.claim(DUTY_TIME).await {
                    Ok(true) => self.lead().await,
                    Ok(false) => {}
                    Err(error) => self.failed(error.into()).await,
                }
                self.metrics.set_lag_ms(0);
                tokio::time::sleep(CLAIM_EVERY).await;
            }
        };
        stop.run_until_cancelled(searching).await;
        let _ = tokio::time::timeout(RELEASE_TIME, self.claim(Duration::ZERO)).await;
    }

    fn journal(&self) -> &Arc<GroupCommit> {
        self.intake.journal()
    }

    /// Claims the duty for this time. Returns whether this host has it.
    async fn claim(&self, time: Duration) -> Result<bool, Error> {
        let journal = self.journal().journal();
        journal.claim(DUTY, &self.holder, time).await
    }

    /// Renews the duty if it is time. Returns whether this host still has it: if the
    /// journal cannot be reached, until the claim has almost ended.
    async fn keeps(&self, run: &mut Run) -> bool {
        if run.claimed_at.elapsed() < CLAIM_EVERY {
            return true;
        }
        match self.claim(DUTY_TIME).await {
            Ok(is_kept) => {
                run.claimed_at = Instant::now();
                is_kept
            }
            Err(error) => {
                self.failed(error.into()).await;
                run.claimed_at.elapsed() < DUTY_TIME - CLAIM_EVERY
            }
        }
    }

    /// Searches until another host has the duty.
    async fn lead(&self) {
        let Some(mut run) = self.begin().await else {
            return;
        };
        while self.keeps(&mut run).await {
            self.read_spaces(&mut run).await;
            self.learn(&mut run).await;
            let now_ms = run.search.now_ms();
            if run.measured_at.elapsed() >= TICK {
                let since_ms = run.search.schedule.due_since_ms(now_ms);
                let lag_ms = since_ms.map_or(0, |since_ms| now_ms.saturating_sub(since_ms));
                self.metrics.set_lag_ms(lag_ms);
                run.measured_at = Instant::now();
            }
            match run.search.schedule.next(now_ms) {
                Next::Call(query) => self.call(&mut run, query).await,
                Next::Wait(until_ms) => {
                    let pause = Duration::from_millis(until_ms.saturating_sub(now_ms));
                    tokio::time::sleep(pause.min(TICK)).await;
                }
            }
        }
    }

    async fn begin(&self) -> Option<Run> {
        let now = Instant::now();
        let search = Search::new(
            self.client.clone(),
            self.intake.clone(),
            self.options.clone(),
        );
        // Before the tasks are read, so that no event is missed in between.
        let feed = Feed::new(self.journal());
        let mut run = Run {
            search,
            feed,
            spaces_at: now,
            claimed_at: now,
            measured_at: now,
        };
        match run.search.load().await {
            Ok(()) => Some(run),
            Err(failure) => {
                self.failed(failure).await;
                None
            }
        }
    }

    async fn read_spaces(&self, run: &mut Run) {
        if Instant::now() < run.spaces_at {
            return;
        }
        let pause = match run.search.read_spaces().await {
            Ok(()) => {
                if self.options.app_id.is_none() {
                    self.metrics.answered(&Answered::default());
                }
                Duration::from_millis(self.options.schedule.scan_ms)
            }
            Err(failure) => {
                self.failed(failure).await;
                RETRY_AFTER
            }
        };
        run.spaces_at = Instant::now() + pause;
    }

    async fn learn(&self, run: &mut Run) {
        let learned = async {
            let changes = run.feed.changed(self.journal()).await?;
            for key in &changes.tasks {
                run.search.learn(key).await?;
            }
            run.feed.learned(changes);
            Ok(())
        };
        if let Err(failure) = learned.await {
            self.failed(failure).await;
        }
    }

    async fn call(&self, run: &mut Run, query: Query) {
        match run.search.call(query).await {
            Ok(answered) => {
                self.metrics.answered(&answered);
                self.complaints.lock().await.answered();
            }
            Err(failure) => self.failed(failure).await,
        }
    }

    async fn failed(&self, failure: Failure) {
        self.metrics.failed(&failure);
        self.complaints.lock().await.failed(failure);
    }
}
