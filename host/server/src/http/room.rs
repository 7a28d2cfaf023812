//! Room for the bytes of long bodies: one budget, half of it for senders whose
//! head proves who they are.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::crowd::{Crowd, Member, Peer};

/// The unit of the budget, in bytes.
const UNIT: usize = 1 << 10;

/// How long an unproven sender may take over a long body while others wait for
/// its room.
const CONTENDED_TIME: Duration = Duration::from_secs(1);

/// How often those who wait look for a body that must give way.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The budget. Whoever asks for room waits for it, first come first served.
pub(crate) struct Room {
    proven: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
    /// The unproven senders that have room now.
    holders: Crowd,
}

/// Room for one body, until it is dropped.
pub(crate) struct Taken {
    _units: Option<OwnedSemaphorePermit>,
    holder: Option<Member>,
}

impl Room {
    /// Room for `bytes`, and in each half at least for one body of `max_body_bytes`.
    pub(crate) fn new(bytes: usize, max_body_bytes: usize) -> Self {
        let half = units((bytes / 2).max(max_body_bytes)) as usize;
        Self {
            proven: Arc::new(Semaphore::new(half)),
            unproven: Arc::new(Semaphore::new(half)),
            holders: Crowd::new(usize::MAX),
        }
    }

    /// Waits for room for a body of a sender that its head has proven.
    pub(crate) async fn take_proven(&self, bytes: usize) -> Taken {
        Taken {
            _units: acquire(&self.proven, bytes).await,
            holder: None,
        }
    }

    /// Waits for room for a body of anybody else. Bodies that have taken too
    /// long meanwhile give way.
    pub(crate) async fn take_unproven(&self, bytes: usize, peer: Peer) -> Taken {
        let mut waits = pin!(acquire(&self.unproven, bytes));
        let units = loop {
            tokio::select! {
                units = &mut waits => break units,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    self.holders.evict(CONTENDED_TIME);
                }
            }
        };
        Taken {
            _units: units,
            holder: self.holders.enter(peer),
        }
    }
}

/// Waits for room for `bytes`. `None` is no room for no bytes: the semaphore is
/// never closed.
async fn acquire(half: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    half.clone().acquire_many_owned(units(bytes)).await.ok()
}

impl Taken {
    /// Resolves when the body must give way.
    pub(crate) async fn evicted(&self) {
        match &self.holder {
            Some(holder) => holder.evicted().await,
            None => std::future::pending().await,
        }
    }

    /// Keeps the room: the body has arrived.
    pub(crate) fn keep(&mut self) {
        self.holder = None;
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}
