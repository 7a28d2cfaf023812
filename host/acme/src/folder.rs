//! [`Folder`]: the files of account, certificate and state.
//!
//! All have the mode 0600. A file is written beside its place, flushed to disk, and then
//! moved there, so a full disk or a crash leaves the former file.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::error::{Error, OptionError};

/// The file with the chain and its key.
pub(crate) const CERTIFICATE: &str = "certificate.pem";
/// The file with the account.
pub(crate) const ACCOUNT: &str = "account.json";
/// The file with the memory of the schedule.
pub(crate) const STATE: &str = "state.json";
/// The file that a process locks while it orders.
const LOCK: &str = "lock";

/// The longest file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// A folder, which is created when it is first written to.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

/// Holds the lock of a folder until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[allow(dead_code, reason = "closing the file ends the lock")] File);

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Returns the text of a file, or `None` if it does not exist.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, Error> {
        let path = self.0.join(name);
        match read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(path, "read", &error)),
        }
    }

    /// Replaces a file.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.0.join(name);
        let temporary = self.0.join(format!(".{name}.{}.new", std::process::id()));
        self.create()?;
        let written = replace(&path, &temporary, text);
        written.map_err(|error| {
            // If it cannot be removed, the next attempt overwrites it.
            let _ = fs::remove_file(&temporary);
            failed(path, "written", &error)
        })
    }

    /// Locks the folder against other processes. Returns `None` if another one has it.
    pub(crate) fn lock(&self) -> Result<Option<Lock>, Error> {
        self.create()?;
        let path = self.0.join(LOCK);
        let file = options().truncate(false).open(&path);
        let file = file.map_err(|error| failed(path.clone(), "written", &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(path, "locked", &error)),
        }
    }

    fn create(&self) -> Result<(), Error> {
        let created = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0);
        created.map_err(|error| failed(self.0.clone(), "written", &error))
    }
}

/// Checks that a folder can be written, or created. Changes nothing.
pub(crate) fn check(path: &Path) -> Result<(), OptionError> {
    let fail = |at: &Path, reason: &dyn std::fmt::Display| {
        let reason = format!("`{}` cannot be written: {reason}", at.display());
        OptionError::new("cache", reason)
    };
    let mut at = path;
    loop {
        let shown = if at.as_os_str().is_empty() {
            Path::new(".")
        } else {
            at
        };
        match fs::metadata(shown) {
            Ok(data) if !data.is_dir() => return Err(fail(shown, &"it is not a folder")),
            Ok(_) => {
                let rights = Access::WRITE_OK | Access::EXEC_OK;
                return access(shown, rights).map_err(|error| fail(shown, &error));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => match at.parent() {
                Some(parent) => at = parent,
                None => return Err(fail(shown, &error)),
            },
            Err(error) => return Err(fail(shown, &error)),
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > FILE_MAX_BYTES {
        return Err(io::Error::other("it is too long"));
    }
    fs::read_to_string(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

fn replace(path: &Path, temporary: &Path, text: &str) -> io::Result<()> {
    let mut file = options().truncate(true).open(temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    // So that the new name survives a loss of power, too.
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn failed(path: PathBuf, action: &'static str, error: &io::Error) -> Error {
    let reason = error.to_string();
    Error::Folder {
        path,
        action,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_replaced_and_only_the_owner_can_read_them() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let folder = Folder::new(&path);
        assert_eq!(folder.read(STATE).unwrap(), None);
        folder.write(STATE, "old").unwrap();
        folder.write(STATE, "new").unwrap();
        assert_eq!(folder.read(STATE).unwrap().unwrap(), "new");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(STATE)), 0o600);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path());
        let place = parent.path().join(STATE);
        fs::create_dir(&place).unwrap();
        let error = folder.write(STATE, "new").unwrap_err().to_string();
        assert!(error.contains("state.json` cannot be written"), "{error}");
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_process_orders_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path());
        let lock = folder.lock().unwrap();
        assert!(lock.is_some());
        assert!(folder.lock().unwrap().is_none());
        drop(lock);
        assert!(folder.lock().unwrap().is_some());
    }

    #[test]
    fn a_folder_that_does_not_exist_must_have_one_that_can_be_written() {
        let parent = tempfile::tempdir().unwrap();
        assert_eq!(check(&parent.path().join("a/b/c")), Ok(()));
        assert!(!parent.path().join("a").exists());
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("a")] {
            assert!(check(&path).unwrap_err().reason.contains("file"));
        }
    }
}
