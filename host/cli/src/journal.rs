//! Which journal: `sqlite:PATH` or `postgres://…`.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batchtask_journal::Journal;
use batchtask_journal::copy::Content;
use batchtask_postgres::{Config, PostgresContent, PostgresJournal};
use batchtask_sqlite::{SqliteContent, SqliteJournal};

/// What the URL of a journal names.
#[derive(Clone, Debug)]
pub(super) enum Location {
    /// A file.
    Sqlite(PathBuf),
    /// A database that several hosts share.
    Postgres(Box<Config>),
}

impl Default for Location {
    fn default() -> Self {
        Self::Sqlite(PathBuf::new())
    }
}

impl fmt::Display for Location {
    /// Shows no password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(config) => config.fmt(f),
        }
    }
}

/// Parses the URL of a journal.
///
/// # Errors
/// Why the URL is refused. Empty if it is of another form. Shows no password.
pub(super) fn parse(url: &str) -> Result<Location, String> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        return sqlite_path(path).map(Location::Sqlite);
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let config = Config::from_url(url).map_err(|error| error.to_string())?;
        return Ok(Location::Postgres(config.into()));
    }
    if url.starts_with('/') || url.starts_with("./") {
        return Err(format!("write `sqlite:{url}`"));
    }
    Err(String::new())
}

/// Parses the path of a file, with or without the two slashes that other programs
/// require.
fn sqlite_path(path: &str) -> Result<PathBuf, String> {
    let (path, is_url) = match path.strip_prefix("//") {
        Some(path) => (path, true),
        None => (path, false),
    };
    if path.is_empty() {
        return Err("it has no path".to_owned());
    }
    if path == ":memory:" {
        return Err("a journal must survive a restart, so it needs a file".to_owned());
    }
    if is_url && path.contains('?') {
        return Err(
            "there are no parameters. For a file name with `?` write `sqlite:PATH`".to_owned(),
        );
    }
    Ok(path.into())
}

/// The options of a journal, whatever it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    pub(super) sqlite: batchtask_sqlite::Options,
    pub(super) postgres: batchtask_postgres::Options,
}

impl Location {
    /// Opens the journal, and creates it if it is missing.
    pub(super) async fn open(&self, options: Options) -> anyhow::Result<Arc<dyn Journal>> {
        Ok(match self.clone() {
            Self::Sqlite(path) => {
                let open = move || SqliteJournal::open(path, options.sqlite);
                Arc::new(tokio::task::spawn_blocking(open).await??)
            }
            Self::Postgres(config) => {
                Arc::new(PostgresJournal::open(&config, options.postgres).await?)
            }
        })
    }

    /// Opens the content of the journal, which must exist, for a copy.
    pub(super) async fn content(&self) -> anyhow::Result<Box<dyn Content>> {
        Ok(match self {
            Self::Sqlite(path) => Box::new(SqliteContent::open(path)?),
            Self::Postgres(config) => Box::new(PostgresContent::open(config).await?),
        })
    }

    /// Opens the content of the journal for a copy, and creates the journal if it is
    /// missing.
    pub(super) async fn content_or_new(&self) -> anyhow::Result<Box<dyn Content>> {
        Ok(match self {
            Self::Sqlite(path) => Box::new(SqliteContent::open_or_create(path)?),
            Self::Postgres(config) => Box::new(PostgresContent::open_or_create(config).await?),
        })
    }

    /// Whether the URL has a password.
    pub(super) fn has_password(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(config) => config.has_password_in_url(),
        }
    }

    /// Checks whether the journal can be opened. Creates and migrates nothing. Returns
    /// warnings.
    pub(super) async fn check(&self) -> anyhow::Result<Vec<String>> {
        Ok(match self {
            Self::Sqlite(path) => SqliteJournal::check(path).map(|()| Vec::new())?,
            Self::Postgres(config) => {
                PostgresJournal::check(config, batchtask_postgres::Options::default()).await?
            }
        })
    }

    /// The same, without symbolic links.
    pub(super) fn resolved(&self) -> Self {
        match self {
            Self::Sqlite(path) => {
                Self::Sqlite(fs::canonicalize(path).unwrap_or_else(|_| path.clone()))
            }
            Self::Postgres(_) => self.clone(),
        }
    }

    /// The file of the journal.
    ///
    /// # Errors
    /// It is not in a file.
    pub(super) fn file(&self) -> anyhow::Result<&Path> {
        match self {
            Self::Sqlite(path) => Ok(path),
            Self::Postgres(_) => Err(anyhow::anyhow!(
                "the journal `{self}` is not a file: use the tools of PostgreSQL, such as `pg_dump`"
            )),
        }
    }

    /// The path of the socket at which a process hands over to a successor: beside the
    /// file, or in the folder that the system provides for sockets. `None` if there is
    /// no such folder. `listen` is the address of the process.
    pub(super) fn handover_path(&self, listen: &str) -> Option<PathBuf> {
        match self {
            Self::Sqlite(path) => {
                let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
                let mut path = OsString::from(path);
                path.push(".handover");
                Some(path.into())
            }
            // Several processes of one machine may share the journal.
            Self::Postgres(_) => {
                let name = listen.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
                Some(runtime_folder()?.join(format!("batchtask-{name}.handover")))
            }
        }
    }
}

/// The folder for sockets: that of the service manager, or that of the user.
fn runtime_folder() -> Option<PathBuf> {
    let variables = ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"];
    let folder = variables.into_iter().find_map(env::var_os)?;
    // A service manager may name several folders.
    let folder = env::split_paths(&folder).next()?;
    Some(folder).filter(|folder| folder.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(url: &str) -> PathBuf {
        parse(url).unwrap().file().unwrap().to_owned()
    }

    #[test]
    fn every_usual_form_names_the_file_that_is_meant() {
        for (url, expected) in [
            ("sqlite:batchtask.db", "batchtask.db"),
            ("sqlite:./folder/batchtask.db", "./folder/batchtask.db"),
            ("sqlite:/srv/batchtask.db", "/srv/batchtask.db"),
            ("sqlite://data.db", "data.db"),
            ("sqlite://folder/data.db", "folder/data.db"),
            ("sqlite:///srv/data.db", "/srv/data.db"),
            ("sqlite:////srv/data.db", "//srv/data.db"),
            ("sqlite:what?.db", "what?.db"),
        ] {
            assert_eq!(path(url), Path::new(expected), "{url}");
        }
    }

    #[test]
    fn other_forms_are_refused_with_what_is_right() {
        for (url, reason) in [
            ("batchtask.db", ""),
            ("/srv/batchtask.db", "write `sqlite:/srv/batchtask.db`"),
            ("sqlite:", "no path"),
            ("sqlite://", "no path"),
            ("mysql://localhost", ""),
            ("sqlite::memory:", "needs a file"),
            ("sqlite://:memory:", "needs a file"),
            ("sqlite://data.db?mode=rwc", "no parameters"),
            ("postgres://db/batchtask?what=1", "unknown parameter"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let location = parse("postgres://receiver:hush@db.example.com/batchtask").unwrap();
        assert!(!format!("{location} {location:?}").contains("hush"));
        let refused = location.file().unwrap_err().to_string();
        assert!(!refused.contains("hush") && refused.contains("pg_dump"));
        let error = parse("postgres://receiver:hush@db/batchtask?what=1").unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
}
