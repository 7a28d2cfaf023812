//! [`Plan`]: the steps of a setup.

use super::actual::Actual;
use super::compare::{Comparison, filter_of};
use super::finding::Finding;
use super::step::Step;
use super::wanted::{Target, Wanted};
use crate::api::actions::Action;

/// The steps to the wanted setup. It is empty if nothing differs.
#[derive(Clone, Debug)]
pub struct Plan {
    steps: Vec<Step>,
    notes: Vec<String>,
    pub(super) wanted: Wanted,
    /// The existing rule, action and certificate, which the steps need.
    pub(super) rule_id: Option<String>,
    pub(super) action: Option<Action>,
    pub(super) certificate_id: Option<String>,
}

impl Plan {
    /// Plans a setup.
    pub fn of_setup(wanted: &Wanted, actual: &Actual) -> Self {
        let comparison = Comparison::new(wanted, actual);
        let mut plan = Self::new(wanted.clone(), steps(wanted, &comparison));
        plan.rule_id = comparison.rule.map(|rule| rule.rule_id.clone());
        plan.action = comparison.action.cloned();
        plan.certificate_id = comparison.certificate.map(|it| it.certificate_id.clone());
        let notes = comparison.findings.iter().filter(|finding| stays(finding));
        plan.notes = notes.map(Finding::to_string).collect();
        plan
    }

    pub(super) fn new(wanted: Wanted, steps: Vec<Step>) -> Self {
        Self {
            steps,
            notes: Vec::new(),
            wanted,
            rule_id: None,
            action: None,
            certificate_id: None,
        }
    }

    pub(super) fn with_notes(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }

    /// Returns the changes, in the order in which they are made.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns facts that are worth knowing, and that the plan does not change.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// The targets come first. The rule is activated last.
fn steps(wanted: &Wanted, comparison: &Comparison<'_>) -> Vec<Step> {
    let name = || wanted.rule_name.clone();
    let mut steps = Vec::new();
    if let (Some(authority), None) = (wanted.authority(), comparison.certificate) {
        let name = authority.common_name().to_owned();
        steps.push(Step::UploadAuthority { name });
    }
    if let (Target::Queue(name), false) = (&wanted.target, comparison.has_queue) {
        steps.push(Step::CreateQueue {
            name: name.as_str().to_owned(),
        });
    }
    match comparison.rule {
        None => steps.push(Step::CreateRule {
            name: name(),
            scope: wanted.scope_text(),
        }),
        Some(rule) => steps.extend(filter_of(rule).map(|sql| Step::ClearFilter { sql })),
    }
    steps.extend(action_step(wanted, comparison));
    if comparison.rule.is_none_or(|rule| !rule.active) {
        steps.push(Step::Activate { name: name() });
    }
    steps
}

fn action_step(wanted: &Wanted, comparison: &Comparison<'_>) -> Option<Step> {
    let target = wanted.target.to_string();
    if comparison.action.is_none() {
        return Some(Step::CreateAction { target });
    }
    let findings = comparison
        .findings
        .iter()
        .filter(|finding| finding.changes_action());
    let mut reasons: Vec<String> = findings.map(Finding::to_string).collect();
    if wanted.is_rewriting {
        reasons.push("it is to be written again".to_owned());
    }
    (!reasons.is_empty()).then_some(Step::ChangeAction { target, reasons })
}

/// Whether a setup leaves a finding as it is.
fn stays(finding: &Finding) -> bool {
    !finding.changes_action()
        && !matches!(
            finding,
            Finding::NoRule { .. }
                | Finding::NoAction
                | Finding::NoQueue { .. }
                | Finding::Inactive
                | Finding::Filtered { .. }
        )
}
