//! Starts servers and opens journals.
//!
//! - `server`: a server in a temporary folder.
//! - `proxy`: a link to a server that can be cut.
//! - `load`: writers that keep a ledger of what was acknowledged.
//! - `entries`: entries to store.

pub(crate) mod entries;
pub(crate) mod load;
pub(crate) mod proxy;
#[allow(dead_code, reason = "the end-to-end tests use the rest")]
mod server;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use batchtask_postgres::{Config, Options, PostgresJournal};

pub(crate) use self::load::Load;
pub(crate) use self::proxy::{Mode, Proxy};
pub(crate) use self::server::{PASSWORD, Server, free_port};

/// The server that most tests share. Its guard removes it when the tests end.
static SHARED: LazyLock<Option<Server>> = LazyLock::new(|| Server::start(&[]));
static DATABASES: AtomicU64 = AtomicU64::new(0);

/// Journals on the shared server that no other test uses.
pub(crate) struct Database {
    url: String,
    number: u64,
}

impl Database {
    /// Returns new journals on the shared server, or `None` if there is no
    /// PostgreSQL.
    pub(crate) fn shared() -> Option<Self> {
        if SHARED.is_none() {
            eprintln!("skipped: PostgreSQL is not installed");
        }
        SHARED.as_ref().map(Self::on)
    }

    /// Returns new journals on this server.
    pub(crate) fn on(server: &Server) -> Self {
        Self {
            url: server.url(),
            number: DATABASES.fetch_add(1, Relaxed),
        }
    }

    /// Returns how to open the journal called `name`.
    pub(crate) fn config(&self, name: &str) -> Config {
        config(&format!("{}?schema={}", self.url, self.schema(name)))
    }

    /// Returns the schema of the journal called `name`.
    pub(crate) fn schema(&self, name: &str) -> String {
        format!("journal_{}_{name}", self.number)
    }

    /// Returns a URL of another database on the server.
    pub(crate) fn url_of(&self, database: &str) -> String {
        let url = self
            .url
            .strip_suffix("postgres")
            .expect("the default database");
        format!("{url}{database}")
    }

    /// Runs statements as the superuser of the shared server.
    pub(crate) fn sql(&self, sql: &str) -> String {
        SHARED.as_ref().expect("it is installed").sql(sql)
    }
}

/// Returns how to open the journal at this URL.
pub(crate) fn config(url: &str) -> Config {
    Config::parse(url, |_| None).expect("a URL")
}

/// Opens a journal, which must succeed.
pub(crate) async fn open(config: &Config) -> PostgresJournal {
    let journal = PostgresJournal::open(config, Options::default()).await;
    journal.expect("a journal")
}

/// Opens several hosts of one journal at the same time.
pub(crate) async fn open_hosts(config: &Config, hosts: usize) -> Vec<PostgresJournal> {
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..hosts {
        let config = config.clone();
        opening.spawn(async move { open(&config).await });
    }
    opening.join_all().await
}

/// Returns the value of a metric.
pub(crate) fn measure(journal: &dyn batchtask_journal::Journal, name: &str) -> u64 {
    let name = format!("batchtask_journal_{name}");
    let measures = journal.measures();
    let found = measures.iter().find(|measure| measure.name == name);
    found.expect("a measure").value
}

/// Returns how much a test does: the number in the environment variable, or the
/// default.
pub(crate) fn scale(variable: &str, default: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("`{variable}` must be a number, found `{text}`")),
        Err(_) => default,
    }
}
