//! `batchtask serve`

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use batchtask_host::Intake;
use batchtask_host::admin::Admin;
use batchtask_host::component::{DEFAULT_REUSE, EMBEDDED, Options};
use batchtask_host::http::Server;
use batchtask_host::services::Services;
use batchtask_host::settings::Settings;
use batchtask_host::telemetry::{CommitMetrics, Registry};
use batchtask_host::tls::{Tls, TlsFiles};
use batchtask_journal::{Bounds, GroupCommit, group_commit};
use batchtask_notification::hex;
use batchtask_sqlite::SqliteJournal;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::given::{Given, checked, warn_of_misspelt};
use super::limits::LimitArgs;
use super::logging::Logging;

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
    /// How many requests an instance of the component serves. 1 gives every
    /// request a fresh instance
    #[arg(long, value_name = "N", default_value_t = DEFAULT_REUSE, value_parser = clap::value_parser!(u32).range(1..), env = "BATCHTASK_INSTANCE_REUSE")]
    instance_reuse: u32,
    #[command(flatten)]
    given: Given,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    logging: Logging,
}

impl Serve {
    pub(super) async fn run(self, is_known: fn(&str) -> bool) -> anyhow::Result<()> {
        self.logging.start()?;
        let stop = stop_signal()?;
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let listener = listen(&self.listen).await?;
        let admin_listener = match self.admin.as_str() {
            "off" => None,
            address => Some(listen(address).await?),
        };
        let address = listener.local_addr()?;
        warn_of_misspelt(is_known)?;
        let mut settings = self.given.read()?;
        let made_token = made_read_token(&mut settings, address)?;
        // The host reads bodies under the same limit as the component, and
        // counts stale tasks.
        let checked = checked(&settings)?;
        self.warn_of_little_memory(checked.max_body_bytes);
        let tls = self.tls()?.map(Arc::new);
        let scheme = if tls.is_some() { "https" } else { "http" };

        let registry = Registry::new()?;
        let journal = Arc::new(self.open_journal(&registry)?);
        let options = self.options(settings, &registry)?;
        let intake = Arc::new(Intake::build(journal.clone(), &options).await?);
        let mut services = Services::new(&registry)?;
        if let Some(tls) = tls.clone() {
            start_certificates(&mut services, tls);
        }
        if let Some(listener) = admin_listener {
            tracing::info!("admin listening on http://{}", listener.local_addr()?);
            let admin = Admin {
                intake: intake.clone(),
                registry: registry.clone(),
                stale_after: Duration::from_millis(checked.stale_after_ms),
            };
            start_admin(&mut services, admin, listener)?;
        }
        let server = Server::new(
            intake,
            checked.max_body_bytes,
            options.limits,
            tls,
            &registry,
        )?;
        start_http(&mut services, server, listener)?;
        tracing::info!("listening on {scheme}://{address}");
        if let Some(token) = made_token {
            show_token(&token, &format!("{scheme}://{address}"));
        }
        stop.await;
        services.stop().await;
        journal.close();
        tracing::info!("stopped");
        Ok(())
    }

    fn options(&self, settings: Settings, registry: &Registry) -> anyhow::Result<Options> {
        Ok(Options {
            settings,
            wasm: self.component_bytes()?,
            cache_dir: self.cache_dir.clone().or_else(default_cache_dir),
            reuse: self.instance_reuse,
            limits: self.limits.0.clone(),
            registry: registry.clone(),
            ..Options::default()
        })
    }

    /// Warns if an instance has too little memory for the longest body: it
    /// holds a body several times (as received, out of its envelope, in parts),
    /// and without room for that it answers 500.
    fn warn_of_little_memory(&self, max_body_bytes: usize) {
        let needed_mib = 4 + (max_body_bytes * 8).div_ceil(1 << 20);
        if needed_mib > self.limits.0.instance_memory_mib as usize {
            tracing::warn!(
                "raise `--instance-memory-mib` to at least {needed_mib} for bodies of \
                 {max_body_bytes} bytes"
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

    fn open_journal(&self, registry: &Registry) -> anyhow::Result<GroupCommit> {
        let path = match self.journal.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Path::new(path),
            _ => bail!(
                "`--journal` must be `sqlite:PATH`, found `{}`",
                self.journal
            ),
        };
        let options = batchtask_sqlite::Options {
            bounds: Bounds {
                quarantine_max_bytes: u64::from(self.quarantine_mib) << 20,
                ..Bounds::default()
            },
            min_free_bytes: u64::from(self.limits.0.min_free_disk_mib) << 20,
            ..batchtask_sqlite::Options::default()
        };
        let journal = Arc::new(SqliteJournal::open(path, options)?);
        let observer = CommitMetrics::register(registry)?;
        let commits = GroupCommit::new(journal, group_commit::Options::default(), Some(observer));
        commits.context("the journal's thread cannot be started")
    }

    fn component_bytes(&self) -> anyhow::Result<Vec<u8>> {
        match &self.component {
            Some(path) => std::fs::read(path)
                .with_context(|| format!("cannot read the component `{}`", path.display())),
            None => Ok(EMBEDDED.into()),
        }
    }
}

async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on `{address}`"))
}

/// Has certificates read again when their files change.
fn start_certificates(services: &mut Services, tls: Arc<Tls>) {
    services.start("certificates", move |stop| {
        let tls = tls.clone();
        async move { stop.run_until_cancelled(tls.watch()).await.unwrap_or(()) }
    });
}

fn start_admin(
    services: &mut Services,
    admin: Admin,
    listener: TcpListener,
) -> std::io::Result<()> {
    let (admin, listener) = (Arc::new(admin), Rebinding::new(listener)?);
    services.start("admin", move |stop| {
        let (admin, listener) = (admin.clone(), listener.next());
        async move {
            if let Some(listener) = listener.await {
                let serve = admin.serve(listener);
                stop.run_until_cancelled(serve).await.unwrap_or(())
            }
        }
    });
    Ok(())
}

fn start_http(
    services: &mut Services,
    server: Server,
    listener: TcpListener,
) -> std::io::Result<()> {
    let (server, listener) = (Arc::new(server), Rebinding::new(listener)?);
    services.start("http", move |stop| {
        let (server, listener) = (server.clone(), listener.next());
        async move {
            if let Some(listener) = listener.await {
                server.serve(listener, stop.cancelled()).await
            }
        }
    });
    Ok(())
}

/// Shows a token that was made for this run. Not a log line: it is for the
/// person who started the program.
fn show_token(token: &str, url: &str) {
    let _ = writeln!(
        std::io::stderr(),
        "\n  Open:  {url}/?token={token}\n  \
         Read:  curl -H 'Authorization: Bearer {token}' {url}/tasks\n"
    );
}

/// A listener for a service that may start again: the first start gets the one
/// that is there, a later one binds the same address.
struct Rebinding {
    address: SocketAddr,
    first: Mutex<Option<TcpListener>>,
}

impl Rebinding {
    fn new(listener: TcpListener) -> std::io::Result<Self> {
        Ok(Self {
            address: listener.local_addr()?,
            first: Mutex::new(Some(listener)),
        })
    }

    fn next(&self) -> impl Future<Output = Option<TcpListener>> + use<> {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let address = self.address;
        async move {
            if first.is_some() {
                return first;
            }
            let bound = TcpListener::bind(address).await;
            bound
                .inspect_err(|error| tracing::error!(%error, "cannot listen on {address} again"))
                .ok()
        }
    }
}

/// Makes a read token for a receiver on a loopback address, if none is set. On
/// any other address nothing can be read until one is set.
fn made_read_token(settings: &mut Settings, address: SocketAddr) -> anyhow::Result<Option<String>> {
    const NAME: &str = "BATCHTASK_READ_TOKEN";
    if settings.get(NAME).is_some() || !address.ip().is_loopback() {
        return Ok(None);
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    let token = hex(&bytes);
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

/// The default folder for compiled code: `$XDG_CACHE_HOME/batchtask`, or the
/// same in `~/.cache`; `None` if neither is known.
fn default_cache_dir() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))?;
    Some(base.join("batchtask")).filter(|path| path.is_absolute())
}
