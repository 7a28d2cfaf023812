//! Tests of the relay.
//!
//! - `schedules`: random schedules of the scheduler, with crashes.
//! - `reports`: random schedules of digests and alerts, with crashes.
//! - `leases`: random schedules of the lease, with hosts that stop and go on.
//! - `deliveries`: a relay with a receiver that fails in many ways.
//! - `chats`: messages to chats, as their services see them.
//! - `receiver`: that receiver; `services`: what the services of chats check.
//! - `seeds`: which seeds run.

mod chats;
mod deliveries;
mod leases;
mod receiver;
mod reports;
mod schedules;
mod seeds;
mod services;
