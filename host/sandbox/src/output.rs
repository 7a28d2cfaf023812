//! [`Output`]: what an instance writes to its standard output and error.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// How much is kept, in bytes.
const KEPT_BYTES_MAX: usize = 2048;

/// The beginning of what an instance writes. The rest is discarded.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    /// Returns the text in one line, without control characters.
    pub(crate) fn line(&self) -> String {
        let kept = self.kept();
        let text = String::from_utf8_lossy(&kept);
        let words: Vec<&str> = text.split(char::is_whitespace).collect();
        let line = words.join(" ");
        line.trim().chars().filter(|c| !c.is_control()).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<u8>> {
        // The bytes are valid even if a thread panicked while it held the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut kept = self.kept();
        let room = KEPT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend(bytes.iter().take(room));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
