//! The disk of the journal.

use std::path::Path;

use batchtask_journal::Error;

use crate::files::folder_of;

/// Returns how many bytes of a file's disk are free for this process.
pub(crate) fn free_bytes(path: &Path) -> rustix::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder_of(path))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Fails before the disk is full: the content of the log must still fit into
/// the database, and other programs use the disk too. 0 means: no bound.
pub(crate) fn ensure_room(path: &Path, least: u64) -> Result<(), Error> {
    if least == 0 {
        return Ok(());
    }
    let folder = folder_of(path).display();
    let free = free_bytes(path)
        .map_err(|error| Error::Unavailable(format!("the disk of `{folder}`: {error}")))?;
    if free < least {
        return Err(Error::Full(format!(
            "`{folder}` has {free} bytes left, less than {least}: free some, or prune the journal"
        )));
    }
    Ok(())
}
