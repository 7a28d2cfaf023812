//! Checks what a configuration names, without starting or changing anything.

use std::net::SocketAddr;

use batchtask_host::tls::{Tls, TlsError, TlsFiles};
use batchtask_platform::Client as PlatformClient;

use super::listen::probe;
use super::rehearse;
use crate::config::{Faults, HostConfig, usable};

/// The option that names the file of an error.
fn option_of(error: &TlsError, files: &TlsFiles) -> &'static str {
    match error.path() {
        Some(path) if *path != files.cert && *path == files.key => "tls_key",
        Some(path) if *path != files.cert => "tls_client_ca",
        _ => "tls_cert",
    }
}

/// A configuration whose parts can be used.
pub(crate) struct Examined {
    pub(crate) config: HostConfig,
    /// The address of the webhook, if it has one.
    pub(crate) address: Option<SocketAddr>,
    /// The warnings of the journal.
    pub(crate) warnings: Vec<String>,
}

/// Checks addresses, certificates, component, journal, and the client of the
/// platform.
///
/// # Errors
/// All faults.
pub(crate) async fn examine(mut config: HostConfig) -> Result<Examined, Faults> {
    let mut faults: Vec<(&str, anyhow::Error)> = Vec::new();
    let address = probe(&config.listen).await;
    let address = address.unwrap_or_else(|error| {
        faults.push(("listen", error));
        None
    });
    if let Some(admin) = &config.admin
        && let Err(error) = probe(admin).await
    {
        faults.push(("admin", error));
    }
    if config.admin.as_ref() == Some(&config.listen) && !config.listen.ends_with(":0") {
        faults.push((
            "admin",
            anyhow::anyhow!("it is the same address as `listen`"),
        ));
    }
    if let Some(files) = &config.tls
        && let Err(error) = Tls::load(files.clone())
    {
        faults.push((option_of(&error, files), error.into()));
    }
    let warnings = config.journal.check().await.unwrap_or_else(|error| {
        faults.push(("journal", error));
        Vec::new()
    });
    if let Err(error) = rehearse(&config).await {
        faults.push(("component", error));
    }
    for (name, error) in faults {
        config
            .values
            .refuse(name, format!("cannot be used: {error:#}"));
    }
    if let Some(platform) = config.platform.clone() {
        usable(&mut config.values, PlatformClient::new(platform));
    }
    config.values.check()?;
    Ok(Examined {
        config,
        address,
        warnings,
    })
}
