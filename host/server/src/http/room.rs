//! The memory budget for long bodies. Half of it is for senders that are proven by
//! the head of their request.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::crowd::{Crowd, Member, Peer};

/// The unit of the budget, in bytes.
const UNIT: usize = 1 << 10;

/// How long an unproven sender may take to send a long body while others wait for
/// room.
const CONTENDED_TIME: Duration = Duration::from_secs(1);

/// How often a waiting request tries to evict a slow body.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The budget. Requests wait for room in the order in which they ask for it.
pub(crate) struct Room {
    proven: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
    /// The bodies of unproven senders that have room and are arriving.
    holders: Crowd,
}

/// Room for one body. Dropping it frees the room.
pub(crate) struct RoomPermit {
    _units: Option<OwnedSemaphorePermit>,
    holder: Option<Member>,
}

impl Room {
    /// Creates a budget of `bytes`. Each half is at least `max_body_bytes`.
    pub(crate) fn new(bytes: usize, max_body_bytes: usize) -> Self {
        let half = units((bytes / 2).max(max_body_bytes)) as usize;
        Self {
            proven: Arc::new(Semaphore::new(half)),
            unproven: Arc::new(Semaphore::new(half)),
            holders: Crowd::new(usize::MAX),
        }
    }

    /// Waits for room for the body of a proven sender.
    pub(crate) async fn take_proven(&self, bytes: usize) -> RoomPermit {
        RoomPermit {
            _units: acquire(&self.proven, bytes).await,
            holder: None,
        }
    }

    /// Waits for room for the body of an unproven sender, and evicts bodies that
    /// take too long meanwhile.
    pub(crate) async fn take_unproven(&self, bytes: usize, peer: Peer) -> RoomPermit {
        let mut waits = pin!(acquire(&self.unproven, bytes));
        let units = loop {
            tokio::select! {
                units = &mut waits => break units,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    self.holders.evict(CONTENDED_TIME);
                }
            }
        };
        RoomPermit {
            _units: units,
            holder: self.holders.enter(peer),
        }
    }
}

/// Waits for room for `bytes`. Never returns `None`, because the semaphore is never
/// closed.
async fn acquire(half: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    half.clone().acquire_many_owned(units(bytes)).await.ok()
}

impl RoomPermit {
    /// Resolves when the body is evicted.
    pub(crate) async fn evicted(&self) {
        match &self.holder {
            Some(holder) => holder.evicted().await,
            None => std::future::pending().await,
        }
    }

    /// Protects the room from eviction, because the body has arrived.
    pub(crate) fn keep(&mut self) {
        self.holder = None;
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}
