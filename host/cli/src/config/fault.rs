//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::options::{file_key, flag, variable};

/// Where the value of an option comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The command line.
    Flag,
    /// The environment.
    Variable,
    /// The configuration file. The first line is 1.
    Line(Arc<Path>, usize),
    /// The declaration of the option.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable => f.write_str("variable"),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Place {
    /// The name of an option as it is spelt in this place.
    pub(crate) fn spell(&self, name: &str) -> String {
        match self {
            Self::Flag => flag(name),
            Self::Variable => variable(name),
            Self::Line(..) | Self::Default => file_key(name),
        }
    }
}

/// One fault of a configuration. Shows no secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    place: Place,
    /// The name of the option. Empty if the fault is not in the value of an
    /// option.
    name: String,
    /// A phrase that follows the name, or a sentence if there is no name.
    problem: String,
}

impl Fault {
    pub(crate) fn new(place: Place, name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            place,
            name: name.into(),
            problem: problem.into(),
        }
    }
}

impl Fault {
    /// The name of the option. Empty if there is none.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Place::Line(..) = &self.place {
            write!(f, "{}: ", self.place)?;
        }
        if !self.name.is_empty() {
            write!(f, "`{}` ", self.place.spell(&self.name))?;
        }
        f.write_str(&self.problem)
    }
}

/// All faults of a configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn new(mut faults: Vec<Fault>) -> Self {
        // In the order of the file, in which they will be repaired.
        faults.sort();
        faults.dedup();
        Self(faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is invalid")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}
