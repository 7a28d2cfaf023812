//! Writing events, and the nonces that came with them.

use alloc::string::String;
use alloc::vec::Vec;

use crate::bucket::Bucket;
use crate::journal::{Appended, Error, Event, EventFlags, Journal, Nonce};
use crate::key::{self, NONCE};
use crate::limits::{MAX_NONCE_BYTES, MAX_VALUE_BYTES, NONCES_PRUNED_AT_ONCE, NONCES_PRUNED_EVERY};
use crate::value::encode_event;

const DIGEST_BYTES: usize = 32;

impl<B: Bucket> Journal<B> {
    /// Makes an event durable. The nonce is written after it, so a failure in
    /// between costs a repetition, not an event.
    pub fn append(&self, event: &Event, nonce: Option<&Nonce>) -> Result<Appended, Error> {
        if self.is_replayed(nonce, event.received_at_ms)? {
            return Ok(Appended::Replayed);
        }
        let appended = self.record(event)?;
        self.remember(nonce, event.received_at_ms)?;
        Ok(appended)
    }

    fn record(&self, event: &Event) -> Result<Appended, Error> {
        if event.digest.len() != DIGEST_BYTES {
            return Err(Error::Unsupported("a digest has 32 bytes".into()));
        }
        let task = key::task(&event.app_id, &event.task_id);
        let by_arrival = is_ordered_by_arrival(event);
        let key = key::event(
            &task,
            event.occurred_at_ms,
            event.rank,
            &event.digest,
            &event.status,
            by_arrival,
        );
        // The content of such an event does not tell its key.
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

    /// Counts a repetition, once for each request id.
    fn count(&self, task: &str, event: &Event) -> Result<(), Error> {
        let request_id = event.request_id.as_deref();
        let key = key::repeat(task, &event.digest, request_id);
        if self.bucket.exists(&key)? {
            return Ok(());
        }
        let value = fitting(request_id.unwrap_or_default().into())?;
        self.bucket.set(&key, &value)
    }

    /// Whether the nonce is known and has not expired at `now_ms`.
    pub(crate) fn is_replayed(&self, nonce: Option<&Nonce>, now_ms: u64) -> Result<bool, Error> {
        let Some(nonce) = nonce else {
            return Ok(false);
        };
        if nonce.value.len() > MAX_NONCE_BYTES {
            return Err(Error::Unsupported("a nonce has at most 256 bytes".into()));
        }
        let known = self.bucket.get(&key::nonce(&nonce.value))?;
        Ok(known.is_some_and(|value| expires_at_ms(&value) > now_ms))
    }

    pub(crate) fn remember(&self, nonce: Option<&Nonce>, now_ms: u64) -> Result<(), Error> {
        let Some(nonce) = nonce else { return Ok(()) };
        let key = key::nonce(&nonce.value);
        self.bucket.set(&key, &nonce.expires_at_ms.to_be_bytes())?;
        if is_chosen(&key, NONCES_PRUNED_EVERY) {
            // What remains is removed another time.
            let _ = self.prune_nonces(&key, now_ms);
        }
        Ok(())
    }

    /// Removes some nonces that have expired, from among those after `key`:
    /// anywhere, for it is a hash.
    fn prune_nonces(&self, key: &String, now_ms: u64) -> Result<(), Error> {
        let mut keys = self.scan(&[NONCE])?.0;
        keys.retain(|other| other > key);
        for key in keys.iter().take(NONCES_PRUNED_AT_ONCE) {
            let value = self.bucket.get(key)?;
            if value.is_some_and(|value| expires_at_ms(&value) <= now_ms) {
                self.bucket.delete(key)?;
            }
        }
        Ok(())
    }
}

/// Whether the place of an event in the order is that of its arrival.
fn is_ordered_by_arrival(event: &Event) -> bool {
    event.oddities & EventFlags::CLOCK_SKEW == EventFlags::CLOCK_SKEW
        || (event.event_time.is_none() && event.event_time_ms.is_none())
}

/// A value that every backend takes.
pub(crate) fn fitting(value: Vec<u8>) -> Result<Vec<u8>, Error> {
    match value.len() {
        0..=MAX_VALUE_BYTES => Ok(value),
        _ => Err(Error::Full(
            "it is longer than the 400 kB that a key-value store takes".into(),
        )),
    }
}

/// Whether this key is the one in `every` that some work is left to.
pub(crate) fn is_chosen(key: &str, every: u8) -> bool {
    let mix = |sum: u8, byte| sum.wrapping_mul(31).wrapping_add(byte);
    key.bytes().fold(0, mix).is_multiple_of(every)
}

fn expires_at_ms(value: &[u8]) -> u64 {
    value.try_into().map_or(0, u64::from_be_bytes)
}
