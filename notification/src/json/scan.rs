//! Scans the bytes of a text once, before it is parsed.

use super::{MAX_DEPTH, MAX_VALUES};

/// Why the scan refuses a text, and at which byte.
pub(super) enum Refusal {
    /// An escape of half a surrogate pair.
    HalfPair(usize),
    /// An opening bracket that exceeds [`MAX_DEPTH`].
    Depth(usize),
    /// A bracket or comma that exceeds [`MAX_VALUES`].
    Values(usize),
}

/// Refuses texts that are valid JSON but that this crate does not accept. For
/// texts that are not JSON, the result may be either.
pub(super) fn scan(bytes: &[u8]) -> Result<(), Refusal> {
    let mut depth: usize = 0;
    let mut values: usize = 0;
    let mut rest = bytes.iter().enumerate();
    while let Some((at, &byte)) = rest.next() {
        match byte {
            b'"' => scan_string(&mut rest)?,
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                values = values.saturating_add(1);
            }
            b',' => values = values.saturating_add(1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(Refusal::Depth(at));
        }
        if values > MAX_VALUES {
            return Err(Refusal::Values(at));
        }
    }
    Ok(())
}

type Bytes<'a> = core::iter::Enumerate<core::slice::Iter<'a, u8>>;

/// Moves past the closing quote of a string. Escapes of surrogates must occur in
/// pairs, the high one first.
fn scan_string(rest: &mut Bytes<'_>) -> Result<(), Refusal> {
    // The offset of a high surrogate; the low one must follow immediately.
    let mut high: Option<usize> = None;
    while let Some((at, &byte)) = rest.next() {
        let unit = if byte == b'\\' { escape(rest) } else { None };
        match (high.take(), unit) {
            (None, Some(0xD800..=0xDBFF)) => high = Some(at),
            (None, Some(0xDC00..=0xDFFF)) => return Err(Refusal::HalfPair(at)),
            (Some(_), Some(0xDC00..=0xDFFF)) => {}
            (Some(high), _) => return Err(Refusal::HalfPair(high)),
            (None, _) if byte == b'"' => return Ok(()),
            (None, _) => {}
        }
    }
    Ok(())
}

/// Moves past an escape. Returns the UTF-16 code unit if it is a `\u` escape.
fn escape(rest: &mut Bytes<'_>) -> Option<u32> {
    let (_, &kind) = rest.next()?;
    if kind != b'u' {
        return None;
    }
    let mut unit: u32 = 0;
    for _ in 0..4 {
        let (_, &byte) = rest.next()?;
        let digit = char::from(byte).to_digit(16)?;
        unit = unit << 4 | digit;
    }
    Some(unit)
}
