//! How fast several hosts answer at the platform's rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use batchtask_journal::{Appended, GroupCommit, group_commit};

use crate::support::entries::entry;
use crate::support::{Database, open_hosts, scale};

/// The notifications of all hosts in a second.
const RATE: u32 = 800;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_hosts_answer_at_the_rate_of_the_platform() {
    let Some(database) = Database::shared() else {
        return;
    };
    let seconds = scale("BATCHTASK_TEST_POSTGRES_RATE_SECONDS", 2);
    let hosts = open_hosts(&database.config("rate"), 8).await;
    let commits = |journal| {
        let options = group_commit::Options::default();
        GroupCommit::new(Arc::new(journal), options, None).expect("a runtime")
    };
    let hosts: Vec<_> = hosts.into_iter().map(commits).map(Arc::new).collect();
    let mut writes = tokio::task::JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    for number in 0..RATE as usize * seconds {
        ticks.tick().await;
        let host = hosts[number % hosts.len()].clone();
        writes.spawn(async move {
            let started = Instant::now();
            let outcome = host.write(entry(number as u64)).await;
            (outcome, started.elapsed())
        });
    }
    let mut times = Vec::new();
    for (outcome, time) in writes.join_all().await {
        assert_eq!(outcome.expect("committed"), Appended::Recorded);
        times.push(time);
    }
    times.sort();
    let [p50, p99] = [50, 99].map(|percent| times[times.len() * percent / 100]);
    eprintln!("8 hosts at {RATE}/s: p50 {p50:?}, p99 {p99:?}");
}
