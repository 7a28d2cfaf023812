//! [`Empty`]: an empty journal.

use batchtask_guest::journal::{
    Activity, ActivityQuery, Appended, Error, Event, HistoryPage, Journal, PAGE_ITEMS_MAX,
    QuarantinePage, Quarantined, Reject, SignatureUse, StoredEvent, Summary, Task, TaskPage,
    TaskQuery,
};

/// An empty journal, which checks the queries that it receives.
pub(crate) struct Empty;

impl Journal for Empty {
    fn append(&self, _: &Event, _: Option<&SignatureUse>) -> Result<Appended, Error> {
        unreachable!("a read appends nothing")
    }
    fn quarantine(&self, _: &Reject, _: Option<&SignatureUse>) -> Result<Appended, Error> {
        unreachable!("a read quarantines nothing")
    }
    fn find_task(&self, _: &str, _: &str) -> Result<Option<Task>, Error> {
        Ok(None)
    }
    fn list_tasks(&self, query: &TaskQuery) -> Result<TaskPage, Error> {
        assert!((1..=PAGE_ITEMS_MAX).contains(&query.limit));
        Ok(TaskPage {
            tasks: Vec::new(),
            previous: None,
            next: query.cursor.clone(),
            count: None,
        })
    }
    fn list_history(
        &self,
        _: &str,
        _: &str,
        cursor: Option<&str>,
        _: u32,
    ) -> Result<HistoryPage, Error> {
        Ok(HistoryPage {
            events: Vec::new(),
            previous_status: None,
            next: cursor.map(String::from),
        })
    }
    fn follow(&self, _: u64, limit: u32, _: u32) -> Result<Vec<StoredEvent>, Error> {
        assert!((1..=PAGE_ITEMS_MAX).contains(&limit));
        Ok(Vec::new())
    }
    fn list_quarantine(&self, cursor: Option<&str>, _: u32) -> Result<QuarantinePage, Error> {
        Err(Error::InvalidCursor(cursor.unwrap_or_default().into()))
    }
    fn find_reject(&self, _: u64) -> Result<Option<Quarantined>, Error> {
        Ok(None)
    }
    fn list_activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, Error> {
        assert!((1..=PAGE_ITEMS_MAX).contains(&query.spans));
        assert!(query.span_minutes <= 60 || query.span_minutes % 60 == 0);
        Ok(Vec::new())
    }
    fn summarize(&self, _stale_before_ms: u64) -> Result<Summary, Error> {
        Err(Error::Unavailable("empty".into()))
    }
}
