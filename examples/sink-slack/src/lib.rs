//! A sink component that posts each change of a task to a chat, by an incoming webhook of
//! Slack. The setting `URL` names the webhook. `docs/sinks.md` says how to use it.

wit_bindgen::generate!({
    path: "../../wit",
    world: "batchtask:receiver/sink",
    generate_all,
});

use batchtask::receiver::settings;
use exports::batchtask::receiver::delivery::{Failure, Guest, Message, Unavailable};
use serde::Deserialize;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::poll::poll;

/// The parts of the CloudEvents object that are shown.
#[derive(Deserialize)]
struct CloudEvent {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    task_id: Option<String>,
    status: Option<String>,
    message: Option<String>,
}

struct Slack;

export!(Slack);

impl Guest for Slack {
    fn deliver(message: Message) -> Result<(), Failure> {
        let event: CloudEvent = serde_json::from_str(&message.cloud_event)
            .map_err(|error| Failure::Refused(error.to_string()))?;
        let text = match event.data {
            Data {
                task_id: Some(task),
                status: Some(status),
                ..
            } => format!("{task}: {status}"),
            Data { message: text, .. } => text.unwrap_or(message.kind),
        };
        let body = serde_json::json!({ "text": escape(&text) }).to_string();
        match post(&url()?, body.as_bytes()).map_err(unavailable)? {
            200..=299 => Ok(()),
            status @ (429 | 500..) => Err(unavailable(format!("the chat answered {status}"))),
            status => Err(Failure::Refused(format!("the chat answered {status}"))),
        }
    }
}

/// Escapes what Slack would read as a link or a mention.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn url() -> Result<String, Failure> {
    let mut settings = settings::all().into_iter();
    let url = settings.find(|(name, _)| name == "URL");
    url.map(|(_, url)| url)
        .ok_or_else(|| unavailable("the setting `URL` is missing".into()))
}

fn unavailable(reason: String) -> Failure {
    Failure::Unavailable(Unavailable {
        reason,
        retry_after_s: None,
    })
}

/// Posts JSON. Returns the status of the answer.
fn post(url: &str, json: &[u8]) -> Result<u16, String> {
    let (scheme, rest) = url.split_once("://").ok_or("`URL` is not a URL")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = if scheme == "http" {
        Scheme::Http
    } else {
        Scheme::Https
    };
    let fields = [("content-type".into(), b"application/json".to_vec())];
    let request = OutgoingRequest::new(Fields::from_list(&fields).map_err(|e| e.to_string())?);
    let invalid = |()| "`URL` is not a URL";
    request.set_method(&Method::Post).map_err(invalid)?;
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(authority)).map_err(invalid)?;
    request.set_path_with_query(Some(path)).map_err(invalid)?;
    let body = request.body().map_err(|()| "the request has no body")?;
    let response = handle(request, None).map_err(|error| error.to_string())?;
    let stream = body.write().map_err(|()| "the body cannot be written")?;
    for part in json.chunks(4096) {
        stream
            .blocking_write_and_flush(part)
            .map_err(|error| error.to_string())?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|error| error.to_string())?;
    poll(&[&response.subscribe()]);
    match response.get() {
        Some(Ok(Ok(response))) => Ok(response.status()),
        Some(Ok(Err(error))) => Err(error.to_string()),
        _ => Err("there is no answer".into()),
    }
}
