//! What operators ask of sinks and of the quarantine. Programs ask over both listeners, with
//! the operate token; people on the page of the sinks.
//!
//! - `page`: the page of the sinks; `quarantine`: changes of the quarantine.

mod page;
mod quarantine;

pub(super) use self::page::{needs_operator, overview};

use std::sync::Arc;

use async_trait::async_trait;
use batchtask_guest::headers::is_cross_site;
use batchtask_guest::outcomes::{Problem, Refusal, Success, report, respond};
use batchtask_guest::percent;
use batchtask_guest::receiver::kind;
use batchtask_guest::routes::split;
use batchtask_guest::session::Right;
use batchtask_host::Intake;
use batchtask_host::component::{Request, Response};
use batchtask_host::operations;
use batchtask_notification::time::rfc3339;
use batchtask_relay::{Command, CommandError, Ownership, Relay, Replay, Reply, SinkStatus};
use serde_json::{Value, json};

/// The method of most changes.
const POST: &str = "POST";

/// The result of a request.
type Answered<T> = Result<T, Box<Problem>>;

/// Answers requests of operators.
pub(super) struct Operations {
    relay: Arc<Relay>,
    intake: Arc<Intake>,
}

impl Operations {
    pub(super) fn new(relay: Arc<Relay>, intake: Arc<Intake>) -> Self {
        Self { relay, intake }
    }

    /// Answers a request of a program.
    async fn result(&self, request: &Request) -> Answered<Value> {
        if self.intake.right(&request.headers) != Some(Right::Operate) {
            return Err(Problem::unauthorized(
                "the operate token is wrong: set BATCHTASK_OPERATE_TOKEN to the receiver's token",
            )
            .disclosed());
        }
        let (path, query) = split(&request.target);
        if let Some(rest) = path.strip_prefix("/quarantine/") {
            return quarantine::result(&self.intake, &request.method, rest).await;
        }
        let mut segments = path.split('/').skip(2);
        let Some(sink) = segments.next() else {
            expect_method(&request.method, "GET")?;
            let statuses = self.relay.statuses();
            let sinks: Vec<Value> = statuses.iter().map(status_json).collect();
            return Ok(json!({ "sinks": sinks }));
        };
        let action: Vec<&str> = segments.collect();
        let (method, command) = command(&action, query)?;
        expect_method(&request.method, method)?;
        let reply = self.relay.command(sink, command).await;
        reply.map(reply_json).map_err(problem_of)
    }
}

#[async_trait]
impl operations::Operations for Operations {
    async fn answer(&self, request: &Request) -> Option<Response> {
        let is_change = !matches!(request.method.as_str(), "GET" | "HEAD");
        if is_change && is_cross_site(&request.headers) {
            return Some(Problem::from(Refusal::CrossSite).into_response());
        }
        if request.target.starts_with("/page/") {
            return self.page(request).await;
        }
        if !self.intake.has_operators() {
            return None;
        }
        let mut response = match self.result(request).await {
            Ok(body) => {
                let success = if is_change {
                    Success::Operated
                } else {
                    Success::Read
                };
                let body = format!("{body}\n").into_bytes();
                respond(200, "application/json", body, report(success.label()))
            }
            Err(problem) => problem.into_response(),
        };
        response.report.kind = kind(&request.target);
        Some(response)
    }
}

/// Returns the command of a path below that of a sink, and its method.
fn command(action: &[&str], query: &str) -> Answered<(&'static str, Command)> {
    Ok(match action {
        ["pause"] => (POST, Command::Pause),
        ["resume"] => (POST, Command::Resume),
        ["test"] => (POST, Command::Test),
        ["replay"] => (POST, Command::Replay(replay(query)?)),
        ["dead"] => ("GET", Command::ListDead),
        ["dead", "retry"] => (POST, Command::RetryDead(selected(query)?)),
        ["dead", "drop"] => (POST, Command::DropDead(selected(query)?)),
        _ => {
            let detail = "use /sinks, or /sinks/NAME/ with pause, resume, test, replay, dead, dead/retry \
                          or dead/drop";
            return Err(Problem::new(Refusal::NotFound, detail).into());
        }
    })
}

/// Returns the dead letter of a query, or `None` for all of them.
fn selected(query: &str) -> Answered<Option<u64>> {
    let seq = query.strip_prefix("seq=").and_then(|seq| seq.parse().ok());
    match (query, seq) {
        ("all=true", _) => Ok(None),
        (_, Some(seq)) => Ok(Some(seq)),
        _ => {
            let detail = "add `?seq=NUMBER` or `?all=true`";
            Err(Problem::new(Refusal::BadParameter, detail).into())
        }
    }
}

/// Returns the events of a query such as `from=1&to=9&since=MS&app=A&task=T`.
fn replay(query: &str) -> Answered<Replay> {
    let invalid = || {
        let detail = "use `from` and `to` (a seq), `since` (milliseconds since 1970), and `app` \
                      with `task`";
        Box::new(Problem::new(Refusal::BadParameter, detail))
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

fn expect_method(method: &str, expected: &'static str) -> Answered<()> {
    if method == expected || (method, expected) == ("HEAD", "GET") {
        return Ok(());
    }
    let mut problem = Problem::from(Refusal::MethodNotAllowed);
    problem.allow = Some(expected);
    Err(problem.into())
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

fn problem_of(error: CommandError) -> Box<Problem> {
    let refusal = match error {
        CommandError::UnknownSink(_) | CommandError::UnknownDeadLetter(_) => Refusal::NotFound,
        CommandError::NoEvents | CommandError::OtherOwner(_) | CommandError::NotRunning(_) => {
            Refusal::Conflict
        }
    };
    Problem::new(refusal, error.to_string()).into()
}
