//! The declaration of every key.

use std::fmt::Write;

/// The kind of a sink, as the key `kind` names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KindName {
    /// A URL to which each event is posted.
    Webhook,
    /// A bot of a chat.
    Chat,
    /// Mail.
    Mail,
    /// A component of the operator.
    Component,
}

impl KindName {
    /// All kinds with their words.
    pub(super) const CHOICES: &[(&str, Self)] = &[
        ("webhook", Self::Webhook),
        ("chat", Self::Chat),
        ("mail", Self::Mail),
        ("component", Self::Component),
    ];

    /// Returns the word for the kind.
    pub(super) fn word(self) -> &'static str {
        let mut choices = Self::CHOICES.iter();
        let found = choices.find(|(_, kind)| *kind == self);
        found.map_or("", |(word, _)| *word)
    }
}

/// The declaration of a key.
pub(super) struct Spec {
    pub(super) name: &'static str,
    /// The kinds of sinks that have the key. Empty: all.
    kinds: &'static [KindName],
    /// The form of its values, as a phrase that follows "must be".
    pub(super) form: &'static str,
    /// The value when it is not set, as it would be written in a text. Empty if there is no
    /// default.
    pub(super) default: &'static str,
    help: &'static str,
}

impl Spec {
    pub(super) fn is_of(&self, kind: KindName) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// Returns the words for the kinds that have the key.
    pub(super) fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.iter().map(|kind| kind.word())
    }
}

macro_rules! keys {
    ($(
        $(#[doc = $help:literal])*
        $id:ident = $name:literal, $kinds:expr, $form:literal, $default:literal;
    )*) => {
        $(pub(super) const $id: Spec = Spec {
            name: $name,
            kinds: $kinds,
            form: $form,
            default: $default,
            help: concat!($($help,)*).trim_ascii_start(),
        };)*

        /// All keys.
        pub(super) const KEYS: &[&Spec] = &[$(&$id,)*];
    };
}

/// Sinks of every kind.
const ALL: &[KindName] = &[];
const WEBHOOK: &[KindName] = &[KindName::Webhook];
const CHAT: &[KindName] = &[KindName::Chat];
const MAIL: &[KindName] = &[KindName::Mail];
const COMPONENTS: &[KindName] = &[KindName::Component];
/// Sinks that send requests.
const SENDERS: &[KindName] = &[KindName::Webhook, KindName::Chat, KindName::Component];
/// Sinks that get each event.
const SINGLE: &[KindName] = &[KindName::Webhook, KindName::Component];
/// Sinks with a URL.
const HTTP: &[KindName] = &[KindName::Webhook, KindName::Chat];
/// Sinks that people read.
const PEOPLE: &[KindName] = &[KindName::Chat, KindName::Mail];

keys! {
    /// The name, under which the journal stores the progress of the sink
    NAME = "name", ALL, "1 to 64 letters, digits and `-_`, different for each sink", "";
    /// What the sink is
    KIND = "kind", ALL, "`webhook`, `chat`, `mail` or `component`", "webhook";
    /// The conditions that the sink reports, instead of events
    ALERTS = "alerts", ALL, "`task_failed`, `task_stale`, `pushes_refused`, `quarantine_grew`, `wrong_clock`, `certificate_expires`, `sink_failing`, or a list of these", "";
    /// The URL to which messages are posted. It is never shown, because it may contain a secret
    URL = "url", HTTP, "an `http` or `https` URL, or `{ file = \"PATH\" }`", "";
    /// Of a webhook: the secrets that sign messages by the Standard Webhooks scheme, each message with a signature for each. Of a chat: the secret of the bot, for `feishu`, `lark` and `dingtalk`
    SECRET = "secret", HTTP, "`whsec_` and 24 to 64 bytes as base64, `{ file = \"PATH\" }`, or a list of two of these; of a chat, the one text that the service shows, or `{ file = \"PATH\" }`", "";
    /// `structured`: the body is a CloudEvents object with all that is known of the event. `binary`: the body is the notification as it came, and the attributes are header fields
    MODE = "mode", WEBHOOK, "`structured` or `binary`", "structured";
    /// More header fields, such as `headers = { Authorization = { file = "PATH" } }`. Their values are never shown, also not to a component, whose requests get them
    HEADERS = "headers", SINGLE, "a table of names with a text or `{ file = \"PATH\" }`", "";
    /// A component of yours with the world `sink`
    COMPONENT = "component", COMPONENTS, "a file", "";
    /// The settings of the component, such as `settings = { URL = { file = "PATH" } }`. They are never shown
    SETTINGS = "settings", COMPONENTS, "a table of names with a text or `{ file = \"PATH\" }`", "";
    /// Where the component may send requests. Without it: nowhere
    HOSTS = "hosts", COMPONENTS, "`https://HOST[:PORT]`, `http://HOST[:PORT]`, or a list of these", "";
    /// MiB of memory that the component may use for a message
    MEMORY_MIB = "memory_mib", COMPONENTS, "a whole number from 1 to 1024", "64";
    /// Allow private and loopback addresses for the requests of the component
    ALLOW_PRIVATE = "allow_private", COMPONENTS, "`true` or `false`", "false";
    /// The service of the bot
    SERVICE = "service", CHAT, "`feishu`, `lark`, `dingtalk`, `wecom`, `slack` or `teams`", "";
    /// The mail server
    HOST = "host", MAIL, "a host name or an address", "";
    /// The port of the mail server. Without it: 587 for `starttls`, 465 for `tls`, 25 for `none`
    PORT = "port", MAIL, "a whole number from 1 to 65535", "";
    /// How the connection is protected. `starttls`: TLS after `STARTTLS`, without which nothing is sent. `tls`: TLS from the beginning. `none`: only to this machine
    SECURITY = "security", MAIL, "`starttls`, `tls` or `none`", "starttls";
    /// Allow `security = "none"` to other machines
    ALLOW_PLAINTEXT = "allow_plaintext", MAIL, "`true` or `false`", "false";
    /// The name for the login to the mail server
    USER = "user", MAIL, "a text", "";
    /// The password for the login. It is never shown
    PASSWORD = "password", MAIL, "a text or `{ file = \"PATH\" }`", "";
    /// The sender
    FROM = "from", MAIL, "a mail address, such as `Receiver <batchtask@example.com>`", "";
    /// The recipients
    TO = "to", MAIL, "a mail address or a list of mail addresses", "";
    /// The shortest time between two messages
    EVERY = "every", ALL, "a time from `10s` to `1h`", "60s";
    /// The language of the messages
    LANGUAGE = "language", PEOPLE, "`en` or `zh`", "en";
    /// The URL of the receiver's page, to which messages have links
    PAGE = "page", PEOPLE, "an `http` or `https` URL, such as `https://receiver.example.com`", "";
    /// Only events of these applications. With `alerts`, this limits `task_failed`
    APPLICATIONS = "applications", ALL, "a text or a list of texts", "";
    /// Only events of these types of tasks. With `alerts`, this limits `task_failed`
    TYPES = "types", ALL, "a text or a list of texts", "";
    /// Only events with these statuses
    STATUSES = "statuses", ALL, "a text or a list of texts", "";
    /// Only events with statuses of these classes
    CLASSES = "classes", ALL, "`open`, `retryable`, `final`, or a list of these", "";
    /// Only events with at least one of these flags
    FLAGS = "flags", ALL, "names of flags of an event, such as `clock_skew`", "";
    /// Where a new sink begins. A sink that the journal knows continues where it was
    START = "start", ALL, "`now`, `beginning` or the `seq` of an event", "now";
    /// Events that are sent at the same time, each of another task. Without it: 64 for a webhook, 4 for a component
    PARALLEL = "parallel", SINGLE, "a whole number from 1 to 256", "";
    /// Seconds for a message, from connecting to the end of the answer
    TIMEOUT_SECONDS = "timeout_seconds", ALL, "a whole number from 1 to 60", "15";
    /// How long to wait after each time that the receiver refuses an event. After one more refusal, the event is a dead letter
    RETRIES = "retries", SINGLE, "a list of up to 16 times such as `30s`, `5m` or `2h`", "5s, 5m, 30m, 2h, 5h, 10h, 10h";
    /// `skip`: the later events of a task with a dead letter are delivered. `hold`: they wait until the dead letter is retried or dropped
    AFTER_DEAD = "after_dead", SINGLE, "`skip` or `hold`", "skip";
    /// The authorities that the receiver's certificate may come from, PEM. Without it, those of the system
    CA = "ca", ALL, "a file", "";
    /// A client certificate with its chain, PEM
    CLIENT_CERT = "client_cert", SENDERS, "a file", "";
    /// The private key of the client certificate, PEM
    CLIENT_KEY = "client_key", SENDERS, "a file", "";
    /// Allow a link-local address, or that of a metadata service
    ALLOW_LINK_LOCAL = "allow_link_local", ALL, "`true` or `false`", "false";
}

/// The keys that a sink with `alerts` does not have.
pub(super) const NOT_WITH_ALERTS: &[&Spec] = &[
    &MODE,
    &STATUSES,
    &CLASSES,
    &FLAGS,
    &PARALLEL,
    &RETRIES,
    &AFTER_DEAD,
];

/// Describes every key, for `--help`.
pub(crate) fn help() -> String {
    let mut text = String::from("Keys of a table `[[sink]]` of the configuration file:\n");
    for key in KEYS {
        let (name, help, form) = (key.name, key.help, key.form);
        let default = match key.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        let kinds = match key.kinds().collect::<Vec<_>>().join(", ") {
            kinds if kinds.is_empty() => kinds,
            kinds => format!(" ({kinds})"),
        };
        // A `String` takes everything.
        let _ = write!(
            text,
            "\n  {name}{kinds}\n          {help}. Must be {form}{default}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use batchtask_relay::report::Condition;
    use batchtask_relay::{Language, Service};

    use super::*;

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sinks.md");

    #[test]
    fn the_documentation_has_every_key() {
        let text = std::fs::read_to_string(DOCUMENT).unwrap();
        let (open, close) = ("<!-- keys -->\n", "<!-- /keys -->");
        let (before, rest) = text.split_once(open).unwrap();
        let (found, after) = rest.split_once(close).unwrap();
        let mut table = String::from("| key | kinds | default | meaning |\n|---|---|---|---|\n");
        for key in KEYS {
            let (name, help, form) = (key.name, key.help, key.form);
            let default = match key.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let kinds = match key.kinds().collect::<Vec<_>>().join(", ") {
                kinds if kinds.is_empty() => "all".into(),
                kinds => kinds,
            };
            writeln!(
                table,
                "| `{name}` | {kinds} | {default} | {help}. Must be {form} |"
            )
            .unwrap();
        }
        if std::env::var_os("UPDATE").is_some() {
            let updated = [before, open, &table, close, after].concat();
            std::fs::write(DOCUMENT, updated).unwrap();
        } else {
            assert_eq!(found, table, "run the tests with `UPDATE=1`");
        }
    }

    fn assert_named<T>(spec: &Spec, choices: &[(&str, T)]) {
        for (word, _) in choices {
            assert!(spec.form.contains(&format!("`{word}`")), "{word}");
        }
    }

    #[test]
    fn forms_name_every_choice() {
        assert_named(&KIND, KindName::CHOICES);
        assert_named(&ALERTS, Condition::ALL);
        assert_named(&SERVICE, Service::ALL);
        assert_named(&LANGUAGE, Language::ALL);
    }
}
