//! Finds our own resources, and compares them with the wanted setup.

use super::actual::Actual;
use super::finding::{Finding, Severity};
use super::url::{TargetUrl, shown};
use super::wanted::{HttpTarget, Target, Wanted};
use crate::api::actions::{AMQP_FORWARDING, Action, HTTP_FORWARDING, HttpForwarding};
use crate::api::certificates::Certificate;
use crate::api::queues::DEFAULT_QUEUE;
use crate::api::rules::Rule;

/// An authority expires soon if its life ends within this, in milliseconds: 30
/// days.
const SOON_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// The result of comparing the platform with the wanted setup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupStatus {
    /// The id of the rule.
    pub rule_id: Option<String>,
    /// The id of its action.
    pub action_id: Option<String>,
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
}

impl SetupStatus {
    /// Whether pushes should arrive as wanted.
    pub fn is_good(&self) -> bool {
        let mut findings = self.findings.iter();
        !findings.any(|finding| finding.severity() == Severity::Fault)
    }
}

/// Compares the platform with the wanted setup.
pub fn status(wanted: &Wanted, actual: &Actual) -> SetupStatus {
    let comparison = Comparison::new(wanted, actual);
    let mut findings = comparison.findings;
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
    SetupStatus {
        rule_id: comparison.rule.map(|rule| rule.rule_id.clone()),
        action_id: comparison.action.map(|action| action.action_id.clone()),
        findings,
    }
}

/// Our own resources, and the findings about them.
pub(super) struct Comparison<'a> {
    pub(super) rule: Option<&'a Rule>,
    pub(super) action: Option<&'a Action>,
    /// The wanted authority.
    pub(super) certificate: Option<&'a Certificate>,
    /// Whether the wanted queue exists.
    pub(super) has_queue: bool,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(wanted: &Wanted, actual: &'a Actual) -> Self {
        let rule = rule(wanted, actual);
        let action = rule.and_then(|rule| action(wanted, actual, rule));
        let authority = wanted.authority();
        let certificate = authority.and_then(|authority| {
            actual
                .certificates
                .iter()
                .find(|certificate| authority.is(certificate))
        });
        let mut comparison = Self {
            rule,
            action,
            certificate,
            has_queue: has_queue(wanted, actual),
            findings: Vec::new(),
        };
        comparison.compare_rules(wanted, actual);
        comparison.compare_target(wanted, actual);
        comparison.check_authority(wanted, actual);
        comparison.find_former(wanted, actual);
        comparison.check_policies(actual);
        comparison
    }

    fn compare_rules(&mut self, wanted: &Wanted, actual: &Actual) {
        let (ours, others): (Vec<&Rule>, Vec<&Rule>) = actual
            .rules
            .iter()
            .partition(|rule| is_in_scope(wanted, rule));
        if !others.is_empty() {
            let scope = |rule: &&Rule| rule.app_id.clone().unwrap_or_else(|| "all".to_owned());
            let scopes = others.iter().map(scope).collect();
            self.findings.push(Finding::OtherScope { scopes });
        }
        if ours.len() > 1 {
            self.findings
                .push(Finding::SeveralRules { count: ours.len() });
        }
        let Some(rule) = self.rule else {
            let name = wanted.rule_name.clone();
            self.findings.push(Finding::NoRule { name });
            return;
        };
        if !rule.active {
            self.findings.push(Finding::Inactive);
        }
        self.findings
            .extend(filter_of(rule).map(|sql| Finding::Filtered { sql }));
    }

    fn compare_target(&mut self, wanted: &Wanted, actual: &Actual) {
        if let (Target::Queue(name), false) = (&wanted.target, self.has_queue) {
            self.findings.push(Finding::NoQueue {
                name: name.as_str().to_owned(),
            });
        }
        let Some(rule) = self.rule else {
            return;
        };
        match (&wanted.target, self.action) {
            (_, None) => self.findings.push(Finding::NoAction),
            (Target::Http(http), Some(action)) => {
                if let Some(forwarding) = &action.channel_detail.http_forwarding {
                    self.compare_http(http, forwarding);
                }
            }
            (Target::Queue(_), Some(_)) => {}
        }
        let further = actual
            .actions_of(&rule.rule_id)
            .filter(|it| Some(*it) != self.action);
        let further = further.map(|it| Finding::FurtherAction {
            target: target_text(it),
        });
        self.findings.extend(further);
    }

    fn compare_http(&mut self, wanted: &HttpTarget, actual: &HttpForwarding) {
        let findings = &mut self.findings;
        if actual.url != wanted.url {
            findings.push(Finding::OtherUrl {
                actual: shown(actual.url.expose()),
            });
        }
        if let Some(token) = &wanted.token {
            let is_hidden = |token: &str| token.is_empty() || token.contains('*');
            match &actual.token {
                _ if actual.signature_enable != Some(true) => findings.push(Finding::NotSigned),
                None => findings.push(Finding::HiddenToken),
                Some(other) if is_hidden(other.expose()) => findings.push(Finding::HiddenToken),
                Some(other) if other != token => findings.push(Finding::OtherToken),
                Some(_) => {}
            }
        }
        if let Some(name) = &wanted.server_name {
            let sent = actual
                .cn_name
                .clone()
                .filter(|_| actual.sni_enable == Some(true));
            if sent.as_ref() != Some(name) {
                findings.push(Finding::OtherServerName { actual: sent });
            }
        }
        if let Some(authority) = &wanted.authority {
            let certificate = self.certificate.filter(|it| authority.is(it));
            let id = certificate.map(|it| &it.certificate_id);
            if id.is_none() || id != actual.cert_id.as_ref() {
                findings.push(Finding::OtherAuthority);
            }
        }
    }

    /// Checks the authority that is in use, or else the wanted one.
    fn check_authority(&mut self, wanted: &Wanted, actual: &Actual) {
        let forwarding = self
            .action
            .and_then(|it| it.channel_detail.http_forwarding.as_ref());
        let used_id = forwarding
            .and_then(|it| it.cert_id.as_deref())
            .filter(|id| !id.is_empty());
        let by_id = |id| {
            actual
                .certificates
                .iter()
                .find(|it| it.certificate_id == id)
        };
        let used = match used_id.map(by_id) {
            Some(None) => {
                self.findings.push(Finding::NoAuthority);
                None
            }
            Some(found) => found,
            None => self.certificate,
        };
        let wanted_end = wanted
            .authority()
            .map(|authority| authority.expires_at_ms());
        match used.and_then(Certificate::expires_at_ms).or(wanted_end) {
            Some(at_ms) if at_ms <= actual.now_ms => {
                self.findings.push(Finding::AuthorityExpired { at_ms });
            }
            Some(at_ms) if at_ms <= actual.now_ms + SOON_MS => {
                self.findings.push(Finding::AuthorityExpiresSoon { at_ms });
            }
            _ => {}
        }
        if let Some(used) = used.filter(|it| !it.is_verified) {
            let verify_code = used.verify_code.clone();
            self.findings
                .push(Finding::AuthorityUnverified { verify_code });
        }
    }

    /// Finds authorities that an earlier setup may have uploaded.
    fn find_former(&mut self, wanted: &Wanted, actual: &Actual) {
        let Some(authority) = wanted.authority() else {
            return;
        };
        let is_former = |it: &&Certificate| {
            it.cn_name == authority.common_name()
                && !authority.is(it)
                && !it.is_verified
                && !actual
                    .actions
                    .iter()
                    .any(|action| uses_authority(action, &it.certificate_id))
        };
        let former = actual.certificates.iter().filter(is_former);
        self.findings
            .extend(former.map(|it| Finding::FormerAuthority {
                id: it.certificate_id.clone(),
                name: it.cn_name.clone(),
            }));
    }

    fn check_policies(&mut self, actual: &Actual) {
        let ids = [
            self.rule.map(|rule| rule.rule_id.as_str()),
            self.action.map(|action| action.action_id.as_str()),
            self.action.map(|action| action.channel.as_str()),
        ];
        for flow in &actual.flows {
            let is_ours = flow.scope == "USER" || ids.contains(&flow.scope_value.as_deref());
            if is_ours && (flow.scope == "USER" || flow.scope_value.is_some()) {
                let (policy, limit) = (flow.policy_name.clone(), flow.limit);
                self.findings.push(Finding::FlowLimit { policy, limit });
            }
        }
        let empty = actual
            .backlogs
            .iter()
            .filter(|it| it.backlog_size == 0 || it.backlog_time == 0);
        let empty = empty.map(|it| Finding::NoBacklog {
            policy: it.policy_name.clone(),
        });
        self.findings.extend(empty);
    }
}

/// Whether a rule is for the wanted resource spaces.
pub(super) fn is_in_scope(wanted: &Wanted, rule: &Rule) -> bool {
    match &wanted.app_id {
        Some(app_id) => rule.app_type == "APP" && rule.app_id.as_ref() == Some(app_id),
        None => rule.app_type != "APP",
    }
}

/// Whether an action forwards to the wanted receiver or queue.
pub(super) fn is_ours(wanted: &Wanted, action: &Action) -> bool {
    let detail = &action.channel_detail;
    match &wanted.target {
        Target::Http(http) => detail.http_forwarding.as_ref().is_some_and(|forwarding| {
            let url = TargetUrl::parse(forwarding.url.expose());
            action.channel == HTTP_FORWARDING
                && url.is_some_and(|url| http.parsed.is_same_receiver(&url))
        }),
        Target::Queue(name) => {
            let queue = detail.amqp_forwarding.as_ref();
            action.channel == AMQP_FORWARDING
                && queue.is_some_and(|it| it.queue_name == name.as_str())
        }
    }
}

/// Whether an action checks the receiver's certificate with this authority.
pub(super) fn uses_authority(action: &Action, certificate_id: &str) -> bool {
    let http = action.channel_detail.http_forwarding.as_ref();
    http.is_some_and(|it| it.cert_id.as_deref() == Some(certificate_id))
}

/// Returns the rule that is ours: the one that forwards to the receiver, or else
/// the oldest.
fn rule<'a>(wanted: &Wanted, actual: &'a Actual) -> Option<&'a Rule> {
    let ours: Vec<&Rule> = actual
        .rules
        .iter()
        .filter(|it| is_in_scope(wanted, it))
        .collect();
    let forwards = |rule: &&&Rule| action(wanted, actual, rule).is_some();
    let forwarding = ours.iter().rev().find(forwards);
    forwarding.or(ours.last()).copied()
}

/// Returns the action of a rule that is ours: the one with exactly the wanted URL,
/// or else the oldest of the same receiver.
fn action<'a>(wanted: &Wanted, actual: &'a Actual, rule: &Rule) -> Option<&'a Action> {
    let ours: Vec<&Action> = actual
        .actions_of(&rule.rule_id)
        .filter(|it| is_ours(wanted, it))
        .collect();
    let is_exact =
        |action: &&&Action| match (&wanted.target, &action.channel_detail.http_forwarding) {
            (Target::Http(http), Some(forwarding)) => http.url == forwarding.url,
            _ => true,
        };
    ours.iter().find(is_exact).or(ours.last()).copied()
}

fn has_queue(wanted: &Wanted, actual: &Actual) -> bool {
    match &wanted.target {
        Target::Queue(name) => {
            let name = name.as_str();
            name == DEFAULT_QUEUE || actual.queues.iter().any(|queue| queue.queue_name == name)
        }
        Target::Http(_) => true,
    }
}

/// Returns the SQL of a rule that does not forward everything.
pub(super) fn filter_of(rule: &Rule) -> Option<String> {
    let select = rule.select.as_deref().map(str::trim).unwrap_or_default();
    let condition = rule.condition.as_deref().map(str::trim).unwrap_or_default();
    if matches!(select, "" | "*") && condition.is_empty() {
        return None;
    }
    let select = if select.is_empty() { "*" } else { select };
    Some(match condition {
        "" => format!("select {select}"),
        condition => format!("select {select} where {condition}"),
    })
}

/// Shows the target of an action without secrets.
pub(super) fn target_text(action: &Action) -> String {
    let detail = &action.channel_detail;
    match (&detail.http_forwarding, &detail.amqp_forwarding) {
        (Some(http), _) => format!("`{}`", shown(http.url.expose())),
        (_, Some(amqp)) => format!("the queue `{}`", amqp.queue_name),
        _ => format!("the channel `{}`", action.channel),
    }
}
