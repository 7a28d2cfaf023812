//! [`Tenure`]: the lease of a session, and when it is renewed.

use batchtask_journal::Error;
use batchtask_journal::outbox::Hold;

use super::session::End;
use crate::lease::{Lease, Step};

/// The lease of a session, with its fencing number.
pub(super) struct Tenure {
    lease: Lease,
    fence: u64,
    is_renewing: bool,
}

impl Tenure {
    pub(super) fn new(lease: Lease, fence: u64) -> Self {
        Self {
            lease,
            fence,
            is_renewing: false,
        }
    }

    /// Whether this host does not own the sink any more.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.lease.fence(now_ms).is_none()
    }

    /// Returns whether the lease must be renewed now. The caller must report the result.
    pub(super) fn renews(&mut self, now_ms: u64) -> bool {
        let renews = !self.is_renewing && matches!(self.lease.step(now_ms), Step::Renew(_));
        self.is_renewing |= renews;
        renews
    }

    /// Returns when the lease is to be looked at again.
    pub(super) fn wake_at(&mut self, now_ms: u64) -> u64 {
        match self.lease.step(now_ms) {
            Step::WaitUntil(at_ms) if !self.is_renewing => at_ms,
            _ => u64::MAX,
        }
    }

    /// Takes the result of a renewal that was sent at `sent_ms`.
    pub(super) fn renewed(
        &mut self,
        sent_ms: u64,
        renewed: Result<Hold, Error>,
        now_ms: u64,
    ) -> Result<(), End> {
        self.is_renewing = false;
        match renewed {
            Ok(Hold::Kept) => self.lease.granted(self.fence, sent_ms),
            Ok(Hold::Lost) => return Err(End::Lost),
            Err(_) => self.lease.unanswered(now_ms),
        }
        Ok(())
    }
}
