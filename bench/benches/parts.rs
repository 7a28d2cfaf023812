//! The parts of a request, one by one: `cargo bench --package batchtask-bench`.
//! An instance takes the difference between the two checks.
#![allow(missing_docs, reason = "a benchmark has no public items")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use batchtask::Receiver;
use batchtask::journal::sqlite::{Options, SqliteJournal};
use batchtask::journal::{Event, EventFlags, Journal};
use batchtask_notification::Notification;
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

fn journal() -> (tempfile::TempDir, Arc<SqliteJournal>) {
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let journal = SqliteJournal::open(folder.path().join("journal.db"), Options::default());
    (folder, Arc::new(journal.expect("a journal")))
}

fn notification(c: &mut Criterion) {
    c.bench_function("parse", |b| b.iter(|| Notification::parse(black_box(BODY))));
    let parsed = Notification::parse(BODY).expect("it is one");
    c.bench_function("event and digest", |b| {
        b.iter(|| black_box(&parsed).clone().into_event(NOW_MS));
    });
}

fn receiver(c: &mut Criterion) {
    let runtime = runtime();
    let (_folder, journal) = journal();
    for (name, reuse) in [
        ("check, instance reused", u32::MAX),
        ("check, fresh instance", 1),
    ] {
        let builder = Receiver::builder(journal.clone()).instance_reuse(reuse);
        let receiver = runtime.block_on(builder.build()).expect("a receiver");
        c.bench_function(name, |b| b.iter(|| runtime.block_on(receiver.check())));
    }
}

/// One at a time, each with a commit of its own.
fn append(c: &mut Criterion) {
    let runtime = runtime();
    let (_folder, journal) = journal();
    let next = AtomicU64::new(0);
    c.bench_function("append", |b| {
        b.iter(|| runtime.block_on(journal.append(event(next.fetch_add(1, Relaxed)), None)));
    });
}

fn event(number: u64) -> Event {
    let event = Notification::parse(BODY)
        .expect("it is one")
        .into_event(NOW_MS);
    let mut digest = event.digest.to_vec();
    digest[..8].copy_from_slice(&number.to_be_bytes());
    Event {
        app_id: event.app_id,
        task_id: (number / 8).to_string(),
        task_type: event.task_type,
        status: event.status,
        status_desc: event.status_desc,
        event_time: event.event_time,
        event_time_ms: event.event_time_ms,
        request_id: event.request_id,
        digest,
        occurred_at_ms: event.occurred_at_ms,
        rank: event.rank,
        received_at_ms: event.received_at_ms,
        signature: None,
        oddities: EventFlags::empty(),
        body: BODY.to_vec(),
    }
}

criterion_group!(benches, notification, receiver, append);
criterion_main!(benches);
