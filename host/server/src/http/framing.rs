//! Where each request on an HTTP/1 connection begins, and what hyper does not
//! tell of it: whether it had a length beside its transfer coding.
//!
//! hyper takes such a request by its coding and drops the length (RFC 9112,
//! 6.3), where a proxy before it may have believed the length. It need only be
//! told apart here; what is malformed in any other way hyper refuses itself,
//! and nothing that comes after that on the connection matters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The requests of a connection, counted twice: as they come in, by
/// [`Framing`], and as they are answered.
#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<Counts>);

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    /// The number of the first request with a length beside its coding, from 1;
    /// 0 for none.
    doubtful: AtomicU64,
}

impl Requests {
    /// Counts a request that is to be answered, and tells whether its length
    /// is in doubt. hyper ends the connection after the first such.
    pub(crate) fn next_is_doubtful(&self) -> bool {
        let number = self.0.answered.fetch_add(1, Relaxed) + 1;
        number == self.0.doubtful.load(Relaxed)
    }
}

/// Follows the bytes of a connection from request to request.
pub(crate) struct Framing {
    requests: Requests,
    came: u64,
    part: Part,
    /// The beginning of a line whose end has not come. hyper takes no line
    /// without bounds, so neither is this.
    line: Vec<u8>,
    head: Head,
}

/// What comes next.
#[derive(Clone, Copy)]
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
}

/// What is known of a head so far.
#[derive(Default)]
struct Head {
    has_begun: bool,
    length: Option<u64>,
    is_coded: bool,
}

impl Framing {
    pub(crate) fn new(requests: Requests) -> Self {
        Self {
            requests,
            came: 0,
            part: Part::Head,
            line: Vec::new(),
            head: Head::default(),
        }
    }

    /// Follows what came, in whatever pieces it comes.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.part {
                Part::Body(left) => {
                    let (rest, left) = skip(bytes, left);
                    self.part = if left > 0 {
                        Part::Body(left)
                    } else {
                        Part::Head
                    };
                    rest
                }
                Part::Chunk(left) => {
                    let (rest, left) = skip(bytes, left);
                    self.part = if left > 0 {
                        Part::Chunk(left)
                    } else {
                        Part::ChunkSize
                    };
                    rest
                }
                Part::Head | Part::ChunkSize | Part::Trailer => self.follow_line(bytes),
            };
        }
    }

    /// Takes bytes to the end of a line, and returns the rest.
    fn follow_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (piece, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        self.line.extend_from_slice(piece);
        // In a head LF alone ends a line, but not among chunks.
        let is_whole = match self.part {
            Part::Head => end.is_some(),
            _ => self.line.ends_with(b"\r\n"),
        };
        if is_whole {
            let line = std::mem::take(&mut self.line);
            // No more than its end: what is left of it may be there to deceive.
            let content = line.strip_suffix(b"\n").unwrap_or(&line);
            self.part = self.after(content.strip_suffix(b"\r").unwrap_or(content));
        }
        rest
    }

    /// What comes after a line.
    fn after(&mut self, line: &[u8]) -> Part {
        match self.part {
            Part::Head if !line.is_empty() => {
                self.head.read(line);
                Part::Head
            }
            Part::Head => self.after_head(),
            Part::ChunkSize => match chunk_size(line) {
                0 => Part::Trailer,
                // And the end of its last line.
                size => Part::Chunk(size.saturating_add(2)),
            },
            Part::Trailer if line.is_empty() => Part::Head,
            part => part,
        }
    }

    fn after_head(&mut self) -> Part {
        let head = std::mem::take(&mut self.head);
        if !head.has_begun {
            return Part::Head;
        }
        self.came += 1;
        match head.length {
            Some(_) if head.is_coded => {
                let counts = &self.requests.0;
                let _ = counts
                    .doubtful
                    .compare_exchange(0, self.came, Relaxed, Relaxed);
                Part::ChunkSize
            }
            None if head.is_coded => Part::ChunkSize,
            None | Some(0) => Part::Head,
            Some(length) => Part::Body(length),
        }
    }
}

impl Head {
    /// A request line or a field, without its end. Names that hyper takes have
    /// no space around them, and fields no second line.
    fn read(&mut self, line: &[u8]) {
        if !std::mem::replace(&mut self.has_begun, true) {
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
}

/// The rest after `count` bytes, and how many of them are still to come.
fn skip(bytes: &[u8], count: u64) -> (&[u8], u64) {
    let here = usize::try_from(count).map_or(bytes.len(), |count| count.min(bytes.len()));
    (&bytes[here..], count - here as u64)
}

/// The number that a line of this kind begins with.
fn chunk_size(line: &[u8]) -> u64 {
    let digits = line.iter().map_while(|byte| char::from(*byte).to_digit(16));
    digits.fold(0, |size: u64, digit| {
        size.saturating_mul(16).saturating_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    const DOUBTFUL: &str =
        "POST / HTTP/1.1\nContent-Length:5\nTRANSFER-encoding: chunked\r\n\r\n0\r\n\r\n";

    /// Which request is found doubtful, whatever the pieces; 0 for none.
    fn doubtful(bytes: &str) -> u64 {
        let found = |piece: usize| {
            let requests = Requests::default();
            let mut framing = Framing::new(requests.clone());
            bytes
                .as_bytes()
                .chunks(piece)
                .for_each(|piece| framing.follow(piece));
            requests.0.doubtful.load(Relaxed)
        };
        let whole = found(bytes.len());
        for piece in 1..40 {
            assert_eq!(found(piece), whole, "in pieces of {piece}: {bytes}");
        }
        whole
    }

    #[test]
    fn it_is_told_by_its_number() {
        assert_eq!(doubtful(DOUBTFUL), 1);
        assert_eq!(doubtful(&[GET, GET, DOUBTFUL, DOUBTFUL].concat()), 3);
        assert_eq!(doubtful(&GET.repeat(3)), 0);
    }

    #[test]
    fn bodies_are_passed_over() {
        let length = DOUBTFUL.len();
        let head = "POST / HTTP/1.1\r\n";
        let sized = format!("{head}content-length: {length}\r\n\r\n{DOUBTFUL}");
        assert_eq!(doubtful(&sized), 0);
        assert_eq!(doubtful(&(sized + DOUBTFUL)), 2);
        let chunk = format!("{length:X};content-length: 1\r\n{DOUBTFUL}\r\n");
        let chunks = format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}");
        for end in [
            "0\r\n\r\n",
            "00;x\r\ncontent-length: 1\r\n\r\n",
            // hyper ends neither here: a line of LF among what follows chunks.
            "0\r\n\n\r\nGET / HTTP/1.1\r\n\r\n",
            "0\r\nx: y\n\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(doubtful(&format!("{chunks}{end}")), 0);
            assert_eq!(doubtful(&format!("{chunks}{end}{DOUBTFUL}")), 2, "{end:?}");
        }
    }

    #[test]
    fn it_is_answered_as_doubtful_and_no_other_is() {
        let requests = Requests::default();
        Framing::new(requests.clone()).follow([GET, DOUBTFUL, GET].concat().as_bytes());
        let answered = [(); 3].map(|()| requests.next_is_doubtful());
        assert_eq!(answered, [false, true, false]);
    }
}
