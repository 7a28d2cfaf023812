//! Closes connections that stall: in a header, between requests, or while an answer
//! is being sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::limits::Limits;

/// Whether a request is being answered. Meanwhile the connection may be silent,
/// because the request has its own limits. Clones share the state.
#[derive(Clone, Default)]
pub(crate) struct Answering(Arc<AtomicU8>);

/// No request is being answered.
const IDLE: u8 = 0;
/// A request is being answered.
const ACTIVE: u8 = 1;
/// An answer has ended, and the stream has not noticed yet.
const ENDED: u8 = 2;

impl Answering {
    pub(crate) fn set(&self, answering: bool) {
        let state = if answering { ACTIVE } else { ENDED };
        self.0.store(state, Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Relaxed) == ACTIVE
    }

    /// Whether an answer has ended since the last call.
    fn take_end(&self) -> bool {
        let taken = self.0.compare_exchange(ENDED, IDLE, Relaxed, Relaxed);
        taken.is_ok()
    }
}

/// A stream whose reads and writes fail when they stall.
pub(crate) struct Guarded<S> {
    stream: S,
    answering: Answering,
    header_time: Duration,
    idle_time: Duration,
    write_time: Duration,
    /// The deadline of the reading side.
    read_deadline: Pin<Box<Sleep>>,
    /// What the reading side waits for.
    reading: Reading,
    /// The deadline of the writing side; `None` while no write is pending.
    write_deadline: Option<Pin<Box<Sleep>>>,
}

/// What the reading side waits for.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    /// The first byte of a header.
    Nothing,
    /// The rest of a header.
    Header,
    /// A body, or the end of an answer.
    Request,
}

impl<S> Guarded<S> {
    pub(crate) fn new(stream: S, limits: &Limits, answering: Answering) -> Self {
        Self {
            stream,
            answering,
            header_time: limits.header_time(),
            idle_time: limits.idle_time(),
            write_time: limits.write_time(),
            // A client sends a request as soon as it has connected.
            read_deadline: Box::pin(tokio::time::sleep(limits.header_time())),
            reading: Reading::Header,
            write_deadline: None,
        }
    }

    /// Starts the idle timer, and registers its waker now, because no further read
    /// may happen to do it.
    fn start_idle_timer(&mut self, context: &mut Context<'_>) {
        self.reading = Reading::Nothing;
        let deadline = Instant::now() + self.idle_time;
        self.read_deadline.as_mut().reset(deadline);
        // If the time has passed already, the next read notices it.
        let _ = self.read_deadline.as_mut().poll(context);
    }

    /// Sets what the reading side waits for, and its deadline.
    fn expect(&mut self, reading: Reading, within: Duration) {
        if self.reading != reading {
            self.reading = reading;
            self.read_deadline.as_mut().reset(Instant::now() + within);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.answering.get() {
            this.reading = Reading::Request;
        } else if this.answering.take_end() {
            this.start_idle_timer(context);
        }
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if polled.is_ready() {
            if this.reading == Reading::Nothing {
                this.expect(Reading::Header, this.header_time);
            }
            return polled;
        }
        if this.reading == Reading::Request {
            return Poll::Pending;
        }
        ready!(this.read_deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    /// Returns the result of a write, or an error if it has been pending for too
    /// long.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write_deadline = None;
            return polled;
        }
        let within = self.write_time;
        let deadline = self
            .write_deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        if polled.is_ready() && self.answering.take_end() {
            self.start_idle_timer(context);
        }
        self.written(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.written(context, polled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn guarded(
        buffer: usize,
    ) -> (
        tokio::io::DuplexStream,
        Guarded<tokio::io::DuplexStream>,
        Answering,
    ) {
        let (ours, theirs) = duplex(buffer);
        let answering = Answering::default();
        let guarded = Guarded::new(theirs, &Limits::DEFAULT, answering.clone());
        (ours, guarded, answering)
    }

    fn elapsed_s(since: Instant) -> u64 {
        since.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_trickles_ends_the_connection() {
        let (mut ours, mut guarded, _) = guarded(64);
        let started = Instant::now();
        ours.write_all(b"G").await.unwrap();
        assert_eq!(guarded.read_u8().await.unwrap(), b'G');
        let error = guarded.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(elapsed_s(started), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_after_the_idle_time() {
        let (mut ours, mut guarded, answering) = guarded(64);
        ours.write_all(b"G").await.unwrap();
        guarded.read_u8().await.unwrap();
        answering.set(true);
        let waits = tokio::time::timeout(Duration::from_secs(3600), guarded.read_u8());
        assert!(waits.await.is_err(), "a request has its own limits");
        answering.set(false);
        let started = Instant::now();
        assert!(guarded.read_u8().await.is_err());
        assert_eq!(elapsed_s(started), 75);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_ends_the_connection() {
        let (_ours, mut guarded, _) = guarded(4);
        let started = Instant::now();
        let error = guarded
            .write_all(b"too much for the pipe")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(elapsed_s(started), 10);
    }
}
