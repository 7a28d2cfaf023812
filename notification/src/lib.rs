//! What a batch-task notification says, and where it stands in the order of
//! changes.
//!
//! Huawei Cloud IoTDA pushes every status change of a batch task as a small
//! JSON text. This crate turns those bytes into a [`Notification`], which
//! cannot exist unless it is valid, and a notification that has arrived into
//! an [`Event`], which can be ordered and told from a repetition.
//!
//! It is pure: no I/O, no clock. It never panics, and it does not recurse over
//! its input, so a small stack is enough; its memory is bounded by the length
//! of the body.
//!
//! | module | what is in it |
//! |---|---|
//! | `notification` | [`Notification`]: the forms that are understood, dead letters among them |
//! | `event` | [`Event`]: when it happened, its digest, and its place in the order |
//! | `status` | [`Status`] and [`Class`]: what a status word means, and its rank |
//! | `step` | [`step`]: whether a status may follow another |
//! | `flags` | [`Flags`]: notable facts about a notification |
//! | [`time`] | the platform's two forms of time, and the form of RFC 3339 |
//! | `decimal` | [`push_decimal`]: numbers as text |
//! | `base64` | [`base64()`]: bytes as text, and back |
//! | `digest` | [`sha256`]: the SHA-256 of a text in parts |
//! | `hex` | [`hex`] and [`from_hex`]: bytes as hexadecimal digits |
//! | `error` | [`ParseError`]: why a body is no notification |
//! | `json` | the members of an object, without reading what nobody asked for |
//!
//! ```
//! use batchtask_notification::{Class, Notification};
//!
//! let body = br#"{"resource":"batchtask","event":"update","event_time":"20151212T121212Z",
//!     "notify_data":{"body":{"app_id":"a","task_id":"t","task_type":"softwareUpgrade",
//!     "status":"Success","status_desc":""}}}"#;
//! let event = Notification::parse(body)?.into_event(1_449_922_333_000);
//! assert_eq!(event.occurred_at_ms, 1_449_922_332_000);
//! assert_eq!(Class::of_rank(event.rank), Class::Final);
//! # Ok::<(), batchtask_notification::ParseError>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod base64;
mod decimal;
mod digest;
mod error;
mod event;
mod flags;
mod hex;
mod json;
mod notification;
mod status;
mod step;
pub mod time;

pub use base64::base64;
pub use decimal::push_decimal;
pub use digest::sha256;
pub use error::{Found, ParseError};
pub use event::{Event, Key, MAX_AHEAD_MS};
pub use flags::Flags;
pub use hex::{from_hex, hex};
pub use json::{MAX_DEPTH, MAX_VALUES};
pub use notification::{Notification, TASK_TYPES};
pub use status::{Class, Status};
pub use step::{Step, step};
