//! Cursors: opaque texts that say where the next page begins.
//!
//! A cursor is the sort key of the last row of its page, not a position:
//! rows that are added, removed or moved do not shift it. It becomes part of a
//! URL, so it must be short: it contains a row number instead of ids, because an
//! id may be long.

use batchtask_notification::{from_hex, hex};

use crate::{Error, TaskOrder};

/// The first character of every cursor: the version of its format.
const VERSION: char = '1';
const SEPARATOR: char = '.';

/// The sort key of the last row of a page of tasks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TaskKey {
    /// When the task last changed, in milliseconds since 1970.
    pub occurred_at_ms: i64,
    /// The row number of the task, which never changes.
    pub id: i64,
}

/// The sort key of the last row of a page of a task's history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventKey {
    /// When the event happened, in milliseconds since 1970.
    pub occurred_at_ms: i64,
    /// The rank of the event.
    pub rank: u8,
    /// The digest of the event.
    pub digest: Vec<u8>,
}

impl TaskKey {
    /// Returns the cursor after this task in a list with this order.
    pub fn encode(&self, order: TaskOrder) -> String {
        let Self { occurred_at_ms, id } = self;
        join(
            kind(order),
            &[&occurred_at_ms.to_be_bytes(), &id.to_be_bytes()],
        )
    }

    /// Parses a cursor of a list with this order.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if it is malformed, or belongs to another list or
    /// to the other order.
    pub fn decode(text: &str, order: TaskOrder) -> Result<Self, Error> {
        let parse = || {
            let [occurred_at_ms, id] = split(text, kind(order))?;
            Some(Self {
                occurred_at_ms: number(&occurred_at_ms)?,
                id: number(&id)?,
            })
        };
        parse().ok_or_else(|| invalid("tasks"))
    }
}

impl EventKey {
    /// Returns the cursor after this event.
    pub fn encode(&self) -> String {
        join(
            'h',
            &[
                &self.occurred_at_ms.to_be_bytes(),
                &[self.rank],
                &self.digest,
            ],
        )
    }

    /// Parses a cursor of a history.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if it is malformed, or belongs to another list.
    pub fn decode(text: &str) -> Result<Self, Error> {
        let parse = || {
            let [occurred_at_ms, rank, digest] = split(text, 'h')?;
            let [rank] = rank.try_into().ok()?;
            Some(Self {
                occurred_at_ms: number(&occurred_at_ms)?,
                rank,
                digest,
            })
        };
        parse().ok_or_else(|| invalid("events"))
    }
}

/// Returns the cursor after the reject with the number `seq`.
pub fn encode_seq(seq: i64) -> String {
    join('q', &[&seq.to_be_bytes()])
}

/// Parses a cursor of the quarantine.
///
/// # Errors
/// [`Error::InvalidCursor`] if it is malformed, or belongs to another list.
pub fn decode_seq(text: &str) -> Result<i64, Error> {
    let parse = || {
        let [seq] = split(text, 'q')?;
        number(&seq)
    };
    parse().ok_or_else(|| invalid("the quarantine"))
}

fn kind(order: TaskOrder) -> char {
    match order {
        TaskOrder::Newest => 'n',
        TaskOrder::Oldest => 'o',
    }
}

fn invalid(list: &str) -> Error {
    Error::InvalidCursor(format!("the cursor does not belong to this list of {list}"))
}

/// Returns a cursor: version and kind, then each part in hexadecimal.
fn join(kind: char, parts: &[&[u8]]) -> String {
    let mut text = String::from_iter([VERSION, kind]);
    for part in parts {
        text.push(SEPARATOR);
        text.push_str(&hex(part));
    }
    text
}

/// Splits a cursor of this kind into its parts.
fn split<const PARTS: usize>(text: &str, kind: char) -> Option<[Vec<u8>; PARTS]> {
    let text = text
        .strip_prefix(VERSION)?
        .strip_prefix(kind)?
        .strip_prefix(SEPARATOR)?;
    let parts: Option<Vec<_>> = text.split(SEPARATOR).map(from_hex).collect();
    parts?.try_into().ok()
}

fn number(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn task_keys_survive_encoding(occurred_at_ms: i64, id: i64) {
            let key = TaskKey { occurred_at_ms, id };
            let text = key.encode(TaskOrder::Newest);
            prop_assert_eq!(TaskKey::decode(&text, TaskOrder::Newest).unwrap(), key);
            prop_assert!(TaskKey::decode(&text, TaskOrder::Oldest).is_err());
            prop_assert!(EventKey::decode(&text).is_err());
        }

        #[test]
        fn event_keys_survive_encoding(occurred_at_ms: i64, rank: u8, digest: Vec<u8>) {
            let key = EventKey { occurred_at_ms, rank, digest };
            prop_assert_eq!(EventKey::decode(&key.encode()).unwrap(), key);
        }

        #[test]
        fn any_text_is_a_cursor_or_an_error(text in "(1[hnoq]\\.)?[0-9a-f.é]{0,40}") {
            let _ = TaskKey::decode(&text, TaskOrder::Newest);
            let _ = EventKey::decode(&text);
            let _ = decode_seq(&text);
        }
    }

    #[test]
    fn garbage_is_an_error() {
        for text in [
            "",
            "1",
            "1q",
            "1q.",
            "1q.00",
            "2q.0000000000000001",
            "1q.000000000000000g",
        ] {
            assert!(
                matches!(decode_seq(text), Err(Error::InvalidCursor(_))),
                "{text}"
            );
        }
        assert_eq!(decode_seq("1q.0000000000000001").unwrap(), 1);
    }
}
