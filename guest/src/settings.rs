//! What an operator can decide about the receiver: one table, read once an
//! instance.

use alloc::string::String;
use alloc::vec::Vec;

/// A setting, as the operator meets it.
pub struct Setting {
    /// The name of the variable.
    pub name: &'static str,
    /// What values look like.
    pub form: &'static str,
    /// What holds when it is not set; empty for nothing.
    pub default: &'static str,
    /// What it decides.
    pub text: &'static str,
    /// Its value must never be shown.
    pub secret: bool,
}

/// The greatest body a notification may be asked to have: 16 MiB.
const MAX_BODY_BYTES_LIMIT: u64 = 16 << 20;

/// Every setting of the receiver.
pub const SETTINGS: &[Setting] = &[MAX_BODY_BYTES, UNPROCESSABLE];

const MAX_BODY_BYTES: Setting = Setting {
    name: "BATCHTASK_MAX_BODY_BYTES",
    form: "a number of bytes from 1024 to 16777216",
    // 1 MiB as base64, and 128 KiB for the envelope around it.
    default: "1572864",
    text: "The longest body a notification may have",
    secret: false,
};

const UNPROCESSABLE: Setting = Setting {
    name: "BATCHTASK_UNPROCESSABLE",
    form: "`auto`, `accept` or `reject`",
    default: "auto",
    text: "What becomes of a body that is no batch-task notification: `accept` quarantines it and \
           answers 200, `reject` answers 400 or 422, `auto` accepts from a proven sender only",
    secret: false,
};

/// What becomes of a body that is no batch-task notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unprocessable {
    /// Quarantined when the sender is proven, else refused.
    Auto,
    /// Quarantined.
    Accept,
    /// Refused.
    Reject,
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The longest body, in bytes.
    pub max_body_bytes: usize,
    /// What becomes of a body that is no batch-task notification.
    pub unprocessable: Unprocessable,
}

impl Settings {
    /// Reads every setting by `look_up`. The error has a line for each that
    /// has no valid value, and shows no secret.
    pub fn read(look_up: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let max_body_bytes = value(&look_up, &mut wrong, &MAX_BODY_BYTES, |text| {
            number(text, 1024, MAX_BODY_BYTES_LIMIT).and_then(|bytes| usize::try_from(bytes).ok())
        });
        let unprocessable = value(&look_up, &mut wrong, &UNPROCESSABLE, |text| match text {
            "auto" => Some(Unprocessable::Auto),
            "accept" => Some(Unprocessable::Accept),
            "reject" => Some(Unprocessable::Reject),
            _ => None,
        });
        let whole = || {
            Some(Self {
                max_body_bytes: max_body_bytes?,
                unprocessable: unprocessable?,
            })
        };
        whole().ok_or(wrong)
    }
}

/// The value of one setting, or none and a line about what is wrong with it.
fn value<T>(
    look_up: &impl Fn(&str) -> Option<String>,
    wrong: &mut Vec<String>,
    setting: &Setting,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let given = look_up(setting.name);
    let text = given.as_deref().unwrap_or(setting.default).trim();
    let value = parse(text);
    if value.is_none() {
        wrong.push(complaint(setting, text));
    }
    value
}

/// Names the setting, the form its value should have, and what was found.
fn complaint(setting: &Setting, found: &str) -> String {
    let mut line = String::from("`");
    line.push_str(setting.name);
    line.push_str("` must be ");
    line.push_str(setting.form);
    if setting.secret {
        line.push_str("; its value, which is not shown, is not");
    } else {
        line.push_str(", found `");
        line.push_str(found);
        line.push('`');
    }
    line
}

/// A decimal number within bounds.
fn number(text: &str, least: u64, greatest: u64) -> Option<u64> {
    let value = text.parse().ok()?;
    (least..=greatest).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        let settings = Settings::read(|_| None).unwrap();
        assert_eq!(settings.max_body_bytes, 1_572_864);
        assert_eq!(settings.unprocessable, Unprocessable::Auto);
    }

    #[test]
    fn a_bad_value_is_named_with_its_form_and_what_was_found() {
        let wrong = Settings::read(|_| Some("12 kB".into())).unwrap_err();
        let expected = "`BATCHTASK_MAX_BODY_BYTES` must be a number of bytes from 1024 to \
                        16777216, found `12 kB`";
        assert!(wrong.iter().any(|line| line == expected), "{wrong:?}");
        assert!(
            wrong
                .iter()
                .any(|line| line.contains("BATCHTASK_UNPROCESSABLE"))
        );
    }
}
