//! The queue of log lines, and the thread that writes them to stderr. Lines that do
//! not fit are dropped and counted, so that a stderr that is not read delays no
//! request.
//!
//! `tracing-appender` has a similar queue, but it limits the number of lines and not
//! of bytes, drops unwritten lines silently, and prints to stdout when it stops.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use prometheus::IntCounter;

/// The capacity in bytes: the lines of 20 s at 800 requests per second.
const QUEUE_BYTES: usize = 4 << 20;

/// How long the program waits at its end for the queue to be written.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// The pause before another write to a non-blocking stderr that is full.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// A queue of lines, and a thread that writes them to a stream.
pub(super) struct Queue {
    state: Mutex<State>,
    /// Notified at every change of the state.
    changed: Condvar,
    dropped: IntCounter,
    capacity: usize,
}

#[derive(Default)]
struct State {
    /// Complete lines that wait to be written.
    waiting: Vec<u8>,
    is_writing: bool,
    /// How many lines have been dropped since the last report.
    unreported: u64,
    /// Whether the last write failed. Then a report cannot be written either.
    is_broken: bool,
}

impl State {
    fn has_report(&self) -> bool {
        self.unreported > 0 && !self.is_broken
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_writing && !self.has_report()
    }
}

impl Queue {
    /// Creates a queue for stderr, and starts its thread. `dropped` counts dropped
    /// lines.
    pub(super) fn to_stderr(dropped: IntCounter) -> io::Result<Arc<Self>> {
        // A file of its own, because a blocked write must not hold the standard
        // library's lock of stderr.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        Self::start(stderr, QUEUE_BYTES, dropped)
    }

    fn start(
        stream: impl Write + Send + 'static,
        capacity: usize,
        dropped: IntCounter,
    ) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            dropped,
            capacity,
        });
        let writer = queue.clone();
        thread::Builder::new()
            .name("log".into())
            .spawn(move || writer.write_forever(stream))?;
        Ok(queue)
    }

    /// Adds a line, or drops it if the queue is full.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.waiting.len() + line.len() > self.capacity {
            state.unreported += 1;
            self.dropped.inc();
            return;
        }
        let was_empty = state.waiting.is_empty();
        state.waiting.extend_from_slice(line);
        if was_empty {
            self.changed.notify_all();
        }
    }

    /// Waits until everything has been written, but at most [`FLUSH_TIME`], because
    /// stderr may not be read.
    pub(super) fn flush(&self) {
        let deadline = Instant::now() + FLUSH_TIME;
        let mut state = self.state();
        while !state.is_idle() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn write_forever(&self, mut stream: impl Write) {
        loop {
            let (lines, unreported) = self.take();
            // Report through the log, which has room now, so that the line has the same form.
            if unreported > 0 {
                tracing::warn!(
                    lines = unreported,
                    "log lines were dropped, because stderr did not accept them in time"
                );
            }
            let lost = write_all(&mut stream, &lines);
            self.written(lost);
        }
    }

    /// Waits until there is something to write, and takes all of it. Returns the
    /// waiting lines, and the number of dropped lines to report.
    fn take(&self) -> (Vec<u8>, u64) {
        let mut state = self.state();
        while state.waiting.is_empty() && !state.has_report() {
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.is_writing = true;
        let unreported = if state.is_broken {
            0
        } else {
            mem::take(&mut state.unreported)
        };
        (mem::take(&mut state.waiting), unreported)
    }

    /// Records that a write has ended, and how many of its lines were lost.
    fn written(&self, lost: u64) {
        self.dropped.inc_by(lost);
        let mut state = self.state();
        state.is_writing = false;
        state.is_broken = lost > 0;
        state.unreported += lost;
        self.changed.notify_all();
    }

    /// Locks the state. Nothing panics while the lock is held, so a poisoned lock is safe to use.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes lines, and returns how many of them were lost.
fn write_all(stream: &mut impl Write, lines: &[u8]) -> u64 {
    let mut rest = lines;
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return count_lines(rest),
            Ok(length) => rest = &rest[length..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY_PAUSE),
            Err(_) => return count_lines(rest),
        }
    }
    0
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A stream whose writes wait for a permission or an error from the test.
    struct Gate {
        turns: mpsc::Receiver<io::Result<()>>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turns.recv().unwrap_or(Ok(()))?;
            self.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Trial {
        queue: Arc<Queue>,
        open: mpsc::Sender<io::Result<()>>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    fn trial(capacity: usize) -> Trial {
        let (open, turns) = mpsc::channel();
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let gate = Gate {
            turns,
            taken: taken.clone(),
        };
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let queue = Queue::start(gate, capacity, dropped).unwrap();
        Trial { queue, open, taken }
    }

    impl Trial {
        /// Waits until the thread is writing all waiting lines.
        fn writes(&self) {
            while !(self.queue.state().is_writing && self.queue.state().waiting.is_empty()) {
                thread::yield_now();
            }
        }

        fn taken(&self) -> String {
            String::from_utf8(self.taken.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn lines_that_do_not_fit_are_dropped_and_counted_without_waiting() {
        let trial = trial(16);
        trial.queue.push(b"first\n");
        trial.writes();
        for _ in 0..1000 {
            trial.queue.push(b"second\n");
        }
        assert_eq!(trial.queue.dropped.get(), 998);
        assert_eq!(trial.queue.state().unreported, 998);
        drop(trial.open);
        trial.queue.flush();
        let taken = trial.taken.lock().unwrap().clone();
        assert_eq!(taken, b"first\nsecond\nsecond\n");
        assert_eq!(trial.queue.state().unreported, 0, "it was reported");
    }

    #[test]
    fn a_flush_ends_even_if_nothing_is_written() {
        let trial = trial(16);
        trial.queue.push(b"line\n");
        let started = Instant::now();
        trial.queue.flush();
        assert!(started.elapsed() >= FLUSH_TIME);
        assert!(started.elapsed() < 5 * FLUSH_TIME);
        assert_eq!(trial.taken(), "");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_reported_once_it_works() {
        let trial = trial(100);
        trial.queue.push(b"lost\nlost\n");
        trial
            .open
            .send(Err(io::ErrorKind::StorageFull.into()))
            .unwrap();
        trial.queue.flush();
        assert_eq!(trial.queue.dropped.get(), 2);
        assert_eq!(trial.queue.state().unreported, 2, "it cannot be reported");
        trial.queue.push(b"kept\n");
        trial.open.send(Ok(())).unwrap();
        trial.queue.flush();
        assert_eq!(trial.taken(), "kept\n");
        assert_eq!(trial.queue.state().unreported, 0);
    }

    #[test]
    fn a_stream_that_does_not_block_is_tried_again() {
        let trial = trial(100);
        trial.queue.push(b"line\n");
        for _ in 0..3 {
            let busy = io::ErrorKind::WouldBlock.into();
            trial.open.send(Err(busy)).unwrap();
        }
        trial.open.send(Ok(())).unwrap();
        trial.queue.flush();
        assert_eq!(trial.taken(), "line\n");
        assert_eq!(trial.queue.dropped.get(), 0);
    }
}
