//! SIGHUP: the configuration file and the certificates are read again.

use std::sync::Arc;

use batchtask_host::tls::Tls;
use batchtask_relay::Sink;

use super::running::Running;
use super::{Common, Configured, manager, trust};
use crate::config::{HostConfig, file_key};

/// Reads the configuration and the certificates again. If one of them is
/// invalid, the log says why, and everything stays in force.
pub(super) async fn reload(running: &Running, common: &Common, configured: &mut Configured) {
    manager::reloading();
    if let Err(error) = apply(running, common, configured).await {
        tracing::error!("nothing was reloaded: {error:#}");
    }
    manager::ready(&common.url());
}

async fn apply(
    running: &Running,
    common: &Common,
    configured: &mut Configured,
) -> anyhow::Result<()> {
    let wanted = HostConfig::new(configured.flags.values())?;
    let current = &configured.config.values;
    let (effective, kept) = wanted.values.reload_over(current);
    let changed = effective.difference(current);
    let config = HostConfig::new(effective)?;
    // What can fail comes first.
    let tls = common.tls.as_deref().filter(|_| running.acme.is_none());
    let certificates = tls.map(Tls::read).transpose()?;
    running.intake.reload(&configured.settings(&config)).await?;
    if let Some((tls, certificates)) = common.tls.as_ref().zip(certificates) {
        tls.use_certificates(certificates);
    }
    if let Some(manager) = &running.acme {
        manager.hurry();
    }
    running.server.trust(trust(&config));
    running.server.allow_origins(config.cors_origins.clone());
    running.relay.configure(config.sinks.clone());
    if let Some((client, amqp)) = running.amqp.as_ref().zip(config.amqp.clone()) {
        client.use_credentials(amqp.credentials);
    }
    if changed.contains(&"log") {
        common.log.set_filter(&config.logging.filter)?;
    }
    let sinks = sink_changes(&configured.config.sinks, &config.sinks);
    configured.config = config;
    report(&changed, &sinks, &kept);
    Ok(())
}

/// Describes each sink that was added, removed or changed. A sink whose table only moved
/// has not changed.
fn sink_changes(old: &[Arc<Sink>], new: &[Arc<Sink>]) -> Vec<String> {
    let find = |sinks: &[Arc<Sink>], name: &str| {
        let mut sinks = sinks.iter();
        sinks.find(|sink| sink.name() == name).cloned()
    };
    let change = |sink: &Arc<Sink>| match find(old, sink.name()) {
        None => Some("added"),
        Some(old) if old.options() != sink.options() => Some("changed"),
        Some(_) => None,
    };
    let kept = new
        .iter()
        .filter_map(|sink| Some((sink.name(), change(sink)?)));
    let removed = old
        .iter()
        .filter(|sink| find(new, sink.name()).is_none())
        .map(|sink| (sink.name(), "removed"));
    let changes = kept.chain(removed);
    changes
        .map(|(name, change)| format!("sink `{name}` {change}"))
        .collect()
}

fn report(changed: &[&str], sinks: &[String], kept: &[&str]) {
    let options = (!changed.is_empty()).then(|| format!("{} changed", list(changed)));
    let changes: Vec<String> = options.into_iter().chain(sinks.iter().cloned()).collect();
    if !changes.is_empty() {
        tracing::info!("reloaded: {}", changes.join(", "));
    } else if kept.is_empty() {
        tracing::info!("reloaded: no option has changed");
    } else {
        tracing::info!("reloaded: no option changed that can change now");
    }
    if !kept.is_empty() {
        tracing::warn!(
            "a restart is needed to change {}: SIGUSR2 restarts without losing a push",
            list(kept)
        );
    }
}

/// The names as a text.
fn list(names: &[&str]) -> String {
    let quoted = names.iter().map(|name| format!("`{}`", file_key(name)));
    let quoted: Vec<String> = quoted.collect();
    quoted.join(", ")
}
