//! Converts between the types that Wasmtime generates from `wit/` and the guest
//! crate's types, which the rest of the host uses. Each record is listed once, and
//! converted field by field.

use batchtask_guest::bindings::exports::batchtask::receiver::intake as guest;
use batchtask_guest::journal;
use batchtask_guest::receiver::{Decision, Entry, Write};

use crate::bindings::batchtask::receiver::journal as import;
use crate::bindings::exports::batchtask::receiver::intake as export;

/// Converts one type into another. `From` cannot be used, because the orphan rule
/// forbids it between foreign types.
pub(crate) trait Convert<T> {
    fn convert(self) -> T;
}

impl<T: Convert<U>, U> Convert<Vec<U>> for Vec<T> {
    fn convert(self) -> Vec<U> {
        self.into_iter().map(T::convert).collect()
    }
}

impl<T: Convert<U>, U> Convert<Option<U>> for Option<T> {
    fn convert(self) -> Option<U> {
        self.map(T::convert)
    }
}

/// Implements `Convert` for types that are the same on both sides.
macro_rules! same {
    ($($type:ty),*) => {
        $(impl Convert<$type> for $type {
            fn convert(self) -> $type {
                self
            }
        })*
    };
}

same!(
    String,
    u8,
    u16,
    u32,
    u64,
    i64,
    bool,
    (String, String),
    (String, Vec<u8>)
);

macro_rules! record {
    (@one $from:ty => $to:path { $($field:ident),* $(,)? }) => {
        impl Convert<$to> for $from {
            fn convert(self) -> $to {
                $to { $($field: self.$field.convert()),* }
            }
        }
    };
    ($($from:ty => $to:path),+ ; $fields:tt) => {
        $(record!(@one $from => $to $fields);)+
    };
}

macro_rules! cases {
    (@one $from:path => $to:path { $($case:ident),* $(,)? }) => {
        impl Convert<$to> for $from {
            fn convert(self) -> $to {
                use $from as From;
                use $to as To;
                match self { $(From::$case => To::$case),* }
            }
        }
    };
    ($($from:path => $to:path),+ ; $cases:tt) => {
        $(cases!(@one $from => $to $cases);)+
    };
}

macro_rules! flags {
    (@one $from:path => $to:path { $($flag:ident),* $(,)? }) => {
        impl Convert<$to> for $from {
            fn convert(self) -> $to {
                use $from as From;
                use $to as To;
                let pairs = [$((From::$flag, To::$flag)),*];
                let present = pairs.into_iter().filter(|(from, _)| (self & *from) == *from);
                present.fold(To::empty(), |flags, (_, to)| flags | to)
            }
        }
    };
    ($($from:path => $to:path),+ ; $flags:tt) => {
        $(flags!(@one $from => $to $flags);)+
    };
}

// Requests and responses.
record!(guest::Request => export::Request; {
    method, target, headers, sender_proven, over_https, body,
});
record!(export::Response => guest::Response; { status, headers, body, report });
record!(export::Report => guest::Report; {
    kind, outcome, app_id, task_id, detail, signature, skew_ms,
});
record!(export::Admission => guest::Admission; { kind, sender_proven, max_body_bytes });
cases!(export::Kind => guest::Kind; { Push, Read, Page });

// Events and rejects: from `decide` or the import `journal` to the host's journal,
// and back to readers.
record!(
    export::Event => journal::Event,
    import::Event => journal::Event,
    journal::Event => import::Event; {
        app_id, task_id, task_type, status, status_desc, event_time, event_time_ms, request_id,
        digest, occurred_at_ms, rank, received_at_ms, source, signature, flags, body,
    }
);
record!(
    export::Reject => journal::Reject,
    import::Reject => journal::Reject,
    journal::Reject => import::Reject; { received_at_ms, reason, detail, pointer, body }
);
record!(
    export::SignatureUse => journal::SignatureUse,
    import::SignatureUse => journal::SignatureUse; { signature, digest, expires_at_ms }
);
cases!(
    export::Source => journal::Source,
    import::Source => journal::Source,
    journal::Source => import::Source,
    journal::Source => export::Source; { Push, Amqp, Reconcile }
);
flags!(
    export::EventFlags => journal::EventFlags,
    import::EventFlags => journal::EventFlags,
    journal::EventFlags => import::EventFlags; {
        TIME_MISMATCH, CLOCK_SKEW, UNKNOWN_STATUS, UNKNOWN_TYPE, LEGACY_FORM, NO_EVENT_TIME,
        EXTRA_FIELDS, IRREGULAR_FIELDS, RECONCILED,
    }
);

// Reads.
record!(import::TaskQuery => journal::TaskQuery; {
    statuses, classes, task_types, app_ids, flags, steps, stale_before_ms, text, since_ms,
    until_ms, sort, order, cursor, limit, count,
});
cases!(import::Class => journal::Class; { Open, Retryable, Final });
cases!(import::TaskSort => journal::TaskSort; {
    Changed, FirstSeen, Status, Application, Task,
});
cases!(import::TaskOrder => journal::TaskOrder; { Ascending, Descending });
record!(import::ActivityQuery => journal::ActivityQuery; { since_ms, span_minutes, spans });
record!(journal::Activity => import::Activity; { start_ms, notifications, failures });
record!(journal::TaskCount => import::TaskCount; { tasks, more });
flags!(
    import::StepFlags => journal::StepFlags,
    journal::StepFlags => import::StepFlags; { GAP, REOPENED, UNEXPECTED_STEP }
);
cases!(journal::Appended => import::Appended; { Recorded, Duplicate, Replayed });
record!(journal::Step => import::Step; { status, occurred_at_ms });
record!(journal::Progress => import::Progress; {
    total, processing, success, fail, waiting, fail_wait_retry, stopped, removed, at_ms,
});
record!(journal::Policy => import::Policy; { schedule_time, retry_count, retry_interval });
record!(journal::FailedDevice => import::FailedDevice; { device, error_code, error_msg });
record!(journal::Task => import::Task; {
    app_id, task_id, task_type, status, status_desc, occurred_at_ms, rank, first_occurred_at_ms,
    last_received_at_ms, events, duplicates, flags, steps, name, policy, progress, failed_devices,
    request_ids, trail,
});
record!(journal::TaskPage => import::TaskPage; { tasks, previous, next, count });
record!(journal::StoredEvent => import::StoredEvent; { event, seq, duplicates, request_ids, late });
record!(journal::HistoryPage => import::HistoryPage; { events, previous_status, next });
record!(journal::Quarantined => import::Quarantined; { seq, reject });
record!(journal::QuarantinePage => import::QuarantinePage; { rejects, dropped, next });
record!(journal::StatusCount => import::StatusCount; { status, rank, tasks });
record!(journal::Notice => import::Notice; { name, text, since_ms });
record!(journal::Sinks => import::Sinks; { total, failing });
record!(journal::Summary => import::Summary; {
    statuses, last_received_at_ms, stale, notices, sinks,
});

impl Convert<import::Error> for journal::Error {
    fn convert(self) -> import::Error {
        match self {
            Self::Unavailable(text) => import::Error::Unavailable(text),
            Self::Full(text) => import::Error::Full(text),
            Self::Unsupported(text) => import::Error::Unsupported(text),
            Self::InvalidCursor(text) => import::Error::InvalidCursor(text),
        }
    }
}

impl Convert<Decision> for export::Decision {
    fn convert(self) -> Decision {
        match self {
            Self::Respond(response) => Decision::Respond(response.convert()),
            Self::Write(write) => Decision::Write(Write {
                entry: match write.entry {
                    export::Entry::Event(event) => Entry::Event(event.convert()),
                    export::Entry::Reject(reject) => Entry::Reject(reject.convert()),
                },
                signature: write.signature.convert(),
                response: write.response.convert(),
                outcome_at: write.outcome_at,
            }),
        }
    }
}
