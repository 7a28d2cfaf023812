//! [`CommitSpan`]: a commit in the traces of the requests that it belongs to.

use batchtask_span::{Kind, OpenSpan};

use crate::{Error, error_text};

/// The attribute with the number of entries in a commit.
const BATCH_SIZE: &str = "batchtask.batch_size";
/// The attribute with the time that an entry waited for its commit, in milliseconds.
const QUEUE_MS: &str = "batchtask.queue_ms";

/// Begins the span of an entry. Returns `None` if the trace is not recorded.
pub(crate) fn append_span(above: &OpenSpan) -> Option<Box<OpenSpan>> {
    let is_recorded = above.is_recorded();
    is_recorded.then(|| Box::new(above.child("journal.append", Kind::Internal)))
}

/// The span of a commit. It belongs to many requests, so it is in the trace of the first,
/// and has links to the entries of all that are traced. They have links to it.
pub(crate) struct CommitSpan(OpenSpan);

impl CommitSpan {
    /// Begins the span of a commit of `count` entries. `appends` are the spans of those that
    /// are traced. Returns `None` if there are none.
    pub(crate) fn begin<'a>(
        count: usize,
        appends: impl Iterator<Item = &'a mut OpenSpan>,
    ) -> Option<Self> {
        let mut commit: Option<OpenSpan> = None;
        for append in appends {
            let commit =
                commit.get_or_insert_with(|| append.child("journal.commit", Kind::Internal));
            commit.link(append.context());
            append.link(commit.context());
            let waited = append.elapsed();
            append.set(QUEUE_MS, waited);
            append.set(BATCH_SIZE, count);
        }
        let mut commit = commit?;
        commit.set(BATCH_SIZE, count);
        Some(Self(commit))
    }

    /// Ends the span, and those of its entries.
    pub(crate) fn end<T>(
        mut self,
        appends: impl Iterator<Item = Box<OpenSpan>>,
        result: &Result<T, Error>,
    ) {
        self.0.end();
        let error = result.as_ref().err();
        let error = error.map(|error| error_text(error.clone()));
        for mut append in appends {
            if let Some(error) = &error {
                append.fail(error.clone());
            }
        }
        if let Some(error) = error {
            self.0.fail(error);
        }
    }
}
