//! [`Owner`]: the lock that makes one process the only writer of a journal.
//!
//! The lock is a `flock` on the database file itself: it is the same lock for
//! every path that leads to the file, and there is no lock file that could be
//! removed. It is independent of SQLite's own locks, which are of another kind.
//! But the system releases SQLite's locks as soon as this process closes any
//! handle of the file. So the file is not opened a second time while this process
//! owns it, and the owner is dropped last.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::OpenError;
use crate::files::{self, Identity, identity};

/// How long to wait before trying the lock again.
const RETRY: Duration = Duration::from_millis(5);

/// The files that this process owns.
static OWNED: Mutex<BTreeSet<Identity>> = Mutex::new(BTreeSet::new());

/// Makes this process the only writer of a journal until it is dropped.
#[derive(Debug)]
pub(crate) struct Owner {
    file: File,
    path: PathBuf,
    identity: Identity,
}

impl Owner {
    /// Locks the database at `path`, and creates the file if it is missing.
    /// Waits up to `wait` for another owner to release it.
    pub(crate) fn lock(path: &Path, wait: Duration) -> Result<Self, OpenError> {
        let deadline = Instant::now() + wait;
        loop {
            match Self::try_lock(path) {
                Err(OpenError::InUse { .. }) if Instant::now() < deadline => thread::sleep(RETRY),
                result => return result,
            }
        }
    }

    fn try_lock(path: &Path) -> Result<Self, OpenError> {
        let in_use = || OpenError::InUse {
            path: path.to_owned(),
        };
        let mut owned = owned();
        let found = fs::metadata(path).ok();
        if found.is_some_and(|data| owned.contains(&identity(&data))) {
            return Err(in_use());
        }
        if path.file_name().is_none() || path.is_dir() {
            let path = path.to_owned();
            return Err(OpenError::NotAFile { path });
        }
        let file = files::open_or_create(path)?;
        let failed = |source| OpenError::File {
            path: path.to_owned(),
            source,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use()),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // If `path` is a symbolic link without a target, opening has created it.
        let real = fs::canonicalize(path).map_err(failed)?;
        let data = file.metadata().map_err(failed)?;
        if fs::metadata(&real).ok().map(|data| identity(&data)) != Some(identity(&data)) {
            // A restore has replaced the file since it was opened.
            drop((owned, file));
            return Self::try_lock(path);
        }
        if data.nlink() > 1 {
            let (path, links) = (real, data.nlink());
            return Err(OpenError::HardLinked { path, links });
        }
        let identity = identity(&data);
        owned.insert(identity);
        Ok(Self {
            file,
            path: real,
            identity,
        })
    }

    /// Returns the path of the database, without symbolic links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the identity of the database file.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Reads the first bytes of the database file. Returns `None` if that fails.
    pub(crate) fn read_header<const N: usize>(&self) -> Option<[u8; N]> {
        let mut header = [0; N];
        self.file.read_exact_at(&mut header, 0).ok()?;
        Some(header)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        owned().remove(&self.identity);
    }
}

/// Locks the list. Nothing panics while the lock is held, so a poisoned lock can
/// be used.
fn owned() -> MutexGuard<'static, BTreeSet<Identity>> {
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}
