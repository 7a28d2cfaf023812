//! [`Store`]: a key-value store with the difficult properties of Spin's stores: keys are
//! listed without order and all at once; reads and writes fail, are slow, or fail after
//! they took effect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::support::random::Random;

/// How often operations fail, in percent.
#[derive(Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
    /// How many percent of the failing writes take effect nonetheless.
    pub(crate) done: usize,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        reads: 0,
        writes: 0,
        done: 0,
    };
    pub(crate) const EVERY_READ: Self = Self {
        reads: 100,
        ..Self::NONE
    };
    pub(crate) const EVERY_WRITE: Self = Self {
        writes: 100,
        ..Self::NONE
    };
    pub(crate) const SOME: Self = Self {
        reads: 10,
        writes: 30,
        done: 30,
    };
}

/// A store with a single bucket.
#[derive(Clone)]
pub(crate) struct Store(Arc<Shared>);

struct Shared {
    bucket: &'static str,
    inside: Mutex<Inside>,
    /// Whether writes are held, and whether a write is waiting.
    gate: watch::Sender<(bool, bool)>,
}

struct Inside {
    values: HashMap<String, Vec<u8>>,
    faults: Faults,
    random: Random,
}

/// Holds writes until it is dropped.
pub(crate) struct Gate(Store);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.0.gate.send_modify(|(held, _)| *held = false);
    }
}

impl Store {
    pub(crate) fn named(bucket: &'static str) -> Self {
        Self(Arc::new(Shared {
            bucket,
            inside: Mutex::new(Inside {
                values: HashMap::new(),
                faults: Faults::NONE,
                random: Random::new(1),
            }),
            gate: watch::Sender::new((false, false)),
        }))
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.inside().faults = faults;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.inside().values.is_empty()
    }

    /// Adds events until there are this many keys: ten for each task, with the value of
    /// an existing event.
    pub(crate) fn multiply(&self, keys: u64) {
        let mut inside = self.inside();
        let value = inside.values.values().next().expect("an event").clone();
        for serial in inside.values.len() as u64..keys {
            let (task, time) = (serial / 10, 1_769_860_800_000 + serial);
            let key = format!("e.{task:032x}.{time:016x}.01.{serial:064x}.p");
            inside.values.insert(key, value.clone());
        }
    }

    pub(crate) fn hold_writes(&self) -> Gate {
        self.0.gate.send_replace((true, false));
        Gate(self.clone())
    }

    pub(crate) async fn write_is_held(&self) {
        let mut gate = self.0.gate.subscribe();
        gate.wait_for(|(_, is_held)| *is_held)
            .await
            .expect("it is there");
    }

    pub(crate) fn is_bucket(&self, name: &str) -> bool {
        name == self.0.bucket
    }

    /// Reads, after letting other tasks run.
    pub(crate) async fn read<T>(
        &self,
        read: impl FnOnce(&HashMap<String, Vec<u8>>) -> T,
    ) -> Result<T, String> {
        self.take_turns().await;
        let mut inside = self.inside();
        let percent = inside.faults.reads;
        if inside.random.below(100) < percent {
            Err("timed out".into())
        } else {
            Ok(read(&inside.values))
        }
    }

    pub(crate) async fn write(&self, key: String, value: Vec<u8>) -> Result<(), String> {
        assert_portable(&key, &value);
        let mut gate = self.0.gate.subscribe();
        if gate.borrow().0 {
            self.0.gate.send_modify(|(_, is_held)| *is_held = true);
            gate.wait_for(|(hold, _)| !hold).await.expect("it is there");
        }
        self.take_turns().await;
        let mut inside = self.inside();
        let Faults { writes, done, .. } = inside.faults;
        let fails = inside.random.below(100) < writes;
        if !fails || inside.random.below(100) < done {
            inside.values.insert(key, value);
        }
        if fails {
            Err("the database is locked".into())
        } else {
            Ok(())
        }
    }

    pub(crate) async fn remove(&self, key: &str) -> Result<(), String> {
        self.take_turns().await;
        self.inside().values.remove(key);
        Ok(())
    }

    async fn take_turns(&self) {
        let turns = self.inside().random.below(8);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.0.inside.lock().expect("no holder panics")
    }
}

/// Checks that every backend of Spin accepts the key and the value.
fn assert_portable(key: &str, value: &[u8]) {
    let is_portable = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    assert!(key.bytes().all(is_portable), "{key}");
    assert!((1..=200).contains(&key.len()), "{key}");
    assert!(value.len() <= 400_000, "{key}: {} bytes", value.len());
}
