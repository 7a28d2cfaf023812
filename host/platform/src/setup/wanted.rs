//! [`Wanted`]: the rule and the target that should exist.

use super::authority::Authority;
use super::url::TargetUrl;
use crate::api::actions::{AmqpForwarding, ChannelDetail, HttpForwarding};
use crate::error::OptionError;
use crate::secret::Secret;

/// The longest name of a rule, in characters.
const RULE_NAME_CHARS_MAX: usize = 256;

/// The wanted setup of the platform for one receiver.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub(crate) rule_name: String,
    pub(crate) app_id: Option<String>,
    pub(crate) target: Target,
    pub(crate) is_rewriting: bool,
}

/// Where notifications should go.
#[derive(Clone, Debug)]
pub enum Target {
    /// To a receiver's URL.
    Http(HttpTarget),
    /// To an AMQP queue.
    Queue(QueueName),
}

/// The name of an AMQP queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueName(String);

impl QueueName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A receiver's URL, and how to push to it. Settings that are absent stay as they are.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    pub(crate) url: Secret,
    pub(crate) parsed: TargetUrl,
    pub(crate) token: Option<Secret>,
    pub(crate) server_name: Option<String>,
    pub(crate) authority: Option<Authority>,
}

impl Wanted {
    /// Describes a rule with one target. Without a resource space it is for all of
    /// them.
    ///
    /// # Errors
    /// A value cannot be used.
    pub fn new(
        rule_name: impl Into<String>,
        app_id: Option<String>,
        target: Target,
    ) -> Result<Self, OptionError> {
        let rule_name = rule_name.into();
        let is_legal = |c: char| !c.is_control();
        let length = rule_name.chars().count();
        if !(1..=RULE_NAME_CHARS_MAX).contains(&length) || !rule_name.chars().all(is_legal) {
            let reason = "it must have 1 to 256 characters, none of them a control character";
            return Err(OptionError::new("rule_name", reason));
        }
        if app_id.as_deref().is_some_and(|id| id.trim().is_empty()) {
            return Err(OptionError::new(
                "app_id",
                "it is empty: leave it out for all resource spaces",
            ));
        }
        let is_rewriting = false;
        Ok(Self {
            rule_name,
            app_id,
            target,
            is_rewriting,
        })
    }

    /// Sends the target again even if it looks equal. This is needed after the
    /// token changed, if the platform does not show tokens.
    pub fn rewriting(mut self) -> Self {
        self.is_rewriting = true;
        self
    }

    /// Shows for which resource spaces the rule is.
    pub(crate) fn scope_text(&self) -> String {
        match &self.app_id {
            Some(app_id) => format!("the resource space `{app_id}`"),
            None => "all resource spaces".to_owned(),
        }
    }

    pub(crate) fn authority(&self) -> Option<&Authority> {
        match &self.target {
            Target::Http(http) => http.authority.as_ref(),
            Target::Queue(_) => None,
        }
    }
}

impl Target {
    /// Describes a queue.
    ///
    /// # Errors
    /// The name is malformed.
    pub fn queue(name: impl Into<String>) -> Result<Self, OptionError> {
        let name = name.into();
        let is_legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.' | b':');
        if !(8..=128).contains(&name.len()) || !name.bytes().all(is_legal) {
            let reason = "it must have 8 to 128 letters, digits and `_-.:`";
            return Err(OptionError::new("queue", reason));
        }
        Ok(Self::Queue(QueueName(name)))
    }

    /// Returns the target as the platform stores it. `former` is the stored
    /// action, and `certificate_id` the id of the wanted authority.
    pub(crate) fn detail(
        &self,
        former: Option<&HttpForwarding>,
        certificate_id: Option<&str>,
    ) -> ChannelDetail {
        match self {
            Self::Http(http) => ChannelDetail {
                http_forwarding: Some(http.detail(former, certificate_id)),
                amqp_forwarding: None,
            },
            Self::Queue(name) => ChannelDetail {
                http_forwarding: None,
                amqp_forwarding: Some(AmqpForwarding {
                    queue_name: name.0.clone(),
                }),
            },
        }
    }
}

/// Shows the target without its secrets.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let http = match self {
            Self::Queue(name) => return write!(f, "the queue `{}`", name.as_str()),
            Self::Http(http) => http,
        };
        write!(f, "`{}`", http.parsed)?;
        if http.token.is_some() {
            f.write_str(", signed")?;
        }
        if let Some(name) = &http.server_name {
            write!(f, ", with the server name `{name}`")?;
        }
        if let Some(authority) = &http.authority {
            write!(f, ", checked with the CA `{}`", authority.common_name())?;
        }
        Ok(())
    }
}

impl HttpTarget {
    /// Describes a receiver's URL.
    ///
    /// # Errors
    /// It is malformed.
    pub fn new(url: Secret) -> Result<Self, OptionError> {
        let parsed = TargetUrl::parse(url.expose());
        let parsed = parsed.ok_or_else(|| {
            let reason =
                "it must begin with `https://` or `http://`, and have a host and no user name";
            OptionError::new("url", reason)
        })?;
        Ok(Self {
            url,
            parsed,
            token: None,
            server_name: None,
            authority: None,
        })
    }

    /// Has pushes signed with this token.
    ///
    /// # Errors
    /// It is malformed.
    pub fn with_token(mut self, token: Secret) -> Result<Self, OptionError> {
        if !is_token(&token) {
            return Err(OptionError::new(
                "token",
                "it must have 3 to 32 letters and digits",
            ));
        }
        self.token = Some(token);
        Ok(self)
    }

    /// Has this server name sent, and expected in the receiver's certificate.
    ///
    /// # Errors
    /// It is malformed, or the URL does not begin with `https://`.
    pub fn with_server_name(mut self, name: impl Into<String>) -> Result<Self, OptionError> {
        let name = name.into();
        if !self.parsed.is_https {
            return Err(OptionError::new(
                "server_name",
                "it needs a URL that begins with `https://`",
            ));
        }
        if name.is_empty() || !name.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(OptionError::new(
                "server_name",
                "it must be a host's name, perhaps with a port",
            ));
        }
        self.server_name = Some(name);
        Ok(self)
    }

    /// Has the receiver's certificate checked with this authority.
    ///
    /// # Errors
    /// The URL does not begin with `https://`.
    pub fn with_authority(mut self, authority: Authority) -> Result<Self, OptionError> {
        if !self.parsed.is_https {
            return Err(OptionError::new(
                "ca",
                "it needs a URL that begins with `https://`",
            ));
        }
        self.authority = Some(authority);
        Ok(self)
    }

    /// Settings that are absent are taken from the stored action.
    fn detail(
        &self,
        former: Option<&HttpForwarding>,
        certificate_id: Option<&str>,
    ) -> HttpForwarding {
        let is_wanted = |wanted: bool| wanted.then_some(true);
        HttpForwarding {
            url: self.url.clone(),
            cert_id: certificate_id
                .map(str::to_owned)
                .or_else(|| former.and_then(|it| it.cert_id.clone())),
            sni_enable: is_wanted(self.server_name.is_some())
                .or_else(|| former.and_then(|it| it.sni_enable)),
            cn_name: self
                .server_name
                .clone()
                .or_else(|| former.and_then(|it| it.cn_name.clone())),
            signature_enable: is_wanted(self.token.is_some())
                .or_else(|| former.and_then(|it| it.signature_enable)),
            token: self
                .token
                .clone()
                .or_else(|| former.and_then(|it| it.token.clone()).filter(is_token)),
        }
    }
}

/// Whether a text can be a token. The platform may show stars instead.
fn is_token(token: &Secret) -> bool {
    let text = token.expose();
    (3..=32).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric())
}
