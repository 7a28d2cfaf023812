//! Checks what a configuration names, without starting or changing anything.

use std::net::SocketAddr;

use batchtask_host::tls::{Tls, TlsError, TlsFiles};
use batchtask_sqlite::SqliteJournal;

use super::listen::probe;
use super::rehearse;
use crate::config::{Faults, HostConfig};

/// The option that names the file of an error.
fn option_of(error: &TlsError, files: &TlsFiles) -> &'static str {
    match error.path() {
        Some(path) if *path != files.cert && *path == files.key => "tls_key",
        Some(path) if *path != files.cert => "tls_client_ca",
        _ => "tls_cert",
    }
}

/// Checks addresses, certificates, component and journal. Returns the
/// configuration, and the address of the webhook if it has one.
///
/// # Errors
/// All faults.
pub(crate) async fn examine(
    mut config: HostConfig,
) -> Result<(HostConfig, Option<SocketAddr>), Faults> {
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
    if let Err(error) = SqliteJournal::check(&config.journal) {
        faults.push(("journal", error.into()));
    }
    if let Err(error) = rehearse(&config).await {
        faults.push(("component", error));
    }
    for (name, error) in faults {
        config
            .values
            .refuse(name, format!("cannot be used: {error:#}"));
    }
    config.values.check()?;
    Ok((config, address))
}
