//! The least request ids of a task, as a value of its row.
//!
//! Each id follows its length, two bytes in big-endian order. The ids are
//! sorted, and each is there once.

use batchtask_guest::journal::REQUEST_IDS_MAX;
use batchtask_journal::LISTED_REQUEST_ID_BYTES_MAX;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::{Connection, Result};

/// Whether a request id is short enough to be listed.
pub(crate) fn is_listed(request_id: &str) -> bool {
    request_id.len() <= LISTED_REQUEST_ID_BYTES_MAX
}

/// The least ids, in order.
#[derive(Default)]
struct Least(Vec<String>);

impl Least {
    /// Parses a value of a row. Ends where the value is malformed.
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

    /// Adds an id, if it is short enough to be listed and among the least. So
    /// which ids are kept does not depend on the order in which they arrive.
    fn add(&mut self, id: &str) {
        if !is_listed(id) {
            return;
        }
        if let Err(place) = self.0.binary_search_by(|known| known.as_str().cmp(id)) {
            self.0.insert(place, id.to_owned());
            self.0.truncate(REQUEST_IDS_MAX);
        }
    }

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

/// Returns the ids of a value of a row.
pub(crate) fn list(value: &[u8]) -> Vec<String> {
    Least::parse(value).0
}

/// Returns the value of a row for a first id.
pub(crate) fn first(id: Option<&str>) -> Vec<u8> {
    let mut least = Least::default();
    if let Some(id) = id {
        least.add(id);
    }
    least.value()
}

/// Adds two functions to a connection that writes: `with_request_id(value, id)`
/// and the aggregate `least_request_ids(id)`.
pub(crate) fn add_functions(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("with_request_id", 2, flags, |context| {
        let mut least = Least::parse(context.get_raw(0).as_blob()?);
        if let Some(id) = context.get_raw(1).as_str_or_null()? {
            least.add(id);
        }
        Ok(least.value())
    })?;
    connection.create_aggregate_function("least_request_ids", 1, flags, LeastOfAll)
}

struct LeastOfAll;

impl Aggregate<Least, Vec<u8>> for LeastOfAll {
    fn init(&self, _: &mut Context<'_>) -> Result<Least> {
        Ok(Least::default())
    }

    fn step(&self, context: &mut Context<'_>, least: &mut Least) -> Result<()> {
        if let Some(id) = context.get_raw(0).as_str_or_null()? {
            least.add(id);
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, least: Option<Least>) -> Result<Vec<u8>> {
        Ok(least.unwrap_or_default().value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_ids_come_back_in_order_whatever_they_contain() {
        let mut least = Least::default();
        let ids = ["", "b", "nul \0", "日本", "a", "b"];
        ids.iter().for_each(|id| least.add(id));
        for number in 0..20 {
            least.add(&format!("c{number:02}"));
        }
        least.add(&"a".repeat(1025));
        let listed = list(&least.value());
        assert_eq!(listed.len(), REQUEST_IDS_MAX);
        assert_eq!(listed[..4], ["", "a", "b", "c00"]);
        assert_eq!(listed[15], "c12");
        assert_eq!(list(b"\0\x01a\0\x09b"), ["a"]);
    }
}
