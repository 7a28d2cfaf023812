//! Errors of options and of commands.

/// An option of a sink that cannot be used. Shows no secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{option}`: {reason}")]
pub struct OptionError {
    /// The name of the option.
    pub option: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl OptionError {
    pub(crate) fn new(option: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { option, reason }
    }
}

/// Why a command was not carried out.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// There is no such sink.
    #[error("there is no sink `{0}`")]
    UnknownSink(String),
    /// There is no such dead letter.
    #[error("there is no dead letter {0}")]
    UnknownDeadLetter(u64),
    /// The sink gets reports, and no events.
    #[error(
        "this sink gets digests or alerts, and no single events: there is nothing to send again"
    )]
    NoEvents,
    /// Another host owns the sink.
    #[error("another host owns this sink (`{0}`): send the command to it")]
    OtherOwner(String),
    /// The sink is starting or stopping, or its journal cannot be used.
    #[error("the sink is not running now{0}")]
    NotRunning(String),
}
