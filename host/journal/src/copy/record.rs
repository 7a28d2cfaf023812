//! The content of a journal as records: the rows of its tables, without anything that
//! only one backend has.

use std::hash::{Hash, Hasher};

/// The bytes of records at which a batch ends.
const BATCH_BYTES: usize = 2 << 20;
/// The number of records at which a batch ends.
const BATCH_RECORDS: usize = 2000;

/// A part of the content. The parts are copied in this order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Part {
    /// Tasks, by row number.
    Tasks,
    /// Events with the request ids of their duplicates, by `seq`.
    Events,
    /// Rejects, by number.
    Rejects,
    /// Used signatures, by their bytes.
    Signatures,
    /// Digests of pruned events, by time and digest.
    Pruned,
    /// What the platform tells about tasks, by row number of the task.
    Details,
    /// Sinks, by name.
    Sinks,
    /// Events that wait for a sink, by sink and `seq`.
    Parked,
    /// Events that were given up, by sink and `seq`.
    DeadLetters,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 9] = [
        Self::Tasks,
        Self::Events,
        Self::Rejects,
        Self::Signatures,
        Self::Pruned,
        Self::Details,
        Self::Sinks,
        Self::Parked,
        Self::DeadLetters,
    ];

    /// Returns the name of the part, in the plural.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Events => "events",
            Self::Rejects => "rejects",
            Self::Signatures => "signatures",
            Self::Pruned => "pruned digests",
            Self::Details => "details",
            Self::Sinks => "sinks",
            Self::Parked => "parked events",
            Self::DeadLetters => "dead letters",
        }
    }

    /// Returns the number that stands for this part in a journal.
    pub fn number(self) -> i16 {
        self as i16
    }

    /// Returns the part of a number.
    pub fn of_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.number() == number)
    }
}

/// Records of one part.
#[derive(Clone, Debug)]
pub enum Records {
    /// Tasks.
    Tasks(Vec<TaskRecord>),
    /// Events.
    Events(Vec<EventRecord>),
    /// Rejects.
    Rejects(Vec<RejectRecord>),
    /// Signatures.
    Signatures(Vec<SignatureRecord>),
    /// Digests.
    Pruned(Vec<PrunedRecord>),
    /// Details.
    Details(Vec<DetailsRecord>),
    /// Sinks.
    Sinks(Vec<SinkRecord>),
    /// Parked events.
    Parked(Vec<UndeliveredRecord>),
    /// Dead letters.
    DeadLetters(Vec<UndeliveredRecord>),
}

impl Records {
    /// Returns the number of records.
    pub fn len(&self) -> usize {
        match self {
            Self::Tasks(records) => records.len(),
            Self::Events(records) => records.len(),
            Self::Rejects(records) => records.len(),
            Self::Signatures(records) => records.len(),
            Self::Pruned(records) => records.len(),
            Self::Details(records) => records.len(),
            Self::Sinks(records) => records.len(),
            Self::Parked(records) | Self::DeadLetters(records) => records.len(),
        }
    }

    /// Returns whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hashes each record. The result does not depend on how records are divided into
    /// batches.
    pub(super) fn hash_each(&self, state: &mut impl Hasher) {
        match self {
            Self::Tasks(records) => hash_each(records, state),
            Self::Events(records) => hash_each(records, state),
            Self::Rejects(records) => hash_each(records, state),
            Self::Signatures(records) => hash_each(records, state),
            Self::Pruned(records) => hash_each(records, state),
            Self::Details(records) => hash_each(records, state),
            Self::Sinks(records) => hash_each(records, state),
            Self::Parked(records) | Self::DeadLetters(records) => hash_each(records, state),
        }
    }
}

fn hash_each<T: Hash>(records: &[T], state: &mut impl Hasher) {
    records.iter().for_each(|record| record.hash(state));
}

/// A task. The members are those of the contract, as numbers of a database: see
/// [`stored`](crate::stored).
#[derive(Clone, Debug, Hash)]
#[expect(missing_docs, reason = "the members are those of the contract")]
pub struct TaskRecord {
    pub id: i64,
    pub app_id: String,
    pub task_id: String,
    pub task_type: String,
    pub status: String,
    pub status_desc: String,
    pub occurred_at_ms: i64,
    pub rank: i16,
    pub digest: Vec<u8>,
    pub first_occurred_at_ms: i64,
    pub last_received_at_ms: i64,
    pub events: i64,
    pub duplicates: i64,
    pub flags: i32,
    pub request_ids: Vec<String>,
}

/// An event, with the row number of its task.
#[derive(Clone, Debug, Hash)]
#[expect(missing_docs, reason = "the members are those of the contract")]
pub struct EventRecord {
    pub seq: i64,
    pub task: i64,
    pub digest: Vec<u8>,
    pub occurred_at_ms: i64,
    pub rank: i16,
    pub received_at_ms: i64,
    pub source: i16,
    pub signature: Option<String>,
    pub flags: i32,
    pub late: bool,
    pub duplicates: i64,
    pub task_type: String,
    pub status: String,
    pub status_desc: String,
    pub event_time: Option<String>,
    pub event_time_ms: Option<String>,
    pub request_id: Option<String>,
    pub body: Vec<u8>,
    /// The request ids of its duplicates, sorted.
    pub repeats: Vec<String>,
}

/// A reject, with its size in the quarantine.
#[derive(Clone, Debug, Hash)]
#[expect(missing_docs, reason = "the members are those of the contract")]
pub struct RejectRecord {
    pub seq: i64,
    pub received_at_ms: i64,
    pub bytes: i64,
    pub reason: String,
    pub detail: String,
    pub pointer: Option<String>,
    pub body: Vec<u8>,
}

/// A used signature, with the digest of its notification.
#[derive(Clone, Debug, Hash)]
#[expect(missing_docs, reason = "the members are those of the contract")]
pub struct SignatureRecord {
    pub signature: Vec<u8>,
    pub digest: Vec<u8>,
    pub expires_at_ms: i64,
}

/// The digest of a pruned event.
#[derive(Clone, Debug, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PrunedRecord {
    pub digest: Vec<u8>,
    pub pruned_at_ms: i64,
}

/// The details of a task, with its row number: see [`StoredDetails`](crate::StoredDetails).
#[derive(Clone, Debug, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DetailsRecord {
    pub task: i64,
    pub at_ms: i64,
    pub facts: String,
    pub failed_devices: Option<String>,
}

/// A sink. Its owner is not copied, because no host uses a journal that is copied.
#[derive(Clone, Debug, Hash)]
#[expect(missing_docs, reason = "the members are those of `outbox`")]
pub struct SinkRecord {
    pub name: String,
    pub fence: i64,
    pub position: i64,
    pub paused: bool,
    pub memo: String,
}

/// An event that was not delivered to a sink: a parked event or a dead letter.
#[derive(Clone, Debug, Hash)]
#[expect(missing_docs, reason = "the members are those of `outbox`")]
pub struct UndeliveredRecord {
    pub sink: String,
    pub seq: i64,
    pub app_id: String,
    pub task_id: String,
    pub attempts: i64,
    /// When it may be tried again, or when it was given up.
    pub at_ms: i64,
    pub error: String,
}

/// What a journal knows beside its records.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Totals {
    /// The greatest `seq` of an event, also of a pruned one.
    pub last_seq: i64,
    /// The greatest number of a reject, also of a dropped one.
    pub last_reject: i64,
    /// When the last notification arrived.
    pub last_received_at_ms: Option<i64>,
    /// How many rejects were dropped.
    pub quarantine_dropped: i64,
    /// How many events were pruned.
    pub pruned_events: i64,
    /// The time of the clock that does not run ahead.
    pub clock_ms: Option<i64>,
}

/// Collects records until they fill a batch.
#[derive(Debug)]
pub struct Batch<T> {
    records: Vec<T>,
    bytes: usize,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            bytes: 0,
        }
    }
}

impl<T: Size> Batch<T> {
    /// Adds a record. Returns the batch if it is full.
    pub fn push(&mut self, record: T) -> Option<Vec<T>> {
        self.bytes += record.bytes();
        self.records.push(record);
        let is_full = self.bytes >= BATCH_BYTES || self.records.len() >= BATCH_RECORDS;
        is_full.then(|| self.take()).flatten()
    }

    /// Returns the records of a batch that is not full, if there are any.
    pub fn take(&mut self) -> Option<Vec<T>> {
        self.bytes = 0;
        Some(std::mem::take(&mut self.records)).filter(|records| !records.is_empty())
    }
}

/// The memory that a record uses, about, to end a batch.
pub trait Size {
    /// Returns the bytes.
    fn bytes(&self) -> usize;
}

/// The bytes of numbers and pointers of a record.
const OVERHEAD_BYTES: usize = 256;

impl Size for TaskRecord {
    fn bytes(&self) -> usize {
        let texts = [&self.app_id, &self.task_id, &self.task_type, &self.status];
        let ids = texts.into_iter().chain(&self.request_ids);
        OVERHEAD_BYTES + self.status_desc.len() + ids.map(String::len).sum::<usize>()
    }
}

impl Size for EventRecord {
    fn bytes(&self) -> usize {
        let optional = [&self.event_time, &self.event_time_ms, &self.request_id];
        let optional = optional.into_iter().flatten().map(String::len);
        let texts = self.task_type.len() + self.status.len() + self.status_desc.len();
        OVERHEAD_BYTES + self.body.len() + texts + optional.sum::<usize>()
    }
}

impl Size for RejectRecord {
    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.body.len() + self.detail.len()
    }
}

impl Size for SignatureRecord {
    fn bytes(&self) -> usize {
        OVERHEAD_BYTES
    }
}

impl Size for PrunedRecord {
    fn bytes(&self) -> usize {
        OVERHEAD_BYTES
    }
}

impl Size for DetailsRecord {
    fn bytes(&self) -> usize {
        let devices = self.failed_devices.as_ref().map_or(0, String::len);
        OVERHEAD_BYTES + self.facts.len() + devices
    }
}

impl Size for SinkRecord {
    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.name.len() + self.memo.len()
    }
}

impl Size for UndeliveredRecord {
    fn bytes(&self) -> usize {
        let texts = [&self.sink, &self.app_id, &self.task_id, &self.error];
        OVERHEAD_BYTES + texts.into_iter().map(String::len).sum::<usize>()
    }
}
