//! The forms of a notification that are understood.

#[cfg(test)]
mod tests;

use crate::base64::from_base64;
use crate::error::{PAYLOAD, ParseError};
use crate::json::{self, Error, Member};
use crate::{Flags, Status, time};
use alloc::string::String;
use alloc::vec::Vec;

/// The task types that the platform documents: the first two for the push, the
/// others for the batch-task API, and whether it pushes those it does not say.
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

/// A notification that the status of a batch task changed. It cannot exist
/// unless it has what a state cannot do without: application, task, type and
/// status.
///
/// All text is kept word for word. A member that should be a text and is not
/// is kept as its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub(crate) task: Task,
    pub(crate) event_time: Option<Timestamp>,
    pub(crate) event_time_ms: Option<Timestamp>,
    pub(crate) request_id: Option<String>,
    pub(crate) flags: Flags,
}

/// The fields of the task; all but `status_desc` are not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) app_id: String,
    pub(crate) task_id: String,
    pub(crate) task_type: String,
    pub(crate) status: String,
    pub(crate) status_desc: String,
}

/// A time as it came, and the instant that it names, if it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    pub(crate) text: String,
    pub(crate) at_ms: Option<u64>,
}

impl Notification {
    /// Reads the body of a push: a JSON text in UTF-8, perhaps with a byte
    /// order mark.
    ///
    /// - The documented form, `batchtask` and `update`. A rule may drop and
    ///   rename fields: without a time the arrival counts, and `event` may be
    ///   missing.
    /// - The form of 2020, `batchtask.status`, with the fields of the task
    ///   directly in `notify_data`. It has no times; they are read if there.
    /// - A dead letter of the platform, `base64_original_payload` and no
    ///   `resource`, with one of the above inside. Of the letter itself
    ///   nothing is kept.
    ///
    /// What a state can do without is never a reason to refuse: times, trace id
    /// and description may be missing, null, repeated (the last one is kept) or
    /// any other value, see [`Flags::IRREGULAR_FIELDS`]. All else that is known
    /// must be there once. Members that are not known are let pass, see
    /// [`Flags::EXTRA_FIELDS`].
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

    /// The resource space that the task belongs to. Never empty.
    pub fn app_id(&self) -> &str {
        &self.task.app_id
    }

    /// The batch task. Never empty; unique only together with
    /// [`app_id`](Self::app_id).
    pub fn task_id(&self) -> &str {
        &self.task.task_id
    }

    /// For example `softwareUpgrade`, see [`TASK_TYPES`]. Never empty; any text
    /// is possible.
    pub fn task_type(&self) -> &str {
        &self.task.task_type
    }

    /// For example `Waitting`; [`Status::of`] gives it a meaning. Never empty;
    /// any text is possible.
    pub fn status(&self) -> &str {
        &self.task.status
    }

    /// The platform's free text, perhaps empty, perhaps long.
    pub fn status_desc(&self) -> &str {
        &self.task.status_desc
    }

    /// `event_time`, in the form `yyyyMMdd'T'HHmmss'Z'` unless flagged.
    pub fn event_time(&self) -> Option<&str> {
        self.event_time.as_ref().map(|time| time.text.as_str())
    }

    /// `event_time_ms`, in the form `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'` unless
    /// flagged.
    pub fn event_time_ms(&self) -> Option<&str> {
        self.event_time_ms.as_ref().map(|time| time.text.as_str())
    }

    /// The platform's trace id. Not unique, not a key.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// What is odd about it, apart from its arrival.
    pub fn flags(&self) -> Flags {
        self.flags
    }
}

/// What a body is.
enum Message<'a> {
    Notification(Notification),
    /// With the member that holds the message inside.
    DeadLetter(Member<'a>),
}

impl<'a> Message<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Error> {
        let (members, others) = json::document(body)?.members(
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
        let (event_time, odd_seconds) = timestamp(seconds, time::parse_seconds);
        let (event_time_ms, odd_milliseconds) = timestamp(milliseconds, time::parse_milliseconds);
        let (request_id, odd_request_id) = request_id.verbatim();
        let no_event = form == Form::Current && !event.is_some();

        let second = |time: &Option<Timestamp>| time.as_ref()?.at_ms.map(|at_ms| at_ms / 1000);
        let seconds = second(&event_time);
        let mismatch = seconds
            .zip(second(&event_time_ms))
            .is_some_and(|(time, time_ms)| time != time_ms);
        let irregular = odd_seconds | odd_milliseconds | odd_request_id | no_event;
        let flags = Flags::TIME_MISMATCH.when(mismatch)
            | Flags::UNKNOWN_STATUS.when(Status::of(&task.status) == Status::Unknown)
            | Flags::UNKNOWN_TYPE.when(!TASK_TYPES.contains(&task.task_type.as_str()))
            | Flags::LEGACY_FORM.when(form == Form::Legacy)
            | Flags::NO_EVENT_TIME.when(seconds.is_none())
            | Flags::EXTRA_FIELDS.when(others || payload.is_present())
            | Flags::IRREGULAR_FIELDS.when(irregular)
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

/// The forms of a notification.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `batchtask` and `update`, the task in `notify_data.body`.
    Current,
    /// Of 2020: `batchtask.status`, the task in `notify_data`.
    Legacy,
}

impl Form {
    /// The form that `resource` and `event` name. Other resources and events
    /// share the envelope; they come when a rule points to the wrong place.
    fn of(resource: Member<'_>, event: Member<'_>) -> Result<Self, Error> {
        match resource.string()?.as_str() {
            // There is no second event of a batch task, so nothing else is
            // meant if a rule drops the name.
            "batchtask" if !event.is_some() || event.string()? == "update" => Ok(Self::Current),
            "batchtask" => Err(event.expected("`update`")),
            // What its `event` was is not documented any more.
            "batchtask.status" => Ok(Self::Legacy),
            _ => Err(resource.expected("`batchtask`")),
        }
    }

    /// The task, and what is notable about its fields and about the members
    /// beside them and on the way to them.
    fn task(self, notify_data: Member<'_>) -> Result<(Task, Flags), Error> {
        let (fields, others) = match self {
            Self::Current => {
                let ([body], others) = notify_data.members(["/notify_data/body"])?;
                let (fields, others_in_body) = body.members([
                    "/notify_data/body/app_id",
                    "/notify_data/body/task_id",
                    "/notify_data/body/task_type",
                    "/notify_data/body/status",
                    "/notify_data/body/status_desc",
                ])?;
                (fields, others || others_in_body)
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
        let (status_desc, odd_status_desc) = status_desc.verbatim();
        let flags = Flags::EXTRA_FIELDS.when(others)
            | Flags::IRREGULAR_FIELDS.when(odd_status_desc || status_desc.is_none());
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

/// A time, if the member is there, and whether it is irregular: repeated, or
/// not of its documented form, which `parse` reads.
fn timestamp(member: Member<'_>, parse: fn(&str) -> Option<u64>) -> (Option<Timestamp>, bool) {
    let (text, is_odd) = member.verbatim();
    let Some(text) = text else {
        return (None, is_odd);
    };
    let is_odd = is_odd || parse(&text).is_none();
    let at_ms = time::parse(&text);
    (Some(Timestamp { text, at_ms }), is_odd)
}

/// Reads the message inside a dead letter.
fn open(message: &[u8]) -> Result<Notification, Error> {
    match Message::read(message)? {
        Message::Notification(notification) => Ok(notification),
        Message::DeadLetter(payload) => {
            Err(payload.expected("a notification, not another dead letter"))
        }
    }
}

/// The bytes of the message inside a dead letter, in the standard alphabet of
/// base64. Padding may be missing; the platform does not document it.
fn decode(payload: Member<'_>) -> Result<Vec<u8>, Error> {
    unpadded(&payload.string()?)
        .and_then(from_base64)
        .ok_or_else(|| payload.expected("base64 (RFC 4648, section 4)"))
}

/// The text without its padding; none when it has more of it than would fill
/// the last four characters.
fn unpadded(text: &str) -> Option<&str> {
    let unpadded = text.trim_end_matches('=');
    (text.len() <= unpadded.len().next_multiple_of(4)).then_some(unpadded)
}
