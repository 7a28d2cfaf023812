//! The free space of the journal's disk.

use std::path::Path;

use batchtask_journal::Error;

use crate::files::folder_of;

/// Returns how many bytes are free for this process on the disk of a file.
pub(crate) fn free_bytes(path: &Path) -> rustix::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder_of(path))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Returns an error if the disk has fewer than `least` free bytes. The rest is
/// for the content of the log, which must still fit into the database, and for
/// other programs. 0 disables the check.
pub(crate) fn ensure_room(path: &Path, least: u64) -> Result<(), Error> {
    if least == 0 {
        return Ok(());
    }
    let folder = folder_of(path).display();
    let free = free_bytes(path).map_err(|error| {
        Error::Unavailable(format!("cannot find free space of `{folder}`: {error}"))
    })?;
    if free < least {
        return Err(Error::Full(format!(
            "the disk of `{folder}` has {free} free bytes, less than the minimum of {least}: free \
             some space"
        )));
    }
    Ok(())
}
