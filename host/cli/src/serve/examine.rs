//! Checks what a configuration names, without starting or changing anything.

use std::net::SocketAddr;

use batchtask_host::tls::{Tls, TlsError, TlsFiles};

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
    let listeners = [
        ("listen", &config.listen),
        ("read_listen", &config.read_listen),
        ("admin", &config.admin),
    ];
    let mut addresses = Vec::new();
    for (name, at) in listeners {
        let Some(at) = at else { continue };
        match probe(at).await {
            Ok(address) => addresses.push((name, at, address)),
            Err(error) => faults.push((name, error)),
        }
    }
    faults.extend(
        addresses
            .iter()
            .enumerate()
            .filter_map(|(index, (name, at, _))| {
                let mut others = addresses[..index].iter();
                let (other, ..) =
                    others.find(|(_, other, _)| other == at && !at.ends_with(":0"))?;
                Some((
                    *name,
                    anyhow::anyhow!("it is the same address as `{other}`"),
                ))
            }),
    );
    let webhook = addresses.iter().find(|(name, ..)| *name == "listen");
    let address = webhook.and_then(|(.., address)| *address);
    if let Some(files) = &config.tls {
        let load = if config.acme.is_some() {
            Tls::load_later
        } else {
            Tls::load
        };
        if let Err(error) = load(files.clone()) {
            faults.push((option_of(&error, files), error.into()));
        }
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
    config.values.check()?;
    Ok(Examined {
        config,
        address,
        warnings,
    })
}
