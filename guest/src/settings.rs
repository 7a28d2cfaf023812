//! The settings of the receiver: one table, and the parser of their values. An
//! instance reads them once.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::signature::{Mode, Scheme};
use crate::text::{number, times};

/// The declaration of a setting.
pub struct Setting {
    /// The name, such as `BATCHTASK_READ_TOKEN`.
    pub name: &'static str,
    /// The form of its values, as a phrase that follows "must be".
    pub form: &'static str,
    /// The value when it is not set. Empty if there is no default.
    pub default: &'static str,
    /// What it does.
    pub text: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

macro_rules! settings {
    ($($id:ident $name:literal, $form:literal, $default:literal, $secret:ident, $text:literal;)*) => {
        /// Every setting of the receiver.
        pub const SETTINGS: &[Setting] = &[$($id),*];

        $(const $id: Setting = Setting {
            name: $name,
            form: $form,
            default: $default,
            // Only the host shows it. Without it the component is 1 kB smaller.
            text: if cfg!(target_arch = "wasm32") { "" } else { $text },
            secret: $secret,
        };)*
    };
}

const SHOWN: bool = false;
const SECRET: bool = true;

settings! {
    READ_TOKEN "BATCHTASK_READ_TOKEN",
        "16 to 256 visible ASCII characters without a comma, or two such tokens with a comma between them", "", SECRET,
        "The token that readers send as `Authorization: Bearer …`. Without it nothing can be read";
    OPERATE_TOKEN "BATCHTASK_OPERATE_TOKEN",
        "16 to 256 visible ASCII characters without a comma, or two such tokens with a comma between them", "", SECRET,
        "The token of operators, who may read and also change what is in the quarantine and operate the sinks. Without it nothing can be operated";
    PATH_SECRET "BATCHTASK_PATH_SECRET",
        "16 to 128 characters of `A-Z a-z 0-9 _ -`, or two such secrets with a comma between them", "", SECRET,
        "The webhook is `/notifications/<secret>` instead of `/notifications`";
    TOKEN "BATCHTASK_TOKEN",
        "3 to 32 letters and digits, or two such tokens with a comma between them", "", SECRET,
        "The token of the platform's rule action, which signs pushes";
    SIGNATURE "BATCHTASK_SIGNATURE",
        "`off`, `report` or `enforce`", "off", SHOWN,
        "Whether the signature of a push is checked: `report` logs the finding and refuses nothing; `enforce` refuses a push without a valid signature";
    TIMESTAMP_WINDOW_S "BATCHTASK_TIMESTAMP_WINDOW_S",
        "a number of seconds from 1 to 86400", "300", SHOWN,
        "How far the timestamp of a signature may differ from the clock, in both directions";
    UNPROCESSABLE "BATCHTASK_UNPROCESSABLE",
        "`auto`, `accept` or `reject`", "auto", SHOWN,
        "What to do with a body that is not a batch-task notification: `accept` stores it in the quarantine and answers 200; `reject` answers 400 or 422; `auto` accepts it from a proven sender only";
    STALE_AFTER_S "BATCHTASK_STALE_AFTER_S",
        "a number of seconds from 60 to 31536000", "86400", SHOWN,
        "An open task without a new event for this time is marked as stale";
    MAX_BODY_BYTES "BATCHTASK_MAX_BODY_BYTES",
        "a number of bytes from 1024 to 16777216", "1572864", SHOWN,
        "The greatest length of a notification's body. The default has room for 1 MiB as base64 in an envelope";
}

/// How a body that is not a batch-task notification is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unprocessable {
    /// It is quarantined if the sender is proven, otherwise refused.
    #[default]
    Auto,
    /// It is quarantined.
    Accept,
    /// It is refused.
    Reject,
}

/// The checked values of all settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The greatest length of a body, in bytes.
    pub max_body_bytes: usize,
    /// How a body that is not a batch-task notification is treated.
    pub unprocessable: Unprocessable,
    /// The secrets that are accepted as the last segment of the webhook's path:
    /// two during a rotation. Empty: the path has no secret.
    pub path_secrets: Vec<String>,
    /// The tokens that readers may send: two during a rotation. Empty: nothing
    /// can be read.
    pub read_tokens: Vec<String>,
    /// The tokens of operators, who may also read: two during a rotation. Empty:
    /// nothing can be operated.
    pub operate_tokens: Vec<String>,
    /// How senders are checked.
    pub scheme: Scheme,
    /// An open task without a new event for this time is stale, in
    /// milliseconds.
    pub stale_after_ms: u64,
}

/// Why the value of a setting is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the setting.
    pub name: &'static str,
    /// What is wrong, as a phrase that follows the name. Shows no secret.
    pub problem: String,
}

impl Fault {
    /// The whole sentence.
    pub fn text(&self) -> String {
        let mut text = String::from("`");
        text.push_str(self.name);
        text.push_str("` ");
        text.push_str(&self.problem);
        text
    }
}

impl Settings {
    /// Reads every setting with `look_up`. An empty value counts as unset.
    ///
    /// # Errors
    /// A fault for each setting whose value is invalid.
    pub fn read(look_up: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader {
            look_up,
            faults: Vec::new(),
        };
        let settings = reader.settings();
        if reader.faults.is_empty() {
            Ok(settings)
        } else {
            Err(reader.faults)
        }
    }
}

/// Reads settings and collects faults.
struct Reader<F> {
    look_up: F,
    faults: Vec<Fault>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn settings(&mut self) -> Settings {
        Settings {
            scheme: self.scheme(),
            path_secrets: self.value(&PATH_SECRET, |text| {
                secrets(text, 16..=128, |byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
                })
            }),
            read_tokens: self.value(&READ_TOKEN, tokens),
            operate_tokens: self.value(&OPERATE_TOKEN, tokens),
            max_body_bytes: self.value(&MAX_BODY_BYTES, |text| {
                number(text, 1024..=16 << 20).and_then(|bytes| usize::try_from(bytes).ok())
            }),
            stale_after_ms: self.value(&STALE_AFTER_S, |text| seconds(text, 60..=31_536_000)),
            unprocessable: self.value(&UNPROCESSABLE, |text| match text {
                "auto" => Some(Unprocessable::Auto),
                "accept" => Some(Unprocessable::Accept),
                "reject" => Some(Unprocessable::Reject),
                _ => None,
            }),
        }
    }

    fn scheme(&mut self) -> Scheme {
        let scheme = Scheme {
            mode: self.value(&SIGNATURE, |text| match text {
                "off" => Some(Mode::Off),
                "report" => Some(Mode::Report),
                "enforce" => Some(Mode::Enforce),
                _ => None,
            }),
            tokens: self.value(&TOKEN, |text| {
                secrets(text, 3..=32, |byte| byte.is_ascii_alphanumeric())
            }),
            window_ms: self.value(&TIMESTAMP_WINDOW_S, |text| seconds(text, 1..=86_400)),
        };
        let needs_token = scheme.mode != Mode::Off && scheme.tokens.is_empty();
        if needs_token && !self.has_fault(&TOKEN) {
            let problem = "needs a token: set `token` (`BATCHTASK_TOKEN`), or `off` here";
            self.faults.push(Fault {
                name: SIGNATURE.name,
                problem: problem.into(),
            });
        }
        scheme
    }

    /// The value of one setting. If it is invalid: a default that is never
    /// used, because there is a fault.
    fn value<T: Default>(&mut self, setting: &Setting, parse: impl FnOnce(&str) -> Option<T>) -> T {
        let text = self.text(setting);
        parse(&text).unwrap_or_else(|| {
            self.refuse(setting, &text);
            T::default()
        })
    }

    /// Not inlined, because `value` exists for each type of values.
    #[inline(never)]
    fn refuse(&mut self, setting: &Setting, found: &str) {
        self.faults.push(fault(setting, found));
    }

    /// The value of one setting or its default, without spaces around it.
    fn text(&self, setting: &Setting) -> String {
        match (self.look_up)(setting.name) {
            Some(text) if !text.trim_ascii().is_empty() => text.trim_ascii().into(),
            _ => setting.default.into(),
        }
    }

    fn has_fault(&self, setting: &Setting) -> bool {
        self.faults.iter().any(|fault| fault.name == setting.name)
    }
}

/// Parses the tokens of readers or operators.
fn tokens(text: &str) -> Option<Vec<String>> {
    secrets(text, 16..=256, |byte| byte.is_ascii_graphic())
}

/// Parses one secret, or two with a comma between them. Empty for an empty
/// text.
fn secrets(
    text: &str,
    length: RangeInclusive<usize>,
    is_allowed: fn(u8) -> bool,
) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut secrets = Vec::new();
    for secret in text.split(',') {
        let secret = secret.trim_ascii();
        let is_valid = length.contains(&secret.len()) && secret.bytes().all(is_allowed);
        if !is_valid || secrets.len() == 2 {
            return None;
        }
        secrets.push(secret.into());
    }
    Some(secrets)
}

fn fault(setting: &Setting, found: &str) -> Fault {
    let mut problem = String::from("must be ");
    problem.push_str(setting.form);
    if setting.secret {
        problem.push_str(" (its value is not shown)");
    } else {
        problem.push_str(", found `");
        problem.push_str(found);
        problem.push('`');
    }
    Fault {
        name: setting.name,
        problem,
    }
}

/// A number of seconds within bounds, in milliseconds.
fn seconds(text: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
    number(text, bounds).map(|seconds| times(seconds, 1000))
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
        let faults = Settings::read(|_| Some("12 kB".into())).unwrap_err();
        let expected = "`BATCHTASK_MAX_BODY_BYTES` must be a number of bytes from 1024 to \
                        16777216, found `12 kB`";
        assert!(
            faults.iter().any(|fault| fault.text() == expected),
            "{faults:?}"
        );
        assert_eq!(faults.len(), SETTINGS.len());
    }

    #[test]
    fn a_secret_is_never_shown() {
        let faults = Settings::read(|_| Some("hush hush".into())).unwrap_err();
        for setting in SETTINGS.iter().filter(|setting| setting.secret) {
            let mut of_it = faults.iter().filter(|fault| fault.name == setting.name);
            let problem = &of_it.next().unwrap().problem;
            assert!(!problem.contains("hush"), "{problem}");
        }
    }

    #[test]
    fn a_signature_needs_a_token() {
        let faults = Settings::read(|name| (name == SIGNATURE.name).then(|| "enforce".into()));
        assert!(faults.unwrap_err()[0].text().contains("`BATCHTASK_TOKEN`"));
    }

    #[test]
    fn an_empty_value_counts_as_unset() {
        for empty in ["", " "] {
            let settings = Settings::read(|_| Some(empty.into())).unwrap();
            assert_eq!(settings.stale_after_ms, 86_400_000);
            assert!(settings.read_tokens.is_empty());
        }
    }

    #[test]
    fn every_secret_may_have_two_values() {
        let read = |name: &'static str, value: &'static str| {
            Settings::read(move |asked| (asked == name).then(|| value.into()))
        };
        let token = |value| read(TOKEN.name, value).map(|read| read.scheme.tokens);
        assert_eq!(token("aaa, b2b").unwrap(), ["aaa", "b2b"]);
        assert!(token("aaa,bbb,ccc").is_err());
        assert!(token("aaa,").is_err());
        assert!(token("aa").is_err());
        let two = "0123456789abcdef,fedcba9876543210";
        let path = read(PATH_SECRET.name, two).unwrap().path_secrets;
        assert_eq!(path, ["0123456789abcdef", "fedcba9876543210"]);
        let tokens = read(READ_TOKEN.name, two).unwrap().read_tokens;
        assert_eq!(tokens, path);
    }
}
