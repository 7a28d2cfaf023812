//! [`Actual`]: the resources on the platform that matter for a setup.

use super::wanted::{Target, Wanted};
use crate::api::actions::{Action, ActionFilter};
use crate::api::certificates::{AllCertificates, Certificate};
use crate::api::policies::{AllBacklogPolicies, BacklogPolicy, FlowFilter, FlowPolicy};
use crate::api::queues::{Queue, QueueFilter};
use crate::api::rules::{Rule, RuleFilter, Subject};
use crate::client::Client;
use crate::error::Error;

/// The current setup of the platform.
#[derive(Clone, Debug)]
pub struct Actual {
    /// The rules of the wanted name and subject, from the newest to the oldest.
    pub(crate) rules: Vec<Rule>,
    /// All actions of all rules, which may use the same queue or authority.
    pub(crate) actions: Vec<Action>,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) queues: Vec<Queue>,
    pub(crate) flows: Vec<FlowPolicy>,
    pub(crate) backlogs: Vec<BacklogPolicy>,
    /// When it was read, in milliseconds since 1970.
    pub(crate) now_ms: u64,
}

impl Actual {
    /// Reads the resources. It changes nothing.
    ///
    /// # Errors
    /// A call failed.
    pub async fn read(client: &Client, wanted: &Wanted) -> Result<Self, Error> {
        let subject = Subject::batch_task();
        let filter = RuleFilter {
            subject: Some(subject.clone()),
            rule_name: Some(wanted.rule_name.clone()),
            ..RuleFilter::default()
        };
        let mut rules = client.list(&filter).await?;
        // The platform's filter may find parts of names.
        rules
            .retain(|it| it.rule_name == wanted.rule_name && it.subject.as_ref() == Some(&subject));
        Ok(Self {
            rules,
            actions: client.list(&ActionFilter::default()).await?,
            certificates: match wanted.target {
                Target::Http(_) => client.list(&AllCertificates).await?,
                Target::Queue(_) => Vec::new(),
            },
            queues: match &wanted.target {
                Target::Http(_) => Vec::new(),
                Target::Queue(name) => {
                    let queue_name = Some(name.as_str().to_owned());
                    client.list(&QueueFilter { queue_name }).await?
                }
            },
            flows: client.list(&FlowFilter::default()).await?,
            backlogs: client.list(&AllBacklogPolicies).await?,
            now_ms: client.now_ms(),
        })
    }

    /// Returns the actions of a rule.
    pub(crate) fn actions_of(&self, rule_id: &str) -> impl Iterator<Item = &Action> {
        self.actions
            .iter()
            .filter(move |action| action.rule_id == rule_id)
    }
}
