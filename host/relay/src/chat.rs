//! [`Chat`]: posts digests and alerts as messages of a bot.
//!
//! - `service`: [`Service`], and what differs between the services.
//! - `body`: the messages; `markup`: texts in the markup of a service.
//! - `sign`: the signatures of messages.
//! - `answer`: what an answer means.

mod answer;
mod body;
mod markup;
mod service;
mod sign;

use http::{Request, Uri, header};

pub use self::service::Service;

use crate::egress::{HttpClient, HttpOptions, failed};
use crate::error::OptionError;
use crate::report::note::Note;
use crate::scheduler::Outcome;
use crate::webhook::now_s;

/// The options of a bot.
#[derive(Eq, PartialEq)]
pub struct ChatOptions {
    /// The URL of the bot, which is secret, and how it is reached.
    pub http: HttpOptions,
    /// The service that the bot belongs to.
    pub service: Service,
    /// The secret that signs messages.
    pub secret: Option<String>,
}

/// A client of one bot.
pub(crate) struct Chat {
    client: HttpClient,
    service: Service,
    secret: Option<String>,
}

impl Chat {
    pub(crate) fn new(options: &ChatOptions) -> Result<Self, OptionError> {
        let service = options.service;
        if options.secret.is_some() && !service.signs() {
            let reason = format!("messages to {service} are not signed: its URL is the secret");
            return Err(OptionError::new("secret", reason));
        }
        Ok(Self {
            client: HttpClient::new(&options.http, 1)?,
            service,
            secret: options.secret.clone(),
        })
    }

    /// Sends a note.
    pub(crate) async fn send(&self, note: &Note) -> Outcome {
        let now_s = now_s();
        let body = self.service.body(note, self.secret.as_deref(), now_s);
        let request = Request::post(self.uri(now_s))
            .header(header::USER_AGENT, "batchtask")
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(body.into_bytes().into());
        let request = match request {
            Ok(request) => request,
            Err(error) => return failed(format!("there is no request: {error}")),
        };
        match self.client.exchange(request).await {
            Ok(answer) => self
                .service
                .outcome(&answer, |text| self.shows_secret(text)),
            Err(error) => failed(error),
        }
    }

    /// Returns the URL of a message, with its signature if it belongs there.
    fn uri(&self, now_s: u64) -> Uri {
        let uri = self.client.uri();
        match (&self.secret, self.service) {
            (Some(secret), Service::DingTalk) => sign::in_query(uri, secret, now_s),
            _ => uri.clone(),
        }
    }

    fn shows_secret(&self, text: &str) -> bool {
        let secret = self.secret.as_deref();
        self.client.shows_url(text) || secret.is_some_and(|secret| text.contains(secret))
    }
}
