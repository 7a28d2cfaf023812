//! Tests of the relay.
//!
//! - `schedules`: random schedules of the scheduler, with crashes.
//! - `leases`: random schedules of the lease, with hosts that stop and go on.
//! - `deliveries`: a relay with a receiver that fails in many ways.
//! - `receiver`: that receiver.
//! - `seeds`: which seeds run.

mod deliveries;
mod leases;
mod receiver;
mod schedules;
mod seeds;
