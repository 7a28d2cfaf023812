//! The links of one connection.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fe2o3_amqp::connection;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::Inbox;
use crate::client::Client;
use crate::failure::{Failure, Reason};
use crate::link::{Link, LinkOptions};
use crate::login::Handle;
use crate::pace::Backoff;

/// How long the end of a connection may take. The broker's last words are not needed.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// How long to wait for the reason why a connection ended.
const REASON_TIME: Duration = Duration::from_secs(1);

/// A link that ended: the number of its queue, when it was attached, and how it ended.
type Ended = (usize, Instant, Result<(), Failure>);

/// A connection with its links.
struct Links<'a, I> {
    client: &'a Client<I>,
    connection: Handle,
    attached: JoinSet<Ended>,
    /// The queues without a link, and when to attach one.
    waiting: Vec<(Instant, usize)>,
    /// The waits between attempts, for each queue.
    backoffs: Vec<Backoff>,
    /// The queues whose last attempt failed, and how.
    refused: BTreeMap<usize, Failure>,
    /// What is wrong with the clock of this host.
    clock_error: Option<String>,
    stop: &'a CancellationToken,
}

impl<I: Inbox> Client<I> {
    /// Receives from all queues until the connection fails, or until `stop`. A queue that
    /// is refused does not disturb the others.
    ///
    /// # Errors
    /// The connection failed, or no queue can be received from.
    pub(crate) async fn consume(
        &self,
        connection: Handle,
        clock_error: Option<String>,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let (now, queues) = (Instant::now(), self.options.queues.len());
        let mut links = Links {
            client: self,
            connection,
            attached: JoinSet::new(),
            waiting: (0..queues).map(|queue| (now, queue)).collect(),
            backoffs: (0..queues)
                .map(|_| Backoff::new(self.options.pace))
                .collect(),
            refused: BTreeMap::new(),
            clock_error,
            stop,
        };
        let consumed = links.attend().await;
        if consumed.is_ok() {
            // They see `stop` themselves.
            while links.attached.join_next().await.is_some() {}
        }
        links.attached.abort_all();
        let _ = timeout(CLOSE_TIME, links.connection.close()).await;
        consumed
    }
}

impl<I: Inbox> Links<'_, I> {
    async fn attend(&mut self) -> Result<(), Failure> {
        loop {
            while let Some(queue) = self.due() {
                if let Err(failure) = self.attach(queue).await {
                    self.link_failed(queue, failure).await?;
                }
            }
            self.client.connected(self.problem());
            let next_due = self.waiting.iter().map(|(at, _)| *at).min();
            let due = async {
                match next_due {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                ended = self.connection.on_close() => return Err(self.ended(ended)),
                Some(ended) = self.attached.join_next() => self.link_ended(ended).await?,
                () = due => {}
            }
        }
    }

    /// Takes a queue to which a link must be attached now.
    fn due(&mut self) -> Option<usize> {
        let now = Instant::now();
        let index = self.waiting.iter().position(|(at, _)| *at <= now)?;
        Some(self.waiting.swap_remove(index).1)
    }

    async fn attach(&mut self, queue: usize) -> Result<(), Failure> {
        let (client, name) = (self.client, &*self.client.options.queues[queue]);
        let link = LinkOptions {
            options: &client.options,
            queue: name,
            inbox: &client.inbox,
            metrics: &client.metrics,
            stop: self.stop,
        };
        let link = Link::attach(&mut self.connection, link).await?;
        tracing::info!("AMQP: receiving from `{name}` of {}", client.options.broker);
        self.refused.remove(&queue);
        self.attached.spawn(async move {
            let since = Instant::now();
            (queue, since, link.run().await)
        });
        Ok(())
    }

    async fn link_ended(&mut self, ended: Result<Ended, JoinError>) -> Result<(), Failure> {
        match ended {
            Ok((queue, since, Err(failure))) => {
                self.backoffs[queue].worked_for(since.elapsed());
                self.link_failed(queue, failure).await
            }
            // The client stops.
            Ok((_, _, Ok(()))) => Ok(()),
            Err(_panicked) => Err(Failure::new(Reason::Lost, "a link ended by a bug")),
        }
    }

    /// Attaches a link again later. Fails if the connection ended too, or if no other
    /// queue is left.
    async fn link_failed(&mut self, queue: usize, failure: Failure) -> Result<(), Failure> {
        if self.connection.is_closed()
            && let Ok(ended) = timeout(REASON_TIME, self.connection.on_close()).await
        {
            return Err(self.ended(ended));
        }
        let now = Instant::now();
        let is_any_left = self.waiting.iter().any(|(at, _)| *at <= now);
        if self.attached.is_empty() && !is_any_left {
            return Err(failure);
        }
        self.client.report(&failure);
        self.refused.insert(queue, failure);
        self.waiting
            .push((now + self.backoffs[queue].wait(), queue));
        Ok(())
    }

    /// What is wrong although messages are received.
    fn problem(&self) -> Option<String> {
        let refused = self.refused.values().map(|failure| failure.text.clone());
        let problems: Vec<String> = self
            .clock_error
            .clone()
            .into_iter()
            .chain(refused)
            .collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    fn ended(&self, ended: Result<(), connection::Error>) -> Failure {
        let error = ended.err().unwrap_or(connection::Error::RemoteClosed);
        Failure::of_connection(&self.client.options.broker, &error)
    }
}
