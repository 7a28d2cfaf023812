//! Posts requests, with a limit on the rate and on concurrent requests.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use batchtask_amqp::Publisher;
use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use indicatif::ProgressBar;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Plan;
use super::body::uuid;
use super::sign::Signer;
use super::tally::Tally;
use crate::answer::{Answer, ClientError};
use crate::client::Client;
use crate::progress::progress;
use batchtask_host::clock::now_ms;

/// The limits on posting requests.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Pace")]
pub(super) struct Pace {
    /// Post at most this many requests per second [default: no limit]
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// Post at most this many requests at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    concurrency: u32,
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate: f64 = text.parse().map_err(|_| "it is not a number")?;
    if (0.001..=1e6).contains(&rate) {
        Ok(rate)
    } else {
        Err("it must be from 0.001 to 1000000")
    }
}

/// Where notifications are sent.
pub(super) enum Target {
    /// They are posted to a receiver.
    Webhook {
        client: Client,
        uri: Uri,
        signer: Option<Signer>,
    },
    /// They are published to a queue.
    Broker { url: String, publisher: Publisher },
}

/// The outcome of a message that the broker has accepted.
const QUEUED: &str = r#"{"outcome":"queued"}"#;

/// The bodies to post, and the target.
pub(super) struct Post {
    pub(super) target: Target,
    pub(super) plan: Plan,
}

/// The state that all workers share.
struct Run {
    post: Arc<Post>,
    rate: Option<f64>,
    start: Instant,
    next: AtomicU64,
    tally: Mutex<Tally>,
    progress: ProgressBar,
}

impl Post {
    /// Posts all bodies. Stops early on Ctrl-C, or if the receiver is unreachable.
    pub(super) async fn run(self: &Arc<Self>, pace: Pace) -> Tally {
        let run = Arc::new(Run {
            post: self.clone(),
            rate: pace.rate,
            start: Instant::now(),
            next: AtomicU64::new(0),
            tally: Mutex::default(),
            progress: progress(self.plan.len()),
        });
        let mut workers: JoinSet<()> = (0..pace.concurrency).map(|_| run.clone().work()).collect();
        let all_ended = async { while workers.join_next().await.is_some() {} };
        let interrupted = tokio::select! {
            () = all_ended => false,
            Ok(()) = tokio::signal::ctrl_c() => true,
        };
        run.progress.finish_and_clear();
        let tally = std::mem::take(&mut *run.tally());
        tally.finish(run.start.elapsed(), interrupted)
    }

    async fn request(&self, index: u64) -> Result<Answer, ClientError> {
        let body = self.plan.body(index);
        let (client, uri, signer) = match &self.target {
            Target::Webhook {
                client,
                uri,
                signer,
            } => (client, uri, signer),
            Target::Broker { url, publisher } => return publish(url, publisher, body).await,
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        let headers = request.headers_mut();
        if let Some(signer) = signer {
            headers.extend(signer.sign(now_ms(), &uuid(&mut fastrand::Rng::new())));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        client.exchange(request).await
    }
}

async fn publish(url: &str, publisher: &Publisher, body: Bytes) -> Result<Answer, ClientError> {
    match publisher.publish(body).await {
        Ok(()) => Ok(Answer {
            status: StatusCode::OK,
            body: QUEUED.into(),
        }),
        Err(failure) => Err(ClientError::Unreachable {
            url: url.to_owned(),
            source: failure.into(),
        }),
    }
}

impl Run {
    /// Posts the next body, until all are posted.
    async fn work(self: Arc<Self>) {
        loop {
            let index = self.next.fetch_add(1, Relaxed);
            if index >= self.post.plan.len() || self.tally().is_unreachable() {
                return;
            }
            if let Some(rate) = self.rate {
                let due = Duration::from_secs_f64(index as f64 / rate);
                tokio::time::sleep_until(self.start + due).await;
            }
            let asked = Instant::now();
            let answer = self.post.request(index).await;
            self.tally().add(answer, asked.elapsed());
            self.progress.inc(1);
        }
    }

    /// Locks the tally. Nothing panics while the lock is held, so a poisoned lock is safe to use.
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_positive_number() {
        assert_eq!(rate("0.5"), Ok(0.5));
        for text in ["0", "-1", "inf", "NaN", "1e9", "x", ""] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
