//! What the journal in memory holds, and what an entry does to it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use tokio::sync::watch;

use crate::page::reject_bytes;
use crate::{
    Appended, Bounds, Entry, Event, LISTED_REQUEST_ID_BYTES_MAX, Quarantined, Reject,
    SignatureStatus, SignatureUse,
};

/// The place of an event in the order of its task: instant, rank, digest.
pub(super) type Place = (u64, u8, Vec<u8>);

/// All content of the journal.
pub(super) struct State {
    bounds: Bounds,
    /// In order of their first event, so the index of a task never changes.
    pub(super) tasks: Vec<TaskState>,
    /// The index of a task by its application id and task id.
    pub(super) by_ids: BTreeMap<(String, String), usize>,
    /// In order of arrival: the `seq` of an event is its index plus 1.
    pub(super) events: Vec<EventState>,
    signatures: Signatures,
    pub(super) quarantine: Quarantine,
    pub(super) last_received_at_ms: Option<u64>,
    last_seq: watch::Sender<u64>,
}

/// One task.
pub(super) struct TaskState {
    pub(super) app_id: String,
    pub(super) task_id: String,
    /// The indexes of its events, by their place. Never empty.
    pub(super) events: BTreeMap<Place, usize>,
    by_digest: HashMap<Vec<u8>, usize>,
    pub(super) last_received_at_ms: u64,
    pub(super) duplicates: u64,
}

/// One event, as it first arrived.
pub(super) struct EventState {
    pub(super) event: Event,
    pub(super) duplicates: u64,
    /// All that are short enough to be listed.
    pub(super) request_ids: BTreeSet<String>,
    pub(super) late: bool,
}

/// The rejects, oldest first.
#[derive(Default)]
pub(super) struct Quarantine {
    pub(super) rejects: VecDeque<Quarantined>,
    pub(super) bytes: u64,
    pub(super) dropped: u64,
    last_seq: u64,
}

/// The signatures that were used: their digest and when they expire.
#[derive(Default)]
struct Signatures {
    uses: HashMap<String, (Vec<u8>, u64)>,
    by_expiry: BTreeSet<(u64, String)>,
}

impl State {
    pub(super) fn new(bounds: Bounds, last_seq: watch::Sender<u64>) -> Self {
        Self {
            bounds,
            tasks: Vec::new(),
            by_ids: BTreeMap::new(),
            events: Vec::new(),
            signatures: Signatures::default(),
            quarantine: Quarantine::default(),
            last_received_at_ms: None,
            last_seq,
        }
    }

    /// Stores an entry and returns its outcome. Cannot fail.
    pub(super) fn apply(&mut self, entry: Entry) -> Appended {
        match entry {
            Entry::Event(event, signature) => {
                match self.use_signature(signature, event.received_at_ms) {
                    SignatureStatus::Replayed => Appended::Replayed,
                    _ => self.record(event),
                }
            }
            Entry::Reject(reject, signature) => {
                match self.use_signature(signature, reject.received_at_ms) {
                    SignatureStatus::Replayed => Appended::Replayed,
                    SignatureStatus::Repeated => Appended::Duplicate,
                    SignatureStatus::Fresh => {
                        self.quarantine
                            .keep(reject, self.bounds.quarantine_max_bytes);
                        Appended::Recorded
                    }
                }
            }
            Entry::Probe => Appended::Recorded,
        }
    }

    /// The bytes in the quarantine, and how many rejects were dropped.
    pub(super) fn quarantine_totals(&self) -> (u64, u64) {
        (self.quarantine.bytes, self.quarantine.dropped)
    }

    fn use_signature(&mut self, signature: Option<SignatureUse>, now_ms: u64) -> SignatureStatus {
        signature.map_or(SignatureStatus::Fresh, |signature| {
            self.signatures
                .admit(signature, now_ms, self.bounds.signatures_max)
        })
    }

    fn record(&mut self, event: Event) -> Appended {
        self.last_received_at_ms = self.last_received_at_ms.max(Some(event.received_at_ms));
        let ids = (event.app_id.clone(), event.task_id.clone());
        let next = self.tasks.len();
        let index = *self.by_ids.entry(ids).or_insert(next);
        if index == next {
            self.tasks.push(TaskState::new(&event));
        }
        let task = &mut self.tasks[index];
        if let Some(&known) = task.by_digest.get(&event.digest) {
            task.duplicates += 1;
            self.events[known].repeat(event.request_id);
            return Appended::Duplicate;
        }
        let late = task.add(&event, self.events.len());
        self.events.push(EventState::new(event, late));
        self.last_seq.send_replace(self.events.len() as u64);
        Appended::Recorded
    }
}

impl TaskState {
    fn new(event: &Event) -> Self {
        Self {
            app_id: event.app_id.clone(),
            task_id: event.task_id.clone(),
            events: BTreeMap::new(),
            by_digest: HashMap::new(),
            last_received_at_ms: 0,
            duplicates: 0,
        }
    }

    /// Adds a new event with this index. Returns whether it is late.
    fn add(&mut self, event: &Event, index: usize) -> bool {
        let place = place(event);
        let last = self.events.last_key_value();
        let late = last.is_some_and(|(last, _)| *last > place);
        self.by_digest.insert(event.digest.clone(), index);
        self.events.insert(place, index);
        self.last_received_at_ms = self.last_received_at_ms.max(event.received_at_ms);
        late
    }
}

impl EventState {
    fn new(event: Event, late: bool) -> Self {
        let mut state = Self {
            request_ids: BTreeSet::new(),
            duplicates: 0,
            late,
            event,
        };
        state.list(state.event.request_id.clone());
        state
    }

    fn repeat(&mut self, request_id: Option<String>) {
        self.duplicates += 1;
        self.list(request_id);
    }

    fn list(&mut self, request_id: Option<String>) {
        let is_listed = |id: &String| id.len() <= LISTED_REQUEST_ID_BYTES_MAX;
        self.request_ids.extend(request_id.filter(is_listed));
    }
}

impl Quarantine {
    fn keep(&mut self, reject: Reject, max_bytes: u64) {
        let bytes = reject_bytes(&reject) as u64;
        if bytes > max_bytes {
            self.dropped += 1;
            return;
        }
        while self.bytes + bytes > max_bytes
            && let Some(oldest) = self.rejects.pop_front()
        {
            self.bytes -= reject_bytes(&oldest.reject) as u64;
            self.dropped += 1;
        }
        self.bytes += bytes;
        self.last_seq += 1;
        let seq = self.last_seq;
        self.rejects.push_back(Quarantined { seq, reject });
    }
}

impl Signatures {
    /// Remembers a use of a signature, unless it is a replay.
    fn admit(&mut self, signature: SignatureUse, now_ms: u64, max: u64) -> SignatureStatus {
        let known = self.uses.get(&signature.signature);
        let status = known.map_or(SignatureStatus::Fresh, |(digest, expires_at_ms)| {
            SignatureStatus::of(digest, *expires_at_ms, &signature, now_ms)
        });
        if status != SignatureStatus::Replayed {
            self.remember(signature, status);
            self.forget(now_ms, max);
        }
        status
    }

    fn remember(&mut self, signature: SignatureUse, status: SignatureStatus) {
        let SignatureUse {
            signature,
            digest,
            mut expires_at_ms,
        } = signature;
        if let Some((_, known_ms)) = self.uses.remove(&signature) {
            self.by_expiry.remove(&(known_ms, signature.clone()));
            if status == SignatureStatus::Repeated {
                expires_at_ms = expires_at_ms.max(known_ms);
            }
        }
        self.by_expiry.insert((expires_at_ms, signature.clone()));
        self.uses.insert(signature, (digest, expires_at_ms));
    }

    /// Forgets what has expired, and what is too many.
    fn forget(&mut self, now_ms: u64, max: u64) {
        while let Some((expires_at_ms, _)) = self.by_expiry.first()
            && (*expires_at_ms <= now_ms || self.uses.len() as u64 > max)
            && let Some((_, signature)) = self.by_expiry.pop_first()
        {
            self.uses.remove(&signature);
        }
    }
}

pub(super) fn place(event: &Event) -> Place {
    (event.occurred_at_ms, event.rank, event.digest.clone())
}
