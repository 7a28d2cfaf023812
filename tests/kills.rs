//! Acknowledged events survive `kill -9` at any moment.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::support::client::Client;
use crate::support::host::{QUIET, Setup};
use crate::support::ledger::Ledger;
use crate::support::load::Load;
use crate::support::random::Random;
use crate::support::scale;
use crate::support::tls::{self, Caller};

/// How often the host is killed.
const KILLS: usize = 50;

/// The number of connections that post meanwhile.
const CONNECTIONS: usize = 16;

/// The maximum number of acknowledgements between two kills.
const ACKNOWLEDGED_BETWEEN: usize = 400;

/// The token of signed pushes.
const TOKEN: &str = "killsToken0123456789";

/// A setup of the host, and the clients that post to it.
struct Way {
    name: &'static str,
    setup: Setup,
    client: Box<dyn Fn(SocketAddr) -> Client + Send + Sync>,
}

impl Way {
    fn new(
        name: &'static str,
        setup: Setup,
        client: impl Fn(SocketAddr) -> Client + Send + Sync + 'static,
    ) -> Self {
        let client = Box::new(client);
        Self {
            name,
            setup,
            client,
        }
    }
}

fn ways(folder: &Path) -> [Way; 6] {
    tls::self_signed(folder);
    let caller = Caller::trusting(&folder.join("ca.pem"));
    let config = Arc::new(caller.config());
    let plain = |name: &str| Setup::on_journal(folder.join(name)).variable(QUIET);
    let secure = |name: &str| tls::with_certificate(plain(name), folder);
    let reuse = |setup: Setup, times: &str| setup.argument("--instance-reuse").argument(times);
    let enforce = |setup: Setup| {
        setup
            .variable(("BATCHTASK_TOKEN", TOKEN))
            .variable(("BATCHTASK_SIGNATURE", "enforce"))
    };
    [
        Way::new("default", plain("default.db"), Client::new),
        Way::new("fresh", reuse(plain("fresh.db"), "1"), Client::new),
        Way::new("reused", reuse(plain("reused.db"), "1000000"), Client::new),
        Way::new("TLS", secure("tls.db"), move |address| {
            Client::over_tls(address, config.clone())
        }),
        Way::new("HTTP/2", secure("http2.db"), move |address| {
            Client::over_http2(address, &caller)
        }),
        Way::new("enforce", enforce(plain("enforce.db")), |address| {
            Client::new(address).signing(TOKEN)
        }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_event_is_stored_exactly_once_after_kills_under_load() {
    let kills = scale("BATCHTASK_TEST_KILLS", KILLS);
    let folder = tempfile::tempdir().unwrap();
    let ways = ways(folder.path());
    let kills = kills.div_ceil(ways.len());
    for way in ways {
        survives(way, kills).await;
    }
}

async fn survives(way: Way, kills: usize) {
    let Way {
        name,
        setup,
        client,
    } = way;
    let client = Arc::new(client);
    let of_load = client.clone();
    let ledger = Arc::new(Ledger::new());
    let load = Load::by(move |address| of_load(address), CONNECTIONS, &ledger);
    let mut random = Random::new(50);
    for kill in 0..kills {
        if kill % 5 == 4 {
            // This kill may interrupt a recovery.
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
    assert!(seen.wrong.is_empty(), "{name}: {:?}", seen.wrong);

    let host = setup.start();
    let unacknowledged = ledger.check(&mut client(host.address())).await;
    eprintln!(
        "{name}: {kills} kills: {} events acknowledged, {unacknowledged} stored without a receipt",
        ledger.len()
    );
    assert!(ledger.len() > kills * ACKNOWLEDGED_BETWEEN / 4);
    // A commit may be durable although its answers were not sent.
    assert!(unacknowledged <= kills * CONNECTIONS);
}
