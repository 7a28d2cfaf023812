//! `batchtask tls`

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

#[derive(Args)]
pub(super) struct Tls {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an authority and a certificate for trials.
    ///
    /// Writes `ca.pem`, to be uploaded to the platform; `cert.pem` and
    /// `key.pem`, for `serve`. They are good for a year; the authority's own key
    /// is not kept.
    SelfSigned {
        /// The folder to write to; it is made if it is missing
        dir: PathBuf,
        /// A name or address that the platform will call; may be repeated
        #[arg(long, value_name = "NAME", required = true)]
        host: Vec<String>,
    },
}

impl Tls {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Command::SelfSigned { dir, host } = self.command;
        fs::create_dir_all(&dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
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
            write(&path, mode, &text)
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        eprintln!("wrote ca.pem, cert.pem and key.pem to `{}`", dir.display());
        Ok(())
    }
}

/// How long a certificate is good for: the most that clients commonly accept.
const VALID_DAYS: i64 = 397;

/// From yesterday, for clocks differ.
fn set_validity(params: &mut CertificateParams) {
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::DAY;
    params.not_after = params.not_before + time::Duration::days(VALID_DAYS);
}

/// An authority, as PEM, and what signs in its name.
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

/// Writes a file that is not there yet: a key in use is not overwritten.
fn write(path: &Path, mode: u32, text: &str) -> std::io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?
        .write_all(text.as_bytes())
}
