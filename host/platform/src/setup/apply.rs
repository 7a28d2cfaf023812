//! Carries a plan out, step by step.

use super::plan::Plan;
use super::step::Step;
use super::wanted::Target;
use crate::api::rules::{NewRule, RuleChange, Subject};
use crate::client::Client;
use crate::error::Error;

impl Plan {
    /// Carries the plan out. Calls `done` after each step. If it fails or is
    /// interrupted, plan again: the next plan has the steps that are left.
    ///
    /// # Errors
    /// A call failed.
    pub async fn apply(self, client: &Client, mut done: impl FnMut(&Step)) -> Result<(), Error> {
        let steps = self.steps().to_vec();
        let mut run = Run { client, plan: self };
        for step in &steps {
            run.step(step).await?;
            done(step);
        }
        Ok(())
    }
}

/// A plan that is being carried out, with the ids of the created resources.
struct Run<'a> {
    client: &'a Client,
    plan: Plan,
}

impl Run<'_> {
    async fn step(&mut self, step: &Step) -> Result<(), Error> {
        let client = self.client;
        match step {
            Step::UploadAuthority { .. } => self.upload_authority().await,
            Step::CreateQueue { name } => client.create_queue(name).await.map(drop),
            Step::CreateRule { .. } => self.create_rule().await,
            Step::ClearFilter { .. } => {
                let everything = RuleChange {
                    select: Some(String::new()),
                    condition: Some(String::new()),
                    active: None,
                };
                client.change_rule(self.rule_id(), &everything).await
            }
            Step::CreateAction { .. } => self.create_action().await,
            Step::ChangeAction { .. } => self.change_action().await,
            Step::Activate { .. } => {
                let active = RuleChange {
                    active: Some(true),
                    ..RuleChange::default()
                };
                client.change_rule(self.rule_id(), &active).await
            }
            Step::DeleteAction { id, .. } => gone(client.delete_action(id).await),
            Step::DeleteRule { id, .. } => gone(client.delete_rule(id).await),
            Step::DeleteQueue { id, .. } => gone(client.delete_queue(id).await),
            Step::DeleteAuthority { id, .. } => gone(client.delete_certificate(id).await),
        }
    }

    /// Returns the id of the rule, which an earlier step created if it was missing.
    fn rule_id(&self) -> &str {
        self.plan.rule_id.as_deref().unwrap_or_default()
    }

    async fn upload_authority(&mut self) -> Result<(), Error> {
        let Some(authority) = self.plan.wanted.authority() else {
            return Ok(());
        };
        let certificate = self
            .client
            .upload_certificate(authority.pem(), None)
            .await?;
        self.plan.certificate_id = Some(certificate.certificate_id);
        Ok(())
    }

    async fn create_rule(&mut self) -> Result<(), Error> {
        let wanted = &self.plan.wanted;
        let rule = NewRule {
            rule_name: wanted.rule_name.clone(),
            description: None,
            subject: Subject::batch_task(),
            app_type: if wanted.app_id.is_some() {
                "APP"
            } else {
                "GLOBAL"
            },
            app_id: wanted.app_id.clone(),
            select: None,
            condition: None,
        };
        self.plan.rule_id = Some(self.client.create_rule(&rule).await?.rule_id);
        Ok(())
    }

    async fn create_action(&self) -> Result<(), Error> {
        let detail = self
            .target()
            .detail(None, self.plan.certificate_id.as_deref());
        self.client
            .create_action(self.rule_id(), &detail)
            .await
            .map(drop)
    }

    async fn change_action(&self) -> Result<(), Error> {
        let Some(action) = &self.plan.action else {
            return Ok(());
        };
        let former = action.channel_detail.http_forwarding.as_ref();
        let detail = self
            .target()
            .detail(former, self.plan.certificate_id.as_deref());
        self.client.change_action(&action.action_id, &detail).await
    }

    fn target(&self) -> &Target {
        &self.plan.wanted.target
    }
}

/// A resource that does not exist need not be deleted.
fn gone(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if error.is_not_found() => Ok(()),
        outcome => outcome,
    }
}
