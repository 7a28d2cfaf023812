//! Keeps connections busy with notifications, no two of which are the same,
//! and checks every answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How many events each task gets.
const EVENTS_A_TASK: u64 = 8;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Posts on every connection, one request after the other, for as long as it
/// is told; returns how long each took.
pub(crate) async fn run(
    address: SocketAddr,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let until = Instant::now() + time;
    let connections: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(connection(address, until)))
        .collect();
    let mut times = Vec::new();
    for connection in connections {
        times.extend(connection.await??);
    }
    Ok(times)
}

async fn connection(address: SocketAddr, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut times, mut answer) = (Vec::new(), Vec::new());
    while Instant::now() < until {
        let request = request(NEXT.fetch_add(1, Relaxed));
        let started = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        read_answer(&mut stream, &mut answer).await?;
        times.push(started.elapsed());
        ensure!(
            answer.starts_with(b"HTTP/1.1 200 ") && contains(&answer, b"\"recorded\""),
            "not recorded: {}",
            String::from_utf8_lossy(&answer)
        );
    }
    Ok(times)
}

/// Reads one answer, whose length its header tells.
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

/// A notification like the platform's, on its way.
fn request(number: u64) -> String {
    let (task, event) = (number / EVENTS_A_TASK, number % EVENTS_A_TASK);
    let status = ["Waitting", "Processing"][usize::from(event > 0)];
    let (seconds, ms) = (event / 1000 % 60, event % 1000);
    let body = format!(
        r#"{{"resource":"batchtask","event":"update","event_time":"20261120T1212{seconds:02}Z","event_time_ms":"2026-11-20T12:12:{seconds:02}.{ms:03}Z","request_id":"3fe58d5e-8697-4849-a165-{number:012x}","notify_data":{{"body":{{"status_desc":"step {number} of an upgrade over many devices","task_id":"{task:024x}","task_type":"softwareUpgrade","app_id":"1a7ffc5c-d89c-44dd-8265-b1653d951ce0","status":"{status}"}}}}}}"#
    );
    format!(
        "POST /notifications HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    find(bytes, wanted).is_some()
}
