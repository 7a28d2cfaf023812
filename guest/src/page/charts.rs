//! Pictures, as inline SVG. What they show is also on the page as text.

use batchtask_notification::{Class, Status};

use super::html::Html;
use super::parts::{decimal, look, short};
use crate::journal::{Activity, ActivityQuery, HOUR_MS, MINUTE_MS, Progress, Task};
use crate::text::times;

/// The width of a picture in its own units.
const WIDTH: u64 = 1000;

/// Writes how far a task is: by device if the platform was asked, otherwise by status.
pub(super) fn bar(html: &mut Html, task: &Task) {
    html.markup(
        "<svg class='bar' viewBox='0 0 1000 8' preserveAspectRatio='none' aria-hidden='true'>",
    );
    let (style, _) = look(&task.status, task.rank);
    match &task.progress {
        Some(progress) => parts_of_bar(html, progress),
        None if style == "wait" => {}
        None if Class::of_rank(task.rank) == Class::Open => rect(html, "open half", 0, WIDTH / 2),
        None => rect(html, style, 0, WIDTH),
    }
    html.markup("</svg>");
    if let Some(progress) = &task.progress {
        html.fill(
            "<span class='num'>$/$ {devices done|设备已完成}</span>",
            &[&decimal(done(progress)), &decimal(progress.total.into())],
        );
    }
}

/// The number of devices for which nothing more is expected.
pub(super) fn done(progress: &Progress) -> u64 {
    let parts = [
        progress.success,
        progress.fail,
        progress.stopped,
        progress.removed,
    ];
    parts
        .into_iter()
        .map(u64::from)
        .fold(0, u64::saturating_add)
}

fn parts_of_bar(html: &mut Html, progress: &Progress) {
    let total = u64::from(progress.total).max(1);
    let mut from = 0_u64;
    for (style, devices) in [
        ("good", progress.success),
        ("bad", progress.fail),
        ("warn", progress.fail_wait_retry),
        ("dim", progress.stopped.saturating_add(progress.removed)),
        ("open", progress.processing),
    ] {
        let width = times(devices.into(), WIDTH);
        let width = width.checked_div(total).unwrap_or(0);
        if devices > 0 {
            // A single device among thousands is visible, too.
            rect(html, style, from, width.max(MARK));
        }
        from = from.saturating_add(width);
    }
}

/// The length of a column in the chart of what arrived, in minutes and milliseconds.
const COLUMN_MINUTES: u32 = 30;
const COLUMN_MS: u64 = 30 * MINUTE_MS;
/// The number of columns: a day.
const COLUMNS: u32 = 48;
/// The distance of columns, and their width.
const COLUMN_STEP: u64 = WIDTH / 48;
const COLUMN_WIDTH: u64 = 17;

/// Returns what the chart of what arrived shows: the last day.
pub(crate) fn activity_query(now_ms: u64) -> ActivityQuery {
    let end_ms = end_of(now_ms, COLUMN_MS);
    ActivityQuery {
        since_ms: end_ms.saturating_sub(times(HOUR_MS, 24)),
        span_minutes: COLUMN_MINUTES,
        spans: COLUMNS,
    }
}

/// Writes how many notifications arrived over the last day, and how many of them report a
/// failure.
pub(super) fn activity(html: &mut Html, spans: &[Activity], now_ms: u64) {
    let sum = |number: fn(&Activity) -> u64| spans.iter().map(number).fold(0, u64::saturating_add);
    let most = spans
        .iter()
        .map(|span| span.notifications.max(span.failures));
    let most = most.max().unwrap_or_default();
    html.fill(
        "<figure><figcaption>{Last 24 hours:|最近 24 小时：} <b>$</b> {notifications, |条通知，}\
         <b class='bad'>$</b> {failures.|次失败。} <span class='dim'>{Most in 30 min:|每 30 分钟最多：} $</span>\
         </figcaption><svg class='columns' viewBox='0 0 1000 100' preserveAspectRatio='none' aria-hidden='true'>",
        &[
            &decimal(sum(|span| span.notifications)),
            &decimal(sum(|span| span.failures)),
            &decimal(most),
        ],
    );
    let since_ms = activity_query(now_ms).since_ms;
    for span in spans {
        let column = span.start_ms.saturating_sub(since_ms) / COLUMN_MS;
        for (style, number) in [("open", span.notifications), ("bad", span.failures)] {
            let height = times(number, 100).div_ceil(most.max(1));
            if height > 0 {
                html.fill(
                    "<rect class='$' x='$' y='$' width='$' height='$'/>",
                    &[
                        style,
                        &decimal(times(column, COLUMN_STEP)),
                        &decimal(100_u64.saturating_sub(height)),
                        &decimal(COLUMN_WIDTH),
                        &decimal(height),
                    ],
                );
            }
        }
    }
    html.markup("</svg></figure>");
}

/// The part of time that the timelines of a list show.
pub(super) struct Axis {
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

impl Axis {
    /// Returns the axis for tasks: from the first change of most of them to the last
    /// change of all, or to now if a task is open. `None` if there is no time between.
    pub(super) fn of(tasks: &[Task], now_ms: u64) -> Option<Self> {
        // One task that waits for weeks must not squeeze the others. To sort would take
        // 5 kB of code.
        let starts = || tasks.iter().map(|task| task.first_occurred_at_ms);
        let few = tasks.len() / 8;
        let from_ms =
            starts().filter(|start| starts().filter(|other| other < start).count() >= few);
        let from_ms = from_ms.min()?;
        let ends = tasks.iter().map(|task| end_ms(task, now_ms));
        let to_ms = ends.max().unwrap_or_default();
        (from_ms < to_ms).then_some(Self { from_ms, to_ms })
    }

    fn place(&self, at_ms: u64) -> u64 {
        let length_ms = self.to_ms.saturating_sub(self.from_ms).max(1);
        let passed_ms = at_ms.saturating_sub(self.from_ms).min(length_ms);
        times(passed_ms, WIDTH).checked_div(length_ms).unwrap_or(0)
    }
}

/// The end of the span of this length, in milliseconds, that contains an instant.
fn end_of(at_ms: u64, span_ms: u64) -> u64 {
    let spans = at_ms.checked_div(span_ms).unwrap_or(0).saturating_add(1);
    times(spans, span_ms)
}

/// The end of a task, or the end of this minute: an answer should not differ from the
/// previous one because of the time alone.
fn end_ms(task: &Task, now_ms: u64) -> u64 {
    match Class::of_rank(task.rank) {
        Class::Open => end_of(now_ms, MINUTE_MS),
        _ => task.occurred_at_ms,
    }
}

/// Writes when a task had which status.
pub(super) fn timeline(html: &mut Html, axis: &Axis, task: &Task, now_ms: u64) {
    html.markup(
        "<svg class='line' viewBox='0 0 1000 16' preserveAspectRatio='none' role='img' \
         aria-label='{Statuses|状态}:",
    );
    for step in &task.trail {
        html.fill(" $", &[&short(&step.status)]);
    }
    html.markup("'>");
    let ends = task.trail.iter().skip(1).map(|step| step.occurred_at_ms);
    let ends = ends.chain([end_ms(task, now_ms)]);
    for (step, end_ms) in task.trail.iter().zip(ends) {
        let (style, _) = look(&step.status, Status::of(&step.status).rank());
        let (from, to) = (axis.place(step.occurred_at_ms), axis.place(end_ms));
        let width = to.saturating_sub(from).max(MARK);
        rect(html, style, from, width);
    }
    html.markup("</svg>");
}

/// The least width of a part of a picture.
const MARK: u64 = 10;

/// Writes a part of a picture. Its height and place come from the style.
fn rect(html: &mut Html, style: &str, x: u64, width: u64) {
    let x = x.min(WIDTH.saturating_sub(MARK));
    html.fill(
        "<rect class='$' x='$' width='$' height='100%'/>",
        &[style, &decimal(x), &decimal(width)],
    );
}
