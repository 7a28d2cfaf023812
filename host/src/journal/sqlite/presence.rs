//! Whether the files that are written are still those that the next start will
//! find. What goes into a file without a name is gone with the process, and
//! nobody would notice: the system keeps it for as long as it is open.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Which file a path leads to: its device and its number there.
type Identity = (u64, u64);

/// The database and its log, as they were when a commit last went well.
pub(super) struct Presence {
    files: [(PathBuf, Option<Identity>); 2],
}

impl Presence {
    /// Nothing was seen yet.
    pub(super) fn of(database: &Path) -> Self {
        let mut log = OsString::from(database);
        log.push("-wal");
        Self {
            files: [(database.to_owned(), None), (log.into(), None)],
        }
    }

    /// Remembers the files as they are, where none was remembered.
    pub(super) fn note(&mut self) {
        for (path, known) in &mut self.files {
            if known.is_none() {
                *known = identity(path).ok();
            }
        }
    }

    /// A file that is not there any more, or is another one now.
    pub(super) fn missing(&self) -> Option<&Path> {
        self.files.iter().find_map(|(path, known)| {
            let gone = known.is_some_and(|known| identity(path).ok() != Some(known));
            gone.then_some(path.as_path())
        })
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|data| (data.dev(), data.ino()))
}
