//! [`Finding`]: a difference from the wanted setup, or a setting that loses or delays
//! pushes.

use batchtask_notification::time::rfc3339;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Pushes may be lost or delayed.
    Warning,
    /// Pushes do not arrive, or not as wanted.
    Fault,
}

/// A difference, or something that loses or delays pushes. No text contains a
/// secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// There is no rule.
    #[error("there is no rule `{name}`")]
    NoRule {
        /// The wanted name.
        name: String,
    },
    /// There are rules of the same name for other resource spaces.
    #[error("rules of this name exist for {}: they are left alone", scopes.join(", "))]
    OtherScope {
        /// Their resource spaces.
        scopes: Vec<String>,
    },
    /// There are several rules of this name for the same resource spaces.
    #[error("{count} rules have this name: each forwards every notification")]
    SeveralRules {
        /// How many.
        count: usize,
    },
    /// The rule forwards nothing.
    #[error("the rule is inactive, so nothing is pushed")]
    Inactive,
    /// The rule forwards only some fields or some notifications.
    #[error("the rule forwards only a part, so notifications are lost: `{sql}`")]
    Filtered {
        /// Its SQL.
        sql: String,
    },
    /// The rule does not forward to the receiver.
    #[error("the rule does not forward to this receiver")]
    NoAction,
    /// The URL has another scheme or another secret.
    #[error(
        "the rule forwards to another URL of this receiver, perhaps with an old secret: `{actual}`"
    )]
    OtherUrl {
        /// The URL, without its secret.
        actual: String,
    },
    /// Pushes are not signed.
    #[error("pushes are not signed")]
    NotSigned,
    /// Pushes are signed with another token.
    #[error("pushes are signed with another token")]
    OtherToken,
    /// The platform does not show the token, so it cannot be compared.
    #[error(
        "the platform does not show the token, so it cannot be compared: write the action again if \
         the receiver refuses signatures"
    )]
    HiddenToken,
    /// The wanted server name is not sent.
    #[error("{}", server_name_text(actual.as_deref()))]
    OtherServerName {
        /// The server name that is sent.
        actual: Option<String>,
    },
    /// The receiver's certificate is checked with another authority.
    #[error("the receiver's certificate is not checked with the wanted CA")]
    OtherAuthority,
    /// The authority that an action names does not exist.
    #[error("the CA certificate that the action names does not exist")]
    NoAuthority,
    /// The authority's life has ended.
    #[error("the CA certificate expired on {}: pushes fail", day(*at_ms))]
    AuthorityExpired {
        /// When, in milliseconds since 1970.
        at_ms: u64,
    },
    /// The authority's life ends soon.
    #[error("the CA certificate expires on {}: set up the next one before", day(*at_ms))]
    AuthorityExpiresSoon {
        /// When, in milliseconds since 1970.
        at_ms: u64,
    },
    /// The owner of the authority has not proved to have its key.
    #[error(
        "the CA certificate is not verified; if pushes do not arrive, verify it{}",
        verify_text(verify_code.as_deref())
    )]
    AuthorityUnverified {
        /// The common name that the proof needs.
        verify_code: Option<String>,
    },
    /// An authority with the name of the wanted authority is left over and unused.
    #[error(
        "no rule uses the older CA certificate `{name}` (`{id}`): delete it in the console if no \
         device needs it"
    )]
    FormerAuthority {
        /// Its id.
        id: String,
        /// The common name of its subject.
        name: String,
    },
    /// The queue does not exist.
    #[error("there is no queue `{name}`")]
    NoQueue {
        /// Its name.
        name: String,
    },
    /// The rule has a further action.
    #[error("the rule also forwards to {target}: this is left alone")]
    FurtherAction {
        /// Its target, without secrets.
        target: String,
    },
    /// A flow-control policy delays pushes.
    #[error(
        "the flow-control policy `{policy}` lets {limit} pushes a second through, so a backlog \
         arrives slowly"
    )]
    FlowLimit {
        /// The policy's name.
        policy: String,
        /// Pushes per second.
        limit: u64,
    },
    /// The platform discards pushes that it cannot deliver at once.
    #[error(
        "the backlog policy `{policy}` keeps nothing: pushes are lost while the receiver does not \
         answer"
    )]
    NoBacklog {
        /// The policy's name.
        policy: String,
    },
}

/// At fewer pushes per second, a backlog of a day may take longer than a day.
const SLOW_PER_SECOND: u64 = 10;

impl Finding {
    /// Returns how bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NoRule { .. }
            | Self::Inactive
            | Self::NoAction
            | Self::OtherUrl { .. }
            | Self::NotSigned
            | Self::OtherToken
            | Self::OtherServerName { .. }
            | Self::OtherAuthority
            | Self::NoAuthority
            | Self::AuthorityExpired { .. }
            | Self::NoQueue { .. } => Severity::Fault,
            Self::FlowLimit { limit, .. } if *limit >= SLOW_PER_SECOND => Severity::Note,
            Self::Filtered { .. }
            | Self::AuthorityExpiresSoon { .. }
            | Self::FlowLimit { .. }
            | Self::NoBacklog { .. } => Severity::Warning,
            Self::OtherScope { .. }
            | Self::SeveralRules { .. }
            | Self::HiddenToken
            | Self::AuthorityUnverified { .. }
            | Self::FormerAuthority { .. }
            | Self::FurtherAction { .. } => Severity::Note,
        }
    }

    /// Whether the existing action must be changed.
    pub(crate) fn changes_action(&self) -> bool {
        matches!(
            self,
            Self::OtherUrl { .. }
                | Self::NotSigned
                | Self::OtherToken
                | Self::OtherServerName { .. }
                | Self::OtherAuthority
        )
    }
}

fn server_name_text(actual: Option<&str>) -> String {
    match actual {
        Some(name) => format!("another server name is sent: `{name}`"),
        None => "no server name is sent".to_owned(),
    }
}

fn verify_text(code: Option<&str>) -> String {
    code.map_or_else(String::new, |code| {
        format!(" with a certificate for the common name `{code}`")
    })
}

fn day(at_ms: u64) -> String {
    rfc3339(at_ms).chars().take(10).collect()
}
