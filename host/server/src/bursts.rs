//! Limits log lines that can come in bursts. For each reason, the first lines are
//! written, and the rest are counted and reported in one line. So no client can
//! fill the log, and no reason hides another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many lines of one reason are written in a window.
pub(crate) const LINES: u32 = 10;

/// How long a window lasts, from its first line.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Writes the line at the end of a window. It gets the reason, and how many lines
/// were left out.
type SumUp = fn(&'static str, u64);

/// A limit on log lines, for each reason. Reasons must come from a fixed set.
pub(crate) struct Bursts {
    windows: Mutex<HashMap<&'static str, Window>>,
    sum_up: SumUp,
}

struct Window {
    until: Instant,
    lines: u32,
    omitted: u64,
}

impl Bursts {
    pub(crate) fn new(sum_up: SumUp) -> Arc<Self> {
        Arc::new(Self {
            windows: Mutex::default(),
            sum_up,
        })
    }

    /// Whether to write a line with this reason now. If not, the line is counted,
    /// and the number is logged when the window ends.
    pub(crate) fn admits(self: &Arc<Self>, reason: &'static str) -> bool {
        let now = Instant::now();
        let mut windows = self.windows();
        let window = windows.entry(reason).or_insert(Window::starting(now));
        if window.until <= now && window.omitted == 0 {
            *window = Window::starting(now);
        }
        if window.lines < LINES {
            window.lines += 1;
            return true;
        }
        window.omitted += 1;
        if window.omitted == 1 {
            let (bursts, until) = (self.clone(), window.until);
            tokio::spawn(async move {
                tokio::time::sleep_until(until).await;
                bursts.end(reason);
            });
        }
        false
    }

    fn end(&self, reason: &'static str) {
        let ended = self.windows().remove(reason);
        if let Some(window) = ended {
            (self.sum_up)(reason, window.omitted);
        }
    }

    /// Locks the windows. Nothing panics while the lock is held, so a poisoned lock is safe to use.
    fn windows(&self) -> MutexGuard<'_, HashMap<&'static str, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn starting(now: Instant) -> Self {
        Self {
            until: now + WINDOW,
            lines: 0,
            omitted: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SUMS: Mutex<Vec<(&str, u64)>> = Mutex::new(Vec::new());

    #[tokio::test(start_paused = true)]
    async fn the_first_lines_of_a_reason_are_written_and_the_rest_is_summed_up() {
        let bursts = Bursts::new(|reason, omitted| SUMS.lock().unwrap().push((reason, omitted)));
        let written = |reason, lines| (0..lines).filter(|_| bursts.admits(reason)).count();
        assert_eq!(written("many", 25), 10);
        assert_eq!(written("few", 3), 3);
        tokio::time::sleep(WINDOW + Duration::from_millis(1)).await;
        assert_eq!(*SUMS.lock().unwrap(), [("many", 15)]);
        assert_eq!(written("many", 10), 10);
        tokio::time::sleep(WINDOW + Duration::from_millis(1)).await;
        assert_eq!(SUMS.lock().unwrap().len(), 1, "no line is omitted");
        assert_eq!(written("many", 11), 10);
    }
}
