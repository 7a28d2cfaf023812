//! [`Batch`]: the entries of a batch as the parameters of one statement.

use std::borrow::Cow;
use std::time::Duration;

use batchtask_guest::journal::is_undated;
use batchtask_journal::page::reject_bytes;
use batchtask_journal::stored::{flags_to_bits, saturated, source_to_number, unsigned};
use batchtask_journal::{
    Appended, Bounds, Entry, Event, LISTED_REQUEST_ID_BYTES_MAX, Reject, SignatureUse,
};
use batchtask_notification::from_hex;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::link::Parameter;
use crate::values::to_stored;

/// Calls the function that stores a batch.
pub(crate) const APPEND: &str = "SELECT outcomes, last_seq, quarantine_bytes, \
     quarantine_dropped, pruned_events, waited_us FROM batchtask.append($1, $2, $3, $4, $5, $6, $7, $8, $9, \
     $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, \
     $28, $29, $30)";

/// A column of texts, one for each entry.
type Texts<'a> = Vec<Option<Cow<'a, str>>>;
/// A column of bytes, one for each entry.
type Bytes<'a> = Vec<Option<&'a [u8]>>;

/// A batch, with a column for each parameter of the function `append`.
pub(crate) struct Batch<'a> {
    lock_timeout: String,
    channel: &'a str,
    signatures_max: i64,
    quarantine_max: i64,
    kinds: Vec<i16>,
    signatures: Vec<Option<Vec<u8>>>,
    signed_digests: Bytes<'a>,
    expiries_ms: Vec<Option<i64>>,
    received_at: Vec<Option<i64>>,
    bodies: Bytes<'a>,
    events: Events<'a>,
    rejects: Rejects<'a>,
}

/// The columns that only events have.
#[derive(Default)]
struct Events<'a> {
    app_ids: Texts<'a>,
    task_ids: Texts<'a>,
    digests: Bytes<'a>,
    occurred_at: Vec<Option<i64>>,
    ranks: Vec<Option<i16>>,
    undated: Vec<Option<bool>>,
    sources: Vec<Option<i16>>,
    /// What was found out about the signature.
    verdicts: Texts<'a>,
    flags: Vec<Option<i32>>,
    task_types: Texts<'a>,
    statuses: Texts<'a>,
    status_descs: Texts<'a>,
    event_times: Texts<'a>,
    event_times_ms: Texts<'a>,
    request_ids: Texts<'a>,
    listed_ids: Texts<'a>,
}

/// The columns that only rejects have.
#[derive(Default)]
struct Rejects<'a> {
    bytes: Vec<Option<i64>>,
    reasons: Texts<'a>,
    details: Texts<'a>,
    pointers: Texts<'a>,
}

impl<'a> Batch<'a> {
    /// Returns a batch. New events are announced on `channel`.
    pub(crate) fn new(
        entries: &'a [Entry],
        bounds: Bounds,
        lock_timeout: Duration,
        channel: &'a str,
    ) -> Self {
        let mut batch = Self {
            lock_timeout: format!("{}ms", lock_timeout.as_millis()),
            channel,
            signatures_max: saturated(bounds.signatures_max),
            quarantine_max: saturated(bounds.quarantine_max_bytes),
            kinds: Vec::new(),
            signatures: Vec::new(),
            signed_digests: Vec::new(),
            expiries_ms: Vec::new(),
            received_at: Vec::new(),
            bodies: Vec::new(),
            events: Events::default(),
            rejects: Rejects::default(),
        };
        for entry in entries {
            batch.push(entry);
        }
        batch
    }

    fn push(&mut self, entry: &'a Entry) {
        let (kind, signature, event, reject) = match entry {
            Entry::Probe => (0, None, None, None),
            Entry::Event(event, signature) => (1, signature.as_ref(), Some(event), None),
            Entry::Reject(reject, signature) => (2, signature.as_ref(), None, Some(reject)),
        };
        let received_at_ms = event
            .map(|event| event.received_at_ms)
            .or(reject.map(|reject| reject.received_at_ms));
        let body = event
            .map(|event| &event.body)
            .or(reject.map(|reject| &reject.body));
        self.kinds.push(kind);
        self.received_at.push(received_at_ms.map(saturated));
        self.bodies.push(body.map(Vec::as_slice));
        self.push_signature(signature);
        self.events.push(event);
        self.rejects.push(reject);
    }

    fn push_signature(&mut self, signature: Option<&'a SignatureUse>) {
        // Stored as bytes, which takes half the space of hexadecimal digits.
        let bytes = |signature: &SignatureUse| from_hex(&signature.signature).unwrap_or_default();
        self.signatures.push(signature.map(bytes));
        self.signed_digests
            .push(signature.map(|signature| signature.digest.as_slice()));
        self.expiries_ms
            .push(signature.map(|signature| saturated(signature.expires_at_ms)));
    }

    /// Returns the parameters of [`APPEND`].
    pub(crate) fn parameters(&self) -> [Parameter<'_>; 30] {
        let (events, rejects) = (&self.events, &self.rejects);
        [
            (&self.lock_timeout, Type::TEXT),
            (&self.channel, Type::TEXT),
            (&self.signatures_max, Type::INT8),
            (&self.quarantine_max, Type::INT8),
            (&self.kinds, Type::INT2_ARRAY),
            (&self.signatures, Type::BYTEA_ARRAY),
            (&self.signed_digests, Type::BYTEA_ARRAY),
            (&self.expiries_ms, Type::INT8_ARRAY),
            (&self.received_at, Type::INT8_ARRAY),
            (&self.bodies, Type::BYTEA_ARRAY),
            (&events.app_ids, Type::TEXT_ARRAY),
            (&events.task_ids, Type::TEXT_ARRAY),
            (&events.digests, Type::BYTEA_ARRAY),
            (&events.occurred_at, Type::INT8_ARRAY),
            (&events.ranks, Type::INT2_ARRAY),
            (&events.undated, Type::BOOL_ARRAY),
            (&events.sources, Type::INT2_ARRAY),
            (&events.verdicts, Type::TEXT_ARRAY),
            (&events.flags, Type::INT4_ARRAY),
            (&events.task_types, Type::TEXT_ARRAY),
            (&events.statuses, Type::TEXT_ARRAY),
            (&events.status_descs, Type::TEXT_ARRAY),
            (&events.event_times, Type::TEXT_ARRAY),
            (&events.event_times_ms, Type::TEXT_ARRAY),
            (&events.request_ids, Type::TEXT_ARRAY),
            (&events.listed_ids, Type::TEXT_ARRAY),
            (&rejects.bytes, Type::INT8_ARRAY),
            (&rejects.reasons, Type::TEXT_ARRAY),
            (&rejects.details, Type::TEXT_ARRAY),
            (&rejects.pointers, Type::TEXT_ARRAY),
        ]
    }
}

impl<'a> Events<'a> {
    /// Adds an event, or the gap of an entry that is not an event.
    fn push(&mut self, event: Option<&'a Event>) {
        let text = |read: fn(&Event) -> &String| event.map(|event| to_stored(read(event)));
        let optional = |read: fn(&Event) -> &Option<String>| {
            let text = event.and_then(|event| read(event).as_deref());
            text.map(to_stored)
        };
        let is_listed = |id: &&str| id.len() <= LISTED_REQUEST_ID_BYTES_MAX;
        let request_id = event.and_then(|event| event.request_id.as_deref());
        self.app_ids.push(text(|event| &event.app_id));
        self.task_ids.push(text(|event| &event.task_id));
        self.digests
            .push(event.map(|event| event.digest.as_slice()));
        self.occurred_at
            .push(event.map(|event| saturated(event.occurred_at_ms)));
        self.ranks.push(event.map(|event| event.rank.into()));
        self.undated.push(event.map(is_undated));
        self.sources
            .push(event.map(|event| source_to_number(event.source).into()));
        self.verdicts.push(optional(|event| &event.signature));
        self.flags
            .push(event.map(|event| flags_to_bits(event.flags).into()));
        self.task_types.push(text(|event| &event.task_type));
        self.statuses.push(text(|event| &event.status));
        self.status_descs.push(text(|event| &event.status_desc));
        self.event_times.push(optional(|event| &event.event_time));
        self.event_times_ms
            .push(optional(|event| &event.event_time_ms));
        self.request_ids.push(request_id.map(to_stored));
        self.listed_ids
            .push(request_id.filter(is_listed).map(to_stored));
    }
}

impl<'a> Rejects<'a> {
    /// Adds a reject, or the gap of an entry that is not a reject.
    fn push(&mut self, reject: Option<&'a Reject>) {
        let text = |read: fn(&Reject) -> &String| reject.map(|reject| to_stored(read(reject)));
        self.bytes
            .push(reject.map(|reject| saturated(reject_bytes(reject) as u64)));
        self.reasons.push(text(|reject| &reject.reason));
        self.details.push(text(|reject| &reject.detail));
        let pointer = reject.and_then(|reject| reject.pointer.as_deref());
        self.pointers.push(pointer.map(to_stored));
    }
}

/// The result of [`APPEND`].
pub(crate) struct Committed {
    pub(crate) outcomes: Vec<Appended>,
    pub(crate) last_seq: u64,
    pub(crate) quarantine_bytes: u64,
    pub(crate) quarantine_dropped: u64,
    pub(crate) pruned_events: u64,
    /// How long the commit waited for those of other hosts.
    pub(crate) waited: Duration,
}

impl Committed {
    pub(crate) fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let outcomes: Vec<i16> = row.try_get(0)?;
        let number = |column| row.try_get(column).map(unsigned);
        Ok(Self {
            outcomes: outcomes.into_iter().map(outcome).collect(),
            last_seq: number(1)?,
            quarantine_bytes: number(2)?,
            quarantine_dropped: number(3)?,
            pruned_events: number(4)?,
            waited: Duration::from_micros(number(5)?),
        })
    }
}

fn outcome(number: i16) -> Appended {
    match number {
        0 => Appended::Recorded,
        1 => Appended::Duplicate,
        _ => Appended::Replayed,
    }
}
