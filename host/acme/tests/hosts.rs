//! Several hosts share a certificate.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use batchtask_acme::{Options, Shared};

use crate::support::{NAME, Running, Server, World, certificate};

/// A text in memory, and who may change it.
#[derive(Default)]
struct Board {
    text: Mutex<String>,
    leader: Mutex<Option<(usize, Instant)>>,
}

/// A host's view of the board.
struct Member {
    board: Arc<Board>,
    number: usize,
}

#[async_trait]
impl Shared for Member {
    async fn acquire(&self, time: Duration) -> Result<bool, String> {
        let mut leader = self.board.leader.lock().unwrap();
        let now = Instant::now();
        let is_free = leader.is_none_or(|(number, until)| number == self.number || until < now);
        if is_free {
            *leader = Some((self.number, now + time));
        }
        Ok(is_free)
    }

    async fn release(&self) -> Result<(), String> {
        let mut leader = self.board.leader.lock().unwrap();
        *leader = leader.filter(|(number, _)| *number != self.number);
        Ok(())
    }

    async fn load(&self) -> Result<String, String> {
        Ok(self.board.text.lock().unwrap().clone())
    }

    async fn save(&self, text: &str) -> Result<bool, String> {
        let leader = *self.board.leader.lock().unwrap();
        let is_leader = leader.is_some_and(|(number, _)| number == self.number);
        if is_leader {
            *self.board.text.lock().unwrap() = text.to_owned();
        }
        Ok(is_leader)
    }
}

struct Hosts {
    world: World,
    board: Arc<Board>,
}

impl Hosts {
    fn cache(&self, number: usize) -> PathBuf {
        self.world.folder.path().join(format!("cache-{number}"))
    }

    fn options(&self, number: usize) -> Options {
        let mut options = self.world.options(&[NAME]);
        options.folder = self.cache(number);
        options.share_secrets = vec!["a secret of all hosts".into()];
        options
    }

    fn start(&self, number: usize, server: &Arc<Server>) -> Running {
        let board = self.board.clone();
        let member = Arc::new(Member { board, number });
        Running::start(self.options(number), server.clone(), Some(member))
    }
}

/// The CA reaches only one of the hosts, which need not be the one that orders.
#[tokio::test(flavor = "multi_thread")]
async fn one_host_orders_any_answers_and_all_get_the_certificate() {
    let Some(world) = World::new().await else {
        return;
    };
    let board = Arc::<Board>::default();
    let hosts = Hosts { world, board };
    let (other, _) = Server::start().await;
    // This host orders, and is not reached.
    let mut first = hosts.start(1, &other);
    let mut second = hosts.start(2, &hosts.world.server);
    first.is_good().await;
    second.is_good().await;
    let issued = first.orders("issued") + second.orders("issued");
    let failed = first.orders("failed") + second.orders("failed");
    assert_eq!((issued, failed), (1, 0));
    let ordered = certificate(&hosts.cache(1));
    assert_eq!(ordered, certificate(&hosts.cache(2)));
    crate::support::verify(&ordered, &hosts.world.pebble.root().await, NAME);
    assert!(!hosts.world.server.answered().is_empty());
    // What the hosts share is not readable.
    let text = hosts.board.text.lock().unwrap().clone();
    assert!(!text.contains("KEY") && !text.contains(NAME), "{text}");
    first.stop().await;
    second.stop().await;

    // A third host, without the CA.
    let mut hosts = hosts;
    hosts.world.pebble.stop();
    let mut third = hosts.start(3, &other);
    third.is_good().await;
    assert_eq!(certificate(&hosts.cache(3)), ordered);
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_another_secret_says_so_and_orders_nothing() {
    let Some(world) = World::new().await else {
        return;
    };
    let board = Arc::<Board>::default();
    let hosts = Hosts { world, board };
    let mut first = hosts.start(1, &hosts.world.server);
    first.is_good().await;
    first.stop().await;
    let mut options = hosts.options(2);
    options.share_secrets = vec!["another secret".into()];
    let board = hosts.board.clone();
    let member = Arc::new(Member { board, number: 2 });
    let mut second = Running::start(options, hosts.world.server.clone(), Some(member));
    let problem = second.problem().await;
    assert!(problem.contains("same `acme.share_secret`"), "{problem}");
    assert_eq!(second.orders("issued") + second.orders("failed"), 0);
    second.stop().await;
}
