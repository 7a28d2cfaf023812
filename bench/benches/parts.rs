//! Benchmarks of the parts of a request: `cargo bench --package batchtask-bench`. The
//! difference between the two checks is the cost of a fresh instance.
#![allow(missing_docs, reason = "a benchmark has no public items")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use batchtask_guest::receiver::stored_event;
use batchtask_host::Intake;
use batchtask_host::component::Options;
use batchtask_journal::{Entry, Event, GroupCommit, Source, group_commit};
use batchtask_notification::Notification;
use batchtask_sqlite::SqliteJournal;
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::{Builder, Runtime};

const BODY: &[u8] = include_bytes!("../../tests/samples/seed-example.json");
const NOW_MS: u64 = 1_795_000_000_000;

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn journal(runtime: &Runtime) -> (tempfile::TempDir, Arc<GroupCommit>) {
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(path, batchtask_sqlite::Options::default());
    let _guard = runtime.enter();
    let commits = GroupCommit::new(
        Arc::new(journal.expect("a journal")),
        group_commit::Options::default(),
        None,
    );
    (folder, Arc::new(commits.expect("a thread")))
}

fn notification(c: &mut Criterion) {
    c.bench_function("parse", |b| b.iter(|| Notification::parse(black_box(BODY))));
    let parsed = Notification::parse(BODY).expect("a notification");
    c.bench_function("event and digest", |b| {
        b.iter(|| black_box(&parsed).clone().into_event(NOW_MS));
    });
}

fn receiver(c: &mut Criterion) {
    let runtime = runtime();
    let (_folder, journal) = journal(&runtime);
    for (name, reuse) in [
        ("check, instance reused", u32::MAX),
        ("check, fresh instance", 1),
    ] {
        let options = Options {
            reuse,
            ..Options::default()
        };
        let intake = Intake::build(journal.clone(), &options);
        let intake = runtime.block_on(intake).expect("an intake");
        c.bench_function(name, |b| b.iter(|| runtime.block_on(intake.check())));
    }
}

/// Appends one event at a time, each with its own commit.
fn append(c: &mut Criterion) {
    let runtime = runtime();
    let (_folder, journal) = journal(&runtime);
    let next = AtomicU64::new(0);
    c.bench_function("append", |b| {
        b.iter(|| runtime.block_on(journal.write(event(next.fetch_add(1, Relaxed)))));
    });
}

fn event(number: u64) -> Entry {
    let event = Notification::parse(BODY)
        .expect("a notification")
        .into_event(NOW_MS);
    let mut digest = event.digest.to_vec();
    digest[..8].copy_from_slice(&number.to_be_bytes());
    let event = Event {
        task_id: (number / 8).to_string(),
        digest,
        ..stored_event(event, BODY.to_vec(), Source::Push)
    };
    Entry::Event(event, None)
}

criterion_group!(benches, notification, receiver, append);
criterion_main!(benches);
