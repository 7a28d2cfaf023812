//! What the operator decided, gathered once at start.

use std::collections::BTreeMap;

/// What the names of the receiver's settings begin with.
pub const PREFIX: &str = "BATCHTASK_";

/// Settings of the receiver, by name. Which there are, and what they may say,
/// is [`batchtask_guest::settings::SETTINGS`].
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The `BATCHTASK_…` variables of the environment.
    pub fn from_env() -> Self {
        Self(
            std::env::vars()
                .filter(|(name, _)| name.starts_with(PREFIX))
                .collect(),
        )
    }

    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets a setting, whatever it was before.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }
}

// No derived `Debug`: values may be secret.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
