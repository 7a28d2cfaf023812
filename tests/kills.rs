//! What was acknowledged survives `kill -9`, whenever it comes.

use std::sync::Arc;

use crate::support::host::{QUIET, Setup};
use crate::support::ledger::Ledger;
use crate::support::load::Load;
use crate::support::random::Random;
use crate::support::scale;

/// How often the host is killed.
const KILLS: usize = 50;

/// Connections that post meanwhile.
const CONNECTIONS: usize = 16;

/// A kill comes after less than so many acknowledgements.
const ACKNOWLEDGED_BETWEEN: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_event_is_there_exactly_once_after_kills_under_load() {
    let kills = scale("BATCHTASK_TEST_KILLS", KILLS);
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).variable(QUIET);
    let ledger = Arc::new(Ledger::new());
    let load = Load::start(CONNECTIONS, &ledger);
    let mut random = Random::new(50);
    for kill in 0..kills {
        if kill % 5 == 4 {
            // In the middle of a recovery, too.
            setup.start_and_kill_at_once();
        }
        let host = setup.start();
        load.point_at(host.address());
        let more = random.below(ACKNOWLEDGED_BETWEEN);
        ledger.reaches(ledger.len() + more).await;
        host.kill();
        load.point_away();
    }
    let seen = load.end().await;
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);

    let host = setup.start();
    let unacknowledged = ledger.check(&mut host.client()).await;
    eprintln!(
        "{kills} kills: {} events acknowledged, {unacknowledged} stored without a receipt",
        ledger.len()
    );
    assert!(ledger.len() > kills * ACKNOWLEDGED_BETWEEN / 4);
    // A commit may be durable although its answers were not sent any more.
    assert!(unacknowledged <= kills * CONNECTIONS);
}
