//! The tables `[[sink]]` of the configuration file.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use batchtask_notification::{Class, Flags};
use batchtask_relay::scheduler::AfterDead;
use batchtask_relay::{
    Filter, Identity, Mode, PARALLEL_MAX, Sink, SinkOptions, Start, TlsOptions, WebhookOptions,
};
use batchtask_webhook::Key;

use super::fault::{Fault, Place};
use super::file::{Entry, Raw, read_secret};
use super::options::SINKS as TABLE;
use super::values::Values;

/// How many sinks there may be. Each reads the feed.
const SINKS_MAX: usize = 32;

/// The longest name of a sink, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The declaration of a key.
struct Spec {
    name: &'static str,
    /// The form of its values, as a phrase that follows "must be".
    form: &'static str,
    /// The value when it is not set. Empty if there is no default.
    default: &'static str,
    help: &'static str,
}

macro_rules! keys {
    ($($(#[doc = $help:literal])* $id:ident = $name:literal, $form:literal, $default:literal;)*) => {
        $(const $id: Spec = Spec {
            name: $name,
            form: $form,
            default: $default,
            help: concat!($($help,)*).trim_ascii_start(),
        };)*

        /// All keys.
        const KEYS: &[&Spec] = &[$(&$id,)*];
    };
}

keys! {
    /// The name, under which the journal stores the progress of the sink
    NAME = "name", "1 to 64 letters, digits and `-_`, different for each sink", "";
    /// What the sink is
    KIND = "kind", "`webhook`", "webhook";
    /// The URL to which events are posted. It is never shown, because it may contain a secret
    URL = "url", "an `http` or `https` URL, or `{ file = \"PATH\" }`", "";
    /// The secrets that sign messages by the Standard Webhooks scheme. Each message has a signature for each
    SECRET = "secret", "`whsec_` and 24 to 64 bytes as base64, `{ file = \"PATH\" }`, or a list of two of these", "";
    /// `structured`: the body is a CloudEvents object with all that is known of the event. `binary`: the body is the notification as it came, and the attributes are header fields
    MODE = "mode", "`structured` or `binary`", "structured";
    /// More header fields, such as `headers = { Authorization = { file = "PATH" } }`. Their values are never shown
    HEADERS = "headers", "a table of names with a text or `{ file = \"PATH\" }`", "";
    /// Only events of these applications
    APPLICATIONS = "applications", "a text or a list of texts", "";
    /// Only events of these types of tasks
    TYPES = "types", "a text or a list of texts", "";
    /// Only events with these statuses
    STATUSES = "statuses", "a text or a list of texts", "";
    /// Only events with statuses of these classes
    CLASSES = "classes", "`open`, `retryable`, `final`, or a list of these", "";
    /// Only events with at least one of these flags
    FLAGS = "flags", "names of flags of an event, such as `clock_skew`", "";
    /// Where a new sink begins. A sink that the journal knows continues where it was
    START = "start", "`now`, `beginning` or the `seq` of an event", "now";
    /// Events that are sent at the same time, each of another task
    PARALLEL = "parallel", "a whole number from 1 to 256", "64";
    /// Seconds for a request, from connecting to the end of the answer
    TIMEOUT_SECONDS = "timeout_seconds", "a whole number from 1 to 60", "15";
    /// How long to wait after each time that the receiver refuses an event. After one more refusal, the event is a dead letter
    RETRIES = "retries", "a list of up to 16 times such as `30s`, `5m` or `2h`", "5s, 5m, 30m, 2h, 5h, 10h, 10h";
    /// `skip`: the later events of a task with a dead letter are delivered. `hold`: they wait until the dead letter is retried or dropped
    AFTER_DEAD = "after_dead", "`skip` or `hold`", "skip";
    /// The authorities that the receiver's certificate may come from, PEM. Without it, those of the system
    CA = "ca", "a file", "";
    /// A client certificate with its chain, PEM
    CLIENT_CERT = "client_cert", "a file", "";
    /// The private key of the client certificate, PEM
    CLIENT_KEY = "client_key", "a file", "";
    /// Allow a link-local address, or that of a metadata service
    ALLOW_LINK_LOCAL = "allow_link_local", "`true` or `false`", "false";
}

/// Returns the sinks of the file. Adds all faults to `values`.
pub(super) fn sinks(values: &mut Values) -> Vec<Arc<Sink>> {
    let mut faults = Vec::new();
    let mut sinks: Vec<Arc<Sink>> = Vec::new();
    let mut names = BTreeSet::new();
    for entry in values.sinks() {
        let mut reader = Reader {
            entry,
            faults: &mut faults,
        };
        let options = reader.options();
        if !names.insert(options.name.clone()) && !options.name.is_empty() {
            reader.refuse(&NAME, "is the name of another sink, too");
        }
        let Some(options) = reader.checked(options) else {
            continue;
        };
        match Sink::new(options) {
            Ok(sink) => sinks.push(Arc::new(sink)),
            Err(error) => {
                let place = entry.place_of(error.option);
                let name = format!("{TABLE}.{}", error.option);
                let problem = format!("cannot be used: {}", error.reason);
                faults.push(Fault::new(place, name, problem));
            }
        }
    }
    if let Some(entry) = values.sinks().get(SINKS_MAX) {
        let problem = format!("there are more than {SINKS_MAX} sinks");
        faults.push(Fault::new(entry.place.clone(), TABLE, problem));
    }
    values.add_faults(faults);
    sinks
}

/// Describes every key, for `--help`.
pub(crate) fn keys() -> String {
    let mut text = String::from("Keys of a table `[[sink]]` of the configuration file:\n");
    for key in KEYS {
        let (name, help, form) = (key.name, key.help, key.form);
        let default = match key.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        // A `String` takes everything.
        let _ = write!(
            text,
            "\n  {name}\n          {help}. Must be {form}{default}\n"
        );
    }
    text
}

/// Reads one table.
struct Reader<'a> {
    entry: &'a Entry,
    faults: &'a mut Vec<Fault>,
}

impl Reader<'_> {
    /// Reads all keys. The options must be checked with [`checked`](Self::checked).
    fn options(&mut self) -> SinkOptions {
        self.check_keys();
        let kind = self.text(&KIND).unwrap_or_else(|| "webhook".into());
        if kind != "webhook" {
            self.refuse_form(&KIND);
        }
        SinkOptions {
            name: self.name(),
            filter: Filter {
                applications: self.texts(&APPLICATIONS),
                types: self.texts(&TYPES),
                statuses: self.texts(&STATUSES),
                classes: self.classes(),
                flags: self.flags(),
            },
            start: self.start(),
            parallel: self.number(&PARALLEL, 1..=PARALLEL_MAX).unwrap_or(64),
            retries: self.retries(),
            after_dead: self.choice(
                &AFTER_DEAD,
                &[("skip", AfterDead::Skip), ("hold", AfterDead::Hold)],
            ),
            webhook: self.webhook(),
        }
    }

    fn webhook(&mut self) -> WebhookOptions {
        WebhookOptions {
            url: self.url(),
            mode: self.choice(
                &MODE,
                &[("structured", Mode::Structured), ("binary", Mode::Binary)],
            ),
            keys: self.keys(),
            headers: self.headers(),
            tls: self.tls(),
            timeout: Duration::from_secs(self.number(&TIMEOUT_SECONDS, 1..=60).unwrap_or(15)),
            allow_link_local: self.switch(&ALLOW_LINK_LOCAL),
        }
    }

    /// Returns the options, unless there is a fault in this table.
    fn checked(&self, options: SinkOptions) -> Option<SinkOptions> {
        let is_here = |fault: &Fault| self.entry.has(fault.place());
        (!self.faults.iter().any(is_here)).then_some(options)
    }

    fn check_keys(&mut self) {
        for key in self.entry.keys() {
            if KEYS.iter().all(|spec| spec.name != key) {
                let likeness =
                    |spec: &&&Spec| (1000.0 * strsim::jaro_winkler(key, spec.name)) as u32;
                let near = KEYS
                    .iter()
                    .max_by_key(likeness)
                    .filter(|spec| likeness(spec) > 800);
                let hint = near.map_or_else(String::new, |spec| {
                    format!("; did you mean `{TABLE}.{}`?", spec.name)
                });
                self.fault(key, format!("is not a key of a sink{hint}"));
            }
        }
    }

    fn name(&mut self) -> String {
        let Some(name) = self.required_text(&NAME) else {
            return String::new();
        };
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_allowed) {
            self.refuse_form(&NAME);
        }
        name
    }

    fn url(&mut self) -> String {
        if self.entry.get(URL.name).is_none() {
            self.refuse(&URL, "is missing");
        }
        self.secret(&URL).unwrap_or_default()
    }

    fn keys(&mut self) -> Vec<Key> {
        let secrets = match self.entry.get(SECRET.name) {
            None => return Vec::new(),
            Some((Raw::List(items), _)) => items.clone(),
            Some((raw, _)) => vec![raw.clone()],
        };
        let keys = secrets
            .iter()
            .map(|raw| Key::of(&self.secret_of(&SECRET, raw)?));
        let keys: Option<Vec<Key>> = keys.collect();
        match keys {
            Some(keys) if (1..=2).contains(&keys.len()) => keys,
            _ => {
                self.refuse_form(&SECRET);
                Vec::new()
            }
        }
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        match self.entry.get(HEADERS.name) {
            None => Vec::new(),
            Some((Raw::Table(fields), _)) => {
                let fields = fields.iter();
                fields
                    .map(|(name, value)| {
                        let value = self.secret_of(&HEADERS, value);
                        (name.clone(), value.unwrap_or_default())
                    })
                    .collect()
            }
            Some(_) => {
                self.refuse_form(&HEADERS);
                Vec::new()
            }
        }
    }

    fn tls(&mut self) -> TlsOptions {
        let identity = match (self.file(&CLIENT_CERT), self.file(&CLIENT_KEY)) {
            (Some(chain), Some(key)) => Some(Identity { chain, key }),
            (Some(_), None) if self.entry.get(CLIENT_KEY.name).is_none() => {
                self.refuse(&CLIENT_CERT, "needs `sink.client_key`: set both");
                None
            }
            (None, Some(_)) if self.entry.get(CLIENT_CERT.name).is_none() => {
                self.refuse(&CLIENT_KEY, "needs `sink.client_cert`: set both");
                None
            }
            _ => None,
        };
        TlsOptions {
            authorities: self.file(&CA),
            identity,
        }
    }

    fn file(&mut self, spec: &Spec) -> Option<Vec<u8>> {
        let path = self.text(spec)?;
        let read = fs::read(&path).map_err(|error| {
            self.refuse(spec, format!("names the file `{path}`: {error}"));
        });
        read.ok()
    }

    fn classes(&mut self) -> Vec<Class> {
        let all = [Class::Open, Class::Retryable, Class::Final];
        let names = self.texts(&CLASSES);
        let class = |name: &String| all.into_iter().find(|class| class.name() == name);
        let classes: Option<Vec<Class>> = names.iter().map(class).collect();
        classes.unwrap_or_else(|| {
            self.refuse_form(&CLASSES);
            Vec::new()
        })
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::empty();
        for name in self.texts(&FLAGS) {
            let mut all = (0..16).map(|bit| Flags::from_bits_truncate(1 << bit));
            match all.find(|flag| flag.names().next() == Some(&name)) {
                Some(flag) => flags |= flag,
                None => self.refuse(&FLAGS, format!("has the unknown flag `{name}`")),
            }
        }
        flags
    }

    fn start(&mut self) -> Start {
        match self.entry.get(START.name) {
            None => Start::Now,
            Some((Raw::Text(word), _)) if word == "now" => Start::Now,
            Some((Raw::Text(word), _)) if word == "beginning" => Start::Beginning,
            Some((Raw::Number(seq), _)) if seq.parse::<u64>().is_ok_and(|seq| seq > 0) => {
                Start::Seq(seq.parse().unwrap_or(1))
            }
            Some(_) => {
                self.refuse_form(&START);
                Start::Now
            }
        }
    }

    fn retries(&mut self) -> Vec<Duration> {
        if self.entry.get(RETRIES.name).is_none() {
            return RETRIES_DEFAULT.to_vec();
        }
        let texts = self.texts(&RETRIES);
        let times: Option<Vec<Duration>> = texts.iter().map(|text| time(text)).collect();
        times.filter(|times| times.len() <= 16).unwrap_or_else(|| {
            self.refuse_form(&RETRIES);
            Vec::new()
        })
    }

    fn choice<T: Copy + Default>(&mut self, spec: &Spec, choices: &[(&str, T)]) -> T {
        let Some(word) = self.text(spec) else {
            return T::default();
        };
        let mut choices = choices.iter();
        let found = choices.find(|(known, _)| *known == word);
        found.map_or_else(
            || {
                self.refuse_form(spec);
                T::default()
            },
            |(_, choice)| *choice,
        )
    }

    fn number<T: FromStr + PartialOrd>(
        &mut self,
        spec: &Spec,
        range: std::ops::RangeInclusive<T>,
    ) -> Option<T> {
        let (raw, _) = self.entry.get(spec.name)?;
        let text = match raw {
            Raw::Number(text) | Raw::Text(text) => text.parse().ok(),
            _ => None,
        };
        let number = text.filter(|number| range.contains(number));
        if number.is_none() {
            self.refuse_form(spec);
        }
        number
    }

    fn switch(&mut self, spec: &Spec) -> bool {
        match self.entry.get(spec.name) {
            None => false,
            Some((Raw::Switch(switch), _)) => *switch,
            Some(_) => {
                self.refuse_form(spec);
                false
            }
        }
    }

    fn required_text(&mut self, spec: &Spec) -> Option<String> {
        if self.entry.get(spec.name).is_none() {
            self.refuse(spec, "is missing");
        }
        self.text(spec)
    }

    fn text(&mut self, spec: &Spec) -> Option<String> {
        match self.entry.get(spec.name)? {
            (Raw::Text(text), _) => Some(text.clone()),
            _ => {
                self.refuse_form(spec);
                None
            }
        }
    }

    fn texts(&mut self, spec: &Spec) -> Vec<String> {
        let items = match self.entry.get(spec.name) {
            None => return Vec::new(),
            Some((Raw::List(items), _)) => items.clone(),
            Some((raw, _)) => vec![raw.clone()],
        };
        let text = |raw: Raw| match raw {
            Raw::Text(text) => Some(text),
            _ => None,
        };
        let texts: Option<Vec<String>> = items.into_iter().map(text).collect();
        texts.unwrap_or_else(|| {
            self.refuse_form(spec);
            Vec::new()
        })
    }

    /// A text, or the content of a file.
    fn secret(&mut self, spec: &Spec) -> Option<String> {
        let (raw, _) = self.entry.get(spec.name)?;
        self.secret_of(spec, raw)
    }

    fn secret_of(&mut self, spec: &Spec, raw: &Raw) -> Option<String> {
        match raw {
            Raw::Text(text) => Some(text.trim().to_owned()),
            Raw::Table(fields) => match &fields[..] {
                [(key, Raw::Text(path))] if key == "file" => {
                    let read = read_secret(path);
                    read.map_err(|problem| self.refuse(spec, problem)).ok()
                }
                _ => {
                    self.refuse_form(spec);
                    None
                }
            },
            _ => {
                self.refuse_form(spec);
                None
            }
        }
    }

    fn refuse_form(&mut self, spec: &Spec) {
        self.refuse(spec, format!("must be {}", spec.form));
    }

    fn refuse(&mut self, spec: &Spec, problem: impl Into<String>) {
        self.fault(spec.name, problem);
    }

    fn fault(&mut self, key: &str, problem: impl Into<String>) {
        let place: Place = self.entry.place_of(key);
        self.faults
            .push(Fault::new(place, format!("{TABLE}.{key}"), problem));
    }
}

/// The default of [`RETRIES`].
const RETRIES_DEFAULT: [Duration; 7] = batchtask_relay::RETRIES;

/// Parses a time such as `30s`, `5m` or `2h`.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let number: u32 = number.parse().ok()?;
    let time = Duration::from_secs(u64::from(number) * seconds);
    (time <= Duration::from_secs(7 * 24 * 3600)).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sinks.md");

    #[test]
    fn the_documentation_has_every_key() {
        let text = std::fs::read_to_string(DOCUMENT).unwrap();
        let (open, close) = ("<!-- keys -->\n", "<!-- /keys -->");
        let (before, rest) = text.split_once(open).unwrap();
        let (found, after) = rest.split_once(close).unwrap();
        let mut table = String::from("| key | default | meaning |\n|---|---|---|\n");
        for key in KEYS {
            let (name, help, form) = (key.name, key.help, key.form);
            let default = match key.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            writeln!(table, "| `{name}` | {default} | {help}. Must be {form} |").unwrap();
        }
        if std::env::var_os("UPDATE").is_some() {
            let updated = [before, open, &table, close, after].concat();
            std::fs::write(DOCUMENT, updated).unwrap();
        } else {
            assert_eq!(found, table, "run the tests with `UPDATE=1`");
        }
    }

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [
            ("0s", 0),
            ("30s", 30),
            ("5m", 300),
            ("2h", 7200),
            ("168h", 604_800),
        ] {
            assert_eq!(time(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "5", "1d", "-1s", "169h", "1.5h", "5 m", "é"] {
            assert_eq!(time(text), None, "{text}");
        }
        let default = RETRIES.default.split(", ").map(|text| time(text).unwrap());
        assert!(default.eq(RETRIES_DEFAULT));
    }
}
