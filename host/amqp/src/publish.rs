//! [`Publisher`]: sends messages to a queue, as the platform does.

use std::time::Duration;

use bytes::Bytes;
use fe2o3_amqp::link::{SendError, SenderAttachError, SessionStopReason};
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::messaging::{AmqpValue, Body, Data, Header, Message, Outcome};
use fe2o3_amqp::types::primitives::{Binary, Value};
use fe2o3_amqp::{Sendable, Sender, Session};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::credentials::Credentials;
use crate::failure::{Failure, Reason};
use crate::login::{Clock, Handle, Login};
use crate::options::{Broker, OptionError, Options};

/// The time limit for attaching the link, and for the broker's answer to a message.
const ANSWER_TIME: Duration = Duration::from_secs(15);

/// A link to a queue of a broker. Any number of messages may be sent at once.
pub struct Publisher {
    broker: Broker,
    sender: Mutex<Sender>,
    // They end when they are dropped.
    _session: SessionHandle<()>,
    _connection: Handle,
}

/// Why a publisher cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// An option cannot be used.
    #[error("`{}` cannot be used: {}", .0.field, .0.reason)]
    Options(#[from] OptionError),
    /// The broker cannot be reached, or refuses the login or the queue.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Publisher {
    /// Connects to the broker, and attaches a link to the first queue.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn open(options: &Options, credentials: Credentials) -> Result<Self, PublishError> {
        let login = Login::new(options, credentials)?;
        let mut connection = login.open(&mut Clock::default()).await?;
        let broker = options.broker.clone();
        let queue = options.queues.first().map_or("", String::as_str);
        let attached = timeout(ANSWER_TIME, attach(&mut connection, &broker, queue)).await;
        let (session, sender) = attached.map_err(|_| Failure::late(&broker, "the link"))??;
        Ok(Self {
            broker,
            sender: Mutex::new(sender),
            _session: session,
            _connection: connection,
        })
    }

    /// Sends a message, and waits until the broker has accepted it.
    ///
    /// # Errors
    /// The broker did not accept the message, or not in time.
    pub async fn publish(&self, body: Bytes) -> Result<(), Failure> {
        match timeout(ANSWER_TIME, self.send(body)).await {
            Ok(sent) => sent,
            Err(_) => Err(Failure::late(&self.broker, "a message")),
        }
    }

    async fn send(&self, body: Bytes) -> Result<(), Failure> {
        let message = Message::builder()
            .header(Header::builder().durable(true).build())
            .body(content(body))
            .build();
        let sendable: Sendable<Body<Value>> = message.into();
        let sent = self.sender.lock().await.send_batchable(sendable).await;
        let outcome = match sent {
            Ok(settled) => settled.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(Outcome::Accepted(_)) => Ok(()),
            Ok(_) => {
                let text = format!("{} did not accept a message", self.broker);
                Err(Failure::new(Reason::Closed, text))
            }
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn failure(&self, error: &SendError) -> Failure {
        let text = format!("{} did not accept a message: {error}", self.broker);
        Failure::new(Reason::Lost, text)
    }
}

/// Returns the body of a message: a text, or bytes if they are not UTF-8.
fn content(body: Bytes) -> Body<Value> {
    match String::from_utf8(body.into()) {
        Ok(text) => Body::Value(AmqpValue(Value::String(text))),
        Err(error) => Body::Data(vec![Data(Binary::from(error.into_bytes()))].into()),
    }
}

async fn attach(
    connection: &mut Handle,
    broker: &Broker,
    queue: &str,
) -> Result<(SessionHandle<()>, Sender), Failure> {
    let session = Session::begin(connection).await;
    let mut session = session.map_err(|error| Failure::of_begin(broker, &error))?;
    let sender = Sender::attach(&mut session, format!("batchtask-send/{queue}"), queue).await;
    match sender {
        Ok(sender) => Ok((session, sender)),
        Err(
            SenderAttachError::RemoteClosedWithError(error)
            | SenderAttachError::SessionStopped(SessionStopReason::RemoteEndedWithError(error)),
        ) => Err(Failure::refused_queue(broker, queue, &error)),
        Err(error) => {
            let text = format!("{broker} refused the queue `{queue}`: {error}");
            Err(Failure::new(Reason::Queue, text))
        }
    }
}
