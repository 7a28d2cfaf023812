//! The search against the platform in memory: the same loop as in a program.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use batchtask_platform::Client;
use batchtask_platform::api::tasks::NewTask;
use batchtask_platform::reconcile::{
    LocalTask, Next, Query, Reply, Schedule, Seen, TaskKey, Verdict, judge,
};

use super::OPTIONS;
use super::world::{HOUR_MS, MINUTE_MS};
use crate::fake::{APP, Fake, Fault};
use crate::support::options;

/// A receiver that never gets a push.
struct Receiver {
    client: Client,
    schedule: Schedule,
    tasks: BTreeMap<TaskKey, LocalTask>,
    /// The time of the receiver and of the platform.
    now_ms: Arc<AtomicU64>,
}

impl Receiver {
    fn new(fake: &Fake) -> Self {
        let mut options = options(fake);
        let now_ms = Arc::new(AtomicU64::new((options.clock)()));
        let clock = now_ms.clone();
        options.clock = Arc::new(move || clock.load(Ordering::Relaxed));
        options.retry.attempts = 1;
        Self {
            client: Client::new(options).unwrap(),
            schedule: Schedule::new(OPTIONS, vec![APP.into()]),
            tasks: BTreeMap::new(),
            now_ms,
        }
    }

    /// Stores what an answer means.
    fn store(&mut self, seen: &Seen, now_ms: u64) {
        let verdict = judge(seen, self.tasks.get(&seen.key), OPTIONS.adopt_since_ms);
        if let Verdict::Found(_, event) = &verdict {
            let task = LocalTask {
                key: event.key.clone(),
                status: event.status.clone(),
                occurred_at_ms: event.occurred_at_ms,
                last_received_at_ms: now_ms,
                has_gap: false,
            };
            self.tasks.insert(task.key.clone(), task);
        }
        if let Some(task) = self.tasks.get(&seen.key) {
            self.schedule.settle(task, &verdict, now_ms);
        }
    }

    async fn ask(&mut self, query: Query, now_ms: u64) {
        match (self.client.ask(&query).await, query) {
            (Ok(Reply::Shown(seen)), _) => {
                self.schedule.shown();
                self.store(&seen, now_ms);
            }
            (Ok(Reply::Gone), Query::Show(key, _)) => {
                self.schedule.shown();
                self.schedule.forget(&key);
            }
            (Ok(Reply::Listed(all, page)), Query::List(listed)) => {
                all.iter().for_each(|seen| self.store(seen, now_ms));
                self.schedule.listed(listed, &page, now_ms);
            }
            (Ok(reply), query) => panic!("{query:?}: {reply:?}"),
            (Err(error), query) => self.schedule.failed(query, error.is_temporary(), now_ms),
        }
    }

    /// Asks during this time. Returns how many calls it made.
    async fn run(&mut self, fake: &Fake, for_ms: u64) -> usize {
        let until_ms = self.now_ms.load(Ordering::Relaxed) + for_ms;
        let mut calls = 0;
        loop {
            let now_ms = self.now_ms.load(Ordering::Relaxed);
            match self.schedule.next(now_ms) {
                Next::Wait(at_ms) if at_ms >= until_ms => break,
                Next::Wait(at_ms) => self.set_time(fake, at_ms),
                Next::Call(query) => {
                    calls += 1;
                    self.ask(query, now_ms).await;
                }
            }
        }
        self.set_time(fake, until_ms);
        calls
    }

    fn set_time(&self, fake: &Fake, now_ms: u64) {
        self.now_ms.store(now_ms, Ordering::Relaxed);
        let mut state = fake.state();
        state.clock_offset_ms += now_ms as i64 - state.now_ms() as i64;
    }

    fn count(&self, status: &str) -> usize {
        self.tasks
            .values()
            .filter(|task| task.status == status)
            .count()
    }
}

async fn add_tasks(receiver: &Receiver, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let task = NewTask {
            app_id: APP.into(),
            task_name: format!("task {number}"),
            task_type: "softwareUpgrade".into(),
            targets: vec!["device-1".into(), "device-2".into()],
            ..NewTask::default()
        };
        ids.push(receiver.client.create_task(&task).await.unwrap());
    }
    ids
}

#[tokio::test]
async fn changes_are_found_on_a_real_socket() {
    let fake = Fake::start().await;
    let mut receiver = Receiver::new(&fake);
    let ids = add_tasks(&receiver, 120).await;
    let status = |ids: &[String], status| {
        ids.iter()
            .for_each(|id| fake.state().store.set_status(id, status, ""));
    };
    status(&ids[..100], "Processing");
    status(&ids[100..], "Success");
    let calls = receiver.run(&fake, MINUTE_MS).await;
    // Three pages of open tasks, two lists without any, three pages of all.
    assert!((6..12).contains(&calls), "{calls}");
    assert_eq!(
        (receiver.count("Processing"), receiver.count("Success")),
        (100, 20)
    );

    status(&ids[..40], "Fail");
    fake.fail(vec![Fault::Refuse(500, "", ""); 3]);
    receiver.run(&fake, 15 * MINUTE_MS).await;
    assert_eq!(
        (receiver.count("Processing"), receiver.count("Fail")),
        (60, 40)
    );

    // A task is deleted, and a retry is found by the next scan.
    receiver.client.delete_task(&ids[99]).await.unwrap();
    status(&ids[..1], "Processing");
    receiver.run(&fake, HOUR_MS).await;
    assert_eq!(
        receiver.schedule.waiting(),
        60,
        "all but the deleted task, and the retried one"
    );
}
