//! What one would write without wasm: an axum handler with the same parser,
//! the same journal, and no more checks than it takes to be fair.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use batchtask::journal::sqlite::{Options, SqliteJournal};
use batchtask::journal::{Appended, Event, EventFlags, Journal};
use batchtask_notification::Notification;
use tokio::net::TcpListener;

/// Serves until the process is killed; says where on stderr. Without a journal
/// nothing is kept.
pub(crate) async fn serve(journal: Option<PathBuf>) -> anyhow::Result<()> {
    let journal = journal.map(|path| SqliteJournal::open(path, Options::default()));
    let app = Router::new()
        .route("/notifications", post(receive))
        .with_state(journal.transpose()?.map(Arc::new));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn receive(State(journal): State<Option<Arc<SqliteJournal>>>, body: Bytes) -> Response {
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
        Some(journal) => journal.append(event, None).await,
        None => Ok(Appended::Recorded),
    };
    match appended {
        Ok(Appended::Recorded) => recorded.into_response(),
        Ok(_) => duplicate.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// A body as the journal takes it.
pub(crate) fn event(body: Vec<u8>) -> Option<Event> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| now.as_millis() as u64);
    let event = Notification::parse(&body).ok()?.into_event(now_ms);
    Some(Event {
        app_id: event.app_id,
        task_id: event.task_id,
        task_type: event.task_type,
        status: event.status,
        status_desc: event.status_desc,
        event_time: event.event_time,
        event_time_ms: event.event_time_ms,
        request_id: event.request_id,
        digest: event.digest.into(),
        occurred_at_ms: event.occurred_at_ms,
        rank: event.rank,
        received_at_ms: event.received_at_ms,
        signature: None,
        oddities: EventFlags::empty(),
        body,
    })
}
