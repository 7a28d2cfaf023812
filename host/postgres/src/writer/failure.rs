//! [`Failure`]: why a batch was not stored, or may not have been.

use std::fmt;
use std::time::Duration;

use batchtask_journal::Error;
use tokio_postgres::error::SqlState;

use crate::error::{describe, failed};

/// Why a batch was not stored, or may not have been.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database, or the connection to it, failed.
    Database(tokio_postgres::Error),
    /// There was no answer within this time.
    NoAnswer(Duration),
    /// The server committed, but only on its own disk, although a standby must
    /// confirm.
    NotReplicated,
    /// There was no connection.
    NoLink,
}

impl Failure {
    /// Returns whether the server said that it did not commit, for a reason that
    /// passes by itself.
    pub(super) fn was_undone(&self) -> bool {
        matches!(
            self.code(),
            Some(
                &SqlState::T_R_SERIALIZATION_FAILURE
                    | &SqlState::T_R_DEADLOCK_DETECTED
                    | &SqlState::READ_ONLY_SQL_TRANSACTION
                    | &SqlState::ADMIN_SHUTDOWN
            )
        )
    }

    /// Returns whether the batch may have been stored.
    pub(super) fn is_unknown(&self) -> bool {
        match self {
            Self::Database(error) => error.code().is_none(),
            Self::NoAnswer(_) | Self::NotReplicated => true,
            Self::NoLink => false,
        }
    }

    pub(super) fn is_lock_timeout(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Returns whether the connection can still be used: the server reported the
    /// error, and it is not about the connection or the server as a whole.
    pub(super) fn keeps_link(&self) -> bool {
        matches!(
            self.code(),
            Some(&SqlState::LOCK_NOT_AVAILABLE | &SqlState::DISK_FULL | &SqlState::QUERY_CANCELED)
        )
    }

    /// Converts the failure for the caller.
    pub(super) fn into_error(self, database: &str) -> Error {
        let message = format!("`{database}` did not confirm a commit");
        match &self {
            Self::Database(error) => failed(&message, error),
            _ => Error::Unavailable(format!("{message}: {self}")),
        }
    }

    fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Database(error) => error.code(),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => f.write_str(&describe(error)),
            Self::NoAnswer(limit) => write!(f, "no answer within {} ms", limit.as_millis()),
            Self::NotReplicated => f.write_str("its standby did not confirm"),
            Self::NoLink => f.write_str("there is no connection"),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}
