//! [`Options`]: what is ordered, and from which CA.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use batchtask_platform::Proxy;
use rustix::fs::{Access, access};

use crate::domain::Domain;
use crate::error::OptionError;
use crate::http::Http;

/// The directory of Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The greatest number of names in a certificate. Let's Encrypt has the same limit.
pub const DOMAINS_MAX: usize = 100;

/// What is ordered, and from which CA.
#[derive(Clone, Debug)]
pub struct Options {
    /// The names in the certificate.
    pub domains: Vec<Domain>,
    /// The folder of account, certificate and key.
    pub folder: PathBuf,
    /// The URL of the CA's directory.
    pub directory: String,
    /// Mail addresses for the CA.
    pub contacts: Vec<String>,
    /// The authorities that the certificate of the CA's server may come from, as PEM.
    /// `None`: those of the system.
    pub authorities: Option<Vec<u8>>,
    /// The proxy through which the CA is reached.
    pub proxy: Option<Proxy>,
    /// The program that sets DNS records for DNS-01. `None`: the CA connects to this host
    /// (TLS-ALPN-01).
    pub dns_hook: Option<PathBuf>,
    /// The account at the CA that this one is bound to, if the CA needs one.
    pub external_account: Option<ExternalAccount>,
    /// The secrets with which hosts encrypt what they share: each can open it, the first
    /// closes it.
    pub share_secrets: Vec<String>,
}

/// An account that was created at the CA by other means.
#[derive(Clone)]
pub struct ExternalAccount {
    /// Its id.
    pub id: String,
    /// Its key.
    pub key: Vec<u8>,
}

impl ExternalAccount {
    /// Parses a key in base64, as CAs show it: with either alphabet, with padding or without.
    ///
    /// # Errors
    /// It is not base64, or empty.
    pub fn new(id: impl Into<String>, key: &str) -> Result<Self, OptionError> {
        let engine = GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD);
        let text = key
            .trim_end_matches('=')
            .replace('+', "-")
            .replace('/', "_");
        let key = engine.decode(text).ok().filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| OptionError::new("eab_key", "it is not base64"))?;
        Ok(Self { id: id.into(), key })
    }
}

impl fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExternalAccount").field(&self.id).finish()
    }
}

impl Options {
    /// Begins with these names, a folder, and Let's Encrypt.
    pub fn new(domains: Vec<Domain>, folder: impl Into<PathBuf>) -> Self {
        Self {
            domains,
            folder: folder.into(),
            directory: LETS_ENCRYPT.to_owned(),
            contacts: Vec::new(),
            authorities: None,
            proxy: None,
            dns_hook: None,
            external_account: None,
            share_secrets: Vec::new(),
        }
    }

    /// Returns the path of the file with chain and key.
    pub fn certificate_path(&self) -> PathBuf {
        certificate_path(&self.folder)
    }

    /// Checks whether they can be used. Changes nothing, and connects to nothing.
    ///
    /// # Errors
    /// The first option that cannot be used.
    pub fn check(&self) -> Result<(), OptionError> {
        if self.domains.is_empty() || self.domains.len() > DOMAINS_MAX {
            let reason = format!("there must be 1 to {DOMAINS_MAX} names");
            return Err(OptionError::new("domains", reason));
        }
        let mut wildcards = self.domains.iter().filter(|domain| domain.is_wildcard());
        if let (Some(wildcard), None) = (wildcards.next(), &self.dns_hook) {
            let reason = format!("`{wildcard}` needs DNS-01: set `dns_hook`");
            return Err(OptionError::new("domains", reason));
        }
        check_directory(&self.directory)?;
        if let Some(hook) = &self.dns_hook {
            check_program(hook)?;
        }
        crate::folder::check(&self.folder)?;
        Http::new(self).map(drop)
    }
}

/// Returns the path of the file with chain and key in a folder.
pub fn certificate_path(folder: &Path) -> PathBuf {
    folder.join(crate::folder::CERTIFICATE)
}

fn check_directory(url: &str) -> Result<(), OptionError> {
    let fail = || OptionError::new("directory", "it is not an `https` URL with a host");
    let uri: http::Uri = url.parse().map_err(|_| fail())?;
    let is_usable = uri.scheme_str() == Some("https") && uri.host().is_some();
    is_usable.then_some(()).ok_or_else(fail)
}

fn check_program(path: &Path) -> Result<(), OptionError> {
    let fail = |reason: String| {
        let reason = format!("`{}`: {reason}", path.display());
        OptionError::new("dns_hook", reason)
    };
    // Not looked for in `PATH`, so that it is clear which program runs.
    if !path.is_absolute() {
        return Err(fail("it must be an absolute path".to_owned()));
    }
    let data = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?;
    if !data.is_file() {
        return Err(fail("it is not a file".to_owned()));
    }
    access(path, Access::EXEC_OK).map_err(|_| fail("it is not executable".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_base64_of_any_kind() {
        for text in ["-_8", "+/8=", "+/8"] {
            let account = ExternalAccount::new("id", text).unwrap();
            assert_eq!(account.key, [0xfb, 0xff]);
            assert!(!format!("{account:?}").contains("251"));
        }
        for text in ["", "=", "a b", "é"] {
            assert!(ExternalAccount::new("id", text).is_err(), "{text}");
        }
    }

    #[test]
    fn options_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let good = Options::new(vec!["a.example".parse().unwrap()], folder.path());
        // Its own authorities: this system may have none.
        let authority = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
        let authorities = Some(authority.cert.pem().into_bytes());
        let good = Options {
            authorities,
            ..good
        };
        assert_eq!(good.check(), Ok(()));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let changed = |change: fn(&mut Options)| {
            let mut options = good.clone();
            change(&mut options);
            options
        };
        let bad = [
            ("domains", changed(|it| it.domains.clear())),
            (
                "domains",
                changed(|it| it.domains = vec!["*.example".parse().unwrap()]),
            ),
            (
                "directory",
                changed(|it| it.directory = "http://a/dir".into()),
            ),
            ("directory", changed(|it| it.directory = "/dir".into())),
            ("ca", changed(|it| it.authorities = Some(b"hello".to_vec()))),
            ("dns_hook", changed(|it| it.dns_hook = Some("hook".into()))),
            (
                "dns_hook",
                changed(|it| it.dns_hook = Some("/missing".into())),
            ),
            ("dns_hook", changed(|it| it.dns_hook = Some("/".into()))),
            (
                "dns_hook",
                Options {
                    dns_hook: Some(file.clone()),
                    ..good.clone()
                },
            ),
            (
                "cache",
                Options {
                    folder: file,
                    ..good.clone()
                },
            ),
        ];
        for (field, options) in bad {
            let error = options.check().unwrap_err();
            assert_eq!(error.field, field, "{error}");
        }
    }
}
