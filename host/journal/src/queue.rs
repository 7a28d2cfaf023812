//! The queue of entries to commit: first in, first out, bounded in number and
//! bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why [`Queue::push`] refused an item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PushError {
    /// The queue has reached its bound.
    Full,
    /// The queue was closed.
    Closed,
}

/// A bounded queue with many producers, which never block, and one consumer,
/// which takes many items at once.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    capacity: usize,
    max_bytes: usize,
}

struct State<T> {
    waiting: VecDeque<(usize, T)>,
    bytes: usize,
    closed: bool,
}

impl<T> Queue<T> {
    /// Returns an empty queue for at most `capacity` items and `max_bytes` bytes.
    pub(crate) fn new(capacity: usize, max_bytes: usize) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            bytes: 0,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            capacity,
            max_bytes,
        }
    }

    /// Adds `item`, which uses about `bytes` bytes of memory.
    pub(crate) fn push(&self, item: T, bytes: usize) -> Result<(), PushError> {
        let mut state = self.state();
        if state.closed {
            return Err(PushError::Closed);
        }
        if state.waiting.len() >= self.capacity || state.bytes + bytes > self.max_bytes {
            return Err(PushError::Full);
        }
        state.bytes += bytes;
        state.waiting.push_back((bytes, item));
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for the first item, then takes it and the items behind it, until
    /// they reach `max_items` or `max_bytes`. Returns an empty list if no item
    /// arrives within `timeout`, and `None` once the queue is closed and empty.
    pub(crate) fn take(
        &self,
        max_items: usize,
        max_bytes: usize,
        timeout: Duration,
    ) -> Option<Vec<T>> {
        let state = self.state();
        let (mut state, _) = self
            .arrived
            .wait_timeout_while(state, timeout, |state| {
                state.waiting.is_empty() && !state.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::with_capacity(state.waiting.len().min(max_items));
        let mut taken_bytes = 0;
        while taken.len() < max_items && taken_bytes < max_bytes {
            let Some((bytes, item)) = state.waiting.pop_front() else {
                break;
            };
            taken_bytes += bytes;
            taken.push(item);
        }
        state.bytes -= taken_bytes;
        (!taken.is_empty() || !state.closed).then_some(taken)
    }

    /// Returns the number of waiting items.
    pub(crate) fn len(&self) -> usize {
        self.state().waiting.len()
    }

    /// Refuses new items from now on. Waiting items can still be taken.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_all();
    }

    /// Refuses new items from now on, and drops the waiting items.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        state.closed = true;
        state.bytes = 0;
        // Dropped after the lock is released: a drop wakes the item's caller.
        let dropped = std::mem::take(&mut state.waiting);
        drop(state);
        drop(dropped);
    }

    /// Locks the state. Nothing panics while the lock is held, so a poisoned lock
    /// can be used.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[test]
    fn takes_all_that_waits_in_order() {
        let queue = Queue::new(10, 100);
        for item in 0..5 {
            queue.push(item, 1).unwrap();
        }
        assert_eq!(queue.take(3, 100, TIMEOUT), Some(vec![0, 1, 2]));
        assert_eq!(queue.take(3, 100, TIMEOUT), Some(vec![3, 4]));
    }

    #[test]
    fn is_bounded_in_number() {
        let queue = Queue::new(2, 100);
        queue.push(1, 1).unwrap();
        queue.push(2, 1).unwrap();
        assert_eq!(queue.push(3, 1), Err(PushError::Full));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn is_bounded_in_bytes_and_a_batch_too() {
        let queue = Queue::new(10, 100);
        queue.push(1, 60).unwrap();
        assert_eq!(queue.push(2, 60), Err(PushError::Full));
        queue.push(3, 40).unwrap();
        assert_eq!(queue.take(10, 50, TIMEOUT), Some(vec![1]));
        queue.push(4, 60).unwrap();
    }

    #[test]
    fn once_closed_gives_what_waits_then_ends() {
        let queue = Queue::new(10, 100);
        queue.push(1, 1).unwrap();
        queue.close();
        assert_eq!(queue.push(2, 1), Err(PushError::Closed));
        assert_eq!(queue.take(10, 100, TIMEOUT), Some(vec![1]));
        assert_eq!(queue.take(10, 100, TIMEOUT), None);
    }

    #[test]
    fn once_abandoned_is_empty() {
        let queue = Queue::new(10, 100);
        queue.push(1, 1).unwrap();
        queue.abandon();
        assert_eq!(queue.take(10, 100, TIMEOUT), None);
    }

    #[test]
    fn gives_nothing_when_nothing_arrives() {
        let queue = Queue::<u8>::new(10, 100);
        assert_eq!(queue.take(10, 100, Duration::ZERO), Some(vec![]));
    }
}
