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
use batchtask_host::telemetry::Registry;
use clap::{Args, ValueEnum};
use prometheus::IntCounter;
use tracing_subscriber::EnvFilter;

use self::queue::Queue;

#[derive(Args)]
pub(super) struct Logging {
    /// What a log line looks like.
    #[arg(long, value_enum, default_value = "text", env = "BATCHTASK_LOG_FORMAT")]
    log_format: Format,
    /// Which lines are logged: `error`, `warn`, `info`, `debug`, `trace`, or a
    /// filter such as `info,batchtask=debug`.
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "BATCHTASK_LOG"
    )]
    log: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Logging {
    /// Starts logging. Keep the result until the program ends.
    pub(super) fn start(&self) -> anyhow::Result<Log> {
        let filter = EnvFilter::try_new(&self.log)
            .map_err(|error| anyhow::anyhow!("`--log {}`: {error}", self.log))?;
        let dropped = IntCounter::new(
            "batchtask_log_lines_dropped_total",
            "Log lines that stderr did not take.",
        )?;
        let queue = Queue::to_stderr(dropped.clone()).context("cannot log to stderr")?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            // They would be written to stderr directly, past the queue.
            .log_internal_errors(false);
        match self.log_format {
            Format::Text => lines
                .with_ansi(io::stderr().is_terminal())
                .with_writer(writer(&queue, line::text))
                .init(),
            Format::Json => lines
                .json()
                .flatten_event(true)
                .with_writer(writer(&queue, line::json))
                .init(),
        }
        std::panic::set_hook(Box::new(log_panic));
        Ok(Log { queue, dropped })
    }
}

/// The log of a running program. When it is dropped, the lines that wait are
/// written, if stderr takes them.
pub(super) struct Log {
    queue: Arc<Queue>,
    dropped: IntCounter,
}

impl Log {
    /// Registers the metric of what was dropped.
    pub(super) fn register(&self, registry: &Registry) -> anyhow::Result<()> {
        registry.register(self.dropped.clone())?;
        Ok(())
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
