//! [`Note`]: a report in words.
//!
//! - `words`: the words of each language.

mod words;

use batchtask_guest::percent;
use batchtask_notification::hex;
use batchtask_notification::time::rfc3339;
use ring::digest::{SHA256, digest};

pub use self::words::Language;

use self::words::Words;
use super::alerts::{Alert, Change};
use super::condition::Condition;
use super::digest::Collected;
use super::{Report, TaskLine};
use crate::egress::checked_uri;
use crate::error::OptionError;
use crate::sink::ReportOptions;

/// The greatest length of a text of others, in characters.
const TEXT_CHARS_MAX: usize = 120;
/// The greatest length of a link, in bytes. A longer one is left out.
const LINK_BYTES_MAX: usize = 1000;
/// The name of the program, which a bot may demand as its keyword.
const PROGRAM: &str = "batchtask";

/// A report in words. No text has a control character.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    /// Names the report: the same in every repetition.
    pub(crate) id: String,
    pub(crate) language: Language,
    pub(crate) title: String,
    pub(crate) lines: Vec<Vec<Part>>,
    /// The last line, which is never left out.
    pub(crate) footer: Vec<Part>,
}

/// A part of a line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Link { text: String, url: String },
}

impl Note {
    /// Returns all lines, the footer last.
    pub(crate) fn all_lines(&self) -> impl Iterator<Item = &Vec<Part>> {
        self.lines.iter().chain([&self.footer])
    }

    /// Returns what `render` makes of the note, or of as many of its lines as are not
    /// longer than `bytes_max`, measured by `length`.
    pub(crate) fn fitted<T>(
        mut self,
        bytes_max: usize,
        render: impl Fn(&Self) -> T,
        length: impl Fn(&T) -> usize,
    ) -> T {
        let mut is_cut = false;
        loop {
            let rendered = render(&self);
            if length(&rendered) <= bytes_max || self.lines.is_empty() {
                return rendered;
            }
            // The first time, the last line makes place for the ellipsis, too.
            self.lines.pop();
            if is_cut {
                self.lines.pop();
            }
            is_cut = true;
            if !self.lines.is_empty() {
                self.lines.push(vec![Part::Text("…".into())]);
            }
        }
    }
}

/// Writes notes for one sink.
pub(crate) struct Writer {
    words: &'static Words,
    language: Language,
    page: Option<String>,
}

impl Writer {
    pub(crate) fn new(options: &ReportOptions) -> Result<Self, OptionError> {
        let page = options.page.as_deref().map(checked_page).transpose()?;
        Ok(Self {
            words: options.language.words(),
            language: options.language,
            page,
        })
    }

    /// Returns the note of a report to a sink.
    pub(crate) fn note(&self, sink: &str, report: &Report) -> Note {
        let (title, lines) = match report {
            Report::Digest(collected) => self.digest(collected),
            Report::Alerts(alerts) => self.alerts(alerts),
            Report::Test => (self.words.test.into(), Vec::new()),
        };
        let mut footer = vec![Part::Text(format!("{PROGRAM} · {sink}"))];
        if let Some(page) = &self.page {
            footer.push(Part::Text(" · ".into()));
            let text = self.words.page.into();
            let url = format!("{page}/");
            footer.push(Part::Link { text, url });
        }
        Note {
            id: report.id(sink),
            language: self.language,
            title,
            lines,
            footer,
        }
    }

    fn digest(&self, collected: &Collected) -> (String, Vec<Vec<Part>>) {
        let words = self.words;
        let mut counts: Vec<String> = collected
            .statuses
            .iter()
            .map(|(status, count)| format!("{} {count}", clean(status)))
            .collect();
        if collected.other_statuses > 0 {
            counts.push(format!("… {}", collected.other_statuses));
        }
        let mut lines = vec![text(counts.join(", "))];
        lines.extend(collected.tasks.iter().map(|line| self.task(line)));
        if collected.of_other_tasks > 0 {
            lines.push(text((words.more_changes)(collected.of_other_tasks)));
        }
        let (first, last) = collected.times_ms;
        lines.push(text(format!("{} – {}", moment(first), moment(last))));
        ((words.changes)(collected.events), lines)
    }

    fn alerts(&self, alerts: &[Alert]) -> (String, Vec<Vec<Part>>) {
        let words = self.words;
        let headline = |alert: &Alert| {
            let mark = if alert.change == Change::Ended {
                "✔"
            } else {
                "⚠"
            };
            format!("{mark} {}", (words.headline)(alert))
        };
        if let [alert] = alerts {
            return (headline(alert), self.alert(alert));
        }
        let mut lines = Vec::new();
        for alert in alerts {
            lines.push(text(headline(alert)));
            lines.extend(self.alert(alert));
        }
        ((words.alerts)(alerts.len()), lines)
    }

    /// Returns the lines of an alert below its headline.
    fn alert(&self, alert: &Alert) -> Vec<Vec<Part>> {
        let mut since = text(format!("{} {}", self.words.since, moment(alert.since_ms)));
        if let Some(url) = self.link(path_of(alert.condition)) {
            since.push(Part::Text(" · ".into()));
            since.push(Part::Link {
                text: self.words.look.into(),
                url,
            });
        }
        let mut lines = vec![since];
        let details = alert.level.details.iter();
        lines.extend(details.map(|detail| text(clean_to(detail, 2 * TEXT_CHARS_MAX))));
        lines.extend(alert.tasks.iter().map(|line| self.task(line)));
        let more = alert.added.saturating_sub(alert.tasks.len() as u64);
        if alert.condition == Condition::TaskFailed && more > 0 && alert.change != Change::Ended {
            lines.push(text((self.words.more_tasks)(more)));
        }
        lines
    }

    fn task(&self, line: &TaskLine) -> Vec<Part> {
        let id = clean(&line.task_id);
        let mut parts = vec![Part::Text(format!("• {} – ", clean(&line.status)))];
        let path = format!(
            "/page/tasks/{}/{}",
            percent::encode(&line.app_id, b""),
            percent::encode(&line.task_id, b"")
        );
        parts.push(match self.link(&path) {
            Some(url) => Part::Link { text: id, url },
            None => Part::Text(id),
        });
        let mut rest = String::new();
        if let Some(name) = &line.name {
            rest.push_str(&format!(" “{}”", clean(name)));
        }
        rest.push_str(&format!(
            " ({}, {})",
            clean(&line.app_id),
            clean(&line.task_type)
        ));
        if let Some(devices) = line.devices {
            rest.push_str(", ");
            rest.push_str(&(self.words.devices)(devices));
        }
        if !line.status_desc.trim().is_empty() {
            rest.push_str(": ");
            rest.push_str(&clean(&line.status_desc));
        }
        parts.push(Part::Text(rest));
        parts
    }

    fn link(&self, path: &str) -> Option<String> {
        let url = format!("{}{path}", self.page.as_ref()?);
        (url.len() <= LINK_BYTES_MAX).then_some(url)
    }
}

/// Returns the path of the page that shows more about a condition.
fn path_of(condition: Condition) -> &'static str {
    match condition {
        Condition::TaskFailed => "/?class=retryable",
        Condition::TaskStale => "/?stale=true",
        Condition::QuarantineGrew => "/page/quarantine",
        Condition::PushesRefused
        | Condition::WrongClock
        | Condition::CertificateExpires
        | Condition::SinkFailing => "/",
    }
}

/// Checks the URL of the page. Returns it without a slash at its end.
fn checked_page(page: &str) -> Result<String, OptionError> {
    let uri = checked_uri(page).map_err(|error| OptionError::new("page", error.reason))?;
    if uri.query().is_some() {
        return Err(OptionError::new("page", "it must not have a query (`?…`)"));
    }
    Ok(page.trim_end_matches('/').to_owned())
}

impl Report {
    /// Returns an id that is the same for the same report to the same sink.
    pub(crate) fn id(&self, sink: &str) -> String {
        let text = match self {
            Self::Digest(collected) => {
                format!("{sink} digest {:?} {}", collected.seqs, collected.events)
            }
            Self::Alerts(alerts) => alerts.iter().fold(sink.to_owned(), |text, alert| {
                let Alert {
                    condition,
                    change,
                    since_ms,
                    level,
                    ..
                } = alert;
                let (name, mark) = (condition.name(), level.mark);
                format!(
                    "{text} {name} {change:?} {since_ms} {mark} {:?}",
                    level.subjects
                )
            }),
            Self::Test => format!("{sink} test {:016x}", fastrand::u64(..)),
        };
        let hash = digest(&SHA256, text.as_bytes());
        hex(hash.as_ref().get(..16).unwrap_or_default())
    }
}

fn text(text: String) -> Vec<Part> {
    vec![Part::Text(text)]
}

/// Returns a time as people read it.
fn moment(ms: u64) -> String {
    let text = rfc3339(ms);
    let seconds = text.get(..19).unwrap_or(&text);
    format!("{} UTC", seconds.replace('T', " "))
}

/// Returns a text of others so that it can stand in a line: without control characters,
/// without characters that change the direction of the text around it, and not too long.
fn clean(text: &str) -> String {
    clean_to(text, TEXT_CHARS_MAX)
}

fn clean_to(text: &str, chars_max: usize) -> String {
    let is_direction = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_line_end = |c: char| matches!(c, '\u{2028}' | '\u{2029}');
    let chars = text.chars().filter(|c| !is_direction(*c));
    let mut chars = chars.map(|c| {
        if c.is_control() || is_line_end(c) {
            ' '
        } else {
            c
        }
    });
    let mut cleaned: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() {
        cleaned.push('…');
    }
    cleaned
}

#[cfg(test)]
mod tests;
