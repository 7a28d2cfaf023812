//! `batchtask tls`: creates certificates for trials.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::output::note;
use anyhow::Context;
use clap::{Args, Subcommand};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::ServerName;

#[derive(Args)]
pub(super) struct Tls {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create an authority and a certificate for trials.
    ///
    /// Writes `ca.pem`, which you upload to the platform, and `cert.pem` and
    /// `key.pem`, for `serve`. The certificates are valid for 13 months. The
    /// authority's private key is not stored.
    SelfSigned {
        /// The folder for the files. It is created if it is missing
        dir: PathBuf,
        /// A host name or IP address in the URL that the platform calls; may be
        /// repeated
        #[arg(long, value_name = "NAME", required = true, value_parser = host_name)]
        host: Vec<String>,
    },
}

impl Tls {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Command::SelfSigned { dir, host } = self.command;
        fs::create_dir_all(&dir)
            .with_context(|| format!("cannot create the folder `{}`", dir.display()))?;
        let (authority, issuer) = authority()?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(host.clone())?;
        set_validity(&mut params);
        params
            .distinguished_name
            .push(DnType::CommonName, &*host[0]);
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer)?;
        let chain = certificate.pem() + &authority;
        for (name, mode, text) in [
            ("ca.pem", 0o644, authority),
            ("cert.pem", 0o644, chain),
            ("key.pem", 0o600, key.serialize_pem()),
        ] {
            let path = dir.join(name);
            write(&path, mode, &text).with_context(|| {
                format!(
                    "cannot write `{}` (existing files are not overwritten)",
                    path.display()
                )
            })?;
        }
        note(&format!(
            "wrote ca.pem, cert.pem and key.pem to `{}`",
            dir.display()
        ));
        Ok(())
    }
}

/// Parses a host name or an IP address.
fn host_name(text: &str) -> Result<String, &'static str> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("it must be a host name or an IP address, without scheme and port"),
    }
}

/// How long a certificate is valid: the longest time that clients usually accept.
const VALID_DAYS: i64 = 397;

/// Sets the validity. It begins yesterday, because clocks differ.
fn set_validity(params: &mut CertificateParams) {
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::DAY;
    params.not_after = params.not_before + time::Duration::days(VALID_DAYS);
}

/// Creates an authority. Returns its certificate as PEM, and the issuer that signs
/// with its key.
fn authority() -> anyhow::Result<(String, Issuer<'static, KeyPair>)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    set_validity(&mut params);
    params
        .distinguished_name
        .push(DnType::CommonName, "batchtask trial authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}

/// Writes a new file. Fails if it exists, so that a key in use is not overwritten.
fn write(path: &Path, mode: u32, text: &str) -> std::io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?
        .write_all(text.as_bytes())
}
