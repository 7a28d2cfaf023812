//! [`SearchText`]: searches for a text in the fields of a task.

use crate::{Error, TaskQuery};

/// The greatest length of a search text in bytes.
pub const SEARCH_TEXT_BYTES_MAX: usize = 4096;

/// A search text. ASCII letters match regardless of case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SearchText(String);

impl SearchText {
    /// Returns the search text of `query`, or `None` if it has none.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the text is too long.
    pub fn of(query: &TaskQuery) -> Result<Option<Self>, Error> {
        let Some(text) = &query.text else {
            return Ok(None);
        };
        if text.len() > SEARCH_TEXT_BYTES_MAX {
            return Err(Error::Unsupported(format!(
                "the search text has {} bytes; at most {SEARCH_TEXT_BYTES_MAX} are allowed",
                text.len()
            )));
        }
        Ok(Some(Self(text.to_ascii_lowercase())))
    }

    /// Returns the text with its ASCII letters in lower case.
    pub fn lower_case(&self) -> &str {
        &self.0
    }

    /// Returns whether `field` contains the text.
    pub fn is_in(&self, field: &str) -> bool {
        contains_lower_case(field, &self.0)
    }
}

/// Returns whether `field` contains `text`, whose ASCII letters must be in lower
/// case. Takes linear time.
pub fn contains_lower_case(field: &str, text: &str) -> bool {
    field.to_ascii_lowercase().contains(text)
}
