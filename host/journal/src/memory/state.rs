//! The content of the journal in memory, and how an entry changes it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use batchtask_guest::journal::ranks;

use tokio::sync::watch;

use super::sinks::Sinks;
use crate::activity::ActivityCounts;
use crate::page::reject_bytes;
use crate::{
    Appended, Bounds, Class, Details, Entry, Event, LISTED_REQUEST_ID_BYTES_MAX, Pruned,
    Quarantined, Reject, RejectSize, Shares, SignatureStatus, SignatureUse, Source, placed_at_ms,
};

/// The place of an event in the order of its task: time, rank, digest.
pub(super) type Place = (u64, u8, Vec<u8>);

/// The content of the journal.
pub(super) struct State {
    bounds: Bounds,
    /// The tasks in order of their first arrival, so an index never changes.
    pub(super) tasks: Vec<TaskState>,
    /// The index of a task by its application id and task id.
    pub(super) by_ids: BTreeMap<(String, String), usize>,
    /// The events in order of arrival: the `seq` of an event is its index plus 1.
    /// A pruned event is `None`.
    pub(super) events: Vec<Option<EventState>>,
    /// The digests of the events that were pruned.
    pruned: HashSet<Vec<u8>>,
    signatures: Signatures,
    pub(super) quarantine: Quarantine,
    pub(super) last_received_at_ms: Option<u64>,
    last_seq: watch::Sender<u64>,
    pub(super) sinks: Sinks,
    pub(super) activity: ActivityCounts,
}

/// One task.
pub(super) struct TaskState {
    pub(super) app_id: String,
    pub(super) task_id: String,
    /// The indexes of its events, by their place. Empty once the task was pruned.
    pub(super) events: BTreeMap<Place, usize>,
    by_digest: HashMap<Vec<u8>, usize>,
    pub(super) last_received_at_ms: u64,
    pub(super) duplicates: u64,
    pub(super) details: Option<Details>,
}

/// One event, as it first arrived.
pub(super) struct EventState {
    pub(super) event: Event,
    pub(super) duplicates: u64,
    /// The request ids that are short enough to be listed.
    pub(super) request_ids: BTreeSet<String>,
    pub(super) late: bool,
}

/// The rejects, oldest first.
#[derive(Default)]
pub(super) struct Quarantine {
    pub(super) rejects: VecDeque<Quarantined>,
    pub(super) shares: Shares,
    pub(super) dropped: u64,
    last_seq: u64,
}

/// The signatures that were used, each with its digest and expiry.
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
            pruned: HashSet::new(),
            signatures: Signatures::default(),
            quarantine: Quarantine::default(),
            last_received_at_ms: None,
            last_seq,
            sinks: Sinks::default(),
            activity: ActivityCounts::default(),
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
                            .add(reject, self.bounds.quarantine_max_bytes);
                        Appended::Recorded
                    }
                }
            }
            Entry::Probe => Appended::Recorded,
        }
    }

    /// Returns the bytes in the quarantine and the number of dropped rejects.
    pub(super) fn quarantine_totals(&self) -> (u64, u64) {
        (self.quarantine.shares.total(), self.quarantine.dropped)
    }

    fn use_signature(&mut self, signature: Option<SignatureUse>, now_ms: u64) -> SignatureStatus {
        signature.map_or(SignatureStatus::Fresh, |signature| {
            self.signatures
                .admit(signature, now_ms, self.bounds.signatures_max)
        })
    }

    fn record(&mut self, mut event: Event) -> Appended {
        if event.source != Source::Reconcile {
            self.last_received_at_ms = self.last_received_at_ms.max(Some(event.received_at_ms));
        }
        if self.pruned.contains(&event.digest) {
            return Appended::Duplicate;
        }
        let ids = (event.app_id.clone(), event.task_id.clone());
        let next = self.tasks.len();
        let index = *self.by_ids.entry(ids).or_insert(next);
        if index == next {
            self.tasks.push(TaskState::new(&event));
        }
        let task = &mut self.tasks[index];
        if let Some(&known) = task.by_digest.get(&event.digest) {
            task.duplicates += 1;
            if let Some(known) = &mut self.events[known] {
                known.add_duplicate(event.request_id);
            }
            return Appended::Duplicate;
        }
        if let Some(((last_ms, ..), _)) = task.events.last_key_value() {
            event.occurred_at_ms = placed_at_ms(&event, *last_ms);
        }
        let late = task.add(&event, self.events.len());
        self.activity.add(&event);
        self.events.push(Some(EventState::new(event, late)));
        self.last_seq.send_replace(self.events.len() as u64);
        Appended::Recorded
    }
}

impl State {
    /// Stores details, unless the task is unknown or they are older.
    pub(super) fn describe(&mut self, mut details: Details) {
        let ids = (details.app_id.clone(), details.task_id.clone());
        let Some(&index) = self.by_ids.get(&ids) else {
            return;
        };
        let stored = &mut self.tasks[index].details;
        if let Some(stored) = stored {
            if details.at_ms < stored.at_ms {
                return;
            }
            let known = stored.failed_devices.take();
            details.failed_devices = details.failed_devices.or(known);
        }
        *stored = Some(details);
    }

    /// Removes final tasks without a new event since `before_ms`.
    pub(super) fn prune(&mut self, before_ms: u64) -> Pruned {
        let mut pruned = Pruned::default();
        for task in &mut self.tasks {
            let last = task.events.last_key_value();
            let is_final = last.is_some_and(|((_, rank, _), _)| ranks(Class::Final).contains(rank));
            if !is_final || task.last_received_at_ms >= before_ms {
                continue;
            }
            self.by_ids
                .remove(&(task.app_id.clone(), task.task_id.clone()));
            task.details = None;
            pruned.events += task.events.len() as u64;
            for index in std::mem::take(&mut task.events).into_values() {
                self.events[index] = None;
            }
            self.pruned
                .extend(task.by_digest.drain().map(|(digest, _)| digest));
        }
        pruned
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
            details: None,
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
        state.list_request_id(state.event.request_id.clone());
        state
    }

    fn add_duplicate(&mut self, request_id: Option<String>) {
        self.duplicates += 1;
        self.list_request_id(request_id);
    }

    fn list_request_id(&mut self, request_id: Option<String>) {
        let is_listed = |id: &String| id.len() <= LISTED_REQUEST_ID_BYTES_MAX;
        self.request_ids.extend(request_id.filter(is_listed));
    }
}

impl Quarantine {
    fn add(&mut self, reject: Reject, max_bytes: u64) {
        let bytes = reject_bytes(&reject) as u64;
        if bytes > RejectSize::of(bytes).reject_bytes_max(max_bytes) {
            self.dropped += 1;
            return;
        }
        self.shares.add(bytes);
        while let Some(size) = self.shares.excess(max_bytes)
            && self.drop_oldest(size)
        {}
        self.last_seq += 1;
        let seq = self.last_seq;
        self.rejects.push_back(Quarantined { seq, reject });
    }

    /// Removes a reject. Returns false if no reject has this number.
    pub(super) fn remove(&mut self, seq: u64) -> bool {
        let found = self.rejects.iter().position(|kept| kept.seq == seq);
        let removed = found.and_then(|index| self.rejects.remove(index));
        if let Some(removed) = &removed {
            self.shares.remove(reject_bytes(&removed.reject) as u64);
        }
        removed.is_some()
    }

    /// Drops the oldest reject of this size. Returns false if there is no such
    /// reject.
    fn drop_oldest(&mut self, size: RejectSize) -> bool {
        let bytes = |kept: &Quarantined| reject_bytes(&kept.reject) as u64;
        let mut rejects = self.rejects.iter();
        let oldest = rejects.position(|kept| RejectSize::of(bytes(kept)) == size);
        let Some(oldest) = oldest.and_then(|index| self.rejects.remove(index)) else {
            return false;
        };
        self.shares.remove(bytes(&oldest));
        self.dropped += 1;
        true
    }
}

impl Signatures {
    /// Remembers the use of a signature, unless it is a replay. Returns its
    /// status.
    fn admit(&mut self, signature: SignatureUse, now_ms: u64, max: u64) -> SignatureStatus {
        let known = self.uses.get(&signature.signature);
        let status = known.map_or(SignatureStatus::Fresh, |(digest, expires_at_ms)| {
            SignatureStatus::of(digest, *expires_at_ms, &signature, now_ms)
        });
        if status != SignatureStatus::Replayed {
            self.remember(signature, status);
            self.forget_excess(max);
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

    /// Forgets the signatures beyond `max`; those that expire first go first. An
    /// expired signature is not forgotten just because it expired: the clock may
    /// be wrong.
    fn forget_excess(&mut self, max: u64) {
        while self.uses.len() as u64 > max
            && let Some((_, signature)) = self.by_expiry.pop_first()
        {
            self.uses.remove(&signature);
        }
    }
}

pub(super) fn place(event: &Event) -> Place {
    (event.occurred_at_ms, event.rank, event.digest.clone())
}
