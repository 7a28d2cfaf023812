//! Tests of what the conformance suite does not cover: files, disks and SQLite
//! itself. They wait for events instead of sleeping for fixed times.

mod bounds;
mod copying;
mod failures;
mod measure;
mod opening;
mod presence;
mod pruning;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::time::Duration;

use batchtask_journal::{Bounds, Event, EventFlags, SignatureUse, Source};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// The time of most arrivals, in milliseconds since 1970.
const NOW_MS: u64 = 1_700_000_000_000;

/// A journal in a temporary folder, which is removed when this is dropped.
struct Fixture {
    journal: SqliteJournal,
    folder: TempDir,
}

impl Deref for Fixture {
    type Target = SqliteJournal;

    fn deref(&self) -> &SqliteJournal {
        &self.journal
    }
}

impl Fixture {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let folder = TempDir::new().unwrap();
        let journal = SqliteJournal::open(folder.path().join("journal.db"), options).unwrap();
        Self { journal, folder }
    }

    /// Closes the journal and opens it again.
    fn reopen(self) -> Self {
        let Self { journal, folder } = self;
        let path = journal.path().to_owned();
        drop(journal);
        let journal = SqliteJournal::open(path, Options::default()).unwrap();
        Self { journal, folder }
    }

    /// Returns the path of the journal with this suffix.
    fn file(&self, suffix: &str) -> PathBuf {
        let mut path = self.path().as_os_str().to_owned();
        path.push(suffix);
        path.into()
    }

    async fn append(&self, event: Event) -> Result<Appended, Error> {
        let outcomes = self.commit(vec![Entry::Event(event, None)]).await;
        outcomes.map(|outcomes| outcomes[0])
    }

    /// Appends a new event, and lets the journal do its checkpoints.
    async fn record(&self, event: Event) {
        assert_eq!(self.append(event).await.unwrap(), Appended::Recorded);
        self.maintain().await;
    }

    async fn task(&self, task_id: &str) -> Option<Task> {
        self.find_task("app", task_id).await.unwrap()
    }

    /// Runs `hook` with the connection that writes, between two batches.
    fn hook<T>(&self, hook: impl FnOnce(&Connection) -> T) -> T {
        self.with_writer(|writer| Ok(hook(writer.connection.as_ref().unwrap())))
            .unwrap()
    }

    /// Advances the journal's steady clock.
    fn pass(&self, time: Duration) {
        let mut writer = self.writer();
        writer.as_mut().unwrap().clock.pass(time);
    }

    fn measure(&self, name: &str) -> u64 {
        let measures = self.measures();
        let found = measures.iter().find(|measure| measure.name == name);
        found.unwrap().value
    }

    fn wal_bytes(&self) -> u64 {
        self.measure("batchtask_journal_wal_bytes")
    }
}

/// An event. Its digest covers all arguments.
fn event(task_id: &str, status: &str, occurred_at_ms: u64) -> Event {
    Event {
        app_id: "app".into(),
        task_id: task_id.into(),
        task_type: "softwareUpgrade".into(),
        status: status.into(),
        status_desc: String::new(),
        event_time: None,
        event_time_ms: None,
        request_id: None,
        digest: digest(&(task_id, status, occurred_at_ms)),
        occurred_at_ms,
        rank: 2,
        received_at_ms: NOW_MS,
        source: Source::Push,
        signature: None,
        flags: EventFlags::empty(),
        body: b"{}".to_vec(),
    }
}

/// 32 bytes that differ if `content` differs.
fn digest(content: &impl Hash) -> Vec<u8> {
    let part = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, content).hash(&mut hasher);
        hasher.finish().to_be_bytes()
    };
    [0, 1, 2, 3].map(part).concat()
}

/// Returns an entry of the event with the signature called `name`.
fn signed(name: &str, event: Event, expires_at_ms: u64) -> Entry {
    let signature = SignatureUse {
        signature: batchtask_notification::hex(&digest(&name)),
        digest: event.digest.clone(),
        expires_at_ms,
    };
    Entry::Event(event, Some(signature))
}

/// All tasks, newest first.
fn all_tasks() -> TaskQuery {
    TaskQuery::all()
}
