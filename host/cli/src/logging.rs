//! Log lines, on stderr.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

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
    pub(super) fn start(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log)
            .map_err(|error| anyhow::anyhow!("`--log {}`: {error}", self.log))?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            // Which would panic where the line itself could not be written: a
            // log that nobody reads must not cost a notification.
            .log_internal_errors(false)
            .with_writer(std::io::stderr);
        match self.log_format {
            Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
            Format::Json => lines
                .json()
                .flatten_event(true)
                .with_writer(|| Escaping(std::io::stderr()))
                .init(),
        }
        Ok(())
    }
}

/// Writes JSON with what would do something to a terminal escaped, which JSON
/// allows to be there as it is.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        if json.is_ascii() && !json.contains(&b'\x7f') {
            return self.0.write(json);
        }
        let mut escaped = String::with_capacity(json.len());
        for character in String::from_utf8_lossy(json).chars() {
            match character {
                // Between values, as the end of the line is: others are in strings.
                '\n' => escaped.push('\n'),
                _ if acts(character) => {
                    // All of them are below U+10000; memory takes it.
                    let _ = write!(escaped, "\\u{:04x}", u32::from(character));
                }
                _ => escaped.push(character),
            }
        }
        self.0.write_all(escaped.as_bytes())?;
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether a character controls a terminal, ends a line or turns text around.
fn acts(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_but_harmless() {
        let value =
            serde_json::json!({"id": "é\u{7f}\u{9b}31m\u{2028}\u{202e}x\u{301}\u{1f600}\0"});
        let line = value.to_string() + "\n";
        let mut written = Vec::new();
        Escaping(&mut written).write_all(line.as_bytes()).unwrap();
        let written = String::from_utf8(written).unwrap();
        assert!(!written.trim_end().contains(acts), "{written:?}");
        assert!(written.contains(r"\u009b31m\u2028\u202ex"), "{written}");
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read, value);
    }
}
