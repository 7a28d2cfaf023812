//! Finds changes that no push reported, by asking the platform.
//!
//! - `search`: makes the calls of a schedule, and stores what they show.
//! - `local`: tasks as the journal has them; `details`: what is stored besides events.
//! - `service`: searches while a receiver runs; `feed`: learns of new events;
//!   `metrics` and `complaints`: what it reports.
//!
//! What a call shows passes the [`Intake`](batchtask_host::Intake) as a notification with
//! the source `reconcile`. So it is bounded, counted and logged as others are, and
//! only the component makes events.

mod complaints;
mod details;
mod feed;
mod local;
mod metrics;
mod search;
mod service;

use batchtask_platform::reconcile::ScheduleOptions;

pub(crate) use self::search::{Answered, Failure, Found, Search};
pub(crate) use self::service::Service;

/// What is asked, and how often.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Only the tasks of this resource space. `None`: of all.
    pub(crate) app_id: Option<String>,
    pub(crate) schedule: ScheduleOptions,
}
