//! [`Batch`]: the transaction of a batch.

use batchtask_journal::activity::ActivityCounts;
use batchtask_journal::stored::saturated;
use batchtask_journal::{Appended, Bounds, Entry, Event, SignatureStatus, SignatureUse};
use rusqlite::{Connection, TransactionBehavior};

use crate::activity;
use crate::record;
use crate::totals::Totals;

/// A transaction in progress.
pub(crate) struct Batch {
    pub(crate) totals: Totals,
    bounds: Bounds,
    pub(crate) outcomes: Vec<Appended>,
    signatures_stored: u64,
    activity: ActivityCounts,
    /// The time of the steady clock.
    now_ms: u64,
}

impl Batch {
    /// Prepares a transaction. `now_ms` is the time of the steady clock.
    pub(crate) fn new(totals: Totals, bounds: Bounds, now_ms: u64) -> Self {
        Self {
            totals,
            bounds,
            outcomes: Vec::new(),
            signatures_stored: 0,
            activity: ActivityCounts::default(),
            now_ms,
        }
    }

    /// Commits all entries in one transaction.
    pub(crate) fn commit(
        &mut self,
        connection: &mut Connection,
        entries: &[Entry],
    ) -> rusqlite::Result<()> {
        // `Immediate` takes the lock first, so that no later statement can fail
        // because of it.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for entry in entries {
            let outcome = self.apply(&transaction, entry)?;
            self.outcomes.push(outcome);
        }
        self.finish(&transaction)?;
        transaction.commit()
    }

    fn apply(&mut self, connection: &Connection, entry: &Entry) -> rusqlite::Result<Appended> {
        match entry {
            Entry::Event(event, signature) => {
                match self.signature(connection, signature, event.received_at_ms)? {
                    SignatureStatus::Replayed => Ok(Appended::Replayed),
                    _ => self.record(connection, event),
                }
            }
            Entry::Reject(reject, signature) => {
                match self.signature(connection, signature, reject.received_at_ms)? {
                    SignatureStatus::Replayed => Ok(Appended::Replayed),
                    SignatureStatus::Repeated => Ok(Appended::Duplicate),
                    SignatureStatus::Fresh => {
                        let max_bytes = self.bounds.quarantine_max_bytes;
                        record::reject(connection, &mut self.totals, reject, max_bytes)?;
                        Ok(Appended::Recorded)
                    }
                }
            }
            Entry::Probe => Ok(Appended::Recorded),
        }
    }

    fn record(&mut self, connection: &Connection, event: &Event) -> rusqlite::Result<Appended> {
        let outcome = record::event(connection, &mut self.totals, event)?;
        if outcome == Appended::Recorded {
            self.activity.add(event);
        }
        Ok(outcome)
    }

    fn signature(
        &mut self,
        connection: &Connection,
        signature: &Option<SignatureUse>,
        now_ms: u64,
    ) -> rusqlite::Result<SignatureStatus> {
        let Some(signature) = signature else {
            return Ok(SignatureStatus::Fresh);
        };
        let status = record::signature(connection, &mut self.totals, signature, now_ms)?;
        self.signatures_stored += u64::from(status == SignatureStatus::Fresh);
        Ok(status)
    }

    fn finish(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if self.signatures_stored > 0 {
            record::forget_signatures(
                connection,
                &mut self.totals,
                saturated(self.now_ms),
                self.signatures_stored,
                self.bounds.signatures_max,
            )?;
        }
        activity::store(connection, &self.activity)?;
        self.totals.save(connection)
    }
}

/// Returns the earliest arrival of the entries, which is a time of the host's
/// clock. Returns `None` if there are only probes.
pub(crate) fn arrival_ms(entries: &[Entry]) -> Option<u64> {
    let arrivals = entries.iter().filter_map(|entry| match entry {
        Entry::Event(event, _) => Some(event.received_at_ms),
        Entry::Reject(reject, _) => Some(reject.received_at_ms),
        Entry::Probe => None,
    });
    arrivals.min()
}
