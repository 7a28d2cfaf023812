//! The quarantine: a bounded number of rejects, the oldest go first.

use alloc::string::String;
use alloc::vec::Vec;

use crate::append::{fitting, is_chosen};
use crate::bucket::Bucket;
use crate::journal::{Appended, Error, Journal, Nonce, QuarantinePage, Quarantined, Reject};
use crate::key::{self, DROPPED, REJECT};
use crate::limits::{MAX_QUARANTINE_BYTES, MAX_REJECTS, PAGE_BYTES, QUARANTINE_PRUNED_EVERY};
use crate::timeline::Keys;
use crate::value::{decode_reject, encode_reject};

impl<B: Bucket> Journal<B> {
    /// Keeps what could not be understood.
    pub fn quarantine(&self, reject: &Reject, nonce: Option<&Nonce>) -> Result<Appended, Error> {
        if self.is_replayed(nonce, reject.received_at_ms)? {
            return Ok(Appended::Replayed);
        }
        let value = fitting(encode_reject(reject))?;
        let key = key::reject(reject.received_at_ms, value.len(), &reject.body);
        self.bucket.set(&key, &value)?;
        self.remember(nonce, reject.received_at_ms)?;
        if is_chosen(&key, QUARANTINE_PRUNED_EVERY) {
            // What remains is removed another time.
            let _ = self.prune_quarantine();
        }
        Ok(Appended::Recorded)
    }

    /// Removes the oldest rejects beyond the bounds. Two that do this at once
    /// count the same: the count is a key, the greatest counts.
    pub fn prune_quarantine(&self) -> Result<(), Error> {
        let keys = self.scan(&[REJECT, DROPPED])?;
        let rejects = keys.with_prefix(REJECT);
        let mut bytes = 0_u64;
        let fits = |(count, key): &(usize, &String)| {
            bytes = bytes.saturating_add(key::reject_bytes(key));
            *count < MAX_REJECTS && bytes <= MAX_QUARANTINE_BYTES
        };
        let kept = rejects.iter().rev().enumerate().take_while(fits).count();
        let excess = rejects.len().saturating_sub(kept);
        let Some((surplus, _)) = rejects.split_at_checked(excess).filter(|_| excess > 0) else {
            return Ok(());
        };
        let more = u64::try_from(surplus.len()).unwrap_or(0);
        let total = key::dropped(dropped(&keys).saturating_add(more));
        self.bucket.set(&total, &[])?;
        for key in surplus.iter().chain(keys.with_prefix(DROPPED)) {
            if *key != total {
                self.bucket.delete(key)?;
            }
        }
        Ok(())
    }

    /// A page of the quarantine, newest first.
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
            if page.len() >= limit || bytes >= PAGE_BYTES {
                break;
            }
            last = Some(key);
            let value = self.bucket.get(key)?;
            // One that went in the meantime, or is somebody else's.
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

/// How many rejects were dropped so far.
fn dropped(keys: &Keys) -> u64 {
    let greatest = keys.with_prefix(DROPPED).last();
    greatest.map_or(0, |key| key::dropped_count(key))
}

/// The reject of a cursor, which is its key without the beginning.
fn key_of(cursor: &str) -> Result<String, Error> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'.');
    if cursor.is_empty() || !cursor.bytes().all(is_digit) {
        let text = "the cursor is none of this list of rejects";
        return Err(Error::InvalidCursor(text.into()));
    }
    let mut key = String::from(REJECT);
    key.push_str(cursor);
    Ok(key)
}
