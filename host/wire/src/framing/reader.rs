//! [`FramingReader`]: follows the bytes of a connection as hyper reads them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::Framing;

/// A stream whose reads fail at a malformed line among the chunks of a body.
#[derive(Debug)]
pub struct FramingReader<S> {
    stream: S,
    framing: Framing,
}

impl<S> FramingReader<S> {
    /// Wraps a stream. `framing` follows the bytes that are read from it.
    pub fn new(stream: S, framing: Framing) -> Self {
        Self { stream, framing }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FramingReader<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if !this.framing.is_broken() {
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let readable = this.framing.follow(&buffer.filled()[before..]);
            buffer.set_filled(before + readable);
        }
        // The bytes before the malformed line are read first.
        if this.framing.is_broken() && buffer.filled().len() == before {
            let error = "a line among the chunks of a body is malformed";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(()))
    }
}

forward_writes!(FramingReader);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::super::Requests;
    use super::*;

    #[tokio::test]
    async fn bytes_before_a_malformed_line_are_read_and_none_after_it() {
        let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
        let bytes = format!("{head}0 \r\n\r\nGET / HTTP/1.1\r\n\r\n");
        let mut reader = FramingReader::new(bytes.as_bytes(), Framing::new(Requests::default()));
        let mut read = Vec::new();
        for _ in 0..2 {
            let error = reader.read_to_end(&mut read).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert_eq!(read, head.as_bytes());
        }
    }
}
