//! Parses a notification in any of the known forms.

#[cfg(test)]
mod tests;

use crate::base64::from_base64;
use crate::error::{PAYLOAD, ParseError};
use crate::json::{self, Error, Member};
use crate::{Flags, Status, time};
use alloc::string::String;
use alloc::vec::Vec;

/// The task types that the platform documents. The first two are documented for
/// pushes, the others only for the batch-task API: they may be pushed or not.
pub const TASK_TYPES: [&str; 12] = [
    "firmwareUpgrade",
    "softwareUpgrade",
    "moduleUpgrade",
    "createDevices",
    "deleteDevices",
    "freezeDevices",
    "unfreezeDevices",
    "createCommands",
    "createAsyncCommands",
    "createMessages",
    "updateDeviceShadows",
    "updateDevices",
];

/// A notification that the status of a batch task changed. It always has the
/// essential members: application, task, type and status.
///
/// All text is kept as received. A member that should be a text and is not is
/// kept as its JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub(crate) task: Task,
    pub(crate) event_time: Option<Timestamp>,
    pub(crate) event_time_ms: Option<Timestamp>,
    pub(crate) request_id: Option<String>,
    pub(crate) flags: Flags,
}

/// The fields of the task. They are not empty, except `status_desc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) app_id: String,
    pub(crate) task_id: String,
    pub(crate) task_type: String,
    pub(crate) status: String,
    pub(crate) status_desc: String,
}

/// A time as received, and the instant that it names if it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    pub(crate) text: String,
    pub(crate) at_ms: Option<u64>,
}

impl Notification {
    /// Parses the body of a push: a JSON text in UTF-8, which may begin with a
    /// byte order mark. It has one of these forms:
    ///
    /// - The documented form, `batchtask` and `update`. A rule may drop and
    ///   rename fields, so the times and `event` may be missing.
    /// - The form of 2020, `batchtask.status`, with the fields of the task
    ///   directly in `notify_data`. It has no times, but they are read if they
    ///   are present.
    /// - A dead letter of the platform: it has `base64_original_payload`, which
    ///   contains one of the forms above, and no `resource`. The other members
    ///   of the letter are dropped.
    ///
    /// Times, trace id and description are not essential: they may be missing,
    /// null, repeated (the last one is kept) or any other value, see
    /// [`Flags::IRREGULAR_FIELDS`]. All other known members must occur once.
    /// Unknown members are allowed, see [`Flags::EXTRA_FIELDS`].
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        match Message::read(body).map_err(|error| *error)? {
            Message::Notification(notification) => Ok(notification),
            Message::DeadLetter(payload) => {
                let message = decode(payload).map_err(|error| *error)?;
                open(&message).map_err(ParseError::DeadLetter)
            }
        }
    }

    /// The id of the resource space (application) that the task belongs to.
    /// Never empty.
    pub fn app_id(&self) -> &str {
        &self.task.app_id
    }

    /// The id of the batch task. Never empty; unique only together with
    /// [`app_id`](Self::app_id).
    pub fn task_id(&self) -> &str {
        &self.task.task_id
    }

    /// The task type, such as `softwareUpgrade`, see [`TASK_TYPES`]. Never
    /// empty; any text is possible.
    pub fn task_type(&self) -> &str {
        &self.task.task_type
    }

    /// The status, such as `Waitting`; [`Status::of`] parses it. Never empty; any
    /// text is possible.
    pub fn status(&self) -> &str {
        &self.task.status
    }

    /// The platform's description of the status. It may be empty or long.
    pub fn status_desc(&self) -> &str {
        &self.task.status_desc
    }

    /// `event_time` as received: `yyyyMMdd'T'HHmmss'Z'` unless flagged.
    pub fn event_time(&self) -> Option<&str> {
        self.event_time.as_ref().map(|time| time.text.as_str())
    }

    /// `event_time_ms` as received: `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'` unless
    /// flagged.
    pub fn event_time_ms(&self) -> Option<&str> {
        self.event_time_ms.as_ref().map(|time| time.text.as_str())
    }

    /// The platform's trace id. It is not unique, so it is not a key.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// Notable facts about the notification, except those about its arrival.
    pub fn flags(&self) -> Flags {
        self.flags
    }
}

/// A parsed body.
enum Message<'a> {
    Notification(Notification),
    /// A dead letter: the member that contains the original message.
    DeadLetter(Member<'a>),
}

impl<'a> Message<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Error> {
        let (members, has_others) = json::document(body)?.members(
            "",
            [
                "/resource",
                "/event",
                "/event_time",
                "/event_time_ms",
                "/request_id",
                "/notify_data",
                PAYLOAD,
            ],
        )?;
        let [
            resource,
            event,
            seconds,
            milliseconds,
            request_id,
            notify_data,
            payload,
        ] = members;
        if payload.is_some() && !resource.is_some() {
            return Ok(Self::DeadLetter(payload));
        }

        let form = Form::of(resource, event)?;
        let (task, flags_within) = form.task(notify_data)?;
        let (event_time, irregular_seconds) = timestamp(seconds, time::parse_seconds);
        let (event_time_ms, irregular_milliseconds) =
            timestamp(milliseconds, time::parse_milliseconds);
        let (request_id, irregular_request_id) = request_id.verbatim();
        let lacks_event = form == Form::Current && !event.is_some();

        let second = |time: &Option<Timestamp>| time.as_ref()?.at_ms.map(|at_ms| at_ms / 1000);
        let seconds = second(&event_time);
        let mismatch = seconds
            .zip(second(&event_time_ms))
            .is_some_and(|(time, time_ms)| time != time_ms);
        let is_irregular =
            irregular_seconds | irregular_milliseconds | irregular_request_id | lacks_event;
        let flags = Flags::TIME_MISMATCH.when(mismatch)
            | Flags::UNKNOWN_STATUS.when(Status::of(&task.status) == Status::Unknown)
            | Flags::UNKNOWN_TYPE.when(!TASK_TYPES.contains(&task.task_type.as_str()))
            | Flags::LEGACY_FORM.when(form == Form::Legacy)
            | Flags::NO_EVENT_TIME.when(seconds.is_none())
            | Flags::EXTRA_FIELDS.when(has_others || payload.is_present())
            | Flags::IRREGULAR_FIELDS.when(is_irregular)
            | flags_within;
        Ok(Self::Notification(Notification {
            task,
            event_time,
            event_time_ms,
            request_id,
            flags,
        }))
    }
}

/// The form of a notification.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `batchtask` and `update`, with the task in `notify_data.body`.
    Current,
    /// The form of 2020: `batchtask.status`, with the task in `notify_data`.
    Legacy,
}

impl Form {
    /// Returns the form that `resource` and `event` name. Notifications of other
    /// resources and events have the same envelope; they arrive if a rule points
    /// to the wrong URL.
    fn of(resource: Member<'_>, event: Member<'_>) -> Result<Self, Error> {
        match resource.string()?.as_str() {
            // Batch tasks have only this event, so it may be missing: a rule may
            // drop it.
            "batchtask" if !event.is_some() || event.string()? == "update" => Ok(Self::Current),
            "batchtask" => Err(event.expected("`update`")),
            // Its `event` is no longer documented, so any value is accepted.
            "batchtask.status" => Ok(Self::Legacy),
            _ => Err(resource.expected("`batchtask`")),
        }
    }

    /// Returns the task, and the flags for its fields and for unknown members
    /// beside them and in `notify_data`.
    fn task(self, notify_data: Member<'_>) -> Result<(Task, Flags), Error> {
        let (fields, has_others) = match self {
            Self::Current => {
                let ([body], has_others) = notify_data.members(["/notify_data/body"])?;
                let (fields, has_others_in_body) = body.members([
                    "/notify_data/body/app_id",
                    "/notify_data/body/task_id",
                    "/notify_data/body/task_type",
                    "/notify_data/body/status",
                    "/notify_data/body/status_desc",
                ])?;
                (fields, has_others || has_others_in_body)
            }
            Self::Legacy => notify_data.members([
                "/notify_data/app_id",
                "/notify_data/task_id",
                "/notify_data/task_type",
                "/notify_data/status",
                "/notify_data/status_desc",
            ])?,
        };
        let [app_id, task_id, task_type, status, status_desc] = fields;
        let (status_desc, irregular_status_desc) = status_desc.verbatim();
        let flags = Flags::EXTRA_FIELDS.when(has_others)
            | Flags::IRREGULAR_FIELDS.when(irregular_status_desc || status_desc.is_none());
        let task = Task {
            app_id: app_id.non_empty_string()?,
            task_id: task_id.non_empty_string()?,
            task_type: task_type.non_empty_string()?,
            status: status.non_empty_string()?,
            status_desc: status_desc.unwrap_or_default(),
        };
        Ok((task, flags))
    }
}

/// Returns a time, if the member is present, and whether the member is
/// irregular: repeated, or not of its documented form, which `parse` reads.
fn timestamp(member: Member<'_>, parse: fn(&str) -> Option<u64>) -> (Option<Timestamp>, bool) {
    let (text, is_irregular) = member.verbatim();
    let Some(text) = text else {
        return (None, is_irregular);
    };
    let is_irregular = is_irregular || parse(&text).is_none();
    let at_ms = time::parse(&text);
    (Some(Timestamp { text, at_ms }), is_irregular)
}

/// Parses the message inside a dead letter.
fn open(message: &[u8]) -> Result<Notification, Error> {
    match Message::read(message)? {
        Message::Notification(notification) => Ok(notification),
        Message::DeadLetter(payload) => {
            Err(payload.expected("a notification, not another dead letter"))
        }
    }
}

/// Decodes the message inside a dead letter: base64 in the standard alphabet.
/// The padding may be missing, because the platform does not document it.
fn decode(payload: Member<'_>) -> Result<Vec<u8>, Error> {
    unpadded(&payload.string()?)
        .and_then(from_base64)
        .ok_or_else(|| payload.expected("base64 (RFC 4648, section 4)"))
}

/// Removes the padding of a base64 text. Returns `None` if there is more padding
/// than the last group of four characters needs.
fn unpadded(text: &str) -> Option<&str> {
    let unpadded = text.trim_end_matches('=');
    (text.len() <= unpadded.len().next_multiple_of(4)).then_some(unpadded)
}
