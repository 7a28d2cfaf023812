//! The journal as a whole, on real files. Nothing here sleeps: what takes
//! time is waited for.

mod appending;
mod bounds;
mod failures;
mod measure;
mod opening;
mod order;
mod reading;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::mpsc;

use tempfile::TempDir;

use super::*;
use crate::journal::{EventFlags, TaskOrder};

/// Any time will do.
const NOW_MS: u64 = 1_700_000_000_000;

/// A journal in a folder of its own, which vanishes with it.
struct Fixture {
    journal: SqliteJournal,
    folder: TempDir,
}

impl std::ops::Deref for Fixture {
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

    /// The same file, opened anew.
    fn reopen(self) -> Self {
        let Self { journal, folder } = self;
        let path = journal.path().to_owned();
        drop(journal);
        let journal = SqliteJournal::open(path, Options::default()).unwrap();
        Self { journal, folder }
    }

    async fn record(&self, event: Event) {
        assert_eq!(self.append(event, None).await.unwrap(), Appended::Recorded);
    }

    async fn task(&self, task_id: &str) -> Task {
        self.find_task("app".into(), task_id.into())
            .await
            .unwrap()
            .unwrap()
    }

    async fn history(&self, task_id: &str) -> Vec<StoredEvent> {
        self.list_history("app".into(), task_id.into(), None, 500)
            .await
            .unwrap()
            .events
    }

    /// Runs `hook` on the writer's connection, inside a transaction.
    async fn hook(&self, hook: impl FnOnce(&Connection) + Send + 'static) -> Result<(), Error> {
        self.write(Write::Hook(Box::new(hook))).await.map(drop)
    }

    /// Stops the writer until the sender returned is dropped.
    async fn stall(&self) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let (stalled_sender, stalled) = oneshot::channel();
        let write = Write::Hook(Box::new(move |_| {
            stalled_sender.send(()).unwrap();
            let _ = released.recv();
        }));
        let (reply, _) = oneshot::channel();
        self.queue
            .push(Job { write, reply }, 0)
            .unwrap_or_else(|_| panic!("refused"));
        stalled.await.unwrap();
        release
    }

    /// Waits until `waiting` writes wait for the writer.
    async fn until_waiting(&self, waiting: usize) {
        while self.stats().waiting != waiting {
            tokio::task::yield_now().await;
        }
    }
}

/// An event; its digest is made of all that a digest covers.
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
        signature: None,
        oddities: EventFlags::empty(),
        body: b"{}".to_vec(),
    }
}

/// 32 bytes that differ where `content` differs.
fn digest(content: &impl Hash) -> Vec<u8> {
    let part = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, content).hash(&mut hasher);
        hasher.finish().to_be_bytes()
    };
    [0, 1, 2, 3].map(part).concat()
}

fn nonce(value: &str, expires_at_ms: u64) -> Option<Nonce> {
    Some(Nonce {
        value: value.into(),
        expires_at_ms,
    })
}

fn reject(body: &[u8]) -> Reject {
    Reject {
        received_at_ms: NOW_MS,
        reason: "not-json".into(),
        detail: String::new(),
        pointer: None,
        body: body.to_vec(),
    }
}

/// All tasks, newest first.
fn all_tasks() -> TaskQuery {
    TaskQuery {
        status: None,
        ranks: (0, 255),
        task_type: None,
        app_id: None,
        text: None,
        since_ms: None,
        until_ms: None,
        order: TaskOrder::Newest,
        cursor: None,
        limit: 500,
    }
}

fn task_ids(page: &TaskPage) -> Vec<&str> {
    page.tasks
        .iter()
        .map(|task| task.task_id.as_str())
        .collect()
}
