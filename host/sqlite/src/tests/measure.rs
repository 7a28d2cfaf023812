//! A benchmark: prints figures and checks nothing.
//!
//! ```sh
//! cargo test --release -p batchtask-sqlite --lib measure -- --ignored --nocapture
//! ```
#![allow(clippy::print_stdout, reason = "figures are what this is for")]

use std::time::Instant;

use batchtask_journal::{
    ActivityQuery, Class, GroupCommit, StepFlags, TaskOrder, TaskSort, group_commit,
};

use super::*;

/// How many events a task has.
const EVENTS_A_TASK: u64 = 20;
/// How many tasks are open at the same time.
const OPEN_TASKS: u64 = 1000;
/// How many events the journal grows to.
const EVENTS: u64 = 1_000_000;
/// How many events are appended to measure a rate.
const SAMPLE: u64 = 100_000;

const STATUSES: [&str; 4] = ["Initializing", "Waitting", "Processing", "Success"];

/// Returns the event with this number of a long rollout, in which a thousand tasks
/// are open at the same time.
fn rollout(number: u64) -> Event {
    let task = number / (EVENTS_A_TASK * OPEN_TASKS) * OPEN_TASKS + number % OPEN_TASKS;
    let step = number / OPEN_TASKS % EVENTS_A_TASK;
    let rank = step * 4 / EVENTS_A_TASK;
    let status = STATUSES[rank as usize];
    Event {
        rank: rank as u8,
        status_desc: format!("{step} of {EVENTS_A_TASK} steps of the upgrade are done"),
        request_id: Some(format!("{number:032x}")),
        event_time: Some("20231114T221320Z".into()),
        event_time_ms: Some("2023-11-14T22:13:20.000Z".into()),
        body: vec![b' '; 500],
        // Over some weeks, as a journal grows.
        received_at_ms: NOW_MS + number * 2000,
        ..event(&format!("{task:024x}"), status, NOW_MS + number)
    }
}

/// Appends the events `numbers` from `callers` concurrent callers. Returns events
/// per second.
async fn append(commits: &Arc<GroupCommit>, numbers: std::ops::Range<u64>, callers: u64) -> f64 {
    let count = numbers.end - numbers.start;
    let started = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (commits, numbers) = (commits.clone(), numbers.clone());
        running.spawn(async move {
            for number in (numbers.start + caller..numbers.end).step_by(callers as usize) {
                let entry = Entry::Event(rollout(number), None);
                commits.write(entry).await.unwrap();
            }
        });
    }
    running.join_all().await;
    count as f64 / started.elapsed().as_secs_f64()
}

async fn print_append_rates(commits: &Arc<GroupCommit>, from: u64) {
    for (sample, callers) in [(0, 1), (1, 64), (2, 512)] {
        let count = if callers == 1 { SAMPLE / 50 } else { SAMPLE };
        let start = from + sample * SAMPLE;
        let before = commits.stats().commits;
        let rate = append(commits, start..start + count, callers).await;
        let batch = count / (commits.stats().commits - before);
        println!(
            "from {start:>8} events, {callers:>3} callers: {rate:>8.0} events/s, {batch} per commit"
        );
    }
}

/// Prints how long each order and filter takes, with a count of all pages.
async fn print_list_times(journal: &SqliteJournal) {
    let page = || TaskQuery {
        limit: 50,
        count: true,
        ..all_tasks()
    };
    print_page_time(journal, "first page, counted", page()).await;
    for sort in [
        TaskSort::FirstSeen,
        TaskSort::Status,
        TaskSort::Application,
        TaskSort::Task,
    ] {
        for order in [TaskOrder::Ascending, TaskOrder::Descending] {
            let sorted = TaskQuery {
                sort,
                order,
                ..page()
            };
            print_page_time(journal, &format!("{sort:?} {order:?}"), sorted).await;
        }
    }
    for (name, query) in [
        (
            "two statuses",
            TaskQuery {
                statuses: vec!["Success".into(), "Waitting".into()],
                ..page()
            },
        ),
        (
            "two classes, by id",
            TaskQuery {
                classes: vec![Class::Open, Class::Retryable],
                sort: TaskSort::Task,
                ..page()
            },
        ),
        (
            "a flag without tasks",
            TaskQuery {
                flags: EventFlags::CLOCK_SKEW,
                ..page()
            },
        ),
        (
            "a step without tasks",
            TaskQuery {
                steps: StepFlags::REOPENED,
                sort: TaskSort::FirstSeen,
                ..page()
            },
        ),
        (
            "stale",
            TaskQuery {
                stale_before_ms: Some(u64::MAX),
                ..page()
            },
        ),
    ] {
        print_page_time(journal, name, query).await;
    }
}

async fn print_activity_times(journal: &SqliteJournal) {
    for (name, span_minutes, spans) in [
        ("an hour of activity", 1, 60),
        ("three weeks of activity", 60, 500),
        ("a year of activity", 1440, 366),
    ] {
        let query = ActivityQuery {
            since_ms: NOW_MS - NOW_MS % 3_600_000,
            span_minutes,
            spans,
        };
        let mut best = f64::MAX;
        let mut found = 0;
        for _ in 0..5 {
            let started = Instant::now();
            found = journal.list_activity(&query).await.unwrap().len();
            best = best.min(started.elapsed().as_secs_f64());
        }
        println!("{name:<24} {:>8.2} ms, {found} spans", best * 1000.0);
    }
}

async fn print_page_time(journal: &SqliteJournal, name: &str, query: TaskQuery) {
    let mut best = f64::MAX;
    let mut tasks = 0;
    for _ in 0..5 {
        let started = Instant::now();
        tasks = journal.list_tasks(&query).await.unwrap().tasks.len();
        best = best.min(started.elapsed().as_secs_f64());
    }
    println!("{name:<24} {:>8.2} ms, {tasks} tasks", best * 1000.0);
}

async fn print_read_times(journal: &SqliteJournal) {
    let page = || TaskQuery {
        limit: 50,
        ..all_tasks()
    };
    print_page_time(journal, "first page", page()).await;
    print_page_time(journal, "500 tasks", all_tasks()).await;
    let oldest = TaskQuery {
        order: TaskOrder::Ascending,
        ..page()
    };
    print_page_time(journal, "oldest", oldest).await;
    let status = TaskQuery {
        statuses: vec!["Success".into()],
        ..page()
    };
    print_page_time(journal, "by status", status).await;
    let unmatched = TaskQuery {
        app_ids: vec!["none".into()],
        ..page()
    };
    print_page_time(journal, "unknown application", unmatched).await;
    let unmatched = TaskQuery {
        classes: vec![Class::Retryable],
        ..page()
    };
    print_page_time(journal, "class without tasks", unmatched).await;
    let unmatched = TaskQuery {
        text: Some("no such text".into()),
        ..page()
    };
    print_page_time(journal, "text without matches", unmatched).await;
    print_list_times(journal).await;
    print_activity_times(journal).await;
    let started = Instant::now();
    journal
        .find_task("app", &format!("{:024x}", 17))
        .await
        .unwrap()
        .unwrap();
    println!(
        "one task                 {:>8.2} ms",
        started.elapsed().as_secs_f64() * 1000.0
    );
    let started = Instant::now();
    journal.summarize(0).await.unwrap();
    println!(
        "summary                  {:>8.2} ms",
        started.elapsed().as_secs_f64() * 1000.0
    );
}

async fn print_feed_rate(journal: &SqliteJournal) {
    let started = Instant::now();
    let (mut after, mut count) = (0, 0);
    while count < 2 * SAMPLE {
        let events = journal.events_after(after, 500).await.unwrap();
        count += events.len() as u64;
        after = events.last().unwrap().seq;
    }
    println!(
        "feed                     {:>8.0} events/s",
        count as f64 / started.elapsed().as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a benchmark that takes about a minute"]
async fn measure() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal.db");
    let journal = Arc::new(SqliteJournal::open(path, Options::default()).unwrap());
    let options = group_commit::Options::default();
    let commits = Arc::new(GroupCommit::new(journal.clone(), options, None).unwrap());
    print_append_rates(&commits, 0).await;
    let rate = append(&commits, 3 * SAMPLE..EVENTS, 512).await;
    println!("growing to {EVENTS} events: {rate:.0} events/s");
    print_append_rates(&commits, EVENTS).await;
    print_read_times(&journal).await;
    print_feed_rate(&journal).await;
    let size = std::fs::metadata(journal.path()).unwrap().len();
    let wal_bytes = journal.measures()[0].value;
    println!(
        "file: {} MB, log: {} MB",
        size / 1_000_000,
        wal_bytes / 1_000_000
    );
}
