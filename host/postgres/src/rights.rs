//! Checks that the role has the rights that a host needs.

use tokio_postgres::types::Type;

use crate::error::OpenError;
use crate::link::{Connector, Link};
use crate::schema::not_usable;

/// All rights on rows.
const ALL: &[&str] = &["SELECT", "INSERT", "UPDATE", "DELETE"];
/// The rights on rows that are never changed.
const NO_UPDATE: &[&str] = &["SELECT", "INSERT", "DELETE"];

/// The rights on rows that are removed with others, or never.
const NO_DELETE: &[&str] = &["SELECT", "INSERT", "UPDATE"];

/// What a host needs on each table, if the tables exist.
const TABLES: &[(&str, &[&str])] = &[
    ("journal", &["SELECT"]),
    ("totals", &["SELECT", "UPDATE"]),
    ("tasks", ALL),
    ("events", ALL),
    ("activity", ALL),
    ("repeats", NO_UPDATE),
    ("signatures", ALL),
    ("quarantine", NO_UPDATE),
    ("pruned", NO_UPDATE),
    ("copying", &["SELECT"]),
    ("details", NO_DELETE),
    ("claims", NO_DELETE),
    ("sinks", NO_DELETE),
    ("sink_parked", ALL),
    ("sink_dead", ALL),
];

/// Selects the rights that are missing, in the words of `GRANT`. The names are looked up
/// in the catalogue, which everyone may read.
const MISSING: &str = "SELECT 'USAGE ON SCHEMA ' || n.nspname FROM pg_namespace AS n \
         WHERE n.nspname = $1 AND NOT has_schema_privilege(n.oid, 'USAGE') \
     UNION ALL SELECT string_agg(w.privilege, ', ' ORDER BY w.place) || ' ON ' || w.name \
         FROM unnest($2, $3) WITH ORDINALITY AS w (name, privilege, place) \
         JOIN pg_class AS c ON c.relname = w.name \
         JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = $1 \
         WHERE NOT has_table_privilege(c.oid, w.privilege) GROUP BY w.name \
     UNION ALL SELECT 'EXECUTE ON FUNCTION ' || p.proname FROM pg_proc AS p \
         JOIN pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname = $1 \
         WHERE NOT has_function_privilege(p.oid, 'EXECUTE')";

/// Checks the rights of the role. Does nothing about tables that do not exist yet.
///
/// # Errors
/// [`OpenError::MissingRights`], with all of them.
pub(crate) async fn check(connector: &Connector, link: &Link) -> Result<(), OpenError> {
    let failed = |error: tokio_postgres::Error| not_usable(connector, &error);
    let needed = TABLES
        .iter()
        .flat_map(|(table, rights)| rights.iter().map(move |right| (*table, *right)));
    let (tables, rights): (Vec<&str>, Vec<&str>) = needed.unzip();
    let schema = connector.schema();
    let parameters = [
        (&schema as _, Type::TEXT),
        (&tables as _, Type::TEXT_ARRAY),
        (&rights as _, Type::TEXT_ARRAY),
    ];
    let rows = link.query(MISSING, &parameters).await.map_err(failed)?;
    let texts = rows.iter().map(|row| row.try_get::<_, String>(0));
    let missing: Vec<String> = texts.collect::<Result<_, _>>().map_err(failed)?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(OpenError::MissingRights {
        database: connector.database(),
        schema: schema.to_owned(),
        missing: missing.join("; "),
    })
}
