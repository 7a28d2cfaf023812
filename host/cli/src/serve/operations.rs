//! What operators ask of sinks and of the quarantine, over the admin listener.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use batchtask_guest::outcomes::Refusal;
use batchtask_guest::percent;
use batchtask_guest::signature::is_secret;
use batchtask_host::Intake;
use batchtask_host::admin::{self, Answer};
use batchtask_notification::time::rfc3339;
use batchtask_relay::{Command, CommandError, Ownership, Relay, Replay, Reply, SinkStatus};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::quarantine;

/// Answers requests of operators.
pub(super) struct Operations {
    relay: Arc<Relay>,
    intake: Arc<Intake>,
    /// Without a token, nothing can be operated.
    tokens: RwLock<Vec<String>>,
}

impl Operations {
    pub(super) fn new(relay: Arc<Relay>, intake: Arc<Intake>, tokens: Vec<String>) -> Self {
        Self {
            relay,
            intake,
            tokens: RwLock::new(tokens),
        }
    }

    pub(super) fn use_tokens(&self, tokens: Vec<String>) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }

    fn authorize(&self, head: &Parts) -> Result<(), Problem> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        if tokens.is_empty() {
            let detail = "this receiver has no operate token: set BATCHTASK_OPERATE_TOKEN";
            return Err(Problem::new(StatusCode::NOT_FOUND, "not-found", detail));
        }
        let field = head.headers.get(header::AUTHORIZATION);
        let field = field.and_then(|field| field.to_str().ok()).unwrap_or("");
        match field.strip_prefix("Bearer ") {
            Some(token) if is_secret(token, &tokens) => Ok(()),
            _ => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the operate token is wrong: set BATCHTASK_OPERATE_TOKEN to the receiver's token",
            )),
        }
    }

    async fn result(&self, head: &Parts) -> Result<Value, Problem> {
        self.authorize(head)?;
        let path = head.uri.path();
        if let Some(rest) = path.strip_prefix("/quarantine/") {
            return quarantine::result(&self.intake, head, rest).await;
        }
        let mut segments = path.split('/').skip(2);
        let Some(sink) = segments.next() else {
            expect_method(head, &Method::GET)?;
            let statuses = self.relay.statuses();
            let sinks: Vec<Value> = statuses.iter().map(status_json).collect();
            return Ok(json!({ "sinks": sinks }));
        };
        let action: Vec<&str> = segments.collect();
        let (method, command) = command(&action, head.uri.query().unwrap_or(""))?;
        expect_method(head, &method)?;
        let reply = self.relay.command(sink, command).await;
        reply.map(reply_json).map_err(Problem::of)
    }
}

#[async_trait]
impl admin::Operations for Operations {
    async fn answer(&self, head: &Parts) -> Answer {
        let (status, body) = match self.result(head).await {
            Ok(body) => (StatusCode::OK, body),
            Err(problem) => (problem.status, problem.json()),
        };
        let mut answer = Answer::new(Full::new(format!("{body}\n").into()));
        *answer.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, json);
        answer
    }
}

/// Returns the command of a path below that of a sink, and its method.
fn command(action: &[&str], query: &str) -> Result<(Method, Command), Problem> {
    Ok(match action {
        ["pause"] => (Method::POST, Command::Pause),
        ["resume"] => (Method::POST, Command::Resume),
        ["test"] => (Method::POST, Command::Test),
        ["replay"] => (Method::POST, Command::Replay(replay(query)?)),
        ["dead"] => (Method::GET, Command::ListDead),
        ["dead", "retry"] => (Method::POST, Command::RetryDead(selected(query)?)),
        ["dead", "drop"] => (Method::POST, Command::DropDead(selected(query)?)),
        _ => {
            let detail = "use /sinks, or /sinks/NAME/ with pause, resume, test, replay, dead, dead/retry \
                          or dead/drop";
            return Err(Problem::new(StatusCode::NOT_FOUND, "not-found", detail));
        }
    })
}

/// Returns the dead letter of a query, or `None` for all of them.
fn selected(query: &str) -> Result<Option<u64>, Problem> {
    let seq = query.strip_prefix("seq=").and_then(|seq| seq.parse().ok());
    match (query, seq) {
        ("all=true", _) => Ok(None),
        (_, Some(seq)) => Ok(Some(seq)),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "bad-parameter",
            "add `?seq=NUMBER` or `?all=true`",
        )),
    }
}

/// Returns the events of a query such as `from=1&to=9&since=MS&app=A&task=T`.
fn replay(query: &str) -> Result<Replay, Problem> {
    let invalid = || {
        let detail = "use `from` and `to` (a seq), `since` (milliseconds since 1970), and `app` \
                      with `task`";
        Problem::new(StatusCode::BAD_REQUEST, "bad-parameter", detail)
    };
    let mut selection = Replay {
        from: 0,
        to: u64::MAX,
        since_ms: 0,
        task: None,
    };
    let (mut app, mut task) = (None, None);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(invalid)?;
        let number = value.parse().map_err(|_| invalid());
        match name {
            "from" => selection.from = number?,
            "to" => selection.to = number?,
            "since" => selection.since_ms = number?,
            "app" => app = Some(percent::decode(value).ok_or_else(invalid)?),
            "task" => task = Some(percent::decode(value).ok_or_else(invalid)?),
            _ => return Err(invalid()),
        }
    }
    if app.is_some() != task.is_some() {
        return Err(invalid());
    }
    selection.task = app.zip(task);
    Ok(selection)
}

pub(super) fn expect_method(head: &Parts, expected: &Method) -> Result<(), Problem> {
    if head.method == *expected {
        return Ok(());
    }
    let detail = format!("use {expected}");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    Err(Problem::new(status, "method-not-allowed", detail))
}

fn status_json(status: &SinkStatus) -> Value {
    let counts = &status.counts;
    let owner = match &status.ownership {
        Ownership::HeldBy(owner) => Some(owner),
        Ownership::Owned | Ownership::Starting => None,
    };
    let last_error = counts.last_error.as_ref();
    json!({
        "name": status.name,
        "state": status.state(),
        "other_owner": owner,
        "lag_events": status.lag_events(),
        "lag_seconds": status.lag_ms / 1000,
        "read_to": counts.read_to,
        "parked": counts.parked,
        "held_tasks": counts.held_tasks,
        "in_flight": counts.in_flight,
        "dead": counts.dead,
        "delivered": status.results.delivered,
        "refused": status.results.refused,
        "failed": status.results.sink_failed,
        "replayed": status.results.replayed,
        "last_error": last_error.map(|error| &error.text),
        "last_error_at": last_error.map(|error| rfc3339(error.at_ms)),
    })
}

fn reply_json(reply: Reply) -> Value {
    match reply {
        Reply::Done => json!({ "done": true }),
        Reply::Changed(count) => json!({ "changed": count }),
        Reply::Accepted => json!({ "accepted": true }),
        Reply::Failed(error) => json!({ "accepted": false, "error": error }),
        Reply::Dead(letters) => {
            let letters = letters.iter().map(|letter| {
                json!({
                    "seq": letter.seq,
                    "app_id": letter.app_id,
                    "task_id": letter.task_id,
                    "attempts": letter.attempts,
                    "died_at": rfc3339(letter.died_at_ms),
                    "error": letter.error,
                })
            });
            json!({ "dead": letters.collect::<Vec<_>>() })
        }
    }
}

/// A request that is not carried out.
pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
        }
    }

    fn of(error: CommandError) -> Self {
        let (status, kind) = match error {
            CommandError::UnknownSink(_) | CommandError::UnknownDeadLetter(_) => {
                (StatusCode::NOT_FOUND, "not-found")
            }
            CommandError::NoEvents => (StatusCode::CONFLICT, "no-events"),
            CommandError::OtherOwner(_) => (StatusCode::CONFLICT, "other-owner"),
            CommandError::NotRunning(_) => (StatusCode::SERVICE_UNAVAILABLE, "not-running"),
        };
        Self::new(status, kind, error.to_string())
    }

    /// The problem as RFC 9457 has it.
    fn json(&self) -> Value {
        let kind = [Refusal::TYPE_URI_BASE, self.kind].concat();
        json!({
            "type": kind,
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        })
    }
}
