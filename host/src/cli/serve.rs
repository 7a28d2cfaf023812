//! `batchtask serve`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::logging::Logging;
use crate::engine::default_cache_dir;
use crate::journal::sqlite::{Options, SqliteJournal};
use crate::receiver::{DEFAULT_REUSE, EMBEDDED_COMPONENT, Receiver};
use crate::server::Server;
use crate::settings::Settings;

#[derive(Args)]
pub(super) struct Serve {
    /// Where the platform posts to.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        env = "BATCHTASK_LISTEN"
    )]
    listen: String,
    /// Where notifications are kept: `sqlite:PATH`.
    #[arg(
        long,
        value_name = "URL",
        default_value = "sqlite:batchtask.db",
        env = "BATCHTASK_JOURNAL"
    )]
    journal: String,
    /// A component to run instead of the one built in.
    #[arg(long, value_name = "FILE", env = "BATCHTASK_COMPONENT")]
    component: Option<PathBuf>,
    /// Where compiled code is kept [default: `batchtask` in the user's cache].
    #[arg(long, value_name = "DIR", env = "BATCHTASK_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
    /// How many requests an instance of the component serves; 1 gives each
    /// request a fresh one.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_REUSE, value_parser = clap::value_parser!(u32).range(1..), env = "BATCHTASK_INSTANCE_REUSE")]
    instance_reuse: u32,
    #[command(flatten)]
    logging: Logging,
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        self.logging.start()?;
        let settings = Settings::from_env();
        let max_body_bytes = self.max_body_bytes(&settings)?;
        let stop = stop_signal()?;
        let journal = Arc::new(self.open_journal()?);
        let receiver = Receiver::builder(journal)
            .settings(settings)
            .component(self.component_bytes()?)
            .cache_dir(self.cache_dir.clone().or_else(default_cache_dir))
            .instance_reuse(self.instance_reuse)
            .build()
            .await?;
        let listener = TcpListener::bind(&self.listen)
            .await
            .with_context(|| format!("cannot listen on `{}`", self.listen))?;
        tracing::info!("listening on http://{}", listener.local_addr()?);
        Server::new(receiver, max_body_bytes)
            .serve(listener, stop)
            .await;
        tracing::info!("stopped");
        Ok(())
    }

    /// The host reads bodies before the component does, under the same limit.
    fn max_body_bytes(&self, settings: &Settings) -> anyhow::Result<usize> {
        let look_up = |name: &str| settings.get(name).map(String::from);
        batchtask_guest::settings::Settings::read(look_up)
            .map(|settings| settings.max_body_bytes)
            .map_err(|wrong| anyhow::anyhow!(wrong.join("\n")))
    }

    fn open_journal(&self) -> anyhow::Result<SqliteJournal> {
        let path = self
            .journal
            .strip_prefix("sqlite:")
            .filter(|path| !path.is_empty());
        let path = path.with_context(|| {
            format!(
                "`--journal` must be `sqlite:PATH`, found `{}`",
                self.journal
            )
        })?;
        Ok(SqliteJournal::open(Path::new(path), Options::default())?)
    }

    fn component_bytes(&self) -> anyhow::Result<Vec<u8>> {
        match &self.component {
            Some(path) => std::fs::read(path)
                .with_context(|| format!("cannot read the component `{}`", path.display())),
            None => Ok(EMBEDDED_COMPONENT.into()),
        }
    }
}

/// Resolves at SIGTERM or Ctrl-C. Taken before anything else, so that none is
/// missed.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
