//! `batchtask serve`
//!
//! - `listen`: listening sockets; `sockets`: which of them a receiver uses.
//! - `running`: a receiver until it ends; `signals`: what ends it.
//! - `handover`: how a successor takes its place; `replacement`: starts one.
//! - `manager`: what a service manager is told.

mod handover;
mod listen;
mod manager;
mod replacement;
mod running;
mod signals;
mod sockets;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context;
use batchtask_guest::settings::Settings as Checked;
use batchtask_host::Intake;
use batchtask_host::admin::Admin;
use batchtask_host::component::{DEFAULT_REUSE, EMBEDDED, Options};
use batchtask_host::http::Server;
use batchtask_host::listener::Listener;
use batchtask_host::proxies::Proxies;
use batchtask_host::services::Services;
use batchtask_host::settings::Settings;
use batchtask_host::telemetry::{CommitMetrics, Registry};
use batchtask_host::tls::{Tls, TlsFiles};
use batchtask_journal::{Bounds, GroupCommit, MemoryJournal, group_commit};
use batchtask_notification::hex;
use batchtask_sqlite::SqliteJournal;
use clap::Args;

use super::given::{Given, checked, warn_of_misspelt};
use super::journal::JournalUrl;
use super::limits::LimitArgs;
use super::logging::{Log, Logging};
use super::prune::{days_or_always, time_of_days};
use super::warnings;

use self::handover::{Door, Predecessor};
use self::listen::Socket;
use self::running::{End, Running};
use self::signals::Signals;
use self::sockets::Sockets;

#[derive(Args)]
pub(super) struct Serve {
    /// Where the platform posts to: `ADDRESS:PORT`, `:PORT` for all interfaces,
    /// or `unix:PATH`. A socket that a service manager passes (`LISTEN_FDS`)
    /// goes before it
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        env = "BATCHTASK_LISTEN"
    )]
    listen: String,
    /// Where operators look: `/healthz`, `/readyz`, `/metrics`; `off` for
    /// nowhere. A socket named `admin` that a service manager passes goes
    /// before it
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9090",
        env = "BATCHTASK_ADMIN"
    )]
    admin: String,
    /// The proxies before the public port, which speak the PROXY protocol
    /// (version 1 or 2): `off`, `on` for any address, or addresses and networks
    /// with commas between. Any other connection is closed
    #[arg(
        long,
        value_name = "PROXIES",
        default_value = "off",
        env = "BATCHTASK_PROXY_PROTOCOL"
    )]
    proxy_protocol: ProxyProtocol,
    /// The proxies before the public port, as addresses and networks with commas
    /// between, whose `X-Forwarded-For` or `Forwarded` says where a request
    /// comes from, for logs and limits
    #[arg(long, value_name = "PROXIES", env = "BATCHTASK_TRUSTED_PROXIES")]
    trusted_proxies: Option<Proxies>,
    /// Take the place of the process that serves this journal, if there is one,
    /// without losing a request
    #[arg(long, env = "BATCHTASK_TAKEOVER")]
    takeover: bool,
    #[command(flatten)]
    journal: JournalUrl,
    /// Days after their last new event that tasks whose status is Success or
    /// Stopped are kept; 0: for ever
    #[arg(
        long,
        value_name = "DAYS",
        default_value = "0",
        value_parser = days_or_always,
        env = "BATCHTASK_KEEP_DAYS"
    )]
    keep_days: u32,
    /// MiB that the quarantine may hold; the oldest go first. Bodies over 16 KiB
    /// leave half of it to others
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

/// What every receiver of this process has in common: a second one is made if a
/// successor fails.
struct Common {
    settings: Settings,
    checked: Checked,
    tls: Option<Arc<Tls>>,
    sockets: Sockets,
    log: Log,
}

impl Common {
    /// Where the receiver is.
    fn url(&self) -> String {
        self.sockets.http.url(self.tls.is_some())
    }
}

impl Serve {
    pub(super) async fn run(self, is_known: fn(&str) -> bool) -> anyhow::Result<()> {
        let log = self.logging.start()?;
        let mut signals = Signals::catch()?;
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let mut predecessor = self.predecessor().await?;
        let sockets = Sockets::obtain(&self.listen, &self.admin, predecessor.as_mut()).await?;
        warn_of_misspelt(is_known)?;
        let (common, made_token) = self.prepare(log, sockets)?;
        if let Some(predecessor) = &mut predecessor {
            self.rehearse(&common).await?;
            predecessor.finish().await?;
        }
        let mut running = self.start(&common).await?;
        if let Some(predecessor) = predecessor {
            predecessor.dismiss().await;
        }
        if let Some(token) = made_token {
            common.log.show(&token_text(&token, &common.url()));
        }
        loop {
            let tls = common.tls.as_deref();
            match running.until_end(&mut signals, &common.sockets, tls).await {
                End::Successor(successor) => {
                    let idle_time = self.limits.0.handover_time();
                    if running.hand_over(successor, idle_time, &mut signals).await {
                        return Ok(());
                    }
                }
                End::Stop => {
                    common.sockets.close();
                    return running.stop(&mut signals).await;
                }
                End::StopAtOnce => {
                    common.sockets.close();
                    return running.stop_at_once().await;
                }
            }
            running = self.start(&common).await?;
        }
    }

    /// Reads the settings and the certificates. Returns the read token too, if
    /// one was made.
    fn prepare(&self, log: Log, sockets: Sockets) -> anyhow::Result<(Common, Option<String>)> {
        let mut settings = self.given.read()?;
        let made_token = made_read_token(&mut settings, &sockets.http)?;
        // The host reads bodies under the same limit as the component, and
        // counts stale tasks.
        let checked = checked(&settings)?;
        self.warn_of_little_memory(checked.max_body_bytes);
        let has_client_ca = self.tls_client_ca.is_some();
        warnings::warn(&checked, sockets.http.address(), has_client_ca);
        let common = Common {
            settings,
            checked,
            tls: self.tls()?.map(Arc::new),
            sockets,
            log,
        };
        Ok((common, made_token))
    }

    async fn predecessor(&self) -> anyhow::Result<Option<Predecessor>> {
        if !self.takeover {
            return Ok(None);
        }
        Predecessor::of(&self.journal.path()?).await
    }

    /// Makes sure that nothing but the journal can fail, and has the component
    /// compiled, before the predecessor stops.
    async fn rehearse(&self, common: &Common) -> anyhow::Result<()> {
        let journal = Arc::new(MemoryJournal::default());
        let journal = GroupCommit::new(journal, group_commit::Options::default(), None)?;
        let options = self.options(common.settings.clone(), &Registry::default())?;
        Intake::build(Arc::new(journal), &options).await?;
        Ok(())
    }

    /// Opens the journal and starts to serve.
    async fn start(&self, common: &Common) -> anyhow::Result<Running> {
        let registry = Registry::new()?;
        common.log.register(&registry)?;
        let journal = Arc::new(self.open_journal(&registry).await?);
        let options = self.options(common.settings.clone(), &registry)?;
        let intake = Arc::new(Intake::build(journal.clone(), &options).await?);
        let mut services = Services::new(&registry)?;
        if let Some(tls) = common.tls.clone() {
            start_certificates(&mut services, tls);
        }
        if let Some(socket) = &common.sockets.admin {
            tracing::info!("admin listening on {}", socket.url(false));
            let admin = Admin {
                intake: intake.clone(),
                registry: registry.clone(),
                stale_after: Duration::from_millis(common.checked.stale_after_ms),
            };
            start_admin(&mut services, admin, socket);
        }
        let server = Server::new(
            intake,
            common.checked.max_body_bytes,
            options.limits,
            common.tls.clone(),
            &registry,
        )?;
        let server = server
            .behind(self.proxy_protocol.0.clone())
            .trusting(self.trusted_proxies.clone());
        let server = Arc::new(server);
        start_http(&mut services, server.clone(), &common.sockets.http);
        let door = self.open_door()?;
        tracing::info!("listening on {}", common.url());
        manager::ready(&common.url());
        Ok(Running {
            services,
            server,
            journal,
            door,
        })
    }

    /// The door for a successor. Without it, the receiver works all the same.
    fn open_door(&self) -> anyhow::Result<Option<Door>> {
        let opened = Door::open(&self.journal.path()?);
        let opened = opened.inspect_err(|error| {
            tracing::warn!(%error, "no successor will be able to take over without a stop");
        });
        Ok(opened.ok())
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

    async fn open_journal(&self, registry: &Registry) -> anyhow::Result<GroupCommit> {
        let path = self.journal.path()?;
        let options = batchtask_sqlite::Options {
            bounds: Bounds {
                quarantine_max_bytes: u64::from(self.quarantine_mib) << 20,
                ..Bounds::default()
            },
            min_free_bytes: u64::from(self.limits.0.min_free_disk_mib) << 20,
            keep: (self.keep_days > 0).then(|| time_of_days(self.keep_days)),
            // A predecessor may take its time to end.
            lock_wait: if self.takeover {
                self.limits.0.drain_time()
            } else {
                Duration::ZERO
            },
            ..batchtask_sqlite::Options::default()
        };
        let opened = tokio::task::spawn_blocking(move || SqliteJournal::open(path, options));
        let journal = Arc::new(opened.await??);
        tracing::info!("the journal is `{}`", journal.path().display());
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

/// Has certificates read again when their files change.
fn start_certificates(services: &mut Services, tls: Arc<Tls>) {
    services.start("certificates", move |stop| {
        let tls = tls.clone();
        async move { stop.run_until_cancelled(tls.watch()).await.unwrap_or(()) }
    });
}

fn start_admin(services: &mut Services, admin: Admin, socket: &Arc<Socket>) {
    // Weak: once the sockets are closed, no service holds one.
    let (admin, socket) = (Arc::new(admin), Arc::downgrade(socket));
    services.start("admin", move |stop| {
        let (admin, listener) = (admin.clone(), listener(&socket));
        async move {
            if let Some(listener) = listener {
                let serve = admin.serve(listener);
                stop.run_until_cancelled(serve).await.unwrap_or(())
            }
        }
    });
}

fn start_http(services: &mut Services, server: Arc<Server>, socket: &Arc<Socket>) {
    let socket = Arc::downgrade(socket);
    services.start("http", move |stop| {
        let (server, listener) = (server.clone(), listener(&socket));
        async move {
            if let Some(listener) = listener {
                server.serve(listener, stop.cancelled()).await
            }
        }
    });
}

/// The listener of a socket that is still open.
fn listener(socket: &Weak<Socket>) -> Option<Listener> {
    let listener = socket.upgrade()?.listener();
    let failed = |error: &_| tracing::error!(%error, "the listening socket cannot be used");
    listener.inspect_err(failed).ok()
}

/// What to do with a token that was made for this run.
fn token_text(token: &str, url: &str) -> String {
    format!(
        "\n  Open:  {url}/?token={token}\n  \
         Read:  curl -H 'Authorization: Bearer {token}' {url}/tasks\n\n"
    )
}

/// Makes a read token for a receiver on a loopback address, if none is set. On
/// any other address nothing can be read until one is set.
fn made_read_token(settings: &mut Settings, socket: &Socket) -> anyhow::Result<Option<String>> {
    const NAME: &str = "BATCHTASK_READ_TOKEN";
    if settings.get(NAME).is_some() || !socket.is_loopback() {
        return Ok(None);
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    let token = hex(&bytes);
    settings.set(NAME, &*token);
    Ok(Some(token))
}

/// The default folder for compiled code: `$XDG_CACHE_HOME/batchtask`, or the
/// same in `~/.cache`; `None` if neither is known.
fn default_cache_dir() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = variable("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))?;
    Some(base.join("batchtask")).filter(|path| path.is_absolute())
}

/// The proxies that speak the PROXY protocol; `None` if there are none.
#[derive(Clone)]
struct ProxyProtocol(Option<Proxies>);

impl FromStr for ProxyProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "off" => None,
            "on" => Some(Proxies::all()),
            proxies => Some(proxies.parse()?),
        }))
    }
}
