//! Brokers for tests, which have the rules of the platform: RabbitMQ and one that is made
//! of `rhea`. The tests of the program use them, too.

pub(crate) mod authority;
pub(crate) mod certificates;
pub(crate) mod rabbit;
pub(crate) mod rhea;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The access key of all brokers.
pub(crate) const ACCESS_KEY: &str = "kEy";

/// The access code of all brokers at first.
pub(crate) const ACCESS_CODE: &str = "hush/+= |";

/// How long the tests wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Returns a port that is free now. The broker must have the same one after a restart.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Returns the path of a program or library if it is there. If not, prints why the test
/// is skipped.
pub(crate) fn installed(path: PathBuf, from: &str) -> Option<PathBuf> {
    let is_there = path.exists();
    if !is_there {
        eprintln!("skipped: no `{}`; install {from}", path.display());
    }
    is_there.then_some(path)
}

/// Returns the folder into which `cargo xtask tools` installs.
fn tools() -> PathBuf {
    let mut folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    while !folder.join("xtask").exists() {
        folder = folder.parent().expect("the root of the workspace");
    }
    folder.join("target/tools")
}

/// Waits until `done` returns a value.
pub(crate) async fn eventually<T>(what: &str, mut done: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(value) = done().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("it does not happen that {what}"))
}
