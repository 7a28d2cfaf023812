//! Random entries: the journal in PostgreSQL and the journal in memory, which is much
//! simpler, have the same outcomes and content.

use batchtask_journal::{
    Appended, Bounds, Entry, Event, Journal, MemoryJournal, SignatureUse, TaskOrder, TaskQuery,
};
use batchtask_postgres::{Options, PostgresJournal};
use fastrand::Rng;

use crate::support::entries::{NOW_MS, digest, event, reject};
use crate::support::{Database, scale};

/// All signatures fit, because in memory they are forgotten after each entry and not
/// after each batch.
const BOUNDS: Bounds = Bounds {
    quarantine_max_bytes: 60_000,
    signatures_max: 100,
};
/// Texts that are easy to confuse, or hard to store.
const TEXTS: [&str; 8] = ["", "a", "A", "\0", "\u{1}", "\u{1}\u{2}", "ä日", "a\0b"];

fn text(random: &mut Rng) -> String {
    TEXTS[random.usize(..TEXTS.len())].into()
}

fn random_event(random: &mut Rng) -> Event {
    let task = random.u64(..4);
    // A digest covers the task, and what makes an event another one.
    let number = task * 100 + random.u64(..12);
    let is_undated = number.is_multiple_of(5);
    let mut event = event(&format!("{task}{}", TEXTS[task as usize]), number);
    event.occurred_at_ms = NOW_MS + number % 7;
    event.rank = [0, 2, 4, 5][(number % 4) as usize];
    event.received_at_ms = NOW_MS + random.u64(..20);
    event.status = TEXTS[(number % 8) as usize].into();
    event.status_desc = text(random);
    event.request_id = random
        .bool()
        .then(|| format!("{}{}", text(random), random.u8(..30)));
    if is_undated {
        event.event_time = None;
        event.occurred_at_ms = event.received_at_ms;
    }
    event
}

fn random_signature(random: &mut Rng, digest: Vec<u8>, expiries: &mut u64) -> SignatureUse {
    // Every expiry differs, because the order of equal ones is not defined.
    *expiries += 1;
    SignatureUse {
        signature: format!("{:02x}", random.u8(..20)).repeat(32),
        digest,
        expires_at_ms: NOW_MS + random.u64(..3) * 10 + 1000 * *expiries,
    }
}

fn random_entry(random: &mut Rng, expiries: &mut u64) -> Entry {
    match random.u8(..10) {
        0 => Entry::Probe,
        1 | 2 => {
            let mut entry = reject([10, 1_000, 20_000][random.usize(..3)]);
            if let Entry::Reject(reject, signature) = &mut entry {
                reject.detail = text(random);
                let of_reject = digest(random.u64(..3));
                *signature = random
                    .bool()
                    .then(|| random_signature(random, of_reject, expiries));
            }
            entry
        }
        _ => {
            let event = random_event(random);
            let signature = random.u8(..3) == 0;
            let digest = event.digest.clone();
            let signature = signature.then(|| random_signature(random, digest, expiries));
            Entry::Event(event, signature)
        }
    }
}

/// Returns everything that can be read, as a text.
async fn everything(journal: &dyn Journal) -> String {
    let mut text = String::new();
    for order in [TaskOrder::Descending, TaskOrder::Ascending] {
        for search in [None, Some("a"), Some("\0"), Some("\u{1}")] {
            let query = TaskQuery {
                text: search.map(str::to_owned),
                order,
                ..TaskQuery::all()
            };
            let page = journal.list_tasks(&query).await.expect("readable");
            for task in &page.tasks {
                let history = journal.list_history("app", &task.task_id, None, 500).await;
                text += &format!("{:?}\n", history.expect("readable"));
            }
            text += &format!("{search:?} {page:?}\n");
        }
    }
    let feed = journal.events_after(0, 500).await.expect("readable");
    let rejects = journal.list_quarantine(None, 500).await.expect("readable");
    let summary = journal.summarize(NOW_MS + 10).await.expect("readable");
    text + &format!("{feed:?}\n{rejects:?}\n{summary:?}")
}

async fn prune(journal: &dyn Journal, before_ms: u64) {
    while journal.prune(before_ms).await.expect("pruned").more {}
}

async fn compare(seed: u64, hosts: &[PostgresJournal]) {
    let mut random = Rng::with_seed(seed);
    let memory = MemoryJournal::new(BOUNDS);
    let mut expiries = 0;
    for step in 0..25 {
        let count = random.usize(1..20);
        let batch: Vec<_> = std::iter::repeat_with(|| random_entry(&mut random, &mut expiries))
            .take(count)
            .collect();
        let host = &hosts[step % hosts.len()];
        let expected: Vec<Appended> = memory.commit(batch.clone()).await.expect("committed");
        let found = host.commit(batch).await.expect("committed");
        assert_eq!(found, expected, "seed {seed}, step {step}");
        if random.u8(..8) == 0 {
            let before_ms = NOW_MS + random.u64(..25);
            prune(&memory, before_ms).await;
            prune(host, before_ms).await;
        }
        let (found, expected) = (everything(host).await, everything(&memory).await);
        assert_eq!(found, expected, "seed {seed}, step {step}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_entries_have_the_same_effect_as_in_memory() {
    for seed in 0..scale("BATCHTASK_TEST_POSTGRES_SEEDS", 4) as u64 {
        let Some(database) = Database::shared() else {
            return;
        };
        let options = Options {
            bounds: BOUNDS,
            ..Options::default()
        };
        let config = database.config("model");
        let mut hosts = Vec::new();
        for _ in 0..2 {
            let host = PostgresJournal::open(&config, options).await;
            hosts.push(host.expect("a journal"));
        }
        compare(seed, &hosts).await;
    }
}
