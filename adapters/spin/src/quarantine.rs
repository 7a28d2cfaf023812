//! The quarantine: a bounded number of rejects. The oldest are dropped first.

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::journal::{
    Appended, Error, PAGE_BYTES_MAX, QuarantinePage, Quarantined, Reject, SignatureUse,
};

use crate::append::{EarlierUse, fitting, is_chosen};
use crate::bucket::Bucket;
use crate::journal::Journal;
use crate::key::{self, DROPPED, REJECT};
use crate::limits::{MAX_QUARANTINE_BYTES, MAX_REJECTS, QUARANTINE_PRUNED_EVERY};
use crate::timeline::Keys;
use crate::value::{decode_reject, encode_reject};

impl<B: Bucket> Journal<B> {
    /// Stores a reject, and returns when it is durable. The same reject with the
    /// same signature is a duplicate.
    pub fn quarantine(
        &self,
        reject: &Reject,
        signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error> {
        match self.earlier_use(signature, reject.received_at_ms)? {
            EarlierUse::None => {}
            EarlierUse::Same => return Ok(Appended::Duplicate),
            EarlierUse::Renewed => {
                self.remember(signature, reject.received_at_ms)?;
                return Ok(Appended::Duplicate);
            }
            EarlierUse::Other => return Ok(Appended::Replayed),
        }
        let value = fitting(encode_reject(reject))?;
        let key = key::reject(reject.received_at_ms, value.len(), &reject.body);
        self.bucket.set(&key, &value)?;
        self.remember(signature, reject.received_at_ms)?;
        if is_chosen(&key, QUARANTINE_PRUNED_EVERY) {
            // If it fails, a later call removes the rest.
            let _ = self.prune_quarantine();
        }
        Ok(Appended::Recorded)
    }

    /// Removes the oldest rejects that exceed the bounds. The total is a key, and
    /// the greatest such key is valid, so two instances that do this at the same
    /// time write the same total.
    pub fn prune_quarantine(&self) -> Result<(), Error> {
        let keys = self.scan(&[REJECT, DROPPED])?;
        let rejects = keys.with_prefix(REJECT);
        let mut bytes = 0_u64;
        let fits = |(count, key): &(usize, &String)| {
            bytes = bytes.saturating_add(key::reject_bytes(key));
            *count < MAX_REJECTS && bytes <= MAX_QUARANTINE_BYTES
        };
        let kept_count = rejects.iter().rev().enumerate().take_while(fits).count();
        let excess_count = rejects.len().saturating_sub(kept_count);
        let Some((excess, _)) = rejects
            .split_at_checked(excess_count)
            .filter(|_| excess_count > 0)
        else {
            return Ok(());
        };
        let newly_dropped = u64::try_from(excess.len()).unwrap_or(0);
        let total = key::dropped(dropped(&keys).saturating_add(newly_dropped));
        self.bucket.set(&total, &[])?;
        for key in excess.iter().chain(keys.with_prefix(DROPPED)) {
            if *key != total {
                self.bucket.delete(key)?;
            }
        }
        Ok(())
    }

    /// Returns the reject with this number, which is the time of its arrival: one of
    /// them if several arrived at that time.
    pub fn find_reject(&self, seq: u64) -> Result<Option<Quarantined>, Error> {
        let keys = self.scan(&[&key::reject_prefix(seq)])?;
        let Some(key) = keys.0.first() else {
            return Ok(None);
        };
        let reject = self
            .bucket
            .get(key)?
            .and_then(|value| decode_reject(&value));
        Ok(reject.map(|reject| Quarantined { seq, reject }))
    }

    /// Returns a page of the quarantine, newest first.
    pub fn list_quarantine(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<QuarantinePage, Error> {
        let before = cursor.map(key_of).transpose()?;
        let keys = self.scan(&[REJECT, DROPPED])?;
        let rejects = keys.with_prefix(REJECT);
        let end = match &before {
            Some(before) => rejects.partition_point(|key| key < before),
            None => rejects.len(),
        };
        let rest = rejects.get(..end).unwrap_or_default();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut page, mut bytes) = (Vec::new(), 0_usize);
        let mut last: Option<&String> = None;
        for key in rest.iter().rev() {
            if page.len() >= limit || bytes >= PAGE_BYTES_MAX {
                break;
            }
            last = Some(key);
            let value = self.bucket.get(key)?;
            // It was removed in the meantime, or is not from this journal.
            let Some(reject) = value.and_then(|value| decode_reject(&value)) else {
                continue;
            };
            bytes = bytes.saturating_add(reject.body.len());
            page.push(Quarantined {
                seq: reject.received_at_ms,
                reject,
            });
        }
        let is_end = last == rest.first();
        let next = last.filter(|_| !is_end);
        Ok(QuarantinePage {
            rejects: page,
            dropped: dropped(&keys),
            next: next
                .and_then(|key| key.strip_prefix(REJECT))
                .map(String::from),
        })
    }
}

/// Returns how many rejects have been dropped.
fn dropped(keys: &Keys) -> u64 {
    let greatest = keys.with_prefix(DROPPED).last();
    greatest.map_or(0, |key| key::dropped_count(key))
}

/// Returns the key of the reject in a cursor. The cursor is the key without its
/// prefix.
fn key_of(cursor: &str) -> Result<String, Error> {
    let mut key = String::from(REJECT);
    key.push_str(cursor);
    if key::is_reject(&key) {
        return Ok(key);
    }
    let text = "the cursor belongs to another list";
    Err(Error::InvalidCursor(text.into()))
}
