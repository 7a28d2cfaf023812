//! The settings of the receiver, as the component gets them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use batchtask_guest::settings::SETTINGS;

/// Settings in the form that a component gets: names and values.
pub(crate) type SettingPairs = Arc<Vec<(String, String)>>;

/// Settings of the receiver, by name. The names and the forms of the values are
/// in [`batchtask_guest::settings::SETTINGS`].
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The settings of the receiver in the environment. The error is the name of a
    /// variable that is not UTF-8.
    pub fn from_env() -> Result<Self, String> {
        let mut settings = Self::default();
        for setting in SETTINGS {
            if let Some(value) = std::env::var_os(setting.name) {
                let value = value.into_string().map_err(|_| setting.name.to_owned())?;
                settings.set(setting.name, value);
            }
        }
        Ok(settings)
    }

    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Sets a setting, or replaces its value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// The settings in the form that a component gets. Others than those of the
    /// receiver are left out, because a component must not see the credentials
    /// of other parts.
    pub(crate) fn pairs(&self) -> SettingPairs {
        let known = |name: &str| SETTINGS.iter().any(|setting| setting.name == name);
        let pairs = self.0.iter().filter(|(name, _)| known(name));
        pairs
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Vec<_>>()
            .into()
    }
}

/// The settings that instances are made with now. They can be replaced while
/// instances work.
#[derive(Clone)]
pub(crate) struct LiveSettings(Arc<RwLock<SettingPairs>>);

impl LiveSettings {
    pub(crate) fn new(pairs: SettingPairs) -> Self {
        Self(Arc::new(RwLock::new(pairs)))
    }

    pub(crate) fn current(&self) -> SettingPairs {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn replace(&self, pairs: SettingPairs) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pairs;
    }
}

// No derived `Debug`: values may be secret.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in pairs {
            settings.set(*name, *value);
        }
        settings
    }

    #[test]
    fn a_component_gets_the_settings_of_the_receiver_only() {
        let settings = settings(&[
            ("BATCHTASK_READ_TOKEN", "a"),
            ("BATCHTASK_TLS_KEY", "b"),
            ("BATCHTASK_AMQP_CODE", "c"),
        ]);
        let expected = [("BATCHTASK_READ_TOKEN".into(), "a".into())];
        assert_eq!(*settings.pairs(), expected);
    }

    #[test]
    fn values_do_not_show_in_debug_output() {
        let settings = settings(&[("BATCHTASK_TOKEN", "hush")]);
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
