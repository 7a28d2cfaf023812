//! Copies a database, which may be in use, to a new file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tempfile::{Builder, TempPath};

use crate::error::OpenError;
use crate::files::{self, folder_of};

/// The prefix of the names of incomplete files. Such a file may be left behind if
/// the program is killed.
const PREFIX: &str = ".batchtask-copy-";

/// Copies the journal `path`, which is open as `source` and has this schema version, to the
/// file `PATH.vVERSION`. A file of that name is replaced: the journal was restored from it.
pub(crate) fn keep_version(
    source: &Connection,
    path: &Path,
    version: usize,
) -> Result<(), OpenError> {
    let mut kept = path.as_os_str().to_owned();
    kept.push(format!(".v{version}"));
    let kept = PathBuf::from(kept);
    copy_as_it_is(source, &kept).map_err(|reason| OpenError::NotKept {
        path: kept.clone(),
        reason,
    })?;
    let kept = kept.display();
    tracing::info!("the journal is migrated; `{kept}` is a copy for the earlier version");
    Ok(())
}

/// Copies a database to a file, which is complete or does not exist. Returns the reason of
/// a failure.
fn copy_as_it_is(source: &Connection, target: &Path) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let copy = new_file_beside(target).map_err(text)?;
    copy_pages(source, &copy).map_err(|error| error.to_string())?;
    sync(&copy).map_err(text)?;
    copy.persist(target).map_err(|error| text(error.error))?;
    files::sync_folder(target).map_err(text)
}

/// Creates an empty file in the folder of `target`, which only its owner can read. It is
/// removed unless it is renamed.
pub(crate) fn new_file_beside(target: &Path) -> io::Result<TempPath> {
    let file = Builder::new()
        .prefix(PREFIX)
        .tempfile_in(folder_of(target))?;
    Ok(file.into_temp_path())
}

/// Copies all pages from one snapshot.
pub(crate) fn copy_pages(source: &Connection, target: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(target, flags)?;
    // The file is made durable as a whole later, and removed if it is incomplete.
    connection.pragma_update(None, "synchronous", "off")?;
    let backup = Backup::new(source, &mut connection)?;
    match backup.step(-1)? {
        StepResult::Done => {}
        _ => return Err(busy()),
    }
    drop(backup);
    // One file, without a log.
    connection.pragma_update(None, "journal_mode", "delete")?;
    Ok(connection)
}

fn busy() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)
}

/// Makes the content of a file durable.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
