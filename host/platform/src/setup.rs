//! The setup of the platform for one receiver: the wanted setup, the current one, and
//! the steps between them.
//!
//! | module | content |
//! |---|---|
//! | `wanted` | [`Wanted`]: the rule and the target that should exist |
//! | `authority` | [`Authority`]: the CA certificate of a receiver |
//! | `url` | compares and shows URLs whose path may be a secret |
//! | `actual` | [`Actual`]: the resources that exist |
//! | `compare` | finds our own resources, and compares them |
//! | `finding` | [`Finding`]: a difference, or something that loses pushes |
//! | `step` | [`Step`]: one change |
//! | `plan` | [`Plan`]: the steps of a setup |
//! | `removal` | the steps that remove our own resources |
//! | `apply` | carries a plan out |
//!
//! Our own resources are recognised by name, because nothing is stored locally: the rule
//! by its name, subject and resource space; its action by the URL, of which the
//! last part may differ; the queue by its name; the CA by its subject and the end
//! of its life. A setup deletes nothing, and never creates an access code. It may
//! be interrupted after any call: the next run reads the resources, and does the
//! rest.

mod actual;
mod apply;
mod authority;
mod compare;
mod finding;
mod plan;
mod removal;
mod step;
mod url;
mod wanted;

pub use self::actual::Actual;
pub use self::authority::Authority;
pub use self::compare::{SetupStatus, status};
pub use self::finding::{Finding, Severity};
pub use self::plan::Plan;
pub use self::step::Step;
pub use self::wanted::{HttpTarget, QueueName, Target, Wanted};
