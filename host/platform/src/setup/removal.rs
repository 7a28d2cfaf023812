//! The steps that remove our own resources, and nothing else.

use super::actual::Actual;
use super::compare::{is_in_scope, is_ours, target_text, uses_authority};
use super::plan::Plan;
use super::step::Step;
use super::wanted::{Target, Wanted};
use crate::api::actions::Action;
use crate::api::queues::DEFAULT_QUEUE;

impl Plan {
    /// Plans the removal of the resources of a setup: first the actions, then the
    /// rules that have no other action, then the queue or the authority unless
    /// something else uses it.
    pub fn of_removal(wanted: &Wanted, actual: &Actual) -> Self {
        let mut removal = Removal {
            wanted,
            actual,
            steps: Vec::new(),
            notes: Vec::new(),
        };
        removal.rules();
        removal.queue();
        removal.authority();
        Self::new(wanted.clone(), removal.steps).with_notes(removal.notes)
    }
}

struct Removal<'a> {
    wanted: &'a Wanted,
    actual: &'a Actual,
    steps: Vec<Step>,
    notes: Vec<String>,
}

impl Removal<'_> {
    fn rules(&mut self) {
        let wanted = self.wanted;
        for rule in self
            .actual
            .rules
            .iter()
            .filter(|rule| is_in_scope(wanted, rule))
        {
            let (ours, others): (Vec<&Action>, Vec<&Action>) = self
                .actual
                .actions_of(&rule.rule_id)
                .partition(|action| is_ours(wanted, action));
            self.steps
                .extend(ours.into_iter().map(|action| Step::DeleteAction {
                    id: action.action_id.clone(),
                    target: target_text(action),
                }));
            let name = rule.rule_name.clone();
            match others.first() {
                None => self.steps.push(Step::DeleteRule {
                    id: rule.rule_id.clone(),
                    name,
                }),
                Some(other) => self.notes.push(format!(
                    "the rule `{name}` stays, because it also forwards to {}",
                    target_text(other)
                )),
            }
        }
    }

    /// Whether an action uses something after the removal.
    fn is_used(&self, uses: impl Fn(&Action) -> bool) -> bool {
        let is_deleted = |action: &Action| {
            let deletes = |step: &Step| matches!(step, Step::DeleteAction { id, .. } if *id == action.action_id);
            self.steps.iter().any(deletes)
        };
        self.actual
            .actions
            .iter()
            .any(|action| uses(action) && !is_deleted(action))
    }

    fn queue(&mut self) {
        let Target::Queue(name) = &self.wanted.target else {
            return;
        };
        let name = name.as_str();
        let queue = self
            .actual
            .queues
            .iter()
            .find(|queue| queue.queue_name == name);
        let Some(queue) = queue.filter(|_| name != DEFAULT_QUEUE) else {
            return;
        };
        let uses = |action: &Action| {
            let queue = action.channel_detail.amqp_forwarding.as_ref();
            queue.is_some_and(|it| it.queue_name == name)
        };
        if self.is_used(uses) {
            self.notes.push(format!(
                "the queue `{name}` stays, because another rule uses it"
            ));
            return;
        }
        self.steps.push(Step::DeleteQueue {
            id: queue.queue_id.clone(),
            name: name.to_owned(),
        });
    }

    /// A verified authority stays: devices may depend on it, and could then no
    /// longer connect.
    fn authority(&mut self) {
        let Some(authority) = self.wanted.authority() else {
            return;
        };
        for certificate in self
            .actual
            .certificates
            .iter()
            .filter(|it| authority.is(it))
        {
            let (id, name) = (
                certificate.certificate_id.clone(),
                certificate.cn_name.clone(),
            );
            if self.is_used(|action| uses_authority(action, &id)) {
                self.notes.push(format!(
                    "the CA certificate `{name}` stays, because another rule uses it"
                ));
            } else if certificate.is_verified {
                self.notes.push(format!(
                    "the CA certificate `{name}` stays, because it is verified, so devices may \
                     depend on it: delete it in the console if none does"
                ));
            } else {
                self.steps.push(Step::DeleteAuthority { id, name });
            }
        }
    }
}
