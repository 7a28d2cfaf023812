//! Where each request on an HTTP/1 connection begins, and what hyper does not
//! report of it: a length beside its transfer coding, lines that end in LF
//! alone, a fragment in its target.
//!
//! hyper takes a request with two lengths by its coding and drops the length
//! (RFC 9112, section 6.3), where a proxy before it may have believed the
//! length. Such a head is only marked here. What is malformed in any other way
//! hyper refuses itself, and nothing that comes after that on the connection
//! matters.
//!
//! Among chunks hyper is lenient too. A line there that is not exactly as
//! RFC 9112, section 7.1 has it is withheld, so that the body never becomes
//! whole.

mod chunks;
mod reader;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

pub use self::reader::FramingReader;
use crate::head::Ambiguity;

/// The requests of a connection, counted twice: as they come in, by
/// [`Framing`], and as they are answered.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    /// The number of the first ambiguous request, from 1, and the reason.
    ambiguous: OnceLock<(u64, Ambiguity)>,
}

impl Requests {
    /// Counts a request that is to be answered, and returns what is ambiguous
    /// in it. Nothing after an ambiguous request is clear.
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
    came: u64,
    part: Part,
    /// The beginning of a line whose end has not come. hyper takes no line
    /// without bounds, so neither is this.
    line: Vec<u8>,
    head: Head,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// A line of a head, or an empty line before one.
    Head,
    /// So many bytes of a body, and then a head.
    Body(u64),
    /// The line with the size of a chunk.
    ChunkSize,
    /// So many bytes of a chunk, and then the size of the next.
    Chunk(u64),
    /// A line of what follows the last chunk.
    Trailer,
    /// Nothing: the framing is broken.
    Broken,
}

/// What is known of a head so far.
#[derive(Debug, Default)]
struct Head {
    has_begun: bool,
    length: Option<u64>,
    is_coded: bool,
    ambiguity: Option<Ambiguity>,
}

impl Framing {
    /// A connection on which nothing has come yet.
    pub fn new(requests: Requests) -> Self {
        Self {
            requests,
            came: 0,
            part: Part::Head,
            line: Vec::new(),
            head: Head::default(),
        }
    }

    /// Follows the bytes that came, in whatever pieces they come. Returns how
    /// many of them may be read: not all if a line among chunks is malformed,
    /// and then none later.
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

    /// Whether nothing more may be read.
    pub fn is_broken(&self) -> bool {
        matches!(self.part, Part::Broken)
    }

    /// Takes bytes to the end of a line, and returns the rest.
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

    /// What comes after a line.
    fn after(&mut self, line: &[u8]) -> Part {
        // No more than its end: what is left of it may be there to deceive.
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
                // And the end of its last line.
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
        self.came += 1;
        if let Some(ambiguity) = head.ambiguity() {
            // Only the first counts.
            let _ = self.requests.0.ambiguous.set((self.came, ambiguity));
        }
        match head.length {
            _ if head.is_coded => Part::ChunkSize,
            None | Some(0) => Part::Head,
            Some(length) => Part::Body(length),
        }
    }
}

impl Head {
    /// Reads a request line or a field, without its end. Names that hyper takes
    /// have no space around them, and fields no second line.
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

    fn note(&mut self, ambiguity: Ambiguity) {
        self.ambiguity.get_or_insert(ambiguity);
    }

    fn ambiguity(&self) -> Option<Ambiguity> {
        let has_two_lengths = self.is_coded && self.length.is_some();
        self.ambiguity
            .or(has_two_lengths.then_some(Ambiguity::TwoLengths))
    }
}

/// The rest after `count` bytes, and how many of them are still to come.
fn skip(bytes: &[u8], count: u64) -> (&[u8], u64) {
    let here = usize::try_from(count).map_or(bytes.len(), |count| count.min(bytes.len()));
    (&bytes[here..], count - here as u64)
}
