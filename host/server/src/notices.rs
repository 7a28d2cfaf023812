//! What the page and `GET /summary` show of the host: notices, which are warnings to
//! operators, and how its sinks are doing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use batchtask_guest::journal::{Notice, Sinks, Summary};

use crate::clock::now_ms;

/// The name of the notice that the clock of the host differs from the platform's.
pub const CLOCK: &str = "clock";

/// The current notices. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    notices: Vec<Notice>,
    sinks: Option<Sinks>,
}

impl Notices {
    /// Adds a notice, or replaces the text of the notice with this name. A
    /// replaced notice keeps its start time.
    pub fn set(&self, name: &str, text: impl Into<String>) {
        let notices = &mut self.shown().notices;
        let text = text.into();
        match notices.iter_mut().find(|notice| notice.name == name) {
            Some(notice) => notice.text = text,
            None => notices.push(Notice {
                name: name.into(),
                text,
                since_ms: now_ms(),
            }),
        }
    }

    /// Removes a notice.
    pub fn clear(&self, name: &str) {
        self.shown().notices.retain(|notice| notice.name != name);
    }

    /// Sets how the sinks are doing. `None`: there are none.
    pub fn set_sinks(&self, sinks: Option<Sinks>) {
        self.shown().sinks = sinks;
    }

    /// Returns the notices in the order in which they were first set.
    pub fn list(&self) -> Vec<Notice> {
        self.shown().notices.clone()
    }

    /// Adds what is shown of the host to an overview of the journal.
    pub(crate) fn add_to(&self, summary: &mut Summary) {
        let shown = self.shown();
        summary.notices.extend(shown.notices.iter().cloned());
        summary.sinks = shown.sinks;
    }

    /// Locks the list. Nothing panics while the lock is held, so a poisoned lock is safe to use.
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_replaced_by_its_name_until_it_is_cleared() {
        let notices = Notices::default();
        notices.set("clock", "1 minute behind");
        let since_ms = notices.list()[0].since_ms;
        notices.set("disk", "nearly full");
        notices.clone().set("clock", "2 minutes behind");
        let list = notices.list();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].text, "2 minutes behind");
        assert_eq!(list[0].since_ms, since_ms);
        notices.clear("clock");
        assert_eq!(notices.list()[0].name, "disk");
    }
}
