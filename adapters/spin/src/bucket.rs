//! The key-value store as a trait, so that the journal runs over Spin's in the
//! component and over one in memory in tests.

use alloc::string::String;
use alloc::vec::Vec;

use batchtask_guest::journal::Error;

/// What the journal needs of a key-value store. A success of `set` is a
/// promise that the value is durable.
///
/// Each call is about one key: of Spin's stores, Redis cannot read several at
/// once, and DynamoDB takes no more than 25 to remove.
pub trait Bucket {
    /// The value of a key.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error>;
    /// Whether a key is there.
    fn exists(&self, key: &str) -> Result<bool, Error>;
    /// Makes a value durable.
    fn set(&self, key: &str, value: &[u8]) -> Result<(), Error>;
    /// Removes a key, whether it is there or not.
    fn delete(&self, key: &str) -> Result<(), Error>;
    /// Every key there is, in no particular order.
    fn keys(&self) -> Result<Vec<String>, Error>;
}

#[cfg(target_arch = "wasm32")]
pub(crate) use imported::open;

#[cfg(target_arch = "wasm32")]
mod imported {
    use super::*;
    use crate::bindings::wasi::keyvalue::store::{self, Error as StoreError};

    /// The bucket of that name.
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
            // Spin answers with all of them and has no cursor; another host
            // with this interface may have one.
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
            StoreError::NoSuchStore => "there is no such store".into(),
            StoreError::AccessDenied => {
                "access denied; is it in the component's `key_value_stores`?".into()
            }
            StoreError::Other(text) => text,
        }
    }
}
