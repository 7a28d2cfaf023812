//! [`View`]: the state of a receiver, as lines or as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Deserialize;
use serde_json::json;

use crate::admin::Admin;
use crate::answer::ClientError;
use crate::reader::{Item, Reader};
use crate::table::{escape_unprintable, write_row};

/// The answer of `GET /summary`.
#[derive(Deserialize)]
pub(super) struct Summary {
    statuses: Vec<StatusCount>,
    stale: Option<u64>,
    last_received_at: Option<String>,
    notices: Vec<Notice>,
    #[serde(default)]
    sinks: Option<Sinks>,
}

/// How the sinks are doing. Receivers of version 0.1 do not report it.
#[derive(Deserialize)]
struct Sinks {
    total: u64,
    failing: u64,
}

#[derive(Deserialize)]
struct StatusCount {
    status: String,
    class: String,
    tasks: u64,
}

#[derive(Deserialize)]
struct Notice {
    name: String,
    text: String,
    since: String,
}

/// The first page of `GET /quarantine`.
#[derive(Deserialize)]
pub(super) struct Quarantine {
    rejects: Vec<Reject>,
    dropped: u64,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Reject {
    received_at: String,
}

/// The state of a receiver.
pub(super) struct View {
    url: String,
    /// Whether it is ready for pushes, if its admin listener was asked.
    ready: Option<bool>,
    summary: Option<Item<Summary>>,
    quarantine: Option<Quarantine>,
    metrics: BTreeMap<String, f64>,
    problems: Vec<String>,
}

impl View {
    /// Asks a receiver.
    ///
    /// # Errors
    /// It does not answer, or refuses for a reason that does not pass by itself.
    pub(super) async fn read(reader: &Reader, admin: Option<&Admin>) -> Result<Self, ClientError> {
        let mut problems = Vec::new();
        let (mut ready, mut metrics) = (None, BTreeMap::new());
        if let Some(admin) = admin {
            let reason = admin.not_ready().await?;
            ready = Some(reason.is_none());
            problems.extend(reason.map(|reason| format!("it is not ready: {reason}")));
            metrics = admin.metrics().await?;
        }
        let summary: Option<Item<Summary>> =
            or_problem("the summary", reader.summary().await, &mut problems)?;
        let quarantine = reader.quarantine(None).await;
        let quarantine = or_problem("the quarantine", quarantine, &mut problems)?;
        let notices = summary.iter().flat_map(|summary| &summary.value.notices);
        problems.extend(notices.map(|notice| {
            let Notice { name, text, since } = notice;
            format!("{name}: {text} (since {since})")
        }));
        let sinks = summary
            .as_ref()
            .and_then(|summary| summary.value.sinks.as_ref());
        if let Some(Sinks { total, failing }) = sinks
            && *failing > 0
        {
            problems.push(format!(
                "sinks that do not deliver, or have dead letters: {failing} of {total}; \
                 `batchtask sinks` shows them"
            ));
        }
        Ok(Self {
            url: reader.url().to_owned(),
            ready,
            summary,
            quarantine,
            metrics,
            problems,
        })
    }

    /// What needs attention.
    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Writes a JSON object on one line.
    pub(super) fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        let summary = self.summary.as_ref().map(|summary| &summary.json);
        let summary: Option<serde_json::Value> =
            summary.and_then(|json| serde_json::from_str(json).ok());
        let quarantine = self.quarantine.as_ref().map(|quarantine| {
            json!({
                "bodies": quarantine.rejects.len(),
                "more": quarantine.next.is_some(),
                "dropped": quarantine.dropped,
                "last_received_at": quarantine.last_received_at(),
            })
        });
        let view = json!({
            "url": self.url,
            "ready": self.ready,
            "problems": self.problems,
            "summary": summary,
            "quarantine": quarantine,
            "journal": self.journal().collect::<BTreeMap<_, _>>(),
        });
        writeln!(out, "{view}")
    }

    /// Writes lines for people.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut lines = vec![("receiver", self.url.clone()), ("ready", self.ready_text())];
        if let Some(summary) = &self.summary {
            lines.extend(summary.value.lines());
        }
        if let Some(quarantine) = &self.quarantine {
            lines.push(("quarantine", quarantine.line()));
        }
        let journal: Vec<String> = self
            .journal()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        if !journal.is_empty() {
            lines.push(("journal", journal.join(", ")));
        }
        lines.extend(self.problems.iter().map(|text| ("attention", text.clone())));
        for (name, text) in lines {
            write_row(out, &[name.to_owned(), escape_unprintable(&text)], &[12, 0])?;
        }
        Ok(())
    }

    fn ready_text(&self) -> String {
        match self.ready {
            Some(true) => "yes".into(),
            Some(false) => "no".into(),
            None => "unknown: name the admin listener with `--admin`".into(),
        }
    }

    /// The figures of the journal, each with the end of its metric's name.
    fn journal(&self) -> impl Iterator<Item = (&str, f64)> {
        self.metrics.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix("batchtask_journal_")?;
            FIGURES.contains(&name).then_some((name, *value))
        })
    }
}

/// Returns the answer, or `None` and the text of a refusal that may pass.
fn or_problem<T>(
    what: &str,
    answer: Result<T, ClientError>,
    problems: &mut Vec<String>,
) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error @ ClientError::Refused { .. }) if error.is_temporary() => {
            problems.push(format!("{what} cannot be read: {error}"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The metrics of a journal that say how it is.
const FIGURES: [&str; 8] = [
    "connections",
    "disk_free_bytes",
    "failed_commits_total",
    "feed_lag_milliseconds",
    "lost_answers_total",
    "reconnects_total",
    "size_bytes",
    "waiting_writes",
];

impl Summary {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let counts = self.statuses.iter().map(|count| {
            let name = if count.status.is_empty() {
                "others"
            } else {
                &count.status
            };
            format!("{name} {} ({})", count.tasks, count.class)
        });
        let mut counts: Vec<String> = counts.collect();
        counts.extend(self.stale.map(|stale| format!("stale {stale}")));
        let last = self.last_received_at.as_deref();
        vec![
            ("tasks", counts.join(", ")),
            ("last arrival", last.unwrap_or("never").to_owned()),
        ]
    }
}

impl Quarantine {
    fn last_received_at(&self) -> Option<&str> {
        let last = self.rejects.first();
        last.map(|reject| &*reject.received_at)
    }

    fn line(&self) -> String {
        let more = if self.next.is_some() { " or more" } else { "" };
        let last = self.last_received_at();
        let last = last.map_or(String::new(), |last| format!(", the last at {last}"));
        let bodies = self.rejects.len();
        let dropped = self.dropped;
        format!("{bodies}{more} bodies{last}, {dropped} dropped")
    }
}
