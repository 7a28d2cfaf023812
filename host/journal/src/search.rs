//! The search for a text in the fields of a task.

use crate::{Error, TaskQuery};

/// A list of tasks refuses a search for a longer text, in bytes.
pub const SEARCH_TEXT_BYTES_MAX: usize = 4096;

/// A text to search for. ASCII letters match in either case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SearchText(String);

impl SearchText {
    /// Returns the text that `query` searches for, if it does.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the text is too long.
    pub fn of(query: &TaskQuery) -> Result<Option<Self>, Error> {
        let Some(text) = &query.text else {
            return Ok(None);
        };
        if text.len() > SEARCH_TEXT_BYTES_MAX {
            return Err(Error::Unsupported(format!(
                "a text to search for has at most {SEARCH_TEXT_BYTES_MAX} bytes"
            )));
        }
        Ok(Some(Self(text.to_ascii_lowercase())))
    }

    /// The text with its ASCII letters in lower case.
    pub fn lower_case(&self) -> &str {
        &self.0
    }

    /// Whether `field` contains the text.
    pub fn is_in(&self, field: &str) -> bool {
        contains_lower_case(field, &self.0)
    }
}

/// Whether `field` contains `text`, whose ASCII letters are in lower case. The
/// time grows with the length of both, not with their product.
pub fn contains_lower_case(field: &str, text: &str) -> bool {
    field.to_ascii_lowercase().contains(text)
}
