//! Cursors: opaque texts that say where the next page begins.
//!
//! A cursor is the sort key of the last row of its page, not a position:
//! rows that are added, removed or moved do not shift it. It becomes part of a
//! URL, so it must be short: it contains a row number instead of ids, because an
//! id may be long.

use batchtask_notification::{from_hex, hex};

use crate::{Error, TaskOrder, TaskSort};

/// The first character of every cursor: the version of its format.
const VERSION: char = '1';
const SEPARATOR: char = '.';

/// The place of a task in a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TaskKey {
    /// The property by which the list is sorted.
    pub value: SortValue,
    /// The row number of the task, which never changes.
    pub id: i64,
}

/// The property of a task by which a list is sorted.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SortValue {
    /// A time, in milliseconds since 1970.
    Time(i64),
    /// The rank and the beginning of the status.
    Status(u8, String),
    /// The beginning of an id.
    Id(String),
}

/// A cursor of a list of tasks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TaskCursor {
    /// The page begins after this task in the direction of reading.
    pub key: TaskKey,
    /// Whether the page is before the task in the list.
    pub is_backward: bool,
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

impl TaskCursor {
    /// Returns the cursor as a text for a list with this order.
    pub fn encode(&self, sort: TaskSort, order: TaskOrder) -> String {
        let kind = kind(sort, order, self.is_backward);
        let id = self.key.id.to_be_bytes();
        match &self.key.value {
            SortValue::Time(at_ms) => join(&kind, &[&at_ms.to_be_bytes(), &id]),
            SortValue::Status(rank, status) => join(&kind, &[&[*rank], status.as_bytes(), &id]),
            SortValue::Id(text) => join(&kind, &[text.as_bytes(), &id]),
        }
    }

    /// Parses a cursor of a list with this order.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if it is malformed, or belongs to another list or
    /// to another order.
    pub fn decode(text: &str, sort: TaskSort, order: TaskOrder) -> Result<Self, Error> {
        let parse = |is_backward| {
            let kind = kind(sort, order, is_backward);
            let key = TaskKey::decode(text, sort, &kind)?;
            Some(Self { key, is_backward })
        };
        let cursor = parse(false).or_else(|| parse(true));
        cursor.ok_or_else(|| invalid("tasks"))
    }
}

impl TaskKey {
    fn decode(cursor: &str, sort: TaskSort, kind: &str) -> Option<Self> {
        let (value, id) = match sort {
            TaskSort::Changed | TaskSort::FirstSeen => {
                let [at_ms, id] = split(cursor, kind)?;
                (SortValue::Time(number(&at_ms)?), id)
            }
            TaskSort::Status => {
                let [rank, status, id] = split(cursor, kind)?;
                let [rank] = rank.try_into().ok()?;
                (SortValue::Status(rank, String::from_utf8(status).ok()?), id)
            }
            TaskSort::Application | TaskSort::Task => {
                let [text, id] = split(cursor, kind)?;
                (SortValue::Id(String::from_utf8(text).ok()?), id)
            }
        };
        Some(Self {
            value,
            id: number(&id)?,
        })
    }
}

impl EventKey {
    /// Returns the cursor after this event.
    pub fn encode(&self) -> String {
        join(
            "h",
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
            let [occurred_at_ms, rank, digest] = split(text, "h")?;
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
    join("q", &[&seq.to_be_bytes()])
}

/// Parses a cursor of the quarantine.
///
/// # Errors
/// [`Error::InvalidCursor`] if it is malformed, or belongs to another list.
pub fn decode_seq(text: &str) -> Result<i64, Error> {
    let parse = || {
        let [seq] = split(text, "q")?;
        number(&seq)
    };
    parse().ok_or_else(|| invalid("the quarantine"))
}

/// Returns the letters of a list of tasks: its order, and the direction of reading.
fn kind(sort: TaskSort, order: TaskOrder, is_backward: bool) -> String {
    let sort = match sort {
        TaskSort::Changed => 'c',
        TaskSort::FirstSeen => 'f',
        TaskSort::Status => 's',
        TaskSort::Application => 'a',
        TaskSort::Task => 't',
    };
    let order = match order {
        TaskOrder::Ascending => 'a',
        TaskOrder::Descending => 'd',
    };
    let direction = if is_backward { 'p' } else { 'n' };
    String::from_iter([sort, order, direction])
}

fn invalid(list: &str) -> Error {
    Error::InvalidCursor(format!("the cursor does not belong to this list of {list}"))
}

/// Returns a cursor: version and kind, then each part in hexadecimal.
fn join(kind: &str, parts: &[&[u8]]) -> String {
    let mut text = format!("{VERSION}{kind}");
    for part in parts {
        text.push(SEPARATOR);
        text.push_str(&hex(part));
    }
    text
}

/// Splits a cursor of this kind into its parts.
fn split<const PARTS: usize>(text: &str, kind: &str) -> Option<[Vec<u8>; PARTS]> {
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

    const SORTS: [TaskSort; 5] = [
        TaskSort::Changed,
        TaskSort::FirstSeen,
        TaskSort::Status,
        TaskSort::Application,
        TaskSort::Task,
    ];

    proptest! {
        #[test]
        fn task_cursors_survive_encoding(
            at_ms: i64, id: i64, rank: u8, text: String, is_backward: bool, is_ascending: bool,
        ) {
            let order = if is_ascending { TaskOrder::Ascending } else { TaskOrder::Descending };
            let time = SortValue::Time(at_ms);
            let status = SortValue::Status(rank, text.clone());
            for (sort, value) in SORTS.into_iter().zip([
                time.clone(), time, status, SortValue::Id(text.clone()), SortValue::Id(text),
            ]) {
                let cursor = TaskCursor { key: TaskKey { value, id }, is_backward };
                let text = cursor.encode(sort, order);
                for other in SORTS {
                    for same_order in [true, false] {
                        let ascending = is_ascending == same_order;
                        let order = if ascending { TaskOrder::Ascending } else { TaskOrder::Descending };
                        let found = TaskCursor::decode(&text, other, order).ok();
                        let is_same = other == sort && same_order;
                        prop_assert_eq!(found, is_same.then(|| cursor.clone()));
                    }
                }
                prop_assert!(EventKey::decode(&text).is_err());
                prop_assert!(decode_seq(&text).is_err());
            }
        }

        #[test]
        fn event_keys_survive_encoding(occurred_at_ms: i64, rank: u8, digest: Vec<u8>) {
            let key = EventKey { occurred_at_ms, rank, digest };
            prop_assert_eq!(EventKey::decode(&key.encode()).unwrap(), key);
        }

        #[test]
        fn any_text_is_a_cursor_or_an_error(text in "(1([hq]|[cfsat]d[np])\\.)?[0-9a-f.é]{0,40}") {
            for sort in SORTS {
                let _ = TaskCursor::decode(&text, sort, TaskOrder::Descending);
            }
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
