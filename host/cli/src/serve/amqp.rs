//! The AMQP channel of a receiver: its messages go through the intake, as pushes do.

use std::sync::Arc;

use batchtask_amqp::{Client, Inbox, Metrics, State, Verdict};
use batchtask_guest::outcomes::{Outcome, Refusal};
use batchtask_host::Intake;
use batchtask_host::admin::ReadyCheck;
use batchtask_host::component::Message;
use batchtask_host::intake::outcome;
use batchtask_host::notices::Notices;
use batchtask_host::services::Services;
use batchtask_host::telemetry::Registry;
use batchtask_journal::Source;
use bytes::Bytes;
use tokio::sync::{Semaphore, watch};

use crate::config::Amqp;

/// The name of the notice on the page.
const NOTICE: &str = "amqp";

/// The client of a receiver.
pub(super) type ReceiverClient = Client<IntakeInbox>;

/// Passes messages to an intake.
pub(super) struct IntakeInbox {
    intake: Arc<Intake>,
    /// Leaves places for pushes, whose answers are awaited.
    places: Semaphore,
}

impl Inbox for IntakeInbox {
    async fn accept(&self, body: Bytes) -> Verdict {
        let Ok(_place) = self.places.acquire().await else {
            return Verdict::Retry;
        };
        let response = self.intake.accept(message(&body)).await;
        if outcome(&response) == Some(Outcome::Refusal(Refusal::BodyTooLarge)) {
            // Its beginning goes to the quarantine, because the queue must not keep it.
            let beginning = &body[..self.intake.max_body_bytes().min(body.len())];
            return verdict(self.intake.accept(message(beginning)).await.status);
        }
        verdict(response.status)
    }
}

fn message(body: &[u8]) -> Message {
    Message {
        source: Source::Amqp,
        body: body.into(),
    }
}

/// The meaning of a status is documented at [`Intake::accept`].
fn verdict(status: u16) -> Verdict {
    match status {
        200 => Verdict::Stored,
        500.. => Verdict::Retry,
        _ => Verdict::Never,
    }
}

/// Creates the client, and registers its metrics. Its messages use at most half of
/// `max_in_flight`.
pub(super) fn client(
    amqp: Amqp,
    intake: &Arc<Intake>,
    max_in_flight: u32,
    registry: &Registry,
) -> anyhow::Result<Arc<ReceiverClient>> {
    let metrics = registry.register(Metrics::new()?)?;
    let inbox = IntakeInbox {
        intake: intake.clone(),
        places: Semaphore::new((max_in_flight as usize / 2).max(1)),
    };
    let client = Client::new(amqp.options, amqp.credentials, inbox, metrics)?;
    Ok(Arc::new(client))
}

/// Starts to receive, and to show what is wrong as a notice.
pub(super) fn start(services: &mut Services, client: &Arc<ReceiverClient>, notices: &Notices) {
    let (client, notices) = (client.clone(), notices.clone());
    services.start("amqp", move |stop| {
        let (client, notices) = (client.clone(), notices.clone());
        async move {
            tokio::select! {
                () = client.run(stop) => {}
                () = show(client.state(), &notices) => {}
            }
            notices.clear(NOTICE);
        }
    });
}

async fn show(mut state: watch::Receiver<State>, notices: &Notices) {
    loop {
        let problem = state.borrow_and_update().problem.clone();
        match problem {
            Some(problem) => notices.set(NOTICE, format!("AMQP: {problem}")),
            None => notices.clear(NOTICE),
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// A check for `/readyz` of a receiver without another channel.
pub(super) fn ready_check(client: &ReceiverClient) -> ReadyCheck {
    let state = client.state();
    Box::new(move || {
        let state = state.borrow();
        if state.is_connected {
            return Ok(());
        }
        let problem = state.problem.as_deref().unwrap_or("not connected yet");
        Err(format!("AMQP: {problem}"))
    })
}
