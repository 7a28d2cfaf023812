//! Checks of the server: whether what it commits is durable, and whether it can
//! store every text.

use crate::error::OpenError;
use crate::link::{ANSWER_TIME, Connector, Link};

/// The oldest version of PostgreSQL that has everything that is used.
const OLDEST_VERSION: i32 = 130_000;

const SELECT_SERVER: &str = "SELECT current_setting('fsync'), \
     current_setting('server_encoding'), current_setting('server_version'), \
     current_setting('server_version_num')::int, pg_is_in_recovery(), \
     current_setting('synchronous_standby_names'), current_setting('full_page_writes'), \
     current_setting('statement_timeout')";

/// Opens a connection and checks the server. Returns the connection and the warnings.
///
/// # Errors
/// See [`check`].
pub(crate) async fn connect(connector: &Connector) -> Result<(Link, Vec<String>), OpenError> {
    let link = connector.connect(|_| ()).await?;
    let checking = check(connector, &link);
    let warnings = connector.within(ANSWER_TIME, checking).await?;
    Ok((link, warnings))
}

/// Checks the server. Returns warnings about what makes it less reliable.
///
/// # Errors
/// If a commit would not be durable, or not every text can be stored.
pub(crate) async fn check(connector: &Connector, link: &Link) -> Result<Vec<String>, OpenError> {
    let database = connector.database();
    let failed = |error: &_| OpenError::of(&database, error);
    let rows = link.query(SELECT_SERVER, &[]).await;
    let rows = rows.map_err(|error| failed(&error))?;
    let missing = || OpenError::Database {
        database: database.clone(),
        cause: "the server did not report its settings".into(),
    };
    let row = rows.first().ok_or_else(missing)?;
    let text = |column| {
        row.try_get::<_, String>(column)
            .map_err(|error| failed(&error))
    };
    let version: i32 = row.try_get(3).map_err(|error| failed(&error))?;
    let is_standby: bool = row.try_get(4).map_err(|error| failed(&error))?;
    if version < OLDEST_VERSION {
        let found = text(2)?;
        return Err(OpenError::OldServer { database, found });
    }
    if is_standby {
        return Err(OpenError::ReadOnly { database });
    }
    if text(0)? != "on" {
        return Err(OpenError::FsyncOff { database });
    }
    let encoding = text(1)?;
    if encoding != "UTF8" {
        let found = encoding;
        return Err(OpenError::Encoding { database, found });
    }
    Ok(warnings(&text(5)?, &text(6)?, &text(7)?))
}

/// Returns warnings about these settings.
fn warnings(standbys: &str, full_page_writes: &str, statement_timeout: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    if standbys.is_empty() {
        warnings.push(
            "the database has no synchronous standby (`synchronous_standby_names` is empty): if \
             its disk is lost, notifications that were answered 200 are lost too"
                .into(),
        );
    }
    if full_page_writes != "on" {
        warnings.push(
            "the database runs with `full_page_writes=off`: a power loss may damage it".into(),
        );
    }
    if statement_timeout == "0" {
        warnings.push(
            "the options of a connection have no effect, so there is a connection pooler before \
             the database. Other hosts may see new events later"
                .into(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weakness_has_a_warning() {
        assert!(warnings("*", "on", "6s").is_empty());
        for (standbys, full_page_writes, timeout, expected) in [
            ("", "on", "6s", "no synchronous standby"),
            ("*", "off", "6s", "full_page_writes"),
            ("*", "on", "0", "pooler"),
        ] {
            let found = warnings(standbys, full_page_writes, timeout).join("\n");
            assert!(found.contains(expected), "{found}");
        }
    }
}
