//! `batchtask serve`

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::given::{Given, checked, warn_of_misspelt};
use super::logging::Logging;
use crate::admin::Admin;
use crate::engine::default_cache_dir;
use crate::journal::sqlite::{Options, SqliteJournal};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::receiver::{DEFAULT_REUSE, EMBEDDED_COMPONENT, Receiver};
use crate::server::Server;
use crate::settings::Settings;
use crate::tls::{Tls, TlsFiles};

#[derive(Args)]
pub(super) struct Serve {
    /// Where the platform posts to
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        env = "BATCHTASK_LISTEN"
    )]
    listen: String,
    /// Where operators look: `/healthz`, `/readyz`, `/metrics`; `off` for
    /// nowhere
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9090",
        env = "BATCHTASK_ADMIN"
    )]
    admin: String,
    /// Where notifications are kept: `sqlite:PATH`
    #[arg(
        long,
        value_name = "URL",
        default_value = "sqlite:batchtask.db",
        env = "BATCHTASK_JOURNAL"
    )]
    journal: String,
    /// MiB that the quarantine may hold; the oldest go first
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16,
        env = "BATCHTASK_QUARANTINE_MIB"
    )]
    quarantine_mib: u32,
    /// The TLS certificate chain, PEM, the server's own first
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        env = "BATCHTASK_TLS_CERT"
    )]
    tls_cert: Option<PathBuf>,
    /// The private key of the TLS certificate, PEM
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        env = "BATCHTASK_TLS_KEY"
    )]
    tls_key: Option<PathBuf>,
    /// Demand a client certificate from one of these authorities, PEM
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        env = "BATCHTASK_TLS_CLIENT_CA"
    )]
    tls_client_ca: Option<PathBuf>,
    /// A component to run instead of the one built in
    #[arg(long, value_name = "FILE", env = "BATCHTASK_COMPONENT")]
    component: Option<PathBuf>,
    /// Where compiled code is kept [default: `batchtask` in the user's cache]
    #[arg(long, value_name = "DIR", env = "BATCHTASK_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
    /// How many requests an instance of the component serves; 1 gives each
    /// request a fresh one
    #[arg(long, value_name = "N", default_value_t = DEFAULT_REUSE, value_parser = clap::value_parser!(u32).range(1..), env = "BATCHTASK_INSTANCE_REUSE")]
    instance_reuse: u32,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    logging: Logging,
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        self.logging.start()?;
        let stop = stop_signal()?;
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let listener = listen(&self.listen).await?;
        let admin_listener = match self.admin.as_str() {
            "off" => None,
            address => Some(listen(address).await?),
        };
        let address = listener.local_addr()?;
        warn_of_misspelt()?;
        let mut settings = self.given.read()?;
        let made_token = made_read_token(&mut settings, address)?;
        // The host reads bodies before the component does, under the same limit,
        // and counts stale tasks.
        let checked = checked(&settings)?;
        self.warn_of_little_memory(checked.max_body_bytes);
        let tls = self.tls()?;
        let scheme = if tls.is_some() { "https" } else { "http" };

        let metrics = Arc::new(Metrics::new()?);
        let journal = Arc::new(self.open_journal(&metrics)?);
        let receiver = Receiver::builder(journal.clone())
            .settings(settings)
            .component(self.component_bytes()?)
            .cache_dir(self.cache_dir.clone().or_else(default_cache_dir))
            .instance_reuse(self.instance_reuse)
            .limits(self.limits.clone())
            .metrics(metrics.clone())
            .build()
            .await?;
        let receiver = Arc::new(receiver);
        if let Some(listener) = admin_listener {
            tracing::info!("admin listening on http://{}", listener.local_addr()?);
            let admin = Admin {
                receiver: receiver.clone(),
                journal: journal.clone(),
                metrics: metrics.clone(),
                stale_after: Duration::from_millis(checked.stale_after_ms),
            };
            tokio::spawn(admin.serve(listener));
        }
        tracing::info!("listening on {scheme}://{address}");
        if let Some(token) = made_token {
            // Not a log line: it is for whoever started the program, once.
            let _ = writeln!(
                std::io::stderr(),
                "\n  Open:  {scheme}://{address}/?token={token}\n  \
                 Read:  curl -H 'Authorization: Bearer {token}' {scheme}://{address}/tasks\n"
            );
        }
        Server::new(receiver, checked.max_body_bytes, self.limits, metrics, tls)
            .serve(listener, stop)
            .await;
        journal.close();
        tracing::info!("stopped");
        Ok(())
    }

    /// An instance holds a body several times over: as it came, out of its
    /// envelope, and in parts. One without the room for it answers 500.
    fn warn_of_little_memory(&self, max_body_bytes: usize) {
        let needed_mib = 4 + (max_body_bytes * 8).div_ceil(1 << 20);
        let given_mib = self.limits.instance_memory_mib;
        if needed_mib > given_mib as usize {
            tracing::warn!(
                "`--instance-memory-mib {given_mib}` may be too little for bodies of \
                 {max_body_bytes} bytes: {needed_mib} is not"
            );
        }
    }

    fn tls(&self) -> anyhow::Result<Option<Tls>> {
        let (Some(cert), Some(key)) = (self.tls_cert.clone(), self.tls_key.clone()) else {
            return Ok(None);
        };
        let client_ca = self.tls_client_ca.clone();
        let files = TlsFiles {
            cert,
            key,
            client_ca,
        };
        Ok(Some(Tls::load(files).context("TLS")?))
    }

    fn open_journal(&self, metrics: &Metrics) -> anyhow::Result<SqliteJournal> {
        let path = match self.journal.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Path::new(path),
            _ => bail!(
                "`--journal` must be `sqlite:PATH`, found `{}`",
                self.journal
            ),
        };
        let options = Options {
            quarantine_max_bytes: u64::from(self.quarantine_mib) << 20,
            min_free_bytes: u64::from(self.limits.min_free_disk_mib) << 20,
            observer: Some(metrics.observer()),
            ..Options::default()
        };
        Ok(SqliteJournal::open(path, options)?)
    }

    fn component_bytes(&self) -> anyhow::Result<Vec<u8>> {
        match &self.component {
            Some(path) => std::fs::read(path)
                .with_context(|| format!("cannot read the component `{}`", path.display())),
            None => Ok(EMBEDDED_COMPONENT.into()),
        }
    }
}

async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on `{address}`"))
}

/// Who tries it on their own machine is not asked for a read token: one is
/// made. On any other address nothing can be read until one is set.
fn made_read_token(settings: &mut Settings, address: SocketAddr) -> anyhow::Result<Option<String>> {
    const NAME: &str = "BATCHTASK_READ_TOKEN";
    if settings.get(NAME).is_some() || !address.ip().is_loopback() {
        return Ok(None);
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    settings.set(NAME, &*token);
    Ok(Some(token))
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
