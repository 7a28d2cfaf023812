//! Finds changes of tasks that no push reported, by asking the platform.
//!
//! Everything here but `ask` is without input and output: the caller looks tasks
//! up, and stores the results.
//!
//! | module | content |
//! |---|---|
//! | `schedule` | [`Schedule`]: which call to make next, and when |
//! | `scan` | the lists in which tasks are found that are not known here |
//! | `ask` | [`Client::ask`](crate::Client::ask): makes the call |
//! | `local` | [`LocalTask`]: a task as it is stored here |
//! | `queue` | the tasks that are to be asked for, by urgency |
//! | `verdict` | [`judge`]: decides about a task after an answer |
//!
//! ```text
//! local tasks -> Schedule::learn
//! loop:  Schedule::next -> Query -> Client::ask -> for each task of the reply:
//!        judge(seen, local) -> Verdict -> store it -> Schedule::settle
//!        then Schedule::shown or Schedule::listed, or Schedule::failed
//! ```
//!
//! The platform tells neither when a task changed nor its order, so a change that
//! is found here has the time of the answer: the header `Date`, which is rounded
//! down to the second. It must sort before every pushed event of that second. Then
//! a push that is late does no harm: if it happened before the answer, it sorts
//! before the change that the answer showed, and if it happened after, it sorts
//! after it.

mod ask;
mod local;
mod queue;
mod scan;
mod schedule;
mod verdict;

pub use self::ask::Reply;
pub use self::local::{LocalTask, TaskKey};
pub use self::queue::Urgency;
pub use self::scan::{Listed, OPEN_STATUSES};
pub use self::schedule::{Next, Query, Schedule, ScheduleOptions};
pub use self::verdict::{Details, FoundEvent, Seen, Verdict, judge};
