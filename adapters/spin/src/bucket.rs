//! The key-value store as a trait, so that the journal can use Spin's store in
//! the component, and one in memory in tests.

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::journal::Error;

/// The functions of a key-value store that the journal needs. If `set` returns
/// `Ok`, the value is durable.
///
/// Each call is about one key, because of Spin's stores: Redis cannot read
/// several keys at once, and DynamoDB cannot remove more than 25.
pub trait Bucket {
    /// Returns the value of a key, if the key exists.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error>;
    /// Whether a key exists.
    fn exists(&self, key: &str) -> Result<bool, Error>;
    /// Sets the value of a key, and returns when it is durable.
    fn set(&self, key: &str, value: &[u8]) -> Result<(), Error>;
    /// Removes a key if it exists.
    fn delete(&self, key: &str) -> Result<(), Error>;
    /// Returns all keys, in no particular order.
    fn keys(&self) -> Result<Vec<String>, Error>;
}

#[cfg(target_arch = "wasm32")]
pub(crate) use imported::open;

#[cfg(target_arch = "wasm32")]
mod imported {
    use super::*;
    use crate::bindings::wasi::keyvalue::store::{self, Error as StoreError};

    /// Opens the bucket with this name.
    pub(crate) fn open(name: &str) -> Result<store::Bucket, Error> {
        store::open(name).map_err(|error| {
            let mut text = String::from("the bucket `");
            text.push_str(name);
            text.push_str("` cannot be opened: ");
            text.push_str(&error_text(error));
            Error::Unavailable(text)
        })
    }

    impl Bucket for store::Bucket {
        fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
            store::Bucket::get(self, key).map_err(unavailable)
        }

        fn exists(&self, key: &str) -> Result<bool, Error> {
            store::Bucket::exists(self, key).map_err(unavailable)
        }

        fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
            store::Bucket::set(self, key, value).map_err(unavailable)
        }

        fn delete(&self, key: &str) -> Result<(), Error> {
            store::Bucket::delete(self, key).map_err(unavailable)
        }

        fn keys(&self) -> Result<Vec<String>, Error> {
            // Spin returns all keys at once, without a cursor. Other hosts may
            // return pages.
            let mut page = self.list_keys(None).map_err(unavailable)?;
            let mut keys = page.keys;
            while page.cursor.is_some() {
                page = self
                    .list_keys(page.cursor.as_deref())
                    .map_err(unavailable)?;
                keys.append(&mut page.keys);
            }
            Ok(keys)
        }
    }

    fn unavailable(error: StoreError) -> Error {
        Error::Unavailable(error_text(error))
    }

    fn error_text(error: StoreError) -> String {
        match error {
            StoreError::NoSuchStore => "the store does not exist".into(),
            StoreError::AccessDenied => {
                "access denied: add the store to the component's `key_value_stores`".into()
            }
            StoreError::Other(text) => text,
        }
    }
}
