//! The native baseline, without wasm: an axum handler with the same parser, the same
//! journal, and only the necessary checks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use batchtask_guest::receiver::stored_event;
use batchtask_host::clock::now_ms;
use batchtask_journal::{Appended, Entry, Event, GroupCommit, Source, group_commit};
use batchtask_notification::Notification;
use batchtask_sqlite::{Options, SqliteJournal};
use tokio::net::TcpListener;

/// Serves until the process is killed. Prints the address on standard error. Without a
/// journal, nothing is stored.
pub(crate) async fn serve(journal: Option<PathBuf>) -> anyhow::Result<()> {
    let journal = journal.map(|path| open(&path));
    let app = Router::new()
        .route("/notifications", post(receive))
        .with_state(journal.transpose()?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

/// Opens the journal in a file, with group commit in front of it.
pub(crate) fn open(path: &Path) -> anyhow::Result<Arc<GroupCommit>> {
    let journal = Arc::new(SqliteJournal::open(path, Options::default())?);
    let options = group_commit::Options::default();
    Ok(Arc::new(GroupCommit::new(journal, options, None)?))
}

async fn receive(State(journal): State<Option<Arc<GroupCommit>>>, body: Bytes) -> Response {
    let Some(event) = event(body.into()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let answer = |outcome| {
        format!(
            r#"{{"outcome":"{outcome}","app_id":"{}","task_id":"{}"}}"#,
            event.app_id, event.task_id
        )
    };
    let (recorded, duplicate) = (answer("recorded"), answer("duplicate"));
    let appended = match journal {
        Some(journal) => journal.write(Entry::Event(event, None)).await,
        None => Ok(Appended::Recorded),
    };
    match appended {
        Ok(Appended::Recorded) => recorded.into_response(),
        Ok(_) => duplicate.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Parses a body into an event to store.
pub(crate) fn event(body: Vec<u8>) -> Option<Event> {
    let event = Notification::parse(&body).ok()?.into_event(now_ms());
    Some(stored_event(event, body, Source::Push))
}
