//! Rules: which notifications are forwarded.

use http::Method;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::lenient::or_default;
use crate::pages::Filter;

const PATH: &str = "routing-rule/rules";

/// The subject of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The resource, such as `batchtask`.
    pub resource: String,
    /// The event, such as `update`.
    pub event: String,
}

impl Subject {
    /// Returns the subject of a change of a batch task's status.
    pub fn batch_task() -> Self {
        Self {
            resource: "batchtask".into(),
            event: "update".into(),
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rule {
    /// Its id.
    pub rule_id: String,
    /// Its name, which need not be unique.
    #[serde(default, deserialize_with = "or_default")]
    pub rule_name: String,
    /// Its subject.
    pub subject: Option<Subject>,
    /// `GLOBAL` for all resource spaces, `APP` for one.
    #[serde(default, deserialize_with = "or_default")]
    pub app_type: String,
    /// The resource space, if `app_type` is `APP`.
    pub app_id: Option<String>,
    /// The fields that it forwards, in SQL. Empty or `*`: all.
    pub select: Option<String>,
    /// Which notifications it forwards, in SQL. Empty: all.
    #[serde(rename = "where")]
    pub condition: Option<String>,
    /// Whether it forwards anything.
    #[serde(default, deserialize_with = "or_default")]
    pub active: bool,
}

/// A rule to create. It is inactive at first.
#[derive(Clone, Debug, Serialize)]
pub struct NewRule {
    /// Its name.
    pub rule_name: String,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its subject.
    pub subject: Subject,
    /// `GLOBAL` or `APP`.
    pub app_type: &'static str,
    /// The resource space, if `app_type` is `APP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// The fields to forward, in SQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// Which notifications to forward, in SQL.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// A change of a rule. `None` leaves a member as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// Whether it forwards anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// The fields to forward. Set together with `condition`; `""` clears both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<String>,
    /// Which notifications to forward.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// Which rules to list.
#[derive(Clone, Debug, Default)]
pub struct RuleFilter {
    /// The subject.
    pub subject: Option<Subject>,
    /// The name.
    pub rule_name: Option<String>,
    /// `GLOBAL` or `APP`.
    pub app_type: Option<String>,
    /// Whether it is active.
    pub active: Option<bool>,
}

impl Filter for RuleFilter {
    type Item = Rule;
    const OPERATION: &'static str = "list the rules";
    const PATH: &'static str = PATH;
    const ITEMS: &'static str = "rules";

    fn parameters(&self) -> Vec<(&'static str, Option<String>)> {
        let subject = self.subject.clone();
        let (resource, event) = subject.map(|it| (it.resource, it.event)).unzip();
        vec![
            ("resource", resource),
            ("event", event),
            ("rule_name", self.rule_name.clone()),
            ("app_type", self.app_type.clone()),
            ("active", self.active.map(|active| active.to_string())),
        ]
    }
}

impl Client {
    /// Creates a rule.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_rule(&self, rule: &NewRule) -> Result<Rule, Error> {
        let call = Call::new("create the rule", Method::POST, &[PATH]).json(rule);
        self.send(&call).await?.json()
    }

    /// Returns a rule.
    ///
    /// # Errors
    /// The call failed.
    pub async fn rule(&self, rule_id: &str) -> Result<Rule, Error> {
        let call = Call::new("read the rule", Method::GET, &[PATH, rule_id]);
        self.send(&call).await?.json()
    }

    /// Changes a rule.
    ///
    /// # Errors
    /// The call failed.
    pub async fn change_rule(&self, rule_id: &str, change: &RuleChange) -> Result<(), Error> {
        let call = Call::new("change the rule", Method::PUT, &[PATH, rule_id]).json(change);
        self.send(&call).await.map(drop)
    }

    /// Deletes a rule.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_rule(&self, rule_id: &str) -> Result<(), Error> {
        let call = Call::new("delete the rule", Method::DELETE, &[PATH, rule_id]);
        self.send(&call).await.map(drop)
    }
}
