//! A bucket in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use batchtask_guest::journal::Error;

use crate::bucket::Bucket;

/// A bucket in memory. A clone is the same bucket.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Memory {
    /// All keys and values.
    pub(super) fn values(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap()
    }

    /// How many keys begin with `prefix`.
    pub(super) fn count(&self, prefix: &str) -> usize {
        let values = self.values();
        values.keys().filter(|key| key.starts_with(prefix)).count()
    }
}

impl Bucket for Memory {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.values().get(key).cloned())
    }

    fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.values().contains_key(key))
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.values().insert(key.into(), value.into());
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<(), Error> {
        self.values().remove(key);
        Ok(())
    }

    fn keys(&self) -> Result<Vec<String>, Error> {
        // In reverse order, because a bucket promises no order.
        Ok(self.values().keys().rev().cloned().collect())
    }
}
