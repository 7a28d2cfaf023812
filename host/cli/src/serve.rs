//! `batchtask serve`
//!
//! - `listen`: listening sockets; `sockets`: which of them a receiver uses.
//! - `running`: a receiver until it ends; `signals`: what signals ask for;
//!   `reload`: the configuration is read again.
//! - `amqp`: the AMQP channel; `acme`: the certificate that a CA issues.
//! - `handover`: how a successor takes its place; `replacement`: starts one.
//! - `manager`: reports to a service manager.
//! - `operations`: what operators ask of sinks and of the quarantine; `alerts`: what sinks
//!   report as alerts.
//! - `examine`: checks a configuration without starting.

mod acme;
mod alerts;
mod amqp;
mod examine;
mod handover;
mod listen;
mod manager;
mod operations;
mod reload;
mod replacement;
mod running;
mod signals;
mod sockets;

use std::io::{self, IsTerminal};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context;
use batchtask_host::Intake;
use batchtask_host::admin::Admin;
use batchtask_host::component::{self, EMBEDDED};
use batchtask_host::http::{Audience, Server, Trust};
use batchtask_host::listener::Listener;
use batchtask_host::services::Services;
use batchtask_host::settings::Settings;
use batchtask_host::telemetry::{CommitMetrics, Registry};
use batchtask_host::tls::Tls;
use batchtask_journal::{Bounds, GroupCommit, MemoryJournal, group_commit};
use batchtask_notification::hex;
use batchtask_platform::{Client as PlatformClient, ClientOptions, Retry};
use batchtask_relay::{Relay, RelayMetrics};
use batchtask_traces::Export;
use clap::Args;

use super::config::{Flags, HostConfig, HostGroup};
use super::journal::Options;
use super::logging::Log;
use super::prune::time_of_days;
use super::reconcile;
use super::warnings::warnings;

use self::alerts::Observer;
pub(super) use self::examine::examine;
use self::handover::{Door, Predecessor};
use self::listen::Socket;
use self::operations::Operations;
use self::running::{End, Running};
use self::signals::Signals;
use self::sockets::Sockets;

#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    flags: Flags<HostGroup>,
}

/// What every receiver of this process uses: a second one is made if a successor
/// fails.
struct Common {
    tls: Option<Arc<Tls>>,
    sockets: Sockets,
    log: Log,
}

impl Common {
    /// The URL of the receiver.
    fn url(&self) -> String {
        let main = self.sockets.main();
        main.map_or_else(String::new, |socket| socket.url(self.tls.is_some()))
    }

    /// The URL of the page.
    fn page_url(&self) -> String {
        let page = self.sockets.page();
        page.map_or_else(String::new, |socket| socket.url(self.tls.is_some()))
    }
}

/// The configuration that is in force.
struct Configured {
    /// The flags, with which it is read again.
    flags: Flags<HostGroup>,
    config: HostConfig,
    /// A read token that was made for this run.
    made_token: Option<String>,
}

impl Configured {
    /// The settings of the receiver in a configuration.
    fn settings(&self, config: &HostConfig) -> Settings {
        let mut settings = config.settings.clone();
        if let (Some(token), None) = (&self.made_token, settings.get(READ_TOKEN)) {
            settings.set(READ_TOKEN, token);
        }
        settings
    }
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let config = HostConfig::new(self.flags.values())?;
        let log = config.logging.start()?;
        let mut signals = Signals::catch()?;
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let mut predecessor = predecessor(&config).await?;
        let sockets = Sockets::obtain(&config, predecessor.as_mut()).await?;
        let made_token = made_read_token(&config, sockets.page())?;
        let has_token = made_token.is_some();
        let address = sockets.http.as_ref().and_then(|socket| socket.address());
        for text in warnings(&config, address, has_token) {
            tracing::warn!("{text}");
        }
        let mut configured = Configured {
            made_token,
            flags: self.flags,
            config,
        };
        let common = Common {
            tls: tls(&configured.config)?.map(Arc::new),
            sockets,
            log,
        };
        if let Some(predecessor) = &mut predecessor {
            rehearse(&configured.config).await?;
            predecessor.finish().await?;
        }
        let mut running = start(&common, &configured).await?;
        if let Some(predecessor) = predecessor {
            predecessor.dismiss().await;
        }
        if let Some(token) = &configured.made_token {
            common.log.show(&token_text(token, &common.page_url()));
        }
        loop {
            match running
                .until_end(&mut signals, &common, &mut configured)
                .await
            {
                End::Successor(successor) => {
                    let idle_time = configured.config.limits.handover_time();
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
            running = start(&common, &configured).await?;
        }
    }
}

async fn predecessor(config: &HostConfig) -> anyhow::Result<Option<Predecessor>> {
    if config.takeover {
        match config.journal.handover_path(config.address()) {
            Some(path) => Predecessor::at(&path).await,
            None => Ok(None),
        }
    } else {
        Ok(None)
    }
}

/// Makes sure that nothing but the journal can fail, and has the component
/// compiled.
pub(super) async fn rehearse(config: &HostConfig) -> anyhow::Result<()> {
    let journal = Arc::new(MemoryJournal::default());
    let journal = GroupCommit::new(journal, group_commit::Options::default(), None)?;
    let options = options(config, config.settings.clone(), &Registry::default())?;
    Intake::build(Arc::new(journal), &options).await?;
    Ok(())
}

/// Opens the journal and starts to serve.
async fn start(common: &Common, configured: &Configured) -> anyhow::Result<Running> {
    let config = &configured.config;
    let registry = Registry::new()?;
    common.log.register(&registry)?;
    let journal = Arc::new(open_journal(config, &registry).await?);
    let traces = start_traces(config, &registry)?;
    let tracer = traces.as_ref().map(Export::tracer).unwrap_or_default();
    let mut options = options(config, configured.settings(config), &registry)?;
    options.tracer = tracer.clone();
    let intake = Arc::new(Intake::build(journal.clone(), &options).await?);
    let relay = Relay::new(journal.clone(), &host_name(), config.sinks.clone());
    let relay = Arc::new(relay.traced_by(tracer));
    registry.register(RelayMetrics::new(relay.clone()))?;
    let operations = Arc::new(Operations::new(relay.clone(), intake.clone()));
    let amqp = config.amqp.clone();
    let amqp = amqp
        .map(|amqp| amqp::client(amqp, &intake, config.limits.max_in_flight, &registry))
        .transpose()?;
    let tls = common.tls.clone();
    let acme = config.acme.clone().zip(tls.clone());
    let acme = acme
        .map(|(options, tls)| acme::manager(options, tls, &journal, &registry))
        .transpose()?;
    let server = Server::new(intake.clone(), options.limits, tls, &registry)?
        .with_operations(operations.clone());
    server.trust(trust(config));
    server.allow_origins(config.cors_origins.clone());
    let server = Arc::new(server);
    let mut services = Services::new(&registry)?;
    if let Some(tls) = common.tls.clone() {
        start_certificates(&mut services, tls);
    }
    if let Some(socket) = &common.sockets.admin {
        tracing::info!("admin listening on {}", socket.url(false));
        // With a webhook, a load balancer must send pushes here although AMQP fails.
        let only = amqp.as_ref().filter(|_| config.listen.is_none());
        let admin = Admin {
            intake: intake.clone(),
            registry: registry.clone(),
            operations: Some(operations),
            channel: match (only, &acme) {
                (Some(client), _) => Some(amqp::ready_check(client)),
                (None, Some(manager)) => Some(acme::ready_check(manager)),
                (None, None) => None,
            },
        };
        start_admin(&mut services, admin, socket);
    }
    for (name, socket, audience) in common.sockets.public() {
        start_http(&mut services, name, server.clone(), socket, audience);
    }
    // After HTTP, which answers the challenges of the CA.
    if let Some(manager) = &acme {
        acme::start(&mut services, manager, &options.notices);
    }
    start_reconcile(&mut services, config, &intake, &registry)?;
    // After HTTP, so that they stop before it: what AMQP does not accept is not lost.
    if let Some(client) = &amqp {
        amqp::start(&mut services, client, &options.notices);
    }
    start_relay(&mut services, relay.clone());
    start_observer(
        &mut services,
        Observer {
            relay: relay.clone(),
            intake: intake.clone(),
            notices: options.notices,
            tls: common.tls.clone(),
            started_ms: alerts::now_ms(),
        },
    );
    let door = open_door(config);
    tracing::info!("listening on {}", common.url());
    if common.page_url() != common.url() {
        tracing::info!("page and API: listening on {}", common.page_url());
    }
    manager::ready(&common.url());
    Ok(Running {
        services,
        intake,
        server,
        amqp,
        acme,
        journal,
        relay,
        traces,
        door,
    })
}

/// Starts to export traces, if they are on.
fn start_traces(config: &HostConfig, registry: &Registry) -> anyhow::Result<Option<Export>> {
    let Some(mut options) = config.traces.clone() else {
        return Ok(None);
    };
    let metrics = registry.register(batchtask_traces::Metrics::new()?)?;
    let host = host_name();
    let instance = format!("{host}-{}", std::process::id());
    for (name, value) in [("host.name", host), ("service.instance.id", instance)] {
        if !options.resource.iter().any(|(known, _)| known == name) {
            options.resource.push((name.into(), value));
        }
    }
    Ok(Some(Export::start(options, metrics)?))
}

/// Starts the search for lost changes, if the platform is configured.
fn start_reconcile(
    services: &mut Services,
    config: &HostConfig,
    intake: &Arc<Intake>,
    registry: &Registry,
) -> anyhow::Result<()> {
    let Some((platform, options)) = config.platform.clone().zip(config.reconcile.clone()) else {
        return Ok(());
    };
    let client = PlatformClient::new(ClientOptions {
        // The search repeats calls itself.
        retry: Retry {
            attempts: 1,
            ..platform.retry
        },
        ..platform
    })?;
    let service = reconcile::Service::new(client, intake.clone(), options, registry)?;
    let service = Arc::new(service);
    services.start("reconcile", move |stop| service.clone().run(stop));
    Ok(())
}

/// The door for a successor. The receiver works without it, too.
fn open_door(config: &HostConfig) -> Option<Door> {
    let path = config.journal.handover_path(config.address()).or_else(|| {
        tracing::info!(
            "no successor can take over: set XDG_RUNTIME_DIR, the folder for its socket"
        );
        None
    })?;
    let opened = Door::open(path).inspect_err(|error| {
        tracing::warn!(%error, "no successor will be able to take over without a stop");
    });
    opened.ok()
}

fn trust(config: &HostConfig) -> Trust {
    Trust {
        proxy_protocol: config.proxy_protocol.clone(),
        forwarders: config.trusted_proxies.clone(),
    }
}

fn options(
    config: &HostConfig,
    settings: Settings,
    registry: &Registry,
) -> anyhow::Result<component::Options> {
    Ok(component::Options {
        settings,
        wasm: component_bytes(config)?,
        cache_dir: config.cache_dir.clone(),
        reuse: config.instance_reuse,
        limits: config.limits.clone(),
        registry: registry.clone(),
        ..component::Options::default()
    })
}

fn tls(config: &HostConfig) -> anyhow::Result<Option<Tls>> {
    let load = if config.acme.is_some() {
        Tls::load_later
    } else {
        Tls::load
    };
    let tls = config.tls.clone().map(load).transpose();
    tls.context("the TLS certificate cannot be used")
}

async fn open_journal(config: &HostConfig, registry: &Registry) -> anyhow::Result<GroupCommit> {
    let bounds = Bounds {
        quarantine_max_bytes: u64::from(config.quarantine_mib) << 20,
        ..Bounds::default()
    };
    let keep = (config.keep_days > 0).then(|| time_of_days(config.keep_days));
    let sqlite = batchtask_sqlite::Options {
        bounds,
        keep,
        min_free_bytes: u64::from(config.limits.min_free_disk_mib) << 20,
        // A predecessor may need some time to end.
        lock_wait: if config.takeover {
            config.limits.drain_time()
        } else {
            Duration::ZERO
        },
        ..batchtask_sqlite::Options::default()
    };
    let postgres = batchtask_postgres::Options {
        bounds,
        keep,
        ..batchtask_postgres::Options::default()
    };
    let journal = config.journal.open(Options { sqlite, postgres }).await?;
    tracing::info!("the journal is `{}`", config.journal.resolved());
    let observer = CommitMetrics::register(registry)?;
    let commits = GroupCommit::new(journal, group_commit::Options::default(), Some(observer));
    commits.context("the journal's thread cannot be started")
}

fn component_bytes(config: &HostConfig) -> anyhow::Result<Vec<u8>> {
    match &config.component {
        Some(path) => std::fs::read(path)
            .with_context(|| format!("cannot read the component `{}`", path.display())),
        None => Ok(EMBEDDED.into()),
    }
}

/// Starts to watch the certificate files.
fn start_certificates(services: &mut Services, tls: Arc<Tls>) {
    services.start("certificates", move |stop| {
        let tls = tls.clone();
        async move { stop.run_until_cancelled(tls.watch()).await.unwrap_or(()) }
    });
}

/// Starts to pass events on.
fn start_relay(services: &mut Services, relay: Arc<Relay>) {
    services.start("relay", move |stop| {
        let relay = relay.clone();
        async move { relay.run(stop).await }
    });
}

/// Starts to observe what sinks report as alerts.
fn start_observer(services: &mut Services, observer: Observer) {
    let observer = Arc::new(observer);
    services.start("alerts", move |stop| {
        let observer = observer.clone();
        async move { observer.run(stop).await }
    });
}

/// The name of this machine, for operators.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map_or_else(|_| "host".into(), |name| name.trim().to_owned())
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

fn start_http(
    services: &mut Services,
    name: &'static str,
    server: Arc<Server>,
    socket: &Arc<Socket>,
    audience: Audience,
) {
    let socket = Arc::downgrade(socket);
    services.start(name, move |stop| {
        let (server, listener) = (server.clone(), listener(&socket));
        async move {
            if let Some(listener) = listener {
                let stopped = stop.cancelled();
                server.serve_to(audience, listener, stopped).await
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

/// Explains a token that was made for this run.
fn token_text(token: &str, url: &str) -> String {
    format!(
        "\n  Open:  {url}/login#{token}\n  \
         Read:  curl -H 'Authorization: Bearer {token}' {url}/tasks\n\n"
    )
}

/// The setting of the read token.
const READ_TOKEN: &str = "BATCHTASK_READ_TOKEN";

/// Makes a read token for a trial: if there is no token yet, the receiver listens on a
/// loopback address, and a terminal shows the token.
fn made_read_token(
    config: &HostConfig,
    page: Option<&Arc<Socket>>,
) -> anyhow::Result<Option<String>> {
    let has_token = !config.receiver.read_tokens.is_empty();
    let is_loopback = page.is_some_and(|socket| socket.is_loopback());
    if has_token || !is_loopback || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(Some(hex(&bytes)))
}
