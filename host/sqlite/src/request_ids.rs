//! The listed request ids of a task: the first ids in alphabetical order, as one
//! value in the row of the task.
//!
//! In this value, each id follows its length, two bytes in big-endian order. The
//! ids are sorted and unique.

use batchtask_guest::journal::REQUEST_IDS_MAX;
use batchtask_journal::LISTED_REQUEST_ID_BYTES_MAX;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Result};

/// Returns whether a request id is short enough to be listed.
pub(crate) fn is_listed(request_id: &str) -> bool {
    request_id.len() <= LISTED_REQUEST_ID_BYTES_MAX
}

/// The first ids in alphabetical order, at most [`REQUEST_IDS_MAX`].
#[derive(Default)]
struct FirstIds(Vec<String>);

impl FirstIds {
    /// Parses the value of a row. Ignores everything after a malformed part.
    fn parse(mut value: &[u8]) -> Self {
        let mut ids = Vec::new();
        while let Some((length, rest)) = value.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some((id, rest)) = rest.split_at_checked(length) else {
                break;
            };
            ids.push(String::from_utf8_lossy(id).into_owned());
            value = rest;
        }
        Self(ids)
    }

    /// Adds an id if it is short enough to be listed and among the first ones. So
    /// the ids do not depend on the order in which they arrive.
    fn add(&mut self, id: &str) {
        if !is_listed(id) {
            return;
        }
        if let Err(place) = self.0.binary_search_by(|known| known.as_str().cmp(id)) {
            self.0.insert(place, id.to_owned());
            self.0.truncate(REQUEST_IDS_MAX);
        }
    }

    /// Returns the value of a row.
    fn value(&self) -> Vec<u8> {
        let mut value = Vec::new();
        for id in &self.0 {
            // A listed id is at most 1 KiB long.
            let length = u16::try_from(id.len()).unwrap_or(0);
            value.extend(length.to_be_bytes());
            value.extend(&id.as_bytes()[..length.into()]);
        }
        value
    }
}

/// Returns the ids in the value of a row.
pub(crate) fn list(value: &[u8]) -> Vec<String> {
    FirstIds::parse(value).0
}

/// Returns the value of a row with the first of these ids.
pub(crate) fn value(all: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<u8> {
    let mut ids = FirstIds::default();
    all.into_iter().for_each(|id| ids.add(id.as_ref()));
    ids.value()
}

/// Adds two functions to a connection that writes: `with_request_id(value, id)`
/// and the aggregate `least_request_ids(id)`.
pub(crate) fn add_functions(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("with_request_id", 2, flags, |context| {
        let mut ids = FirstIds::parse(context.get_raw(0).as_blob()?);
        if let Some(id) = context.get_raw(1).as_str_or_null()? {
            ids.add(id);
        }
        Ok(ids.value())
    })?;
    connection.create_aggregate_function("least_request_ids", 1, flags, CollectFirstIds)
}

/// The aggregate function `least_request_ids`.
struct CollectFirstIds;

impl Aggregate<FirstIds, Vec<u8>> for CollectFirstIds {
    fn init(&self, _: &mut Context<'_>) -> Result<FirstIds> {
        Ok(FirstIds::default())
    }

    fn step(&self, context: &mut Context<'_>, ids: &mut FirstIds) -> Result<()> {
        if let Some(id) = context.get_raw(0).as_str_or_null()? {
            ids.add(id);
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, ids: Option<FirstIds>) -> Result<Vec<u8>> {
        Ok(ids.unwrap_or_default().value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ids_are_listed_in_order_whatever_they_contain() {
        let mut first = FirstIds::default();
        let ids = ["", "b", "nul \0", "日本", "a", "b"];
        ids.iter().for_each(|id| first.add(id));
        for number in 0..20 {
            first.add(&format!("c{number:02}"));
        }
        first.add(&"a".repeat(1025));
        let listed = list(&first.value());
        assert_eq!(listed.len(), REQUEST_IDS_MAX);
        assert_eq!(listed[..4], ["", "a", "b", "c00"]);
        assert_eq!(listed[15], "c12");
        assert_eq!(list(b"\0\x01a\0\x09b"), ["a"]);
    }
}
