//! The queue of entries to commit, bounded in number and bytes. It has two
//! lanes, each first in, first out, so that a backlog does not delay entries
//! whose sender waits.

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

/// How soon an item must be taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Priority {
    /// Its sender waits, and gives up after some time.
    High,
    /// It would come again. Such items use at most about half of the queue, and half of
    /// what is taken at once.
    Low,
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
    high: Lane<T>,
    low: Lane<T>,
    closed: bool,
}

/// The items of one priority.
struct Lane<T> {
    items: VecDeque<(usize, T)>,
    bytes: usize,
}

impl<T> Queue<T> {
    /// Returns an empty queue for at most `capacity` items and `max_bytes` bytes.
    pub(crate) fn new(capacity: usize, max_bytes: usize) -> Self {
        let state = State {
            high: Lane::new(),
            low: Lane::new(),
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
    pub(crate) fn push(&self, item: T, bytes: usize, priority: Priority) -> Result<(), PushError> {
        let mut state = self.state();
        if state.closed {
            return Err(PushError::Closed);
        }
        let has_place = match priority {
            Priority::High => true,
            Priority::Low => {
                state.low.items.len() < self.capacity.div_ceil(2)
                    && state.low.bytes < self.max_bytes.div_ceil(2)
            }
        };
        let has_room = state.len() < self.capacity && state.bytes() + bytes <= self.max_bytes;
        if !has_place || !has_room {
            return Err(PushError::Full);
        }
        let lane = match priority {
            Priority::High => &mut state.high,
            Priority::Low => &mut state.low,
        };
        lane.bytes += bytes;
        lane.items.push_back((bytes, item));
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
            .wait_timeout_while(state, timeout, |state| state.len() == 0 && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::with_capacity(state.len().min(max_items));
        let low_bytes = state
            .low
            .take(&mut taken, max_items.div_ceil(2), max_bytes.div_ceil(2));
        state
            .high
            .take(&mut taken, max_items, max_bytes.saturating_sub(low_bytes));
        (!taken.is_empty() || !state.closed).then_some(taken)
    }

    /// Returns the number of waiting items.
    pub(crate) fn len(&self) -> usize {
        self.state().len()
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
        // Dropped after the lock is released: a drop wakes the item's caller.
        let dropped = (
            std::mem::replace(&mut state.high, Lane::new()),
            std::mem::replace(&mut state.low, Lane::new()),
        );
        drop(state);
        drop(dropped);
    }

    /// Locks the state. Nothing panics while the lock is held, so a poisoned lock
    /// can be used.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn len(&self) -> usize {
        self.high.items.len() + self.low.items.len()
    }

    fn bytes(&self) -> usize {
        self.high.bytes + self.low.bytes
    }
}

impl<T> Lane<T> {
    fn new() -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Moves items to `taken` until it has `max_items`, or they reach `max_bytes`.
    /// Returns the bytes of the moved items.
    fn take(&mut self, taken: &mut Vec<T>, max_items: usize, max_bytes: usize) -> usize {
        let mut taken_bytes = 0;
        while taken.len() < max_items && taken_bytes < max_bytes {
            let Some((bytes, item)) = self.items.pop_front() else {
                break;
            };
            taken_bytes += bytes;
            taken.push(item);
        }
        self.bytes -= taken_bytes;
        taken_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Priority::{High, Low};
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[test]
    fn takes_all_that_waits_in_order() {
        let queue = Queue::new(10, 100);
        for item in 0..5 {
            queue.push(item, 1, High).unwrap();
        }
        assert_eq!(queue.take(3, 100, TIMEOUT), Some(vec![0, 1, 2]));
        assert_eq!(queue.take(3, 100, TIMEOUT), Some(vec![3, 4]));
    }

    #[test]
    fn is_bounded_in_number() {
        let queue = Queue::new(2, 100);
        queue.push(1, 1, High).unwrap();
        queue.push(2, 1, High).unwrap();
        assert_eq!(queue.push(3, 1, High), Err(PushError::Full));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn is_bounded_in_bytes_and_a_batch_too() {
        let queue = Queue::new(10, 100);
        queue.push(1, 60, High).unwrap();
        assert_eq!(queue.push(2, 60, High), Err(PushError::Full));
        queue.push(3, 40, High).unwrap();
        assert_eq!(queue.take(10, 50, TIMEOUT), Some(vec![1]));
        queue.push(4, 60, High).unwrap();
    }

    #[test]
    fn once_closed_gives_what_waits_then_ends() {
        let queue = Queue::new(10, 100);
        queue.push(1, 1, High).unwrap();
        queue.close();
        assert_eq!(queue.push(2, 1, High), Err(PushError::Closed));
        assert_eq!(queue.take(10, 100, TIMEOUT), Some(vec![1]));
        assert_eq!(queue.take(10, 100, TIMEOUT), None);
    }

    #[test]
    fn once_abandoned_is_empty() {
        let queue = Queue::new(10, 100);
        queue.push(1, 1, High).unwrap();
        queue.abandon();
        assert_eq!(queue.take(10, 100, TIMEOUT), None);
    }

    #[test]
    fn gives_nothing_when_nothing_arrives() {
        let queue = Queue::<u8>::new(10, 100);
        assert_eq!(queue.take(10, 100, Duration::ZERO), Some(vec![]));
    }

    #[test]
    fn a_backlog_delays_no_other_item() {
        let queue = Queue::new(100, 1000);
        for item in 0..50 {
            queue.push(item, 1, Low).unwrap();
        }
        assert_eq!(queue.push(50, 1, Low), Err(PushError::Full));
        for item in 100..150 {
            queue.push(item, 1, High).unwrap();
        }
        assert_eq!(queue.push(150, 1, High), Err(PushError::Full));
        let taken = queue.take(8, 1000, TIMEOUT).unwrap();
        assert_eq!(taken, [0, 1, 2, 3, 100, 101, 102, 103]);
        for item in 200..202 {
            queue.push(item, 1, Low).unwrap();
        }
        let rest: Vec<_> = std::iter::from_fn(|| {
            let taken = queue.take(8, 1000, Duration::ZERO).unwrap();
            (!taken.is_empty()).then_some(taken)
        })
        .flatten()
        .collect();
        assert_eq!(rest.len(), 94);
        assert!(rest.iter().filter(|item| **item < 100).is_sorted());
    }

    #[test]
    fn a_backlog_is_bounded_in_bytes_too() {
        let queue = Queue::new(100, 100);
        queue.push(1, 90, Low).unwrap();
        assert_eq!(queue.push(2, 5, Low), Err(PushError::Full));
        queue.push(3, 10, High).unwrap();
        assert_eq!(queue.take(8, 100, TIMEOUT), Some(vec![1, 3]));
    }
}
