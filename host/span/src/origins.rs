//! [`Origins`]: which trace an event came with.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::Context;

/// How many events are remembered. With ids, and with the longest state that is passed on,
/// one takes less than a kilobyte.
const EVENTS_MAX: usize = 4096;

/// The contexts of the last traced events, by the digest of the event.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    contexts: HashMap<Arc<[u8]>, Context>,
    /// The digests, the oldest first.
    order: VecDeque<Arc<[u8]>>,
}

impl Origins {
    /// Remembers an event, unless it is known: a duplicate is not passed on. Returns whether
    /// it was not known.
    pub(crate) fn remember(&mut self, digest: &[u8], context: &Context) -> bool {
        if self.contexts.contains_key(digest) {
            return false;
        }
        if self.order.len() >= EVENTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.contexts.remove(&oldest);
        }
        let digest: Arc<[u8]> = digest.into();
        self.order.push_back(digest.clone());
        self.contexts.insert(digest, context.clone());
        true
    }

    pub(crate) fn recall(&self, digest: &[u8]) -> Option<Context> {
        self.contexts.get(digest).cloned()
    }

    pub(crate) fn forget(&mut self, digest: &[u8]) {
        if self.contexts.remove(digest).is_some() {
            self.order.retain(|known| **known != *digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::random_trace_id;

    #[test]
    fn the_last_events_are_remembered() {
        let mut origins = Origins::default();
        let first = Context::root(random_trace_id());
        let other = Context::root(random_trace_id());
        assert!(origins.remember(b"first", &first));
        assert!(!origins.remember(b"first", &other));
        assert_eq!(origins.recall(b"first"), Some(first));
        origins.forget(b"first");
        assert_eq!(origins.recall(b"first"), None);
        origins.remember(b"first", &other);
        assert_eq!(origins.recall(b"first"), Some(other.clone()));
        for number in 1..EVENTS_MAX {
            origins.remember(&number.to_be_bytes(), &other);
        }
        assert!(origins.recall(b"first").is_some());
        origins.remember(b"one more", &other);
        assert_eq!(origins.recall(b"first"), None);
        assert!(origins.recall(&1_usize.to_be_bytes()).is_some());
        assert_eq!(origins.contexts.len(), EVENTS_MAX);
        assert_eq!(origins.order.len(), EVENTS_MAX);
    }
}
