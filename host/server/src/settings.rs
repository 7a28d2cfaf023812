//! What the operator decided, gathered once at start.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use batchtask_guest::settings::SETTINGS;

/// What the names of the receiver's settings begin with.
pub const PREFIX: &str = "BATCHTASK_";

/// Settings as a component is given them: names and values.
pub(crate) type SettingPairs = Arc<Vec<(String, String)>>;

/// Settings of the receiver, by name. Which there are, and what they may say,
/// is [`batchtask_guest::settings::SETTINGS`].
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The `BATCHTASK_…` variables of the environment. The error is the name of
    /// one whose value is not UTF-8.
    pub fn from_env() -> Result<Self, String> {
        Self::from_variables(std::env::vars_os())
    }

    /// Variables of others may be anything.
    fn from_variables(
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, String> {
        variables
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, value)| match value.into_string() {
                Ok(value) => Ok((name, value)),
                Err(_) => Err(name),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Lines of `BATCHTASK_NAME=VALUE`; empty ones and those that begin with
    /// `#` do not count. The error is the number of a line that is neither.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let mut settings = Self::default();
        for (number, line) in (1_usize..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pair = line
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim()));
            let (name, value) = pair
                .filter(|(name, _)| name.starts_with(PREFIX))
                .ok_or(number)?;
            settings.set(name, value);
        }
        Ok(settings)
    }

    /// These settings, but for those that the others have too.
    pub fn overridden_by(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The settings of the receiver as pairs of name and value: all that a
    /// component is given. The environment also holds the host's options and
    /// the credentials of other parts.
    pub(crate) fn of_the_receiver(&self) -> SettingPairs {
        let known = |name: &str| SETTINGS.iter().any(|setting| setting.name == name);
        let pairs = self.0.iter().filter(|(name, _)| known(name));
        pairs
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Vec<_>>()
            .into()
    }

    /// The names of what is set.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_lines_of_names_and_values() {
        let settings = Settings::parse("# ours\n\nBATCHTASK_A = b=c \nBATCHTASK_D=").unwrap();
        assert_eq!(settings.get("BATCHTASK_A"), Some("b=c"));
        assert_eq!(settings.get("BATCHTASK_D"), Some(""));
        assert_eq!(Settings::parse("BATCHTASK_A=1\nPATH=2").unwrap_err(), 2);
        assert_eq!(Settings::parse("BATCHTASK_A").unwrap_err(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn variables_of_others_may_be_anything() {
        use std::os::unix::ffi::OsStringExt;
        let odd = || OsString::from_vec(vec![b'a', 0xff]);
        let ours = || ("BATCHTASK_A".into(), "b".into());
        let others = [("PATH".into(), odd()), (odd(), "c".into()), ours()];
        let settings = Settings::from_variables(others.into_iter()).unwrap();
        assert!(settings.names().eq(["BATCHTASK_A"]));
        let wrong = [ours(), ("BATCHTASK_D".into(), odd())];
        let wrong = Settings::from_variables(wrong.into_iter());
        assert_eq!(wrong.unwrap_err(), "BATCHTASK_D");
    }

    #[test]
    fn a_component_gets_the_settings_of_the_receiver_only() {
        let text = "BATCHTASK_READ_TOKEN=a\nBATCHTASK_TLS_KEY=b\nBATCHTASK_AMQP_CODE=c";
        let settings = Settings::parse(text).unwrap();
        let expected = [("BATCHTASK_READ_TOKEN".into(), "a".into())];
        assert_eq!(*settings.of_the_receiver(), expected);
    }

    #[test]
    fn values_do_not_show_in_debug_output() {
        let settings = Settings::parse("BATCHTASK_TOKEN=hush").unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
