//! [`Error`]: why a certificate was not obtained. [`OptionError`]: why an option cannot be
//! used.

use std::path::PathBuf;
use std::time::Duration;

/// An option that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {reason}")]
pub struct OptionError {
    /// The name of the option.
    pub field: &'static str,
    /// The reason, with advice.
    pub reason: String,
}

impl OptionError {
    pub(crate) fn new(field: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { field, reason }
    }
}

/// Why a certificate was not obtained. The text says what is wrong and what to do, and
/// contains no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The CA cannot be reached.
    #[error("the CA at `{host}` cannot be reached: {reason}{}", advice(reason))]
    Unreachable {
        /// Its host.
        host: String,
        /// Why.
        reason: String,
    },
    /// The CA answers something else than ACME.
    #[error("`{url}` {problem}: check `acme.directory`")]
    NotADirectory {
        /// The URL of the directory.
        url: String,
        /// What is wrong, as a phrase that follows the URL.
        problem: String,
    },
    /// The CA needs an account that was created elsewhere.
    #[error(
        "the CA at `{host}` issues only for customers: set `acme.eab_key_id` and `acme.eab_key`, \
         which it shows in your account there"
    )]
    NeedsExternalAccount {
        /// Its host.
        host: String,
    },
    /// The CA refused something.
    #[error("the CA refused the {step}: {reason}")]
    Refused {
        /// The step, as a noun.
        step: &'static str,
        /// The words of the CA.
        reason: String,
        /// How long the CA asked to wait.
        retry_after: Option<Duration>,
    },
    /// The CA does not offer the kind of challenge that is configured.
    #[error("the CA does not offer {kind} for `{name}`{}", offers(.offered))]
    NoChallenge {
        /// The name.
        name: String,
        /// The kind.
        kind: &'static str,
        /// The kinds that it offers.
        offered: Vec<String>,
    },
    /// The CA looked for the answer to a challenge, and did not find it.
    #[error("the CA could not validate `{name}` ({kind}): {reason}{}", check(kind))]
    NotValidated {
        /// The name.
        name: String,
        /// The kind of the challenge.
        kind: &'static str,
        /// The words of the CA.
        reason: String,
    },
    /// Something took too long.
    #[error("the {step} took longer than {} s", limit.as_secs())]
    TooSlow {
        /// The step, as a noun.
        step: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The CA issued something that cannot be used.
    #[error("the CA issued a certificate that cannot be used: {0}")]
    BadCertificate(String),
    /// The hook for DNS failed.
    #[error("the DNS hook `{program}` {problem}")]
    Hook {
        /// The program.
        program: PathBuf,
        /// What is wrong, as a phrase that follows the program.
        problem: String,
    },
    /// A file of the folder cannot be read or written.
    #[error("`{path}` cannot be {action}: {reason}")]
    Folder {
        /// The file.
        path: PathBuf,
        /// `read`, `written` or `locked`.
        action: &'static str,
        /// Why.
        reason: String,
    },
    /// The record that hosts share cannot be read or written.
    #[error("the certificate that the hosts share: {0}")]
    Shared(String),
    /// The operating system or a library failed.
    #[error("cannot {step}: {reason}")]
    Failed {
        /// The step, as a verb phrase.
        step: &'static str,
        /// Why.
        reason: String,
    },
    /// The service stops.
    #[error("the program stops")]
    Stopped,
}

impl Error {
    /// Returns how long the CA asked to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(crate) fn failed(step: &'static str, reason: impl ToString) -> Self {
        let reason = reason.to_string();
        Self::Failed { step, reason }
    }
}

/// Advice for an error of a connection.
fn advice(reason: &str) -> &'static str {
    if reason.contains("UnknownIssuer") || reason.contains("BadSignature") {
        "; if that is the wanted CA, name the file of the authority of its server in `acme.ca`"
    } else if reason.contains("Expired") || reason.contains("NotValidYet") {
        "; check the clock of this host"
    } else {
        ""
    }
}

fn offers(offered: &[String]) -> String {
    if offered.is_empty() {
        return String::new();
    }
    format!(", only {}", offered.join(" and "))
}

/// Advice for a challenge that failed.
fn check(kind: &str) -> &'static str {
    if kind == "tls-alpn-01" {
        "; port 443 of this name must lead to this host, for everyone"
    } else {
        ""
    }
}
