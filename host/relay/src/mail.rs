//! [`Mail`]: sends digests and alerts as mail.
//!
//! - `message`: the text of a mail.
//! - `connect`: the connection to the mail server, with TLS.

mod connect;
mod message;

use std::error::Error as StdError;
use std::net::IpAddr;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;

use self::connect::{Connection, Connector};
use self::message::Message;
use crate::egress::{Addresses, TlsOptions, excerpt, failed, no_answer_within};
use crate::error::OptionError;
use crate::report::note::Note;
use crate::scheduler::Outcome;

/// How long to wait for the answer to a goodbye.
const QUIT_TIME: Duration = Duration::from_secs(1);

/// The options of mail.
#[derive(Eq, PartialEq)]
pub struct MailOptions {
    /// The mail server.
    pub host: String,
    /// The port of the mail server. `None`: the usual one of `security`.
    pub port: Option<u16>,
    /// How the connection is protected.
    pub security: Security,
    /// Whether [`Security::None`] is allowed to other machines.
    pub allow_plaintext: bool,
    /// User and password.
    pub login: Option<(String, String)>,
    /// The address of the sender, such as `Receiver <batchtask@example.com>`.
    pub from: String,
    /// The addresses of the recipients.
    pub to: Vec<String>,
    /// The authorities of the mail server.
    pub tls: TlsOptions,
    /// How long a message may take, from connecting to the acceptance.
    pub timeout: Duration,
    /// Whether the host may be a link-local address.
    pub allow_link_local: bool,
}

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Security {
    /// TLS begins with `STARTTLS`, without which nothing is sent.
    StartTls,
    /// TLS from the beginning.
    Tls,
    /// No TLS.
    None,
}

impl Security {
    /// Returns the usual port.
    fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// A client of one mail server.
pub(crate) struct Mail {
    connector: Connector,
    credentials: Option<Credentials>,
    from: Mailbox,
    to: Vec<Mailbox>,
    timeout: Duration,
}

impl Mail {
    pub(crate) fn new(options: &MailOptions) -> Result<Self, OptionError> {
        let is_loopback = options.host == "localhost"
            || options
                .host
                .parse()
                .is_ok_and(|ip: IpAddr| ip.is_loopback());
        if options.security == Security::None && !is_loopback && !options.allow_plaintext {
            let reason = "others could read the mail and the password: use `starttls` or `tls`, \
                          or set `allow_plaintext = true`";
            return Err(OptionError::new("security", reason));
        }
        let addresses = Addresses {
            private: true,
            link_local: options.allow_link_local,
        };
        addresses.check_literal(&options.host, "host")?;
        let mailboxes = options.to.iter();
        let to = mailboxes
            .map(|text| mailbox("to", text))
            .collect::<Result<Vec<_>, _>>()?;
        if to.is_empty() {
            return Err(OptionError::new("to", "it has no address"));
        }
        let login = options.login.clone();
        Ok(Self {
            connector: Connector::new(options, addresses)?,
            credentials: login.map(|(user, password)| Credentials::new(user, password)),
            from: mailbox("from", &options.from)?,
            to,
            timeout: options.timeout,
        })
    }

    /// Sends a note.
    pub(crate) async fn send(&self, note: &Note) -> Outcome {
        let message = match Message::new(note, &self.from, &self.to) {
            Ok(message) => message,
            Err(error) => return Outcome::Refused(format!("there is no message: {error}")),
        };
        match tokio::time::timeout(self.timeout, self.exchange(&message)).await {
            Ok(Ok(connection)) => {
                quit(connection).await;
                Outcome::Delivered
            }
            Ok(Err(outcome)) => outcome,
            Err(_) => failed(no_answer_within(self.timeout)),
        }
    }

    /// Returns the connection once the message was accepted.
    async fn exchange(&self, message: &Message) -> Result<AsyncSmtpConnection, Outcome> {
        let connection = self.connector.connect().await.map_err(failed)?;
        let Connection { stream, hello } = connection;
        let connected = AsyncSmtpConnection::connect_with_transport(stream, &hello).await;
        let mut connection = connected.map_err(|error| outcome(&error))?;
        if let Some(credentials) = &self.credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let login = connection.auth(&mechanisms, credentials).await;
            login.map_err(|error| outcome_of_login(&error))?;
        }
        let sent = connection.send(message.envelope(), message.bytes()).await;
        sent.map_err(|error| outcome(&error))?;
        Ok(connection)
    }
}

/// Ends a connection whose message was accepted.
async fn quit(mut connection: AsyncSmtpConnection) {
    let _ = tokio::time::timeout(QUIT_TIME, connection.quit()).await;
}

fn mailbox(option: &'static str, text: &str) -> Result<Mailbox, OptionError> {
    let invalid = |_| OptionError::new(option, format!("`{text}` is not a mail address"));
    text.parse().map_err(invalid)
}

/// Returns what an error means: 5xx is a refusal, and everything else may pass.
fn outcome(error: &smtp::Error) -> Outcome {
    let text = format!("the mail server failed: {}", describe(error));
    if error.is_permanent() {
        Outcome::Refused(text)
    } else {
        failed(text)
    }
}

fn outcome_of_login(error: &smtp::Error) -> Outcome {
    let text = describe(error);
    if error.is_client() {
        return Outcome::Refused(format!("the mail server does not support a login: {text}"));
    }
    match outcome(error) {
        Outcome::Refused(_) => Outcome::Refused(format!(
            "the mail server refused the login: {text}: check `user` and `password`"
        )),
        outcome => outcome,
    }
}

/// Returns the error with its sources.
fn describe(error: &smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    excerpt(&text)
}
