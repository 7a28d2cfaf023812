//! Log lines, on stderr.
//!
//! - `queue`: where lines wait, so that a log delays no request.
//! - `line`: the form of a line.

mod line;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::Arc;

use anyhow::Context;
use batchtask_host::telemetry;
use prometheus::IntCounter;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, reload};

use self::queue::Queue;

/// What is logged, and how.
pub(super) struct Logging {
    /// Which lines are logged.
    pub(super) filter: String,
    /// The form of a line.
    pub(super) format: Format,
}

/// The form of a log line.
#[derive(Clone, Copy, Default)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// Whether lines are coloured: stderr is a terminal, and `NO_COLOR` is not set
/// (<https://no-color.org>).
fn has_color() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !no_color
}

impl Logging {
    /// Starts logging. Keep the result until the program ends.
    pub(super) fn start(&self) -> anyhow::Result<Log> {
        let dropped = IntCounter::new(
            "batchtask_log_lines_dropped_total",
            "Log lines that were dropped because stderr did not accept them in time.",
        )?;
        let queue = Queue::to_stderr(dropped.clone()).context("cannot log to stderr")?;
        let (filter, filter_handle) = reload::Layer::new(parse_filter(&self.filter)?);
        let lines = fmt::layer()
            // They would be written to stderr directly, not to the queue.
            .log_internal_errors(false);
        match self.format {
            Format::Text => {
                let lines = lines
                    .with_ansi(has_color())
                    .with_writer(writer(&queue, line::text));
                tracing_subscriber::registry()
                    .with(filter)
                    .with(lines)
                    .init();
            }
            Format::Json => {
                let lines = lines
                    .json()
                    .flatten_event(true)
                    .with_writer(writer(&queue, line::json));
                tracing_subscriber::registry()
                    .with(filter)
                    .with(lines)
                    .init();
            }
        }
        std::panic::set_hook(Box::new(log_panic));
        Ok(Log {
            queue,
            dropped,
            filter: filter_handle,
        })
    }
}

/// Parses a level, or a filter such as `info,batchtask=debug`.
///
/// # Errors
/// A part that is not valid.
pub(super) fn parse_filter(text: &str) -> Result<Targets, FilterError> {
    let parts = text.split(',').map(str::trim);
    let directives = parts.map(|part| {
        let (target, level) = part.split_once('=').unwrap_or(("", part));
        let has_target = part.contains('=');
        match level.parse::<LevelFilter>() {
            // An empty level would be accepted as `error`.
            Ok(filter) if has_target != target.is_empty() && !level.is_empty() => {
                Ok((target, filter))
            }
            _ => Err(FilterError(part.to_owned())),
        }
    });
    let mut targets = Targets::new();
    for directive in directives {
        targets = match directive? {
            ("", level) => targets.with_default(level),
            (target, level) => targets.with_target(target, level),
        };
    }
    Ok(targets)
}

/// A part of a filter is not valid.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither a level nor a target with a level")]
pub(super) struct FilterError(String);

/// The log of a running program. When it is dropped, the lines that wait are
/// written, if stderr takes them.
pub(super) struct Log {
    queue: Arc<Queue>,
    dropped: IntCounter,
    filter: reload::Handle<Targets, tracing_subscriber::Registry>,
}

impl Log {
    /// Registers the metric of what was dropped.
    pub(super) fn register(&self, registry: &telemetry::Registry) -> anyhow::Result<()> {
        registry.register(self.dropped.clone())?;
        Ok(())
    }

    /// Logs other lines from now on.
    pub(super) fn set_filter(&self, filter: &str) -> anyhow::Result<()> {
        Ok(self.filter.reload(parse_filter(filter)?)?)
    }

    /// Shows a text in its turn among the log lines. It is no log line itself:
    /// it is for the person who started the program.
    pub(super) fn show(&self, text: &str) {
        self.queue.push(text.as_bytes());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.flush();
    }
}

/// Puts a line into the form in which it is written.
type Form = fn(&str) -> Cow<'_, str>;

fn writer(queue: &Arc<Queue>, form: Form) -> impl Fn() -> LineWriter + 'static {
    let queue = queue.clone();
    move || LineWriter {
        queue: queue.clone(),
        form,
    }
}

/// Takes one line in one write, as the subscriber has it.
struct LineWriter {
    queue: Arc<Queue>,
    form: Form,
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        self.queue.push((self.form)(&text).as_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs a panic: the standard library would write it to stderr directly, and
/// wait there.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let is_captured = backtrace.status() == BacktraceStatus::Captured;
    tracing::error!(
        location = panic.location().map(tracing::field::display),
        backtrace = is_captured.then(|| tracing::field::display(&backtrace)),
        "panicked: {}",
        panic.payload_as_str().unwrap_or("no message"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// Everything that is written to it.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn filters_are_levels_and_targets_with_levels() {
        for text in [
            "info",
            "warn, batchtask=debug",
            "batchtask_host::intake=off,trace",
        ] {
            assert!(parse_filter(text).is_ok(), "{text}");
        }
        for text in ["inof", "info,batchtask", "batchtask=maybe", "info,", ""] {
            assert!(parse_filter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_panic_is_a_log_line() {
        let written = Written::default();
        let sink = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || sink.clone())
            .with_ansi(false)
            .finish();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(log_panic));
        tracing::subscriber::with_default(subscriber, || {
            let panicked = std::panic::catch_unwind(|| panic!("a bug: {}", 7));
            assert!(panicked.is_err());
        });
        std::panic::set_hook(before);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains(" ERROR "), "{text}");
        assert!(text.contains("panicked: a bug: 7"), "{text}");
        assert!(text.contains("logging.rs:"), "{text}");
    }
}
