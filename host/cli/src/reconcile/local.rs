//! Tasks as the journal has them.

use batchtask_journal::{Class, Error, GroupCommit, Task, TaskQuery};
use batchtask_notification::{Status, Step, step};
use batchtask_platform::reconcile::{LocalTask, TaskKey};

/// How many tasks a page has.
const PAGE: u32 = 500;

/// Returns a task of the journal, if it has the task.
pub(super) async fn find(journal: &GroupCommit, key: &TaskKey) -> Result<Option<LocalTask>, Error> {
    let found = journal
        .journal()
        .find_task(&key.app_id, &key.task_id)
        .await?;
    Ok(found.map(|task| local(&task)))
}

/// Returns the tasks to ask for at the start, at most `max`: the open ones, and those
/// that changed since `since_ms` and were never asked for. `app_id` restricts them to a
/// resource space.
pub(super) async fn list(
    journal: &GroupCommit,
    app_id: Option<&str>,
    since_ms: u64,
    max: usize,
) -> Result<Vec<LocalTask>, Error> {
    let open = TaskQuery {
        classes: vec![Class::Open],
        ..query(app_id)
    };
    let recent = TaskQuery {
        since_ms: Some(since_ms),
        ..query(app_id)
    };
    let mut tasks = Vec::new();
    add(journal, open, |_| true, max, &mut tasks).await?;
    let is_new = |task: &Task| {
        let is_open = Status::of(&task.status).class() == batchtask_notification::Class::Open;
        !is_open && task.progress.is_none()
    };
    add(journal, recent, is_new, max, &mut tasks).await?;
    Ok(tasks)
}

fn query(app_id: Option<&str>) -> TaskQuery {
    TaskQuery {
        app_ids: app_id.map(str::to_owned).into_iter().collect(),
        limit: PAGE,
        ..TaskQuery::all()
    }
}

/// Adds the tasks of a list that match.
async fn add(
    journal: &GroupCommit,
    mut query: TaskQuery,
    matches: impl Fn(&Task) -> bool,
    max: usize,
    tasks: &mut Vec<LocalTask>,
) -> Result<(), Error> {
    loop {
        let page = journal.journal().list_tasks(&query).await?;
        let found = page.tasks.iter().filter(|task| matches(task));
        tasks.extend(found.map(local).take(max.saturating_sub(tasks.len())));
        query.cursor = page.next;
        if query.cursor.is_none() || tasks.len() >= max {
            return Ok(());
        }
    }
}

fn local(task: &Task) -> LocalTask {
    LocalTask {
        key: TaskKey {
            app_id: task.app_id.clone(),
            task_id: task.task_id.clone(),
        },
        status: task.status.clone(),
        occurred_at_ms: task.occurred_at_ms,
        last_received_at_ms: task.last_received_at_ms,
        has_gap: has_gap(task),
    }
}

/// Whether the last step of a task is possible only through a change that was not
/// seen.
fn has_gap(task: &Task) -> bool {
    let mut steps = task.trail.iter().rev();
    let last = steps.next().map(|step| Status::of(&step.status));
    let before = steps.next().map(|step| Status::of(&step.status));
    let is_known = before.is_some() || task.events == 1;
    is_known && last.is_some_and(|last| step(before, last) == Step::Gap)
}
