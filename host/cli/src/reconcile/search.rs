//! [`Search`]: makes the calls of a schedule, and stores what they show.

use std::sync::Arc;

use batchtask_guest::outcomes::{Outcome, Success};
use batchtask_host::Intake;
use batchtask_host::component::Message;
use batchtask_host::intake::outcome;
use batchtask_journal::{GroupCommit, Source, error_text};
use batchtask_notification::{Class, Status};
use batchtask_platform::reconcile::{
    FoundEvent, LocalTask, Query, Reply, Schedule, Seen, TaskKey, Verdict, judge,
};
use batchtask_platform::{Client, Error as PlatformError};

use super::details::details;
use super::{Options, local};

/// How many tasks of the journal are asked for one by one, at most. The changes of
/// others are found in the lists of the platform.
const TASKS_MAX: usize = 50_000;

/// A search for changes that no push reported.
pub(crate) struct Search {
    client: Arc<Client>,
    intake: Arc<Intake>,
    options: Options,
    pub(crate) schedule: Schedule,
}

/// A change that no push reported.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) key: TaskKey,
    /// The status that was known here. `None`: the task was not known.
    pub(crate) before: Option<String>,
    pub(crate) status: String,
}

/// What an answer showed.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub(crate) found: Vec<Found>,
    /// How many tasks have the status that was known.
    pub(crate) same: u64,
    /// For how many tasks the answer may be older than the stored state.
    pub(crate) overtaken: u64,
    /// How many tasks the platform does not have any more.
    pub(crate) gone: u64,
}

/// Why a call had no effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The platform did not answer as it should.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The answer could not be stored, or the journal could not be read.
    #[error("the platform's answer cannot be stored: {0}")]
    Journal(String),
}

impl From<batchtask_journal::Error> for Failure {
    fn from(error: batchtask_journal::Error) -> Self {
        Self::Journal(error_text(error))
    }
}

impl Failure {
    fn is_temporary(&self) -> bool {
        match self {
            Self::Platform(error) => error.is_temporary(),
            Self::Journal(_) => true,
        }
    }
}

impl Search {
    pub(crate) fn new(client: Arc<Client>, intake: Arc<Intake>, options: Options) -> Self {
        let app_ids = options.app_id.iter().cloned().collect();
        Self {
            schedule: Schedule::new(options.schedule, app_ids),
            client,
            intake,
            options,
        }
    }

    pub(super) fn journal(&self) -> &GroupCommit {
        self.intake.journal()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.client.now_ms()
    }

    /// Learns the tasks of the journal.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) async fn load(&mut self) -> Result<(), Failure> {
        let now_ms = self.now_ms();
        let since_ms = now_ms.saturating_sub(self.options.schedule.adopt_since_ms);
        let app_id = self.options.app_id.as_deref();
        for task in local::list(self.journal(), app_id, since_ms, TASKS_MAX).await? {
            self.schedule.learn(&task, now_ms);
        }
        Ok(())
    }

    /// Learns of a task that has a new event.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(super) async fn learn(&mut self, key: &TaskKey) -> Result<(), Failure> {
        let is_meant = self
            .options
            .app_id
            .as_ref()
            .is_none_or(|app_id| *app_id == key.app_id);
        if is_meant
            && self.schedule.waiting() < TASKS_MAX
            && let Some(task) = local::find(self.journal(), key).await?
        {
            self.schedule.learn(&task, self.now_ms());
        }
        Ok(())
    }

    /// Reads which resource spaces there are, unless one is configured.
    ///
    /// # Errors
    /// The platform cannot be asked.
    pub(crate) async fn read_spaces(&mut self) -> Result<(), Failure> {
        if self.options.app_id.is_none() {
            let spaces = self.client.applications().await?;
            let ids = spaces.into_iter().map(|space| space.app_id).collect();
            self.schedule.set_app_ids(ids);
        }
        Ok(())
    }

    /// Makes a call, and stores what it shows.
    ///
    /// # Errors
    /// The call failed, or its answer could not be stored. The schedule knows.
    pub(crate) async fn call(&mut self, query: Query) -> Result<Answered, Failure> {
        let answered = self.ask(&query).await;
        if let Err(failure) = &answered {
            let is_temporary = failure.is_temporary();
            self.schedule.failed(query, is_temporary, self.now_ms());
        }
        answered
    }

    async fn ask(&mut self, query: &Query) -> Result<Answered, Failure> {
        let mut answered = Answered::default();
        match (self.client.ask(query).await?, query) {
            (Reply::Shown(seen), _) => {
                self.store(&[*seen], &mut answered).await?;
                self.schedule.shown();
            }
            (Reply::Listed(all, page), Query::List(listed)) => {
                self.store(&all, &mut answered).await?;
                self.schedule.listed(listed.clone(), &page, self.now_ms());
            }
            (_, Query::Show(key, _)) => {
                answered.gone += 1;
                self.schedule.shown();
                self.schedule.forget(key);
            }
            // A list is not answered with a task.
            (_, Query::List(_)) => {}
        }
        Ok(answered)
    }

    /// Stores what an answer shows.
    async fn store(&mut self, all: &[Seen], answered: &mut Answered) -> Result<(), Failure> {
        let mut described = Vec::new();
        for seen in all {
            let known = local::find(self.journal(), &seen.key).await?;
            let verdict = judge(seen, known.as_ref(), self.options.schedule.adopt_since_ms);
            let task = match &verdict {
                Verdict::Found(_, event) => {
                    if self.accept(event).await? {
                        answered.found.push(found(event, known));
                    }
                    local::find(self.journal(), &seen.key).await?
                }
                _ => known,
            };
            if let Some(task) = &task {
                self.settle(seen, task, &verdict);
            }
            answered.count(&verdict);
            described.extend(
                verdict
                    .details()
                    .map(|reported| details(&seen.key, reported)),
            );
        }
        if !described.is_empty() {
            self.journal().describe(described).await?;
        }
        Ok(())
    }

    /// Has the receiver store a change, as it stores a notification. Returns whether it
    /// did. If it refuses the change, trying again does not help.
    async fn accept(&self, event: &FoundEvent) -> Result<bool, Failure> {
        let message = Message {
            source: Source::Reconcile,
            body: event.notification(),
        };
        let response = self.intake.accept(message).await;
        match outcome(&response) {
            Some(Outcome::Success(Success::Recorded)) => Ok(true),
            _ if response.status < 500 => Ok(false),
            _ => {
                let report = response.report;
                Err(Failure::Journal(report.detail.unwrap_or(report.outcome)))
            }
        }
    }

    /// Reports the verdict to the schedule. A list does not show the devices for
    /// which a task failed, so a task whose end was found in a list is asked for.
    fn settle(&mut self, seen: &Seen, task: &LocalTask, verdict: &Verdict) {
        let has_ended = Status::of(&task.status).class() != Class::Open;
        let is_listed = seen.failed_devices.is_none();
        if has_ended && is_listed && matches!(verdict, Verdict::Found(..)) {
            self.schedule.learn(task, self.now_ms());
        } else {
            self.schedule.settle(task, verdict, self.now_ms());
        }
    }
}

fn found(event: &FoundEvent, known: Option<LocalTask>) -> Found {
    Found {
        key: event.key.clone(),
        before: known.map(|task| task.status),
        status: event.status.clone(),
    }
}

impl Answered {
    fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Same(_) => self.same += 1,
            Verdict::Overtaken(_) => self.overtaken += 1,
            Verdict::Found(..) | Verdict::Foreign => {}
        }
    }

    /// Adds what another answer showed.
    pub(crate) fn add(&mut self, other: Self) {
        self.found.extend(other.found);
        self.same += other.same;
        self.overtaken += other.overtaken;
        self.gone += other.gone;
    }
}
