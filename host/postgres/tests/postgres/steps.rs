//! The database flags the steps of a task as the guest does.

use batchtask_guest::journal::step_flag;
use batchtask_journal::stored::steps_to_bits;
use batchtask_postgres::{Options, PostgresJournal};

use crate::support::Database;

const STATUSES: [&str; 10] = [
    "Initializing",
    "Waitting",
    "Processing",
    "Stopping",
    "PartialSuccess",
    "Fail",
    "Success",
    "Stopped",
    "success",
    "",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_has_the_flag_of_the_guest() {
    let Some(database) = Database::shared() else {
        return;
    };
    let journal = PostgresJournal::open(&database.config("steps"), Options::default()).await;
    let _journal = journal.expect("a journal");
    let schema = database.schema("steps");
    let befores = STATUSES.into_iter().map(Some).chain([None]);
    for before in befores {
        for status in STATUSES {
            let quoted = before.map_or("NULL".into(), |before| format!("'{before}'"));
            let found = database.sql(&format!("SELECT {schema}.step_bits({quoted}, '{status}')"));
            let expected = steps_to_bits(step_flag(before, status)).to_string();
            assert_eq!(found.trim(), expected, "{before:?} to {status}");
        }
    }
}
