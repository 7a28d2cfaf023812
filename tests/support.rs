//! What the tests share.
//!
//! - [`host`]: the program under test.
//! - [`client`]: one keep-alive connection to it.
//! - [`embedding`]: a receiver in this process, over a journal in memory.
//! - [`notifications`]: bodies, and [`random`], which chooses among them.
//! - [`ledger`]: what was acknowledged, and whether the journal has it.
//! - [`load`]: connections that post without pause, or at a steady rate.
//! - [`pushes`]: the same, each sent once, over connections that are kept.
//! - [`metrics`]: what the host has counted.
//! - [`mounts`]: small disks, and files that are mounted alone.
//! - [`platform`]: the sender, with its rules for pushing.
//! - [`program`]: other commands of the program; [`relay`]: one address for a
//!   host that comes and goes.
//! - [`signing`]: the signatures of pushes, made by another library; [`tls`]:
//!   clients and hosts that speak TLS.

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

/// How long anything may take that is waited for. Passing it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How large a test is: the variable, or the default that keeps the whole
/// binary within minutes.
///
/// - `BATCHTASK_TEST_KILLS`: how often the host is killed under load.
/// - `BATCHTASK_TEST_RESTARTS`: how often the host is restarted under pushes.
/// - `BATCHTASK_TEST_EVENTS`: how many events are shuffled.
/// - `BATCHTASK_TEST_REQUESTS`: how many requests are made up, an operation.
/// - `BATCHTASK_TEST_SLOW`, `_SLOW_SECONDS`, `_SLOW_RATE`: slow connections, for
///   how long, and how many genuine pushes a second beside them.
/// - `BATCHTASK_TEST_FLOOD`, `_FLOOD_SECONDS`, `_FLOOD_LONG`: unfinished requests,
///   for how long, and how many long bodies come at once.
/// - `BATCHTASK_TEST_UNREAD`: how many pushes come while nobody reads the log.
/// - `BATCHTASK_TEST_SOAK_SECONDS`: how long everything goes on at once.
/// - `BATCHTASK_TEST_READERS`, `_READERS_SECONDS`, `_READERS_RATE`: the same with
///   readers that take their answers slowly.
pub(crate) fn scale(variable: &str, default: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("`{variable}` must be a number, found `{text}`")),
        Err(_) => default,
    }
}

/// The documented example, word for word.
pub(crate) const EXAMPLE: &str = include_str!("samples/seed-example.json");

/// Where the example's task is.
pub(crate) const EXAMPLE_TASK: &str =
    "/tasks/1a7ffc5c-d89c-44dd-8265-b1653d951ce0/1a7ffc5c-d89c-44dd-8265";
