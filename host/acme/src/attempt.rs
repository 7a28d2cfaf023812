//! [`Attempt`]: orders one certificate, from the account to the chain.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio_util::sync::CancellationToken;

use crate::account;
use crate::certificate::Certificate;
use crate::challenge::{Challenge, Responder};
use crate::error::Error;
use crate::hook::{Action, HOOK_TIME, Hook};
use crate::http::{Directory, Failure, Http};
use crate::options::Options;
use crate::store::{Record, Store};

/// The time limit for an attempt, without the removal of DNS records.
pub(crate) const ATTEMPT_TIME: Duration = Duration::from_secs(15 * 60);

/// The time limit for the CA to look at the challenges, and to issue.
const CA_TIME: Duration = Duration::from_secs(180);

/// How long all hosts may take to see the challenges of a shared record.
pub(crate) const SHARE_TIME: Duration = Duration::from_secs(12);

/// The time limits for the removal of a DNS record, and of all; and of those that are left
/// when the program stops.
const CLEANUP_TIME: Duration = Duration::from_secs(60);
const CLEANUP_TIME_STOPPING: Duration = Duration::from_secs(5);
pub(crate) const CLEANUP_TIME_ALL: Duration = Duration::from_secs(300);

/// What is needed to order.
pub(crate) struct Attempt<'a> {
    pub(crate) options: &'a Options,
    pub(crate) http: &'a Http,
    pub(crate) hook: Option<&'a Hook>,
    pub(crate) responder: &'a dyn Responder,
    pub(crate) store: &'a Store,
    pub(crate) stop: &'a CancellationToken,
    /// What is stored now. New accounts and challenges are added.
    pub(crate) record: &'a mut Record,
    /// The certificate that is replaced, if it comes from the same CA.
    pub(crate) replaced: Option<&'a Certificate>,
}

/// What proves to the CA who controls a name.
struct Proof {
    name: String,
    /// For TLS-ALPN-01.
    digest: Vec<u8>,
    /// For DNS-01.
    value: String,
}

impl Attempt<'_> {
    /// Orders a certificate, and removes all traces of challenges.
    pub(crate) async fn run(&mut self) -> Result<Certificate, Error> {
        let limit = ATTEMPT_TIME;
        let mut proofs = Vec::new();
        let stop = self.stop;
        let ordered = tokio::time::timeout(limit, self.order(&mut proofs));
        let result = tokio::select! {
            ordered = ordered => ordered.unwrap_or(Err(Error::TooSlow { step: "order", limit })),
            () = stop.cancelled() => Err(Error::Stopped),
        };
        let too_long = async {
            tokio::select! {
                () = tokio::time::sleep(CLEANUP_TIME_ALL) => {}
                () = stop.cancelled() => tokio::time::sleep(CLEANUP_TIME_STOPPING).await,
            }
        };
        tokio::select! {
            () = self.clean(&proofs) => {}
            () = too_long => tracing::warn!("some DNS records of challenges were not removed"),
        }
        result
    }

    async fn order(&mut self, proofs: &mut Vec<Proof>) -> Result<Certificate, Error> {
        let directory = self.http.directory(&self.options.directory).await?;
        let mut order = self.begin(&directory).await?;
        self.collect(&mut order, proofs).await?;
        self.present(proofs).await?;
        self.validate(&mut order).await?;
        self.issue(&mut order).await
    }

    /// Opens the account and begins an order.
    async fn begin(&mut self, directory: &Directory) -> Result<Order, Error> {
        let stored = self.record.account.as_ref();
        let (account, changed) = account::open(self.http, self.options, directory, stored).await?;
        self.keep(changed).await?;
        match self.new_order(&account, directory).await {
            Err(error) if account::is_forgotten(&error) => {
                tracing::warn!("the CA does not know the account any more");
                let created = account::create(self.http, self.options, directory).await?;
                self.keep(created.1).await?;
                let order = self.new_order(&created.0, directory).await;
                order.map_err(|error| self.refused("order", error))
            }
            order => order.map_err(|error| self.refused("order", error)),
        }
    }

    /// Stores an account at once: without it, the next attempt would create another one.
    async fn keep(&mut self, account: Option<crate::store::StoredAccount>) -> Result<(), Error> {
        if account.is_none() {
            return Ok(());
        }
        let old = self.record.clone();
        self.record.account = account;
        self.store.save(&old, self.record).await
    }

    async fn new_order(
        &self,
        account: &Account,
        directory: &Directory,
    ) -> Result<Order, instant_acme::Error> {
        let domains = self.options.domains.iter();
        let names: Vec<_> = domains.map(|it| Identifier::Dns(it.to_string())).collect();
        let replaced = self.replaced.filter(|_| directory.renewal_info.is_some());
        if let Some(replaced) = replaced.and_then(Certificate::ari) {
            match account
                .new_order(&NewOrder::new(&names).replaces(replaced))
                .await
            {
                Err(error) if !is_unreachable(&error) && !account::is_forgotten(&error) => {
                    tracing::debug!(%error, "ordering without naming the replaced certificate");
                }
                order => return order,
            }
        }
        account.new_order(&NewOrder::new(&names)).await
    }

    /// Collects what the CA wants to see. Names that it validated before need nothing.
    async fn collect(&self, order: &mut Order, proofs: &mut Vec<Proof>) -> Result<(), Error> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization =
                authorization.map_err(|error| self.refused("authorization", error))?;
            let name = authorization.identifier().to_string();
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                status => {
                    let reason = format!("the authorization of `{name}` is {status:?}");
                    return Err(self.refusal("order", reason));
                }
            }
            let offered: Vec<String> = authorization.challenges.iter().map(kind_of).collect();
            let challenge = authorization.challenge(self.challenge_type());
            let challenge = challenge.ok_or_else(|| Error::NoChallenge {
                name: name.clone(),
                kind: self.kind(),
                offered,
            })?;
            let key = challenge.key_authorization();
            proofs.push(Proof {
                name: name.trim_start_matches("*.").to_owned(),
                digest: key.digest().as_ref().to_vec(),
                value: key.dns_value(),
            });
        }
        Ok(())
    }

    /// Makes the proofs visible to the CA.
    async fn present(&mut self, proofs: &[Proof]) -> Result<(), Error> {
        if let Some(hook) = self.hook {
            for proof in proofs {
                let name = record_name(&proof.name);
                hook.call(Action::Present, &name, &proof.value, HOOK_TIME)
                    .await?;
            }
            return Ok(());
        }
        let challenges = proofs.iter();
        let challenges = challenges.map(|proof| Challenge::new(&proof.name, &proof.digest));
        self.responder.answer(challenges.collect::<Result<_, _>>()?);
        if self.store.is_shared() && !proofs.is_empty() {
            let shown = proofs.iter();
            let shown = shown.map(|proof| (proof.name.clone(), STANDARD.encode(&proof.digest)));
            self.share(shown.collect()).await?;
            tokio::time::sleep(SHARE_TIME).await;
        }
        Ok(())
    }

    async fn share(&mut self, challenges: BTreeMap<String, String>) -> Result<(), Error> {
        let old = self.record.clone();
        self.record.challenges = challenges;
        self.store.save(&old, self.record).await
    }

    /// Lets the CA look, and waits for its verdict.
    async fn validate(&self, order: &mut Order) -> Result<(), Error> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization =
                authorization.map_err(|error| self.refused("authorization", error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            if let Some(mut challenge) = authorization.challenge(self.challenge_type()) {
                let ready = challenge.set_ready().await;
                ready.map_err(|error| self.refused("challenge", error))?;
            }
        }
        let polled = order.poll_ready(&policy()).await;
        if !matches!(polled, Ok(OrderStatus::Ready))
            && let Some(error) = self.failed_challenge(order).await
        {
            return Err(error);
        }
        match polled {
            Ok(OrderStatus::Ready) => Ok(()),
            Ok(status) => Err(self.refusal("order", format!("it is {status:?}"))),
            Err(error) => Err(self.refused("order", error)),
        }
    }

    /// Looks for the challenge that failed, because the order does not say why.
    async fn failed_challenge(&self, order: &mut Order) -> Option<Error> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.ok()?;
            let state = authorization.refresh().await.ok()?;
            let name = state.identifier().to_string();
            let mut challenges = state.challenges.iter();
            if let Some(problem) = challenges.find_map(|challenge| challenge.error.as_ref()) {
                let reason = problem.detail.clone();
                return Some(Error::NotValidated {
                    name,
                    kind: self.kind(),
                    reason: shown(&reason.unwrap_or_else(|| problem.to_string())),
                });
            }
        }
        None
    }

    /// Requests the certificate for a new key.
    async fn issue(&self, order: &mut Order) -> Result<Certificate, Error> {
        let (key, request) = request(self.options)?;
        let finalized = order.finalize_csr(&request).await;
        finalized.map_err(|error| self.refused("request", error))?;
        let chain = order.poll_certificate(&policy()).await;
        let chain = chain.map_err(|error| self.refused("certificate", error))?;
        let pem = format!("{}\n{}", chain.trim_end(), key.serialize_pem());
        let certificate = Certificate::parse(&pem).map_err(Error::BadCertificate)?;
        if !certificate.covers(&self.options.domains) {
            return Err(Error::BadCertificate("it is for other names".into()));
        }
        Ok(certificate)
    }

    /// Removes what [`present`](Self::present) showed, also if only a part of it was.
    async fn clean(&mut self, proofs: &[Proof]) {
        self.responder.answer(Vec::new());
        self.record.challenges.clear();
        let Some(hook) = self.hook else { return };
        for proof in proofs {
            let name = record_name(&proof.name);
            let cleaned = hook
                .call(Action::Cleanup, &name, &proof.value, CLEANUP_TIME)
                .await;
            if let Err(error) = cleaned {
                tracing::warn!(%error, "the DNS record `{name}` was not removed");
            }
        }
    }

    fn challenge_type(&self) -> ChallengeType {
        match self.hook {
            Some(_) => ChallengeType::Dns01,
            None => ChallengeType::TlsAlpn01,
        }
    }

    fn kind(&self) -> &'static str {
        match self.hook {
            Some(_) => "dns-01",
            None => "tls-alpn-01",
        }
    }

    fn refused(&self, step: &'static str, error: instant_acme::Error) -> Error {
        refused(self.http, step, error)
    }

    fn refusal(&self, step: &'static str, reason: String) -> Error {
        Error::Refused {
            step,
            reason,
            retry_after: self.http.take_retry_after(),
        }
    }
}

/// Converts an error of a step.
pub(crate) fn refused(http: &Http, step: &'static str, error: instant_acme::Error) -> Error {
    let retry_after = http.take_retry_after();
    let refused = |reason: String| Error::Refused {
        step,
        reason: shown(&reason),
        retry_after,
    };
    match error {
        instant_acme::Error::Api(problem) => refused(match (&problem.detail, &problem.r#type) {
            (Some(detail), Some(kind)) if problem.subproblems.is_empty() => {
                format!(
                    "{detail} ({})",
                    kind.trim_start_matches("urn:ietf:params:acme:error:")
                )
            }
            _ => problem.to_string(),
        }),
        instant_acme::Error::Timeout(_) => Error::TooSlow {
            step,
            limit: CA_TIME,
        },
        instant_acme::Error::Other(error) => match error.downcast::<Failure>() {
            Ok(failure) => match *failure {
                Failure::Unreachable { host, reason } => Error::Unreachable { host, reason },
                failure @ Failure::NotAcme { .. } => refused(format!("it {failure}")),
            },
            Err(error) => refused(error.to_string()),
        },
        error => refused(error.to_string()),
    }
}

fn is_unreachable(error: &instant_acme::Error) -> bool {
    matches!(error, instant_acme::Error::Other(error) if error.is::<Failure>())
}

/// The longest text of a CA that is shown, in characters.
const SHOWN_MAX: usize = 500;

/// A text of the CA, in one line.
fn shown(text: &str) -> String {
    let visible = text.replace(|c: char| c.is_control(), " ");
    visible.chars().take(SHOWN_MAX).collect()
}

fn policy() -> RetryPolicy {
    RetryPolicy::new()
        .initial_delay(Duration::from_millis(500))
        .backoff(1.3)
        .timeout(CA_TIME)
}

/// The name of the TXT record of a challenge.
fn record_name(name: &str) -> String {
    format!("_acme-challenge.{name}")
}

fn kind_of(challenge: &instant_acme::Challenge) -> String {
    match &challenge.r#type {
        ChallengeType::Http01 => "http-01".into(),
        ChallengeType::Dns01 => "dns-01".into(),
        ChallengeType::TlsAlpn01 => "tls-alpn-01".into(),
        ChallengeType::Unknown(kind) => shown(kind),
        kind => format!("{kind:?}"),
    }
}

/// Makes a key, and the request for a certificate of it.
fn request(options: &Options) -> Result<(KeyPair, Vec<u8>), Error> {
    let fail = |error| Error::failed("make a request for a certificate", error);
    let key = KeyPair::generate().map_err(fail)?;
    let names: Vec<String> = options.domains.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).map_err(fail)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(fail)?;
    Ok((key, request.der().to_vec()))
}
