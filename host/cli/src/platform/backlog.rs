//! The backlog policy: how much the platform keeps while a receiver does not answer.
//! There is at most one, for all rules.

use std::fmt;

use batchtask_platform::api::policies::{AllBacklogPolicies, BacklogPolicy, BacklogPolicyChange};
use batchtask_platform::{Client, Error};
use clap::Args;

/// The greatest size that the platform accepts, in bytes.
const BYTES_MAX: u64 = 1_073_741_823;
/// The longest time that the platform accepts, in seconds.
const SECONDS_MAX: u64 = 86_399;

#[derive(Args)]
pub(super) struct Backlog {
    /// Set the backlog policy: the bytes that the platform keeps while the receiver does
    /// not answer. It is for all rules
    #[arg(
        long,
        value_name = "BYTES",
        requires = "backlog_seconds",
        value_parser = clap::value_parser!(u64).range(..=BYTES_MAX)
    )]
    backlog_bytes: Option<u64>,
    /// Set the backlog policy: the seconds for which the platform keeps a notification
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "backlog_bytes",
        value_parser = clap::value_parser!(u64).range(..=SECONDS_MAX)
    )]
    backlog_seconds: Option<u64>,
}

/// A change of the backlog policy.
pub(super) enum BacklogStep {
    /// Creates the policy.
    Create {
        name: String,
        bytes: u64,
        seconds: u64,
    },
    /// Changes the policy that exists.
    Change {
        former: BacklogPolicy,
        bytes: u64,
        seconds: u64,
    },
    /// Deletes the policy.
    Delete { former: BacklogPolicy },
}

impl Backlog {
    /// Returns the change to the wanted policy, if it was asked for and something
    /// differs. A new policy gets this name.
    ///
    /// # Errors
    /// A call failed.
    pub(super) async fn step(
        &self,
        client: &Client,
        name: &str,
    ) -> Result<Option<BacklogStep>, Error> {
        let (Some(bytes), Some(seconds)) = (self.backlog_bytes, self.backlog_seconds) else {
            return Ok(None);
        };
        let former = client.list(&AllBacklogPolicies).await?.into_iter().next();
        Ok(match former {
            None => {
                let name = name.to_owned();
                Some(BacklogStep::Create {
                    name,
                    bytes,
                    seconds,
                })
            }
            Some(former) if (former.backlog_size, former.backlog_time) == (bytes, seconds) => None,
            Some(former) => Some(BacklogStep::Change {
                former,
                bytes,
                seconds,
            }),
        })
    }
}

impl BacklogStep {
    /// Returns the removal of the policy with this name, which a setup created.
    ///
    /// # Errors
    /// A call failed.
    pub(super) async fn removal(client: &Client, name: &str) -> Result<Option<Self>, Error> {
        let mut policies = client.list(&AllBacklogPolicies).await?.into_iter();
        let former = policies.find(|policy| policy.policy_name == name);
        Ok(former.map(|former| Self::Delete { former }))
    }

    /// Makes the change.
    ///
    /// # Errors
    /// The call failed.
    pub(super) async fn apply(&self, client: &Client) -> Result<(), Error> {
        let change = |policy_name, bytes, seconds| BacklogPolicyChange {
            policy_name,
            backlog_size: Some(bytes),
            backlog_time: Some(seconds),
        };
        match self {
            Self::Create {
                name,
                bytes,
                seconds,
            } => {
                let policy = change(Some(name.clone()), *bytes, *seconds);
                client.create_backlog_policy(&policy).await.map(drop)
            }
            Self::Change {
                former,
                bytes,
                seconds,
            } => {
                let change = change(None, *bytes, *seconds);
                client
                    .change_backlog_policy(&former.policy_id, &change)
                    .await
            }
            Self::Delete { former } => client.delete_backlog_policy(&former.policy_id).await,
        }
    }
}

impl fmt::Display for BacklogStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create {
                name,
                bytes,
                seconds,
            } => write!(
                f,
                "create the backlog policy `{name}`, for all rules: {bytes} bytes, {seconds} s"
            ),
            Self::Change {
                former,
                bytes,
                seconds,
            } => write!(
                f,
                "change the backlog policy `{}`, for all rules: from {} bytes, {} s to {bytes} \
                 bytes, {seconds} s (`platform remove` does not undo this)",
                former.policy_name, former.backlog_size, former.backlog_time
            ),
            Self::Delete { former } => {
                write!(f, "delete the backlog policy `{}`", former.policy_name)
            }
        }
    }
}
