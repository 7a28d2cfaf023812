//! What an operator can decide about the receiver: one table, read once an
//! instance.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::signature::{Mode, Scheme};
use crate::text::number;

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

macro_rules! settings {
    ($($id:ident $name:literal, $form:literal, $default:literal, $secret:ident, $text:literal;)*) => {
        /// Every setting of the receiver.
        pub const SETTINGS: &[Setting] = &[$($id),*];

        $(const $id: Setting = Setting {
            name: $name,
            form: $form,
            default: $default,
            // Only the host shows it: 1 kB less in the component.
            text: if cfg!(target_arch = "wasm32") { "" } else { $text },
            secret: $secret,
        };)*
    };
}

const SHOWN: bool = false;
const SECRET: bool = true;

settings! {
    READ_TOKEN "BATCHTASK_READ_TOKEN",
        "16 to 256 visible ASCII characters", "", SECRET,
        "What readers prove themselves with, as `Authorization: Bearer …`. Without it nothing can be read";
    PATH_SECRET "BATCHTASK_PATH_SECRET",
        "16 to 128 of `A-Z a-z 0-9 _ -`", "", SECRET,
        "Moves the webhook to `/notifications/<secret>`";
    TOKEN "BATCHTASK_TOKEN",
        "one token of 3 to 32 letters and digits, or two with a comma between", "", SECRET,
        "The token of the rule action; two while one replaces the other";
    SIGNATURE "BATCHTASK_SIGNATURE",
        "`off`, `report` or `enforce`", "off", SHOWN,
        "Whether the signature of a push is checked: `report` says what was found and refuses nothing, `enforce` refuses a push without a valid signature";
    TIMESTAMP_WINDOW_S "BATCHTASK_TIMESTAMP_WINDOW_S",
        "a number of seconds from 1 to 86400", "300", SHOWN,
        "How far the timestamp may be from now, either way";
    UNPROCESSABLE "BATCHTASK_UNPROCESSABLE",
        "`auto`, `accept` or `reject`", "auto", SHOWN,
        "What becomes of a body that is no batch-task notification: `accept` quarantines it and answers 200, `reject` answers 400 or 422, `auto` accepts from a proven sender only";
    STALE_AFTER_S "BATCHTASK_STALE_AFTER_S",
        "a number of seconds from 60 to 31536000", "86400", SHOWN,
        "How long an open task may be silent before it is marked";
    MAX_BODY_BYTES "BATCHTASK_MAX_BODY_BYTES",
        "a number of bytes from 1024 to 16777216", "1572864", SHOWN,
        "The longest body of a notification: by default 1 MiB as base64 and an envelope";
}

/// What becomes of a body that is no batch-task notification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unprocessable {
    /// Quarantined when the sender is proven, else refused.
    #[default]
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
    /// The last segment of the webhook's path.
    pub path_secret: Option<String>,
    /// What readers prove themselves with.
    pub read_token: Option<String>,
    /// How senders are checked.
    pub scheme: Scheme,
    /// How long an open task may be silent, in milliseconds.
    pub stale_after_ms: u64,
}

impl Settings {
    /// Reads every setting by `look_up`. The error has a line for each that
    /// has no valid value, and shows no secret.
    pub fn read(look_up: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut reader = Reader {
            look_up,
            wrong: Vec::new(),
        };
        let settings = reader.settings();
        match reader.wrong.is_empty() {
            true => Ok(settings),
            false => Err(reader.wrong),
        }
    }
}

/// Reads settings, and gathers what is wrong with them.
struct Reader<F> {
    look_up: F,
    wrong: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn settings(&mut self) -> Settings {
        Settings {
            scheme: self.scheme(),
            path_secret: self.value(&PATH_SECRET, |text| {
                secret(text, 128, |byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
                })
            }),
            read_token: self.value(&READ_TOKEN, |text| {
                secret(text, 256, |byte| byte.is_ascii_graphic())
            }),
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
            tokens: self.value(&TOKEN, tokens),
            window_ms: self.value(&TIMESTAMP_WINDOW_S, |text| seconds(text, 1..=86_400)),
        };
        if self.wrong.is_empty() && scheme.mode != Mode::Off && scheme.tokens.is_empty() {
            let line = "set `BATCHTASK_TOKEN`, or `BATCHTASK_SIGNATURE` to `off`";
            self.wrong.push(line.into());
        }
        scheme
    }

    /// The value of one setting, or a stand-in and a line about what is wrong,
    /// with which nothing that was read is used.
    fn value<T: Default>(&mut self, setting: &Setting, parse: impl FnOnce(&str) -> Option<T>) -> T {
        let text = self.text(setting);
        parse(&text).unwrap_or_else(|| {
            self.complain(setting, &text);
            T::default()
        })
    }

    /// The value of one setting or its default, without spaces around it.
    fn text(&self, setting: &Setting) -> String {
        match (self.look_up)(setting.name) {
            Some(text) => text.trim_ascii().into(),
            None => setting.default.into(),
        }
    }

    fn complain(&mut self, setting: &Setting, found: &str) {
        self.wrong.push(complaint(setting, found));
    }
}

/// A secret, or none for the empty text.
fn secret(text: &str, max_bytes: usize, allowed: impl Fn(u8) -> bool) -> Option<Option<String>> {
    match text.len() {
        0 => Some(None),
        length if length < 16 || length > max_bytes => None,
        _ => text.bytes().all(allowed).then(|| Some(text.into())),
    }
}

/// One token, or two with a comma between; none for the empty text.
fn tokens(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let tokens: Vec<String> = text
        .split(',')
        .map(|token| token.trim_ascii().into())
        .collect();
    let valid = |token: &String| {
        (3..=32).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    (tokens.len() <= 2 && tokens.iter().all(valid)).then_some(tokens)
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

/// A number of seconds within bounds, in milliseconds.
fn seconds(text: &str, bounds: RangeInclusive<u64>) -> Option<u64> {
    number(text, bounds).map(|seconds| seconds.saturating_mul(1000))
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
        assert_eq!(wrong.len(), SETTINGS.len());
    }

    #[test]
    fn a_secret_is_never_shown() {
        let wrong = Settings::read(|_| Some("hush hush".into())).unwrap_err();
        for setting in SETTINGS.iter().filter(|setting| setting.secret) {
            let line = wrong
                .iter()
                .find(|line| line.contains(setting.name))
                .unwrap();
            assert!(!line.contains("hush"), "{line}");
        }
    }

    #[test]
    fn a_signature_needs_a_token() {
        let wrong = Settings::read(|name| (name == SIGNATURE.name).then(|| "enforce".into()));
        assert!(wrong.unwrap_err()[0].contains("BATCHTASK_TOKEN"));
    }

    #[test]
    fn two_tokens_may_be_valid_at_once() {
        let read = |value: &'static str| {
            Settings::read(move |name| (name == TOKEN.name).then(|| value.into()))
        };
        assert_eq!(read("aaa, b2b").unwrap().scheme.tokens, ["aaa", "b2b"]);
        assert!(read("aaa,bbb,ccc").is_err());
        assert!(read("aa").is_err());
    }
}
