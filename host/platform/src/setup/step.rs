//! [`Step`]: one change on the platform.

use std::fmt;

/// One change. Its text describes it without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Uploads the CA certificate.
    UploadAuthority {
        /// The common name of its subject.
        name: String,
    },
    /// Creates the queue.
    CreateQueue {
        /// Its name.
        name: String,
    },
    /// Creates the rule, which is inactive at first.
    CreateRule {
        /// Its name.
        name: String,
        /// The resource spaces that it is for.
        scope: String,
    },
    /// Has the rule forward everything.
    ClearFilter {
        /// The SQL that is removed.
        sql: String,
    },
    /// Adds the action.
    CreateAction {
        /// Its target.
        target: String,
    },
    /// Changes the action.
    ChangeAction {
        /// Its target.
        target: String,
        /// Why.
        reasons: Vec<String>,
    },
    /// Activates the rule.
    Activate {
        /// Its name.
        name: String,
    },
    /// Deletes an action.
    DeleteAction {
        /// Its id.
        id: String,
        /// Its target.
        target: String,
    },
    /// Deletes a rule.
    DeleteRule {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
    /// Deletes a queue, with the messages in it.
    DeleteQueue {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
    /// Deletes a CA certificate.
    DeleteAuthority {
        /// Its id.
        id: String,
        /// The common name of its subject.
        name: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UploadAuthority { name } => write!(f, "upload the CA certificate `{name}`"),
            Self::CreateQueue { name } => write!(f, "create the queue `{name}`"),
            Self::CreateRule { name, scope } => write!(f, "create the rule `{name}` for {scope}"),
            Self::ClearFilter { sql } => {
                write!(
                    f,
                    "forward every notification completely, instead of `{sql}`"
                )
            }
            Self::CreateAction { target } => write!(f, "forward to {target}"),
            Self::ChangeAction { target, reasons } => {
                write!(f, "change the action to {target}: {}", reasons.join("; "))
            }
            Self::Activate { name } => write!(f, "activate the rule `{name}`"),
            Self::DeleteAction { target, .. } => write!(f, "delete the action to {target}"),
            Self::DeleteRule { name, .. } => write!(f, "delete the rule `{name}`"),
            Self::DeleteQueue { name, .. } => {
                write!(f, "delete the queue `{name}`, with the messages in it")
            }
            Self::DeleteAuthority { name, .. } => write!(f, "delete the CA certificate `{name}`"),
        }
    }
}
