//! Actions: where a rule forwards notifications.

use http::Method;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::lenient::or_default;
use crate::pages::Filter;
use crate::secret::Secret;

const PATH: &str = "routing-rule/actions";

/// The channel of a push over HTTP.
pub const HTTP_FORWARDING: &str = "HTTP_FORWARDING";

/// The channel of an AMQP queue.
pub const AMQP_FORWARDING: &str = "AMQP_FORWARDING";

/// An action.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Action {
    /// Its id.
    pub action_id: String,
    /// The rule that it belongs to.
    #[serde(default, deserialize_with = "or_default")]
    pub rule_id: String,
    /// [`HTTP_FORWARDING`], [`AMQP_FORWARDING`] or another service.
    #[serde(default, deserialize_with = "or_default")]
    pub channel: String,
    /// The target.
    #[serde(default, deserialize_with = "or_default")]
    pub channel_detail: ChannelDetail,
}

/// The target of an action. Targets of other channels are not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelDetail {
    /// A push over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_forwarding: Option<HttpForwarding>,
    /// An AMQP queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amqp_forwarding: Option<AmqpForwarding>,
}

/// A push over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpForwarding {
    /// The URL. Its path may be a secret.
    pub url: Secret,
    /// The authority that the receiver's certificate must come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_id: Option<String>,
    /// The server name to send, and to expect in the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cn_name: Option<String>,
    /// Whether to send the server name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni_enable: Option<bool>,
    /// Whether to sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_enable: Option<bool>,
    /// The token of the signature: 3 to 32 letters and digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}

/// An AMQP queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AmqpForwarding {
    /// The name of the queue.
    pub queue_name: String,
}

impl ChannelDetail {
    /// Returns the name of the channel.
    pub fn channel(&self) -> &'static str {
        match self.amqp_forwarding {
            Some(_) => AMQP_FORWARDING,
            None => HTTP_FORWARDING,
        }
    }

    /// Returns the secrets that a refusal could repeat.
    fn secrets(&self) -> Vec<String> {
        let Some(http) = &self.http_forwarding else {
            return Vec::new();
        };
        let url = http.url.expose();
        let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = after_scheme.find('/').and_then(|at| after_scheme.get(at..));
        let token = http.token.as_ref().map(Secret::expose);
        let last = path.and_then(|path| path.rsplit('/').next());
        let secrets = [path, last, token].into_iter().flatten();
        secrets.map(str::to_owned).collect()
    }
}

/// The body of a call that creates or changes an action.
#[derive(Serialize)]
struct ActionBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_id: Option<&'a str>,
    channel: &'static str,
    channel_detail: &'a ChannelDetail,
}

impl<'a> ActionBody<'a> {
    fn new(rule_id: Option<&'a str>, channel_detail: &'a ChannelDetail) -> Self {
        let channel = channel_detail.channel();
        Self {
            rule_id,
            channel,
            channel_detail,
        }
    }
}

/// Which actions to list.
#[derive(Clone, Debug, Default)]
pub struct ActionFilter {
    /// The rule.
    pub rule_id: Option<String>,
    /// The channel.
    pub channel: Option<String>,
}

impl Filter for ActionFilter {
    type Item = Action;
    const OPERATION: &'static str = "list the rule actions";
    const PATH: &'static str = PATH;
    const ITEMS: &'static str = "actions";

    fn parameters(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("rule_id", self.rule_id.clone()),
            ("channel", self.channel.clone()),
        ]
    }
}

impl Client {
    /// Adds an action to a rule.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_action(
        &self,
        rule_id: &str,
        target: &ChannelDetail,
    ) -> Result<Action, Error> {
        let call = Call::new("create the rule action", Method::POST, &[PATH])
            .json(&ActionBody::new(Some(rule_id), target))
            .with_secrets(target.secrets());
        self.send(&call).await?.json()
    }

    /// Returns an action.
    ///
    /// # Errors
    /// The call failed.
    pub async fn action(&self, action_id: &str) -> Result<Action, Error> {
        let call = Call::new("read the rule action", Method::GET, &[PATH, action_id]);
        self.send(&call).await?.json()
    }

    /// Replaces the target of an action.
    ///
    /// # Errors
    /// The call failed.
    pub async fn change_action(
        &self,
        action_id: &str,
        target: &ChannelDetail,
    ) -> Result<(), Error> {
        let call = Call::new("change the rule action", Method::PUT, &[PATH, action_id])
            .json(&ActionBody::new(None, target))
            .with_secrets(target.secrets());
        self.send(&call).await.map(drop)
    }

    /// Deletes an action.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_action(&self, action_id: &str) -> Result<(), Error> {
        let call = Call::new("delete the rule action", Method::DELETE, &[PATH, action_id]);
        self.send(&call).await.map(drop)
    }
}
