//! Helpers that several tests use.
//!
//! - [`host`]: the program under test.
//! - [`client`]: a keep-alive connection to it.
//! - [`embedding`]: a receiver in this process.
//! - [`notifications`]: bodies of notifications.
//! - [`random`]: random numbers that are the same in every run.
//! - [`ledger`]: the acknowledged events, to compare with the journal.
//! - [`load`]: connections that post without pause, or at a steady rate.
//! - [`pushes`]: connections that post at a steady rate, and never repeat a push.
//! - [`metrics`]: the metrics of the host.
//! - [`mounts`]: small disks, and files that are mounts.
//! - [`platform`]: a simulator of the platform, with its rules for pushing.
//! - [`program`]: other commands of the program.
//! - [`relay`]: a fixed address for a host whose address changes.
//! - [`signing`]: signatures of pushes, made by another library than the host's.
//! - [`tls`]: clients and hosts with TLS.

pub(crate) mod client;
pub(crate) mod embedding;
pub(crate) mod host;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod metrics;
pub(crate) mod mounts;
pub(crate) mod notifications;
pub(crate) mod platform;
pub(crate) mod program;
pub(crate) mod pushes;
pub(crate) mod random;
pub(crate) mod relay;
pub(crate) mod signing;
pub(crate) mod tls;

use std::time::Duration;

/// How long tests wait for anything. When it has passed, the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the size of a test: the value of the variable, or the default. With the
/// defaults, all tests together take a few minutes.
///
/// - `BATCHTASK_TEST_KILLS`: how often the host is killed under load.
/// - `BATCHTASK_TEST_RESTARTS`: how often the host is restarted under pushes.
/// - `BATCHTASK_TEST_AMQP_KILLS`, `_CUTS`, `_BROKER_KILLS`, `_OUTAGE_SECONDS`, `_BACKLOG`,
///   `_RUNS`: see CONTRIBUTING.md.
/// - `BATCHTASK_TEST_EVENTS`: how many events are shuffled.
/// - `BATCHTASK_TEST_REQUESTS`: how many requests are generated for each operation.
/// - `BATCHTASK_TEST_SLOW`, `_SLOW_SECONDS`, `_SLOW_RATE`: the number of slow
///   connections, the duration, and how many genuine pushes a second are sent
///   meanwhile.
/// - `BATCHTASK_TEST_FLOOD`, `_FLOOD_SECONDS`, `_FLOOD_LONG`: the number of
///   unfinished requests, the duration, and how many long bodies are sent at once.
/// - `BATCHTASK_TEST_CONFIGURATIONS`: how many configurations are checked and started.
/// - `BATCHTASK_TEST_RELOADS`: how often the configuration is reloaded under pushes.
/// - `BATCHTASK_TEST_UNREAD`: how many pushes are sent while the log is not read.
/// - `BATCHTASK_TEST_SOAK_SECONDS`: the duration of the mixed load.
/// - `BATCHTASK_TEST_READERS`, `_READERS_SECONDS`, `_READERS_RATE`: the number of
///   readers that read their answers slowly, the duration, and the pushes a second.
pub(crate) fn scale(variable: &str, default: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("`{variable}` must be a number, found `{text}`")),
        Err(_) => default,
    }
}

/// The documented example, verbatim.
pub(crate) const EXAMPLE: &str = include_str!("samples/seed-example.json");

/// The path of the example's task.
pub(crate) const EXAMPLE_TASK: &str =
    "/tasks/1a7ffc5c-d89c-44dd-8265-b1653d951ce0/1a7ffc5c-d89c-44dd-8265";
