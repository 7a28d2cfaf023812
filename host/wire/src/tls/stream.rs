//! [`MaskedStream`]: the stream between a socket and rustls.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::flight::FirstFlight;

/// How many bytes are read at once until the ClientHello is complete.
const PIECE_BYTES: usize = 4 << 10;

/// A stream that masks the server name of the ClientHello if rustls would refuse it.
#[derive(Debug)]
pub struct MaskedStream<S> {
    stream: S,
    flight: FirstFlight,
    /// The bytes that have arrived and were not read yet.
    held: Vec<u8>,
    /// How many of them may be read now.
    readable: usize,
    /// How many bytes must be held before more of them may be read.
    needed: usize,
    is_at_end: bool,
}

impl<S> MaskedStream<S> {
    /// Wraps a stream from which nothing was read yet.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            flight: FirstFlight::default(),
            held: Vec::new(),
            readable: 0,
            needed: 0,
            is_at_end: false,
        }
    }

    /// Moves readable bytes to `buffer`.
    fn take(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.readable.min(buffer.remaining());
        buffer.put_slice(&self.held[..count]);
        self.held.drain(..count);
        self.readable -= count;
        if self.held.is_empty() && self.flight.is_over() {
            self.held = Vec::new();
        }
    }
}

impl<S: AsyncRead + Unpin> MaskedStream<S> {
    /// Reads from the inner stream until held bytes may be read.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut piece = [0; PIECE_BYTES];
        while self.readable == 0 {
            let mut buffer = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            self.held.extend_from_slice(buffer.filled());
            if buffer.filled().is_empty() {
                // The end of the stream: an incomplete message stays incomplete.
                self.is_at_end = true;
                self.readable = self.held.len();
                break;
            }
            if self.held.len() >= self.needed {
                (self.readable, self.needed) = self.flight.follow(&mut self.held);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MaskedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.held.is_empty() && (this.flight.is_over() || this.is_at_end) {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        ready!(this.poll_held(context))?;
        this.take(buffer);
        Poll::Ready(Ok(()))
    }
}

forward_writes!(MaskedStream);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::super::client_hello::unmask;
    use super::super::tests::{hello, in_records, server_name};
    use super::*;

    /// Reads everything through a masked stream, at most `at_once` bytes at a time.
    async fn read(mut sent: &[u8], at_once: usize) -> Vec<u8> {
        let mut stream = MaskedStream::new(&mut sent);
        let (mut all, mut piece) = (Vec::new(), vec![0; at_once]);
        loop {
            match stream.read(&mut piece).await.unwrap() {
                0 => return all,
                count => all.extend_from_slice(&piece[..count]),
            }
        }
    }

    #[tokio::test]
    async fn everything_is_read_in_reads_of_any_length() {
        let hello = in_records(&hello(&server_name(b"a:1")), 1 << 14);
        let sent = [&hello[..], b"and the rest"].concat();
        for at_once in [1, 2, 100, 1 << 14] {
            let read = read(&sent, at_once).await;
            assert_eq!(read.len(), sent.len());
            assert!(unmask(&read[5..hello.len()]).is_some());
            assert!(read.ends_with(b"and the rest"));
        }
    }

    #[tokio::test]
    async fn an_incomplete_hello_is_read_unchanged() {
        let sent = in_records(&hello(&server_name(b"a:1")), 1 << 14);
        for end in 0..sent.len() {
            assert_eq!(read(&sent[..end], 7).await, &sent[..end]);
        }
    }
}
