//! [`Window`]: how many messages the broker may send.

/// A message counts as at least this many bytes.
const SMALLEST_BYTES: usize = 4 << 10;

/// Until messages show how long they are, this is assumed: the platform's longest.
const ASSUMED_BYTES: usize = 1 << 20;

/// How fast a long message is forgotten: each shorter one takes off this part of the
/// difference.
const FORGET: usize = 64;

/// Bounds the messages of a link that are in progress, in number and in bytes.
///
/// Credit is granted in batches, each when the one before has arrived completely. Changing
/// it earlier is not safe: what is on its way then is counted twice by RabbitMQ, and the AMQP
/// library ends the link if more arrives than it expects.
///
/// Credit is a number of messages, so a bound in bytes needs an estimate of their length:
/// the greatest length of late. If messages become longer, the bound may be exceeded by one
/// batch.
#[derive(Debug)]
pub(crate) struct Window {
    messages_max: u32,
    bytes_max: usize,
    /// Messages that were received and not yet accepted.
    messages: u32,
    bytes: usize,
    /// The length that the next message is expected to have at most.
    length: usize,
}

impl Window {
    pub(crate) fn new(messages_max: u32, bytes_max: usize) -> Self {
        Self {
            messages_max: messages_max.max(1),
            bytes_max,
            messages: 0,
            bytes: 0,
            length: ASSUMED_BYTES,
        }
    }

    pub(crate) fn messages(&self) -> u32 {
        self.messages
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes a received message.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes;
        let bytes = bytes.max(SMALLEST_BYTES);
        let excess = self.length.saturating_sub(bytes);
        self.length = bytes + excess - excess.div_ceil(FORGET);
    }

    /// Notes an accepted message.
    pub(crate) fn accepted(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Returns the credit to grant now, if any. `granted` is what the broker has not used
    /// yet. Small batches wait, because each is a frame.
    pub(crate) fn credit(&self, granted: u32) -> Option<u32> {
        let batch_max = (self.messages_max / 2).max(1);
        let by_bytes = |room: usize| u32::try_from(room / self.length).unwrap_or(u32::MAX);
        let usual = batch_max.min(by_bytes(self.bytes_max)).max(1);
        let by_number = self.messages_max.saturating_sub(self.messages);
        let room = self.bytes_max.saturating_sub(self.bytes);
        // A message that is longer than all the room must still arrive.
        let least = u32::from(self.messages == 0);
        let allowed = usual.min(by_number).min(by_bytes(room)).max(least);
        (granted == 0 && allowed >= usual.div_ceil(2)).then_some(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_messages_are_bounded_in_number() {
        let mut window = Window::new(100, 200 << 20);
        assert_eq!(window.credit(0), Some(50));
        assert_eq!(window.credit(1), None, "some are on their way");
        (0..50).for_each(|_| window.received(500));
        assert_eq!(window.credit(0), Some(50));
        (0..50).for_each(|_| window.received(500));
        assert_eq!(window.credit(0), None);
        (0..24).for_each(|_| window.accepted(500));
        assert_eq!(window.credit(0), None, "too small a batch");
        window.accepted(500);
        assert_eq!(window.credit(0), Some(25));
        (0..75).for_each(|_| window.accepted(500));
        assert_eq!((window.messages(), window.bytes()), (0, 0));
        assert_eq!(window.credit(0), Some(50));
    }

    #[test]
    fn long_messages_are_bounded_in_bytes() {
        let mut window = Window::new(1000, 10 << 20);
        assert_eq!(window.credit(0), Some(10), "1 MiB is assumed");
        window.received(1 << 20);
        assert_eq!(window.credit(0), Some(9));
        (0..9).for_each(|_| window.received(1 << 20));
        assert_eq!(window.credit(0), None);
        (0..10).for_each(|_| window.accepted(1 << 20));
        assert_eq!(window.credit(0), Some(10));
        for _ in 0..1000 {
            window.received(100);
            window.accepted(100);
        }
        assert_eq!(window.credit(0), Some(500), "the long ones are forgotten");
    }

    #[test]
    fn one_message_is_always_allowed() {
        let mut window = Window::new(0, 0);
        assert_eq!(window.credit(0), Some(1));
        window.received(5 << 20);
        assert_eq!(window.credit(0), None);
        window.accepted(5 << 20);
        assert_eq!(window.credit(0), Some(1));
    }
}
