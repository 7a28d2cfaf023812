//! [`Framing`]: follows the bytes of an HTTP/1 connection from request to request,
//! and detects what hyper does not report: a length in addition to a transfer
//! coding, lines that end in LF alone, and a fragment in the target.
//!
//! If a request has a length and a transfer coding, hyper uses the coding and drops
//! the length (RFC 9112, section 6.3), but a proxy before it may have used the
//! length. Such a request is only marked here. hyper itself refuses a head that is
//! malformed in other ways, and then the rest of the connection does not matter.
//!
//! hyper is also lenient about the lines among chunks. A line that is not exactly
//! as RFC 9112, section 7.1 defines it is withheld, so that the body is never
//! complete.

mod chunks;
mod reader;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

pub use self::reader::FramingReader;
use crate::head::Ambiguity;

/// The numbers of a connection's requests. [`Framing`] counts requests as they
/// arrive; [`next_ambiguity`](Self::next_ambiguity) counts them as they are
/// answered.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    /// The number of the first ambiguous request, counted from 1, and the reason.
    ambiguous: OnceLock<(u64, Ambiguity)>,
}

impl Requests {
    /// Counts a request that is about to be answered. Returns why it is ambiguous,
    /// or `None` if it is not. After an ambiguous request, all others are ambiguous
    /// too.
    pub fn next_ambiguity(&self) -> Option<Ambiguity> {
        let number = self.0.answered.fetch_add(1, Relaxed) + 1;
        let (first, ambiguity) = self.0.ambiguous.get()?;
        (number >= *first).then_some(*ambiguity)
    }
}

/// Follows the bytes of a connection from request to request.
#[derive(Debug)]
pub struct Framing {
    requests: Requests,
    /// How many heads were complete.
    arrived: u64,
    part: Part,
    /// The beginning of an incomplete line. It is bounded, because hyper bounds the
    /// length of a line.
    line: Vec<u8>,
    head: Head,
}

/// The part of the connection that is expected next.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// A line of a head, or an empty line before a head.
    Head,
    /// This many bytes of a body, and then a head.
    Body(u64),
    /// The line with the size of a chunk.
    ChunkSize,
    /// This many bytes of a chunk with its line end, and then the size of the next.
    Chunk(u64),
    /// A line of the trailer, after the last chunk.
    Trailer,
    /// Nothing: a line among chunks was malformed.
    Broken,
}

/// What was found in the current head so far.
#[derive(Debug, Default)]
struct Head {
    has_begun: bool,
    length: Option<u64>,
    is_coded: bool,
    ambiguity: Option<Ambiguity>,
}

impl Framing {
    /// Begins with a connection on which nothing has arrived yet.
    pub fn new(requests: Requests) -> Self {
        Self {
            requests,
            arrived: 0,
            part: Part::Head,
            line: Vec::new(),
            head: Head::default(),
        }
    }

    /// Follows the next bytes of the connection, in pieces of any length. Returns
    /// how many of them may be read: if a line among chunks is malformed, only the
    /// bytes before it, and 0 from then on.
    pub fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.part {
                Part::Body(left) => {
                    let (rest, left) = skip(rest, left);
                    self.part = if left > 0 {
                        Part::Body(left)
                    } else {
                        Part::Head
                    };
                    rest
                }
                Part::Chunk(left) => {
                    let (rest, left) = skip(rest, left);
                    self.part = if left > 0 {
                        Part::Chunk(left)
                    } else {
                        Part::ChunkSize
                    };
                    rest
                }
                Part::Head | Part::ChunkSize | Part::Trailer => {
                    let after = self.follow_line(rest);
                    if self.is_broken() {
                        break;
                    }
                    after
                }
                Part::Broken => break,
            };
        }
        bytes.len() - rest.len()
    }

    /// Returns whether nothing more may be read.
    pub fn is_broken(&self) -> bool {
        matches!(self.part, Part::Broken)
    }

    /// Follows bytes up to the end of a line. Returns the rest.
    fn follow_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (piece, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        self.line.extend_from_slice(piece);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.part = self.after(&line);
        }
        rest
    }

    /// Returns the part that follows a line.
    fn after(&mut self, line: &[u8]) -> Part {
        // Only one line end is removed, because a second CR may be an attempt to
        // deceive a reader.
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let (line, ends_in_crlf) = match line.strip_suffix(b"\r") {
            Some(line) => (line, true),
            None => (line, false),
        };
        match self.part {
            Part::Head => self.after_head_line(line, ends_in_crlf),
            _ if !ends_in_crlf => Part::Broken,
            Part::ChunkSize => match chunks::size(line) {
                None => Part::Broken,
                Some(0) => Part::Trailer,
                // The chunk and the CR LF after it.
                Some(size) => Part::Chunk(size.saturating_add(2)),
            },
            Part::Trailer if line.is_empty() => Part::Head,
            Part::Trailer if chunks::is_trailer(line) => Part::Trailer,
            _ => Part::Broken,
        }
    }

    fn after_head_line(&mut self, line: &[u8], ends_in_crlf: bool) -> Part {
        if !ends_in_crlf {
            self.head.note(Ambiguity::BareLf);
        }
        if line.is_empty() {
            return self.after_head();
        }
        self.head.read(line);
        Part::Head
    }

    fn after_head(&mut self) -> Part {
        if !self.head.has_begun {
            return Part::Head;
        }
        let head = std::mem::take(&mut self.head);
        self.arrived += 1;
        if let Some(ambiguity) = head.ambiguity() {
            // Only the first ambiguous request is kept.
            let _ = self.requests.0.ambiguous.set((self.arrived, ambiguity));
        }
        match head.length {
            _ if head.is_coded => Part::ChunkSize,
            None | Some(0) => Part::Head,
            Some(length) => Part::Body(length),
        }
    }
}

impl Head {
    /// Reads a request line or a field, without its line end. hyper refuses names
    /// with space around them, and fields of several lines.
    fn read(&mut self, line: &[u8]) {
        if !std::mem::replace(&mut self.has_begun, true) {
            if line.contains(&b'#') {
                self.note(Ambiguity::Fragment);
            }
            return;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_coded = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let digits = str::from_utf8(value.trim_ascii()).unwrap_or_default();
            self.length = Some(digits.parse().unwrap_or_default());
        }
    }

    /// Keeps the first ambiguity of the head.
    fn note(&mut self, ambiguity: Ambiguity) {
        self.ambiguity.get_or_insert(ambiguity);
    }

    fn ambiguity(&self) -> Option<Ambiguity> {
        let has_two_lengths = self.is_coded && self.length.is_some();
        self.ambiguity
            .or(has_two_lengths.then_some(Ambiguity::TwoLengths))
    }
}

/// Skips up to `count` bytes. Returns the rest, and how many bytes are still to be
/// skipped.
fn skip(bytes: &[u8], count: u64) -> (&[u8], u64) {
    let skipped = usize::try_from(count).map_or(bytes.len(), |count| count.min(bytes.len()));
    (&bytes[skipped..], count - skipped as u64)
}
