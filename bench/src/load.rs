//! [`Load`]: keeps connections busy with different notifications, and checks every
//! answer.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The approximate length of a body without a filler.
const BODY_BYTES: usize = 420;

/// The number of events of each task.
const EVENTS_A_TASK: u64 = 8;

/// The number of the next notification. It begins with the time, so that different runs
/// have different notifications, and later tasks have greater ids, like the platform's.
static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    AtomicU64::new(since.map_or(0, |since| since.as_millis() as u64) << 12)
});

/// The answers to a load.
#[derive(Default)]
pub(crate) struct Answers {
    /// The time of each recorded notification, from when its request was due.
    pub(crate) times: Vec<Duration>,
    /// The number of notifications with another answer, or without an answer.
    pub(crate) failed: usize,
}

/// The parameters of a load.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// The number of connections. Each sends one request after the other.
    pub(crate) connections: usize,
    /// The duration.
    pub(crate) time: Duration,
    /// The number of requests a second of all connections together. With `None`, each
    /// request follows the previous answer at once.
    pub(crate) rate: Option<f64>,
    /// The approximate minimum length of a body.
    pub(crate) body_bytes: usize,
}

impl Load {
    /// Returns a load at the greatest possible rate, with bodies like the platform's.
    pub(crate) fn full(connections: usize, time: Duration) -> Self {
        Self {
            connections,
            time,
            rate: None,
            body_bytes: 0,
        }
    }

    /// Puts the load on a server.
    pub(crate) async fn put(self, address: SocketAddr) -> anyhow::Result<Answers> {
        let start = Instant::now();
        let connections: Vec<_> = (0..self.connections)
            .map(|number| tokio::spawn(self.connection(address, start, number)))
            .collect();
        let mut all = Answers::default();
        for connection in connections {
            let Answers { times, failed } = connection.await??;
            all.times.extend(times);
            all.failed += failed;
        }
        all.times.sort_unstable();
        Ok(all)
    }

    async fn connection(
        self,
        address: SocketAddr,
        start: Instant,
        number: usize,
    ) -> anyhow::Result<Answers> {
        let mut stream = connect(address).await?;
        let (mut answers, mut answer) = (Answers::default(), Vec::new());
        while start.elapsed() < self.time {
            let request = self.request(NEXT.fetch_add(1, Relaxed));
            let sent = answers.times.len() + answers.failed;
            let due = self.due(start, number, sent).await;
            let answered = post(&mut stream, &request, &mut answer).await;
            if answered.is_ok() && is_recorded(&answer) {
                answers.times.push(due.elapsed());
            } else {
                answers.failed += 1;
            }
            if answered.is_err() {
                stream = connect(address).await?;
            }
        }
        Ok(answers)
    }

    /// Waits until the next request of a connection is due. Returns when it was due, even
    /// if it is late, so that a slow answer before it counts too.
    async fn due(self, start: Instant, connection: usize, sent: usize) -> Instant {
        let Some(rate) = self.rate else {
            return Instant::now();
        };
        let before = (sent * self.connections + connection) as f64;
        let due = start + Duration::from_secs_f64(before / rate);
        tokio::time::sleep_until(due).await;
        due
    }

    /// Returns the request with the notification of this number.
    fn request(self, number: u64) -> String {
        let body = body(number, self.body_bytes);
        format!(
            "POST /notifications HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Pushes notifications over one connection, the same in every run.
pub(crate) async fn push(address: SocketAddr, times: u64) -> anyhow::Result<()> {
    let mut stream = connect(address).await?;
    let load = Load::full(1, Duration::ZERO);
    let mut answer = Vec::new();
    for number in 0..times {
        post(&mut stream, &load.request(number), &mut answer).await?;
        ensure!(is_recorded(&answer), "not recorded");
    }
    Ok(())
}

fn is_recorded(answer: &[u8]) -> bool {
    answer.starts_with(b"HTTP/1.1 200 ") && contains(answer, b"\"recorded\"")
}

/// Returns a notification like the platform's, of about `bytes` bytes or more.
pub(crate) fn body(number: u64, bytes: usize) -> String {
    let (minute, event) = (number / EVENTS_A_TASK % 60, number % EVENTS_A_TASK);
    let (app, task) = app_and_task(number);
    let status = ["Waitting", "Processing"][usize::from(event > 0)];
    let filler = "x".repeat(bytes.saturating_sub(BODY_BYTES));
    format!(
        r#"{{"resource":"batchtask","event":"update","event_time":"20261120T12{minute:02}{event:02}Z","event_time_ms":"2026-11-20T12:{minute:02}:{event:02}.000Z","request_id":"3fe58d5e-8697-4849-a165-{number:012x}","notify_data":{{"body":{{"status_desc":"step {number} of an upgrade over many devices{filler}","task_id":"{task}","task_type":"softwareUpgrade","app_id":"{app}","status":"{status}"}}}}}}"#
    )
}

/// Returns the ids of the task of a notification.
pub(crate) fn app_and_task(number: u64) -> (&'static str, String) {
    let task = number / EVENTS_A_TASK;
    (
        "1a7ffc5c-d89c-44dd-8265-b1653d951ce0",
        format!("{task:024x}"),
    )
}

async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn post(stream: &mut TcpStream, request: &str, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    stream.write_all(request.as_bytes()).await?;
    read_answer(stream, answer).await
}

/// Reads an answer with a `Content-Length`.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    loop {
        let read = stream.read_buf(answer).await?;
        ensure!(read > 0, "the connection ended");
        let Some(header) = find(answer, b"\r\n\r\n") else {
            continue;
        };
        let text = std::str::from_utf8(&answer[..header])?.to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .context("no content-length")?;
        if answer.len() >= header + 4 + length.trim().parse::<usize>()? {
            return Ok(());
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    find(bytes, wanted).is_some()
}
