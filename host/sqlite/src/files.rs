//! The files of a journal, and the checks of their permissions and mounts.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, access, statx};

use crate::error::OpenError;

/// The permissions of the files: only their owner can read them, whatever the
/// umask is.
const MODE: u32 = 0o600;

/// Identifies a file: its device and its inode number.
pub(crate) type Identity = (u64, u64);

/// Returns the identity of a file.
pub(crate) fn identity(data: &Metadata) -> Identity {
    (data.dev(), data.ino())
}

/// Returns the path of a database's log.
pub(crate) fn log_of(database: &Path) -> PathBuf {
    with_suffix(database, "-wal")
}

/// Returns the path of the index of a database's log.
pub(crate) fn index_of(database: &Path) -> PathBuf {
    with_suffix(database, "-shm")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Returns the folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether a path leads to nothing.
pub(crate) fn is_missing(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Checks that a file can be created at a path.
pub(crate) fn check_folder(path: &Path) -> Result<(), OpenError> {
    let folder = folder_of(path);
    let checked = access(folder, Access::WRITE_OK | Access::EXEC_OK);
    let is_folder = fs::metadata(folder).map(|data| data.is_dir());
    let failed = |source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    if !is_folder.map_err(failed)? {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    checked.map_err(|error| OpenError::File {
        path: path.to_owned(),
        source: error.into(),
    })
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

/// Checks that the log and its index can be written or created. SQLite's own
/// error would say less.
pub(crate) fn check_side_files(database: &Path) -> Result<(), OpenError> {
    for path in [log_of(database), index_of(database)] {
        let is_missing = !path.exists();
        open_or_create(&path)?;
        if is_missing {
            // The database may belong to another program, so nothing is left behind.
            let _ = fs::remove_file(&path);
        }
    }
    Ok(())
}

/// Refuses files that are mounted without their folder, because the next process
/// might see another log beside the database.
pub(crate) fn check_mounts(database: &Path) -> Result<(), OpenError> {
    for path in [database.to_owned(), log_of(database), index_of(database)] {
        if is_mount(&path) {
            return Err(OpenError::MountedAlone { path });
        }
    }
    Ok(())
}

/// Returns whether a file is the root of a mount, as far as the system reports
/// it.
fn is_mount(path: &Path) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    if let Ok(found) = statx(CWD, path, flags, StatxFlags::BASIC_STATS)
        && found
            .stx_attributes_mask
            .contains(StatxAttributes::MOUNT_ROOT)
    {
        return found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    }
    // An older kernel does not report it, but a mount from another disk is detected.
    let device = |path: &Path| fs::metadata(path).map(|data| data.dev()).ok();
    device(path).is_some_and(|file| device(folder_of(path)) != Some(file))
}

/// Makes new, renamed and removed files in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}
