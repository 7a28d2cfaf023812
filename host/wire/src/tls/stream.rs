//! The stream between a socket and rustls.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::flight::FirstFlight;

/// How much is read at once until the ClientHello is whole.
const PIECE_BYTES: usize = 4 << 10;

/// A stream whose ClientHello has no server name that rustls refuses.
#[derive(Debug)]
pub struct MaskedStream<S> {
    stream: S,
    flight: FirstFlight,
    /// What came and was not read yet: first what may be read, then what may
    /// not.
    held: Vec<u8>,
    readable: usize,
    /// How much must be held before more of it may be read.
    needed: usize,
    is_at_end: bool,
}

impl<S> MaskedStream<S> {
    /// A stream on which nothing was read yet.
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
    /// Reads until something of it may be read.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut piece = [0; PIECE_BYTES];
        while self.readable == 0 {
            let mut buffer = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            self.held.extend_from_slice(buffer.filled());
            if buffer.filled().is_empty() {
                // Nothing becomes whole any more.
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

pass_writes_on!(MaskedStream);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::super::client_hello::unmask;
    use super::super::tests::{hello, in_records, server_name};
    use super::*;

    async fn read(mut came: &[u8], at_once: usize) -> Vec<u8> {
        let mut stream = MaskedStream::new(&mut came);
        let (mut all, mut piece) = (Vec::new(), vec![0; at_once]);
        loop {
            match stream.read(&mut piece).await.unwrap() {
                0 => return all,
                count => all.extend_from_slice(&piece[..count]),
            }
        }
    }

    #[tokio::test]
    async fn all_is_read_however_little_at_once() {
        let sent = in_records(&hello(&server_name(b"a:1")), 1 << 14);
        let came = [&sent[..], b"and the rest"].concat();
        for at_once in [1, 2, 100, 1 << 14] {
            let read = read(&came, at_once).await;
            assert_eq!(read.len(), came.len());
            assert!(unmask(&read[5..sent.len()]).is_some());
            assert!(read.ends_with(b"and the rest"));
        }
    }

    #[tokio::test]
    async fn what_breaks_off_is_read_as_it_came() {
        let sent = in_records(&hello(&server_name(b"a:1")), 1 << 14);
        for end in 0..sent.len() {
            assert_eq!(read(&sent[..end], 7).await, &sent[..end]);
        }
    }
}
