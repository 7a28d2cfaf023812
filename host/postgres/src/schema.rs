//! The tables and functions, and their versions.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::error::{OpenError, describe};
use crate::link::{ANSWER_TIME, Connector, Link};

/// The scripts of each schema version. A released script is never changed. A later
/// version must keep what the hosts of the version before it call, because hosts
/// are upgraded one by one.
const MIGRATIONS: &[&[&str]] = &[&[
    include_str!("schema/1-tables.sql"),
    include_str!("schema/1-functions.sql"),
    include_str!("schema/1-entries.sql"),
    include_str!("schema/1-append.sql"),
    include_str!("schema/1-prune.sql"),
    include_str!("schema/1-sinks.sql"),
]];

/// The advisory lock of a migration: `btjl`.
const MIGRATION_LOCK: i64 = 0x6274_6a6c;
/// How long a migration waits for that of another host.
const MIGRATION_WAIT: &str = "60s";
/// How long a migration may take, including its wait.
const MIGRATION_TIME: Duration = Duration::from_secs(15 * 60);

/// What the database contains.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// No tables: the schema is missing or empty.
    Nothing,
    /// A journal with this schema version and this id.
    Journal { version: i32, id: String },
}

/// Returns what the database contains. Changes nothing.
pub(crate) async fn find(connector: &Connector, link: &Link) -> Result<Found, OpenError> {
    let failed = |error: tokio_postgres::Error| not_usable(connector, &error);
    let sql = "SELECT to_regclass($1 || '.journal') IS NOT NULL, EXISTS (
                   SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                   WHERE n.nspname = $1)";
    let rows = link
        .query(sql, &[(&connector.schema(), Type::TEXT)])
        .await
        .map_err(failed)?;
    let (is_journal, has_tables) = match rows.first() {
        Some(row) => (
            row.try_get(0).map_err(failed)?,
            row.try_get(1).map_err(failed)?,
        ),
        None => (false, false),
    };
    let other_program = || OpenError::OtherProgram {
        database: connector.database(),
        schema: connector.schema().to_owned(),
    };
    if !is_journal {
        return if has_tables {
            Err(other_program())
        } else {
            Ok(Found::Nothing)
        };
    }
    let sql = "SELECT version, replace(journal_id::text, '-', '') FROM batchtask.journal";
    let rows = link
        .query(sql, &[])
        .await
        .map_err(|error| match error.code() {
            Some(&SqlState::UNDEFINED_COLUMN) => other_program(),
            _ => not_usable(connector, &error),
        })?;
    let row = rows.first().ok_or_else(other_program)?;
    let version = row.try_get(0).map_err(failed)?;
    let id = row.try_get(1).map_err(failed)?;
    Ok(Found::Journal { version, id })
}

/// Creates or migrates the tables if necessary. Returns the id of the journal. After
/// an error, the connection must be closed, which undoes a migration.
pub(crate) async fn prepare(connector: &Connector, link: &Link) -> Result<String, OpenError> {
    let found = connector.within(ANSWER_TIME, find(connector, link)).await?;
    match current(connector, found)? {
        Some(id) => Ok(id),
        None => {
            connector
                .within(MIGRATION_TIME, migrate(connector, link))
                .await
        }
    }
}

/// Returns the id of a journal of the current version, and `None` if it must be
/// migrated.
pub(crate) fn current(connector: &Connector, found: Found) -> Result<Option<String>, OpenError> {
    let known = known_version();
    match found {
        Found::Journal { version, .. } if version > known => Err(OpenError::NewerSchema {
            database: connector.database(),
            found: version,
            known,
        }),
        Found::Journal { version, id } if version == known => Ok(Some(id)),
        _ => Ok(None),
    }
}

/// Refuses a journal that is an incomplete copy of another one.
pub(crate) async fn ensure_complete(connector: &Connector, link: &Link) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| not_usable(connector, &error);
    let rows = link.query("SELECT FROM batchtask.copying", &[]);
    if rows.await.map_err(failed)?.is_empty() {
        return Ok(());
    }
    Err(OpenError::Incomplete {
        database: connector.database(),
        schema: connector.schema().to_owned(),
    })
}

/// Runs the missing scripts in one transaction. Other hosts wait meanwhile.
async fn migrate(connector: &Connector, link: &Link) -> Result<String, OpenError> {
    let failed = |error: tokio_postgres::Error| not_usable(connector, &error);
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout = '{MIGRATION_WAIT}'; \
         SET LOCAL statement_timeout = '{}s'; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})",
        MIGRATION_TIME.as_secs()
    );
    link.execute(&begin).await.map_err(failed)?;
    // Another host may have done it meanwhile.
    let found = find(connector, link).await?;
    let version = match &found {
        Found::Nothing => 0,
        Found::Journal { version, .. } => usize::try_from(*version).unwrap_or(0),
    };
    if current(connector, found)?.is_none() {
        if version == 0 {
            create_schema(connector, link).await?;
        }
        for scripts in MIGRATIONS.iter().skip(version) {
            for script in *scripts {
                link.execute(script).await.map_err(failed)?;
            }
        }
        let sql = format!("UPDATE batchtask.journal SET version = {}", known_version());
        link.execute(&sql).await.map_err(failed)?;
    }
    link.execute("COMMIT").await.map_err(failed)?;
    let found = find(connector, link).await?;
    current(connector, found)?.ok_or_else(|| OpenError::Database {
        database: connector.database(),
        cause: "the tables were not created".into(),
    })
}

/// Creates the schema if it is missing. The right to create schemas is not needed if
/// it exists.
async fn create_schema(connector: &Connector, link: &Link) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| not_usable(connector, &error);
    let schema = connector.schema();
    let sql = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    let rows = link
        .query(sql, &[(&schema, Type::TEXT)])
        .await
        .map_err(failed)?;
    let exists = match rows.first() {
        Some(row) => row.try_get(0).map_err(failed)?,
        None => false,
    };
    if exists {
        return Ok(());
    }
    link.execute(&format!("CREATE SCHEMA {schema}"))
        .await
        .map_err(failed)
}

fn known_version() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Converts an error of a statement on the tables.
pub(crate) fn not_usable(connector: &Connector, error: &tokio_postgres::Error) -> OpenError {
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return OpenError::NotPermitted {
            database: connector.database(),
            schema: connector.schema().to_owned(),
            cause: describe(error),
        };
    }
    OpenError::of(&connector.database(), error)
}
