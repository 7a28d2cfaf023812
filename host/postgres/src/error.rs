//! [`OpenError`]: why a journal could not be opened, and the texts of errors of
//! the database.

use std::error::Error as _;
use std::path::PathBuf;

use batchtask_journal::Error;
use tokio_postgres::error::SqlState;

use crate::config::ConfigError;

/// Why a journal could not be opened. The text names the database and says what to
/// do. It never contains a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL or an environment variable is wrong.
    #[error("the journal's URL cannot be used: {0}")]
    Config(#[from] ConfigError),
    /// A file for TLS cannot be used.
    #[error("the file `{}` for TLS to the database cannot be used: {reason}", path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS is not possible, or the server's certificate is not the right one.
    #[error(
        "TLS to the database failed: {0}. If a private authority issued the server's \
         certificate, name its file with `sslrootcert=FILE`; the certificate must be for the \
         host name in the URL"
    )]
    Tls(String),
    /// No host of the URL answers.
    #[error(
        "`{database}` is not reachable: {cause}. Check host and port, and whether PostgreSQL is \
         running and accepts connections from here"
    )]
    Unreachable {
        /// The URL without its password.
        database: String,
        /// What failed.
        cause: String,
    },
    /// The user or the password is wrong.
    #[error(
        "`{database}` refuses this user: {cause}. Check the user, the password (`PGPASSWORD` or \
         `PGPASSFILE`) and `pg_hba.conf`"
    )]
    Refused {
        /// The URL without its password.
        database: String,
        /// The answer of the server.
        cause: String,
    },
    /// The database does not exist.
    #[error("`{database}` does not exist: create it with `createdb`, or name another one")]
    UnknownDatabase {
        /// The URL without its password.
        database: String,
    },
    /// The server is a standby, or the role or the database is read-only.
    #[error(
        "`{database}` does not allow writes: name the primary, or all hosts of the cluster \
         (`postgres://user@host1,host2/database`)"
    )]
    ReadOnly {
        /// The URL without its password.
        database: String,
    },
    /// The server does not sync its disk, so nothing would be durable.
    #[error(
        "`{database}` runs with `fsync=off`: it would lose notifications that were answered 200. \
         Set `fsync=on`"
    )]
    FsyncOff {
        /// The URL without its password.
        database: String,
    },
    /// The database has an encoding that cannot store every text.
    #[error(
        "`{database}` has the encoding {found}, which cannot store every text: create a database \
         with `createdb --encoding=UTF8 --template=template0`"
    )]
    Encoding {
        /// The URL without its password.
        database: String,
        /// The encoding of the database.
        found: String,
    },
    /// The version of the server is too old.
    #[error("`{database}` is PostgreSQL {found}: at least version 13 is needed")]
    OldServer {
        /// The URL without its password.
        database: String,
        /// The version of the server.
        found: String,
    },
    /// The tables are missing, or the role may not use them.
    #[error(
        "the tables in schema `{schema}` of `{database}` cannot be created or used by this role: \
         {cause}. Start once with the owner of the database, or grant the rights that the manual \
         lists"
    )]
    NotPermitted {
        /// The URL without its password.
        database: String,
        /// The schema of the tables.
        schema: String,
        /// The answer of the server.
        cause: String,
    },
    /// The role lacks rights on tables that exist.
    #[error(
        "the role lacks rights in schema `{schema}` of `{database}`: {missing}. Grant them as the \
         owner of the tables"
    )]
    MissingRights {
        /// The URL without its password.
        database: String,
        /// The schema of the tables.
        schema: String,
        /// The rights, in the words of `GRANT`.
        missing: String,
    },
    /// There is no journal in the database.
    #[error("there is no journal in schema `{schema}` of `{database}`")]
    Missing {
        /// The URL without its password.
        database: String,
        /// The schema that was looked at.
        schema: String,
    },
    /// The journal is an incomplete copy.
    #[error(
        "the journal in schema `{schema}` of `{database}` is an incomplete copy of another journal: \
         complete it with the command that began it, `batchtask journal copy`, or drop the schema"
    )]
    Incomplete {
        /// The URL without its password.
        database: String,
        /// The schema of the tables.
        schema: String,
    },
    /// The schema belongs to another program.
    #[error(
        "the schema `{schema}` of `{database}` exists, but is not a journal: choose another one \
         with `schema=NAME`"
    )]
    OtherProgram {
        /// The URL without its password.
        database: String,
        /// The schema.
        schema: String,
    },
    /// The tables were written by a later version of this program.
    #[error(
        "the journal in `{database}` has schema version {found}, but this program supports only \
         versions up to {known}: use the version of the program that wrote it"
    )]
    NewerSchema {
        /// The URL without its password.
        database: String,
        /// The version in the database.
        found: i32,
        /// The greatest version that this program supports.
        known: i32,
    },
    /// Another database answers than the one that was opened.
    #[error(
        "`{database}` contains another journal than before: was the database replaced? Restart \
         the receiver to use it"
    )]
    Replaced {
        /// The URL without its password.
        database: String,
    },
    /// A connection pooler does not accept the options of a connection.
    #[error(
        "`{database}` refuses the options of the connection: {cause}. If it is a connection \
         pooler, connect to PostgreSQL itself, or set `ignore_startup_parameters = options` in \
         PgBouncer"
    )]
    Pooler {
        /// The URL without its password.
        database: String,
        /// The answer of the pooler.
        cause: String,
    },
    /// Any other error of the database.
    #[error("`{database}` cannot be used: {cause}")]
    Database {
        /// The URL without its password.
        database: String,
        /// The error.
        cause: String,
    },
}

impl OpenError {
    /// Converts an error of a connection or of its first statements.
    pub(crate) fn of(database: &str, error: &tokio_postgres::Error) -> Self {
        let (database, cause) = (database.to_owned(), describe(error));
        let Some(code) = error.code() else {
            return Self::without_code(database, cause, error);
        };
        match *code {
            SqlState::INVALID_PASSWORD
            | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
            | SqlState::INSUFFICIENT_PRIVILEGE => Self::Refused { database, cause },
            SqlState::INVALID_CATALOG_NAME => Self::UnknownDatabase { database },
            SqlState::PROTOCOL_VIOLATION if cause.contains("parameter") => {
                Self::Pooler { database, cause }
            }
            SqlState::READ_ONLY_SQL_TRANSACTION => Self::ReadOnly { database },
            SqlState::CANNOT_CONNECT_NOW => Self::Unreachable { database, cause },
            _ => Self::Database { database, cause },
        }
    }

    /// Converts an error that the server did not report: of the network, of TLS, or
    /// of this program.
    fn without_code(database: String, cause: String, error: &tokio_postgres::Error) -> Self {
        let kind = error.to_string();
        let io = error
            .source()
            .and_then(|cause| cause.downcast_ref::<std::io::Error>());
        if kind.contains("TLS") {
            Self::Tls(cause)
        } else if kind.contains("authentication") || kind.contains("configuration") {
            Self::Refused { database, cause }
        } else if io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied) {
            // The client's own check of `target_session_attrs`.
            Self::ReadOnly { database }
        } else {
            Self::Unreachable { database, cause }
        }
    }
}

/// Returns the text of an error of the database, with its cause.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", error.message(), error.code().code());
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Returns the error of a call that failed with `error`. `message` says what failed.
pub(crate) fn failed(message: &str, error: &tokio_postgres::Error) -> Error {
    let text = format!("{message}: {}", describe(error));
    match error.code() {
        Some(&SqlState::DISK_FULL) => Error::Full(text),
        _ => Error::Unavailable(text),
    }
}

/// Returns the error of every call after the journal was closed.
pub(crate) fn closed() -> Error {
    Error::Unavailable("the journal is closed".into())
}
