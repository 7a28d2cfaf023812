//! Checks of a connection's bytes, where rustls is stricter or hyper is more
//! lenient than the receiver must be.
//!
//! | module | content |
//! |---|---|
//! | [`tls`] | accepts a ClientHello whose server name is not a DNS name |
//! | [`framing`] | follows the bytes of an HTTP/1 connection, and detects what hyper does not report |
//! | [`head`] | [`ambiguity`](head::ambiguity): detects requests that two readers could understand differently |
//!
//! This is a separate crate because it builds without wasmtime, so its tests and
//! fuzz targets build quickly.

/// Implements `AsyncWrite` for a wrapper that changes only reads: writes go to its
/// field `stream`.
macro_rules! forward_writes {
    ($wrapper:ident) => {
        impl<S: tokio::io::AsyncWrite + Unpin> tokio::io::AsyncWrite for $wrapper<S> {
            fn poll_write(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
                bytes: &[u8],
            ) -> std::task::Poll<std::io::Result<usize>> {
                std::pin::Pin::new(&mut self.stream).poll_write(context, bytes)
            }

            fn poll_write_vectored(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
                bytes: &[std::io::IoSlice<'_>],
            ) -> std::task::Poll<std::io::Result<usize>> {
                std::pin::Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
            }

            fn is_write_vectored(&self) -> bool {
                self.stream.is_write_vectored()
            }

            fn poll_flush(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.stream).poll_flush(context)
            }

            fn poll_shutdown(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                std::pin::Pin::new(&mut self.stream).poll_shutdown(context)
            }
        }
    };
}

pub mod framing;
pub mod head;
pub mod tls;
