//! The keys in the bucket.
//!
//! | key | meaning | value |
//! |---|---|---|
//! | `e.TASK.TIME.RANK.DIGEST.S` | an event of a task; `S` is a letter for its status | the event |
//! | `s.DIGEST` | an event that is ordered by its arrival was seen | empty |
//! | `r.TASK.DIGEST.REQUEST` | an event arrived again, with this request id | the request id |
//! | `n.SIGNATURE` | a signature was used | when the use expires, and for which notification |
//! | `q.TIME.BYTES.BODY` | a reject in the quarantine | the reject |
//! | `d.COUNT` | how many rejects were dropped | empty |
//!
//! The keys of a task's events have the order of the events: by time, rank and
//! digest. All numbers are hexadecimal and have a fixed width. `TASK` is the hash
//! of the two ids of a task. Keys contain only lower-case letters, digits and
//! dots, and are at most 200 bytes long. So every backend accepts them, and they
//! are distinct even if a backend ignores case.

use alloc::string::String;
use alloc::vec::Vec;
use batchtask_notification::hex;
use sha2::{Digest as _, Sha256};

/// The prefix of the keys of events.
pub(crate) const EVENT: &str = "e.";
/// The prefix of the keys of repetitions.
pub(crate) const REPEAT: &str = "r.";
/// The prefix of the keys of signatures, and of the nonces that version 0.1
/// stored instead. The hash of a nonce is shorter than a signature.
pub(crate) const SIGNATURE: &str = "n.";
/// The prefix of the keys of rejects.
pub(crate) const REJECT: &str = "q.";
/// The prefix of the keys that count dropped rejects.
pub(crate) const DROPPED: &str = "d.";
/// The prefix of the keys of digests.
const SEEN: &str = "s.";

const TASK_DIGITS: usize = 32;
const TIME_DIGITS: usize = 16;
const RANK_DIGITS: usize = 2;
const BYTES_DIGITS: usize = 8;
const DIGEST_DIGITS: usize = 64;
const BODY_DIGITS: usize = 32;

/// The letter of each documented status.
const STATUS_LETTERS: [(&str, &str); 8] = [
    ("Initializing", "i"),
    ("Waitting", "w"),
    ("Processing", "p"),
    ("Stopping", "g"),
    ("PartialSuccess", "a"),
    ("Fail", "f"),
    ("Success", "s"),
    ("Stopped", "x"),
];
/// The letter of all other statuses.
const OTHER_STATUS: &str = "o";

/// Appended to the letter of an event that is ordered by its arrival.
const BY_ARRIVAL: &str = "t";

/// The parsed key of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKey<'a> {
    /// The hash of the task.
    pub task: &'a str,
    /// When the event happened, in milliseconds since 1970.
    pub occurred_at_ms: u64,
    /// The rank of the event.
    pub rank: u8,
    /// The digest of the event, in hexadecimal.
    pub digest: &'a str,
    /// The status, or `None` if it is undocumented and therefore only in the
    /// value.
    pub status: Option<&'static str>,
    /// True if the event is ordered by its arrival. The bucket may contain the
    /// same event again, with another time.
    pub by_arrival: bool,
}

impl<'a> EventKey<'a> {
    /// Parses the key of an event. Returns `None` for other keys.
    pub fn parse(key: &'a str) -> Option<Self> {
        let mut rest = key.strip_prefix(EVENT)?;
        let task = next(&mut rest, TASK_DIGITS)?;
        let time = next(&mut rest, TIME_DIGITS)?;
        let rank = next(&mut rest, RANK_DIGITS)?;
        let digest = next(&mut rest, DIGEST_DIGITS)?;
        let letter = rest.strip_suffix(BY_ARRIVAL);
        Some(Self {
            task,
            occurred_at_ms: number(time),
            rank: u8::try_from(number(rank)).ok()?,
            digest,
            status: status_of(letter.unwrap_or(rest)),
            by_arrival: letter.is_some(),
        })
    }
}

/// Returns the key of an event.
pub fn event(
    task: &str,
    occurred_at_ms: u64,
    rank: u8,
    digest: &[u8],
    status: &str,
    by_arrival: bool,
) -> String {
    let mut key = task_prefix(EVENT, task);
    push_hex(&mut key, &occurred_at_ms.to_be_bytes());
    key.push('.');
    push_hex(&mut key, &[rank]);
    key.push('.');
    push_hex(&mut key, digest);
    key.push('.');
    key.push_str(letter_of(status));
    if by_arrival {
        key.push_str(BY_ARRIVAL);
    }
    key
}

/// Returns the key that shows that an event was seen. It is used for events that
/// are ordered by their arrival.
pub(crate) fn seen(digest: &[u8]) -> String {
    let mut key = String::from(SEEN);
    push_hex(&mut key, digest);
    key
}

/// Returns the key of a repetition.
pub(crate) fn repeat(task: &str, digest: &[u8], request_id: Option<&str>) -> String {
    let mut key = task_prefix(REPEAT, task);
    push_hex(&mut key, digest);
    key.push('.');
    push_hex(&mut key, &hash(&[request_id.unwrap_or_default()], 8));
    key
}

/// Returns the prefix of the keys of one task's events or repetitions.
pub(crate) fn task_prefix(kind: &str, task: &str) -> String {
    let mut key = String::from(kind);
    key.push_str(task);
    key.push('.');
    key
}

/// Returns the task in the key of an event or a repetition.
pub(crate) fn task_in(key: &str) -> Option<&str> {
    let (_, mut rest) = key.split_at_checked(EVENT.len())?;
    next(&mut rest, TASK_DIGITS)
}

/// Returns the key of a signature.
pub(crate) fn signature(signature: &str) -> String {
    let mut key = String::from(SIGNATURE);
    key.push_str(signature);
    key
}

/// Returns the prefix of the keys of rejects that arrived at this time.
pub(crate) fn reject_prefix(received_at_ms: u64) -> String {
    let mut key = String::from(REJECT);
    push_hex(&mut key, &received_at_ms.to_be_bytes());
    key.push('.');
    key
}

/// Returns the key of a reject whose value has `bytes` bytes.
pub(crate) fn reject(received_at_ms: u64, bytes: usize, body: &[u8]) -> String {
    let mut key = reject_prefix(received_at_ms);
    push_number(&mut key, bytes);
    key.push('.');
    let mut digest = Sha256::digest(body).to_vec();
    digest.truncate(BODY_DIGITS / 2);
    push_hex(&mut key, &digest);
    key
}

/// Returns the length of the value of a reject, in bytes; 0 if the key is not
/// that of a reject.
pub(crate) fn reject_bytes(key: &str) -> u64 {
    stored_bytes(key).unwrap_or(0)
}

/// Whether a key is that of a [`reject`].
pub(crate) fn is_reject(key: &str) -> bool {
    stored_bytes(key).is_some()
}

fn stored_bytes(key: &str) -> Option<u64> {
    let mut rest = key.strip_prefix(REJECT)?;
    next(&mut rest, TIME_DIGITS)?;
    let bytes = number(next(&mut rest, BYTES_DIGITS)?);
    digits(rest, BODY_DIGITS).map(|_| bytes)
}

/// Returns the key that says how many rejects were dropped.
pub(crate) fn dropped(count: u64) -> String {
    let mut key = String::from(DROPPED);
    push_hex(&mut key, &count.to_be_bytes());
    key
}

/// Returns the count in a key of [`dropped`].
pub(crate) fn dropped_count(key: &str) -> u64 {
    let count = key.strip_prefix(DROPPED);
    count
        .and_then(|count| digits(count, TIME_DIGITS))
        .map_or(0, number)
}

/// Returns the place of a task in a list, which sorts by time and then by hash.
pub(crate) fn place(occurred_at_ms: u64, task: &str) -> String {
    let mut place = hex(&occurred_at_ms.to_be_bytes());
    place.push('.');
    place.push_str(task);
    place
}

/// Returns the task hash in a [`place`], or `None` if it is not a place.
pub(crate) fn task_at(place: &str) -> Option<&str> {
    let mut task = place;
    next(&mut task, TIME_DIGITS)?;
    digits(task, TASK_DIGITS)
}

/// Returns the hash of the two ids of a task.
pub fn task(app_id: &str, task_id: &str) -> String {
    hex(&hash(&[app_id, task_id], TASK_DIGITS / 2))
}

/// Returns the first bytes of the SHA-256 over texts, each preceded by its
/// length.
fn hash(texts: &[&str], bytes: usize) -> Vec<u8> {
    let mut hash = Sha256::new();
    for text in texts {
        // No text is as long as 4 GiB.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        hash.update(length.to_be_bytes());
        hash.update(text);
    }
    let mut digest = hash.finalize().to_vec();
    digest.truncate(bytes);
    digest
}

fn letter_of(status: &str) -> &'static str {
    let found = STATUS_LETTERS.iter().find(|(name, _)| *name == status);
    found.map_or(OTHER_STATUS, |(_, letter)| letter)
}

fn status_of(letter: &str) -> Option<&'static str> {
    let found = STATUS_LETTERS.iter().find(|(_, known)| *known == letter);
    found.map(|(name, _)| *name)
}

/// Removes `count` hexadecimal digits and the dot after them from the beginning
/// of `rest`, and returns the digits.
fn next<'a>(rest: &mut &'a str, count: usize) -> Option<&'a str> {
    let (part, after) = rest.split_at_checked(count)?;
    *rest = after.strip_prefix('.')?;
    digits(part, count)
}

/// Returns the text if it consists of `count` hexadecimal digits.
fn digits(text: &str, count: usize) -> Option<&str> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == count && text.bytes().all(is_digit)).then_some(text)
}

/// Parses at most sixteen hexadecimal [`digits`].
fn number(digits: &str) -> u64 {
    let value = |digit: char| digit.to_digit(16).unwrap_or(0);
    digits
        .chars()
        .fold(0, |number, digit| (number << 4) | u64::from(value(digit)))
}

fn push_number(text: &mut String, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    push_hex(text, &number.to_be_bytes());
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    text.push_str(&hex(bytes));
}
