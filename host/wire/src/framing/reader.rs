//! A connection whose bytes are followed as hyper reads them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::Framing;

/// A stream that fails where the framing of a body is malformed.
#[derive(Debug)]
pub struct FramingReader<S> {
    stream: S,
    framing: Framing,
}

impl<S> FramingReader<S> {
    /// Follows what is read from a stream.
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
        // What came before the malformed line is read first.
        if this.framing.is_broken() && buffer.filled().len() == before {
            let error = "a line among the chunks of a body is malformed";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(()))
    }
}

pass_writes_on!(FramingReader);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::super::Requests;
    use super::*;

    #[tokio::test]
    async fn what_comes_before_a_malformed_line_is_read_and_nothing_after() {
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
