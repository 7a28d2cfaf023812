//! [`Link`]: receives the messages of a queue, and accepts what was stored.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fe2o3_amqp::link::delivery::DeliveryInfo;
use fe2o3_amqp::link::{CreditMode, RecvError};
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::definitions::SenderSettleMode;
use fe2o3_amqp::types::messaging::{Body, Message};
use fe2o3_amqp::types::primitives::Value;
use fe2o3_amqp::{Delivery, Receiver, Session};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::body::bytes_of;
use crate::failure::{Failure, Reason};
use crate::login::Handle;
use crate::metrics::{InProgress, Metrics};
use crate::options::{Broker, Options};
use crate::pace::{Backoff, Pace};
use crate::window::Window;
use crate::{Inbox, Verdict};

/// The time limit for a session and its link.
const ATTACH_TIME: Duration = Duration::from_secs(4);

/// How often the credit is sent although it has not changed. The AMQP library sends a
/// heartbeat only when the broker's patience is just over; this is earlier.
const REFRESH_TIME: Duration = Duration::from_secs(3);

/// How long a stop waits for messages that are being stored. Others come again later.
const STORE_TIME: Duration = Duration::from_secs(3);

/// How long a stop waits until the broker has read that messages are accepted.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// An attached link.
pub(crate) struct Link<I> {
    broker: Broker,
    queue: String,
    /// Ends when it is dropped.
    _session: SessionHandle<()>,
    receiver: Receiver,
    inbox: Arc<I>,
    window: Window,
    in_progress: InProgress,
    metrics: Metrics,
    /// The messages that are being stored.
    storing: JoinSet<Done>,
    stop: CancellationToken,
}

/// A message that was passed to the inbox.
struct Done {
    delivery: DeliveryInfo,
    bytes: usize,
    /// `None`: it is not stored, and the link must stop.
    verdict: Option<Verdict>,
}

/// What is needed to attach the link of a queue.
pub(crate) struct LinkOptions<'a, I> {
    pub(crate) options: &'a Options,
    pub(crate) queue: &'a str,
    pub(crate) inbox: &'a Arc<I>,
    pub(crate) metrics: &'a Metrics,
    pub(crate) stop: &'a CancellationToken,
}

impl<I: Inbox> Link<I> {
    pub(crate) async fn attach(
        connection: &mut Handle,
        link: LinkOptions<'_, I>,
    ) -> Result<Self, Failure> {
        let (options, queue) = (link.options, link.queue);
        let broker = &options.broker;
        let attached = timeout(ATTACH_TIME, attach(connection, broker, queue)).await;
        let (session, receiver) =
            attached.map_err(|_| Failure::late(broker, &format!("the link of `{queue}`")))??;
        let links = options.queues.len().max(1);
        let messages = options.messages / u32::try_from(links).unwrap_or(u32::MAX);
        Ok(Self {
            broker: broker.clone(),
            queue: queue.to_owned(),
            _session: session,
            receiver,
            inbox: link.inbox.clone(),
            window: Window::new(messages, options.memory_bytes / links),
            in_progress: InProgress::new(link.metrics),
            metrics: link.metrics.clone(),
            storing: JoinSet::new(),
            stop: link.stop.clone(),
        })
    }

    /// Receives and accepts messages until the link fails or the client stops.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        let stop = self.stop.clone();
        let mut refresh = refresh();
        loop {
            self.grant_credit(false).await?;
            tokio::select! {
                // Accepting makes room, so it comes before receiving more.
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.storing.join_next() => self.settle(done).await?,
                received = self.receiver.recv() => {
                    self.received(received)?;
                    // Only an idle link needs signs of life.
                    refresh.reset();
                }
                _ = refresh.tick() => self.grant_credit(true).await?,
            }
        }
        self.drain().await;
        Ok(())
    }

    /// Grants credit if there is room. When the link is idle, sends the credit although it
    /// has not changed.
    async fn grant_credit(&mut self, is_idle: bool) -> Result<(), Failure> {
        let granted = self.receiver.credit();
        let credit = self.window.credit(granted);
        let credit = credit.or(is_idle.then_some(granted));
        if let Some(credit) = credit {
            let sent = self.receiver.set_credit(credit).await;
            sent.map_err(|error| Failure::of_send(&self.broker, &error))?;
        }
        let credit = credit.unwrap_or(granted);
        let (messages, bytes) = (self.window.messages(), self.window.bytes());
        self.in_progress.set(credit, messages, bytes);
        Ok(())
    }

    fn received(
        &mut self,
        received: Result<Delivery<Body<Value>>, RecvError>,
    ) -> Result<(), Failure> {
        match received {
            Ok(delivery) => {
                let (delivery, message) = delivery.into_parts();
                if was_sent_before(&message) {
                    self.metrics.redelivered.inc();
                }
                self.store(delivery, bytes_of(message.body));
                Ok(())
            }
            // Nothing is known of the content. It goes to the quarantine with a note,
            // because it would come again forever.
            Err(RecvError::MessageDecode(error)) => {
                let note = format!("an AMQP message that cannot be decoded: {}", error.source);
                self.store(error.info, note.into());
                Ok(())
            }
            Err(error) => Err(Failure::of_receive(&self.broker, &self.queue, &error)),
        }
    }

    /// Begins to store a message.
    fn store(&mut self, delivery: DeliveryInfo, body: Bytes) {
        self.metrics.arrived();
        let bytes = body.len();
        self.window.received(bytes);
        let (inbox, stop, metrics) = (self.inbox.clone(), self.stop.clone(), self.metrics.clone());
        self.storing.spawn(async move {
            let verdict = store(&*inbox, body, &stop, &metrics).await;
            Done {
                delivery,
                bytes,
                verdict,
            }
        });
    }

    /// Accepts a message that is stored, and all others that are stored by now. They were
    /// often part of one commit.
    async fn settle(&mut self, first: Result<Done, JoinError>) -> Result<(), Failure> {
        let mut next = Some(first);
        let mut stored = Vec::new();
        while let Some(done) = next {
            let Ok(done) = done else {
                // Its link ends, so that the message comes again.
                let text = format!("a message of `{}` could not be stored: a bug", self.queue);
                return Err(Failure::new(Reason::Lost, text));
            };
            self.window.accepted(done.bytes);
            if done.verdict == Some(Verdict::Never) {
                self.metrics.refused.inc();
            }
            stored.extend(done.verdict.map(|_| done.delivery));
            next = self.storing.try_join_next();
        }
        let count = stored.len();
        let accepted = self.receiver.accept_all(stored).await;
        accepted.map_err(|error| Failure::of_send(&self.broker, &error))?;
        self.metrics.accepted.inc_by(count as u64);
        Ok(())
    }

    /// Accepts what is being stored now, and closes the link. What was received and is
    /// not stored comes again later.
    async fn drain(mut self) {
        let rest = async {
            let _ = self.receiver.set_credit(0).await;
            while let Some(done) = self.storing.join_next().await {
                if self.settle(done).await.is_err() {
                    return;
                }
            }
        };
        if timeout(STORE_TIME, rest).await.is_err() {
            tracing::warn!(
                "messages of `{}` were not stored in time; they come again",
                self.queue
            );
        }
        // The broker's answer shows that it has read everything. Errors mean nothing:
        // some brokers answer wrongly.
        let _ = timeout(CLOSE_TIME, self.receiver.close()).await;
    }
}

async fn attach(
    connection: &mut Handle,
    broker: &Broker,
    queue: &str,
) -> Result<(SessionHandle<()>, Receiver), Failure> {
    // A session of its own, because some brokers end the session if a queue is refused.
    let session = Session::begin(connection).await;
    let mut session = session.map_err(|error| Failure::of_begin(broker, &error))?;
    let receiver = Receiver::builder()
        .name(format!("batchtask/{queue}"))
        .source(queue)
        .sender_settle_mode(SenderSettleMode::Unsettled)
        .auto_accept(false)
        .credit_mode(CreditMode::Manual)
        .attach(&mut session)
        .await
        .map_err(|error| Failure::of_attach(broker, queue, &error))?;
    Ok((session, receiver))
}

/// Passes a message to the inbox until it is stored. Returns `None` if it is not stored
/// and the client stops.
async fn store<I: Inbox>(
    inbox: &I,
    body: Bytes,
    stop: &CancellationToken,
    metrics: &Metrics,
) -> Option<Verdict> {
    let mut backoff = Backoff::new(Pace::STORE);
    loop {
        match inbox.accept(body.clone()).await {
            Verdict::Retry => metrics.retries.inc(),
            verdict => return Some(verdict),
        }
        let wait = tokio::time::sleep(backoff.wait());
        stop.run_until_cancelled(wait).await?;
    }
}

/// Whether the broker reports that it sent the message before. Some never do.
fn was_sent_before<T>(message: &Message<T>) -> bool {
    let header = message.header.as_ref();
    header.is_some_and(|header| header.delivery_count > 0)
}

fn refresh() -> Interval {
    let mut refresh = interval(REFRESH_TIME);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    refresh
}
