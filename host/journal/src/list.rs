//! [`TaskRows`]: collects a page of tasks, which a backend reads in either direction.

use batchtask_guest::journal::{ID_SORT_CHARS, STATUS_SORT_CHARS, TASKS_COUNTED_MAX};

use crate::cursor::{TaskCursor, TaskKey};
use crate::page::{Page, task_bytes};
use crate::{Error, Task, TaskCount, TaskOrder, TaskPage, TaskQuery, TaskSort};

/// How many tasks a backend counts: one more than a list reports.
pub const COUNTED_ROWS_MAX: u32 = TASKS_COUNTED_MAX + 1;

/// A page of tasks that is being read.
pub struct TaskRows {
    page: Page<(Task, TaskKey)>,
    from: Option<TaskCursor>,
    sort: TaskSort,
    order: TaskOrder,
}

impl TaskRows {
    /// Returns an empty page.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if the cursor belongs to another list.
    pub fn new(query: &TaskQuery) -> Result<Self, Error> {
        let from = query.cursor.as_deref();
        let from = from.map(|text| TaskCursor::decode(text, query.sort, query.order));
        Ok(Self {
            page: Page::new(query.limit),
            from: from.transpose()?,
            sort: query.sort,
            order: query.order,
        })
    }

    /// Returns the key after which the rows begin, in the direction of reading.
    pub fn after(&self) -> Option<&TaskKey> {
        self.from.as_ref().map(|from| &from.key)
    }

    /// Whether rows are read from the end of the list to its beginning.
    pub fn is_backward(&self) -> bool {
        self.from.as_ref().is_some_and(|from| from.is_backward)
    }

    /// Whether the property by which tasks are sorted grows in the direction of
    /// reading.
    pub fn is_ascending(&self) -> bool {
        (self.order == TaskOrder::Ascending) != self.is_backward()
    }

    /// Returns how many rows to query, see [`Page::rows`].
    pub fn rows(&self) -> usize {
        self.page.rows()
    }

    /// Returns whether the page is full, see [`Page::is_full`].
    pub fn is_full(&mut self) -> bool {
        self.page.is_full()
    }

    /// Adds a task.
    pub fn push(&mut self, task: Task, key: TaskKey) {
        let bytes = task_bytes(&task);
        self.page.push((task, key), bytes);
    }

    /// Returns the page. `count` is the number of all tasks, if they were counted.
    pub fn finish(self, count: Option<u64>) -> TaskPage {
        let (is_backward, is_first) = (self.is_backward(), self.from.is_none());
        let (mut rows, has_more) = self.page.finish_rows();
        if is_backward {
            rows.reverse();
        }
        let (has_previous, has_next) = if is_backward {
            (has_more, true)
        } else {
            (!is_first, has_more)
        };
        let cursor = |row: Option<&(Task, TaskKey)>, is_backward| {
            let key = row?.1.clone();
            Some(TaskCursor { key, is_backward }.encode(self.sort, self.order))
        };
        let previous = cursor(rows.first().filter(|_| has_previous), true);
        let next = cursor(rows.last().filter(|_| has_next), false);
        TaskPage {
            tasks: rows.into_iter().map(|(task, _)| task).collect(),
            previous,
            next,
            count: count.map(counted),
        }
    }
}

/// Returns the count of a list that has this many tasks, or as many as were counted.
fn counted(tasks: u64) -> TaskCount {
    let max = TASKS_COUNTED_MAX.into();
    TaskCount {
        tasks: tasks.min(max),
        more: tasks > max,
    }
}

/// Returns the part of a status by which tasks are sorted.
pub fn status_prefix(status: &str) -> String {
    status.chars().take(STATUS_SORT_CHARS).collect()
}

/// Returns the part of an id by which tasks are sorted.
pub fn id_prefix(id: &str) -> String {
    id.chars().take(ID_SORT_CHARS).collect()
}
