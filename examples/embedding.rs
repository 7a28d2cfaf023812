//! Embeds the receiver with the library `batchtask-host` and a journal in memory.
//! It sends a notification by `accept` and by `exchange`, and then lists the tasks.
//!
//! ```text
//! cargo run --package batchtask-host --example embedding -- tests/samples/seed-example.json
//! ```
#![allow(clippy::print_stdout, reason = "the example prints its results")]

use std::error::Error;
use std::sync::Arc;

use batchtask_host::Intake;
use batchtask_host::component::{Message, Options, Request};
use batchtask_host::journal::{GroupCommit, MemoryJournal, Source, group_commit};
use batchtask_host::settings::Settings;

const READ_TOKEN: &str = "a-token-for-this-example";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: embedding BODY")?;
    let body = std::fs::read(path)?;

    // This journal is lost when the program ends. For a durable one, use
    // `batchtask-sqlite` or implement `Journal`.
    let journal = Arc::new(MemoryJournal::default());
    let journal = GroupCommit::new(journal, group_commit::Options::default(), None)?;
    let mut settings = Settings::default();
    settings.set("BATCHTASK_READ_TOKEN", READ_TOKEN);
    let options = Options {
        settings,
        ..Options::default()
    };
    let intake = Intake::build(Arc::new(journal), &options).await?;

    let message = Message {
        source: Source::Amqp,
        body: body.clone(),
    };
    let response = intake.accept(message).await;
    println!("accept: {} {}", response.status, response.report.outcome);

    let request = Request {
        method: "POST".into(),
        target: "/notifications".into(),
        headers: vec![("content-type".into(), b"application/json".into())],
        sender_proven: false,
        over_https: false,
        body,
    };
    let response = intake.exchange(request).await;
    println!("exchange: {} {}", response.status, response.report.outcome);

    let bearer = format!("Bearer {}", READ_TOKEN);
    let request = Request {
        method: "GET".into(),
        target: "/tasks".into(),
        headers: vec![("authorization".into(), bearer.into_bytes())],
        sender_proven: false,
        over_https: false,
        body: Vec::new(),
    };
    let response = intake.exchange(request).await;
    println!("tasks: {}", String::from_utf8_lossy(&response.body));
    Ok(())
}
