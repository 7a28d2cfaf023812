//! Writes events and their signatures.

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::journal::{
    Appended, DIGEST_BYTES, Error, Event, SIGNATURE_BYTES, SignatureUse, is_undated,
};

use crate::bucket::Bucket;
use crate::journal::Journal;
use crate::key::{self, SIGNATURE};
use crate::limits::{MAX_VALUE_BYTES, SIGNATURES_PRUNED_AT_ONCE, SIGNATURES_PRUNED_EVERY};
use crate::value::{decode_use, encode_event, encode_use};

/// The earlier use of a signature, according to the bucket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EarlierUse {
    /// The signature has not been used, or its use has expired.
    None,
    /// It was used for the same notification.
    Same,
    /// It was used for the same notification, but now expires later than the
    /// bucket says.
    Renewed,
    /// It was used for another notification.
    Other,
}

impl<B: Bucket> Journal<B> {
    /// Stores an event, and returns when it is durable. The signature is written
    /// after the event: a failure in between causes a repetition, but loses no
    /// event.
    pub fn append(
        &self,
        event: &Event,
        signature: Option<&SignatureUse>,
    ) -> Result<Appended, Error> {
        let earlier = self.earlier_use(signature, event.received_at_ms)?;
        if earlier == EarlierUse::Other {
            return Ok(Appended::Replayed);
        }
        let appended = self.record(event)?;
        if earlier != EarlierUse::Same {
            self.remember(signature, event.received_at_ms)?;
        }
        Ok(appended)
    }

    fn record(&self, event: &Event) -> Result<Appended, Error> {
        if event.digest.len() != DIGEST_BYTES {
            return Err(Error::Unsupported("a digest must have 32 bytes".into()));
        }
        let task = key::task(&event.app_id, &event.task_id);
        let by_arrival = is_undated(event);
        let key = key::event(
            &task,
            event.occurred_at_ms,
            event.rank,
            &event.digest,
            &event.status,
            by_arrival,
        );
        // The key of such an event depends on its arrival, so a key of its digest
        // shows whether it was seen.
        let seen = by_arrival.then(|| key::seen(&event.digest));
        if self.bucket.exists(seen.as_ref().unwrap_or(&key))? {
            self.count(&task, event)?;
            return Ok(Appended::Duplicate);
        }
        self.bucket.set(&key, &fitting(encode_event(event))?)?;
        if let Some(seen) = seen {
            self.bucket.set(&seen, &[])?;
        }
        Ok(Appended::Recorded)
    }

    /// Counts a repetition. It is counted once for each request id.
    fn count(&self, task: &str, event: &Event) -> Result<(), Error> {
        let request_id = event.request_id.as_deref();
        let key = key::repeat(task, &event.digest, request_id);
        if self.bucket.exists(&key)? {
            return Ok(());
        }
        let value = fitting(request_id.unwrap_or_default().into())?;
        self.bucket.set(&key, &value)
    }

    /// Returns the earlier use of a signature that is still valid at `now_ms`.
    pub(crate) fn earlier_use(
        &self,
        signature: Option<&SignatureUse>,
        now_ms: u64,
    ) -> Result<EarlierUse, Error> {
        let Some(signature) = signature else {
            return Ok(EarlierUse::None);
        };
        if signature.signature.len() != SIGNATURE_BYTES {
            return Err(Error::Unsupported("a signature must have 64 digits".into()));
        }
        let value = self.bucket.get(&key::signature(&signature.signature))?;
        Ok(match value.as_deref().and_then(decode_use) {
            Some((expires_at_ms, digest)) if expires_at_ms > now_ms => {
                if digest != signature.digest {
                    EarlierUse::Other
                } else if expires_at_ms < signature.expires_at_ms {
                    EarlierUse::Renewed
                } else {
                    EarlierUse::Same
                }
            }
            _ => EarlierUse::None,
        })
    }

    /// Stores the use of a signature, if there is one.
    pub(crate) fn remember(
        &self,
        signature: Option<&SignatureUse>,
        now_ms: u64,
    ) -> Result<(), Error> {
        let Some(signature) = signature else {
            return Ok(());
        };
        let key = key::signature(&signature.signature);
        self.bucket.set(&key, &encode_use(signature))?;
        if is_chosen(&key, SIGNATURES_PRUNED_EVERY) {
            // If it fails, a later call removes the rest.
            let _ = self.prune_signatures(&key, now_ms);
        }
        Ok(())
    }

    /// Removes some expired signatures whose keys are after `key`. Keys are
    /// hashes, so this is a random selection. The nonces of version 0.1 expire in
    /// the same way.
    pub(crate) fn prune_signatures(&self, key: &String, now_ms: u64) -> Result<(), Error> {
        let mut keys = self.scan(&[SIGNATURE])?.0;
        keys.retain(|other| other > key);
        for key in keys.iter().take(SIGNATURES_PRUNED_AT_ONCE) {
            let value = self.bucket.get(key)?;
            let used = value.as_deref().and_then(decode_use);
            if used.is_some_and(|(expires_at_ms, _)| expires_at_ms <= now_ms) {
                self.bucket.delete(key)?;
            }
        }
        Ok(())
    }
}

/// Returns a value that every backend accepts, or an error if it is too long.
pub(crate) fn fitting(value: Vec<u8>) -> Result<Vec<u8>, Error> {
    match value.len() {
        0..=MAX_VALUE_BYTES => Ok(value),
        _ => Err(Error::Full(
            "the notification is longer than 400 kB, the limit of key-value stores".into(),
        )),
    }
}

/// Whether a write of this key has to do the periodic work. It is about one in
/// `every` keys.
pub(crate) fn is_chosen(key: &str, every: u8) -> bool {
    let mix = |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte);
    key.bytes().fold(0, mix).is_multiple_of(every)
}
