//! The backlog policy and the flow-control policies of the platform's pushes.

use http::Method;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::client::Client;
use crate::error::Error;
use crate::lenient::or_default;
use crate::pages::Filter;

const BACKLOG_PATH: &str = "routing-rule/backlog-policy";
const FLOW_PATH: &str = "routing-rule/flowcontrol-policy";

/// How much the platform keeps while a receiver does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BacklogPolicy {
    /// Its id.
    pub policy_id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub policy_name: String,
    /// The size, in bytes: at most 1 GiB. 0: nothing is kept.
    pub backlog_size: u64,
    /// The time, in seconds: at most a day. 0: nothing is kept.
    pub backlog_time: u64,
}

/// A backlog policy to create, or a change of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BacklogPolicyChange {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_name: Option<String>,
    /// The size, in bytes: at most 1073741823.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog_size: Option<u64>,
    /// The time, in seconds: at most 86399.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog_time: Option<u64>,
}

/// How fast the platform pushes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FlowPolicy {
    /// Its id.
    pub policy_id: String,
    /// Its name.
    #[serde(default, deserialize_with = "or_default")]
    pub policy_name: String,
    /// `USER`, `CHANNEL`, `RULE` or `ACTION`.
    #[serde(default, deserialize_with = "or_default")]
    pub scope: String,
    /// The channel, the rule's id or the action's id.
    pub scope_value: Option<String>,
    /// Messages per second: 1 to 1000.
    pub limit: u64,
}

/// A flow-control policy to create.
#[derive(Clone, Debug, Serialize)]
pub struct NewFlowPolicy {
    /// Its name.
    pub policy_name: String,
    /// `USER`, `CHANNEL`, `RULE` or `ACTION`.
    pub scope: String,
    /// The channel, the rule's id or the action's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_value: Option<String>,
    /// Messages per second: 1 to 1000.
    pub limit: u64,
}

/// All backlog policies: at most one.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllBacklogPolicies;

impl Filter for AllBacklogPolicies {
    type Item = BacklogPolicy;
    const OPERATION: &'static str = "list the backlog policies";
    const PATH: &'static str = BACKLOG_PATH;
    const ITEMS: &'static str = "backlog_policies";
}

/// Which flow-control policies to list.
#[derive(Clone, Debug, Default)]
pub struct FlowFilter {
    /// The scope.
    pub scope: Option<String>,
}

impl Filter for FlowFilter {
    type Item = FlowPolicy;
    const OPERATION: &'static str = "list the flow-control policies";
    const PATH: &'static str = FLOW_PATH;
    const ITEMS: &'static str = "flowcontrol_policies";

    fn parameters(&self) -> Vec<(&'static str, Option<String>)> {
        vec![("scope", self.scope.clone())]
    }
}

impl Client {
    /// Creates the backlog policy.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_backlog_policy(
        &self,
        policy: &BacklogPolicyChange,
    ) -> Result<BacklogPolicy, Error> {
        let call = Call::new("create the backlog policy", Method::POST, &[BACKLOG_PATH]);
        self.send(&call.json(policy)).await?.json()
    }

    /// Changes the backlog policy.
    ///
    /// # Errors
    /// The call failed.
    pub async fn change_backlog_policy(
        &self,
        policy_id: &str,
        change: &BacklogPolicyChange,
    ) -> Result<(), Error> {
        let path = [BACKLOG_PATH, policy_id];
        let call = Call::new("change the backlog policy", Method::PUT, &path);
        self.send(&call.json(change)).await.map(drop)
    }

    /// Deletes the backlog policy.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_backlog_policy(&self, policy_id: &str) -> Result<(), Error> {
        let path = [BACKLOG_PATH, policy_id];
        let call = Call::new("delete the backlog policy", Method::DELETE, &path);
        self.send(&call).await.map(drop)
    }

    /// Creates a flow-control policy.
    ///
    /// # Errors
    /// The call failed.
    pub async fn create_flow_policy(&self, policy: &NewFlowPolicy) -> Result<FlowPolicy, Error> {
        let call = Call::new("create the flow-control policy", Method::POST, &[FLOW_PATH]);
        self.send(&call.json(policy)).await?.json()
    }

    /// Deletes a flow-control policy.
    ///
    /// # Errors
    /// The call failed.
    pub async fn delete_flow_policy(&self, policy_id: &str) -> Result<(), Error> {
        let path = [FLOW_PATH, policy_id];
        let call = Call::new("delete the flow-control policy", Method::DELETE, &path);
        self.send(&call).await.map(drop)
    }
}
