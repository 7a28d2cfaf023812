//! Parses batch-task notifications, and orders the changes that they report.
//!
//! Huawei Cloud IoTDA pushes every status change of a batch task as a small
//! JSON text. This crate parses it into a [`Notification`], which is always
//! valid. On arrival a notification becomes an [`Event`], which can be ordered,
//! and whose digest shows whether it is a repetition.
//!
//! The crate has no I/O and no clock. It never panics, and it does not recurse
//! over its input, so a small stack is enough. Its memory is bounded by the
//! length of the body.
//!
//! | module | content |
//! |---|---|
//! | `notification` | [`Notification`]: parses all known forms, including dead letters |
//! | `event` | [`Event`]: when a change happened, its digest, and its place in the order |
//! | `status` | [`Status`] and [`Class`]: the meaning of a status word, and its rank |
//! | `step` | [`step`]: whether one status may follow another |
//! | `flags` | [`Flags`]: notable facts about a notification |
//! | [`time`] | the platform's two forms of time, and the form of RFC 3339 |
//! | `decimal` | [`push_decimal`]: writes numbers |
//! | `base64` | [`base64()`]: encodes and decodes base64 |
//! | `digest` | [`sha256`]: the SHA-256 of several parts |
//! | `hex` | [`hex`] and [`from_hex`]: encode and decode hexadecimal digits |
//! | `error` | [`ParseError`]: why a body is not a notification |
//! | `json` | finds the members of an object, without reading other values |
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

pub use base64::{base64, from_base64};
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
