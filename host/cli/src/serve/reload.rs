//! SIGHUP: the configuration file and the certificates are read again.

use batchtask_host::tls::Tls;

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
    let certificates = common.tls.as_deref().map(Tls::read).transpose()?;
    running.intake.reload(&configured.settings(&config)).await?;
    if let Some((tls, certificates)) = common.tls.as_ref().zip(certificates) {
        tls.use_certificates(certificates);
        tracing::info!("the TLS certificate was reloaded");
    }
    running.server.trust(trust(&config));
    running.relay.configure(config.sinks.clone());
    running.operations.use_tokens(config.operate_tokens.clone());
    if let Some((client, amqp)) = running.amqp.as_ref().zip(config.amqp.clone()) {
        client.use_credentials(amqp.credentials);
    }
    if changed.contains(&"log") {
        common.log.set_filter(&config.logging.filter)?;
    }
    configured.config = config;
    report(&changed, &kept);
    Ok(())
}

fn report(changed: &[&str], kept: &[&str]) {
    if changed.is_empty() && kept.is_empty() {
        tracing::info!("reloaded: no option has changed");
    } else if changed.is_empty() {
        tracing::info!("reloaded: no option changed that can change now");
    } else {
        tracing::info!("reloaded: {} changed", list(changed));
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
