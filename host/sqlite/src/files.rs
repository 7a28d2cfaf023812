//! The files of a journal, and what the system says of them.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use crate::error::OpenError;

/// Nobody but the owner reads a journal, whatever the umask is.
const MODE: u32 = 0o600;

/// Identifies a file: its device, and its number on it.
pub(crate) type Identity = (u64, u64);

/// Returns the identity of a file.
pub(crate) fn identity(data: &Metadata) -> Identity {
    (data.dev(), data.ino())
}

/// The log of a database.
pub(crate) fn log_of(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

/// The index of the log, which all processes share.
pub(crate) fn index_of(database: &Path) -> PathBuf {
    with_suffix(database, "-shm")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Opens a file for reading and writing, and creates it if it is missing.
pub(crate) fn open_or_create(path: &Path) -> Result<File, OpenError> {
    let opened = options().create(true).truncate(false).open(path);
    opened.map_err(|source| match source.kind() {
        io::ErrorKind::IsADirectory => OpenError::NotAFile {
            path: path.to_owned(),
        },
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => OpenError::Folder {
            folder: folder_of(path).to_owned(),
            source,
        },
        _ => OpenError::File {
            path: path.to_owned(),
            source,
        },
    })
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(MODE);
    options
}

/// Checks that the log and its index can be written or created: SQLite would
/// say less about what is wrong.
pub(crate) fn check_side_files(database: &Path) -> Result<(), OpenError> {
    for path in [log_of(database), index_of(database)] {
        let is_missing = !path.exists();
        open_or_create(&path)?;
        if is_missing {
            // The database may be that of another program.
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// Refuses files that are mounted without their folder: the next process may
/// see another log beside the database.
pub(crate) fn check_mounts(database: &Path) -> Result<(), OpenError> {
    for path in [database.to_owned(), log_of(database), index_of(database)] {
        if is_mount(&path) {
            return Err(OpenError::MountedAlone { path });
        }
    }
    Ok(())
}

/// Whether a file is the root of a mount, as far as the system says so.
fn is_mount(path: &Path) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    if let Ok(found) = statx(CWD, path, flags, StatxFlags::BASIC_STATS)
        && found
            .stx_attributes_mask
            .contains(StatxAttributes::MOUNT_ROOT)
    {
        return found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    }
    // An older kernel: at least a mount from another disk is seen.
    let device = |path: &Path| fs::metadata(path).map(|data| data.dev()).ok();
    device(path).is_some_and(|file| device(folder_of(path)) != Some(file))
}

/// Makes what happened to the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}
