//! The keys that sinks of several kinds have.

use std::time::Duration;

use batchtask_notification::{Class, Flags};
use batchtask_relay::report::{Condition, EVERY as EVERY_RANGE};
use batchtask_relay::scheduler::AfterDead;
use batchtask_relay::{
    EventOptions, Filter, HttpOptions, Identity, Language, PARALLEL_MAX, Passing, ReportOptions,
    Start, TlsOptions,
};

use super::keys::{
    AFTER_DEAD, ALERTS, ALLOW_LINK_LOCAL, APPLICATIONS, CA, CLASSES, CLIENT_CERT, CLIENT_KEY,
    EVERY, FLAGS, KindName, LANGUAGE, NAME, NOT_WITH_ALERTS, PAGE, PARALLEL, RETRIES, START,
    STATUSES, TIMEOUT_SECONDS, TYPES, URL,
};
use super::reader::{Reader, time};
use crate::config::file::Raw;

/// The longest name of a sink, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// How many waits after a refusal there may be.
const RETRIES_MAX: usize = 16;

impl Reader<'_> {
    pub(super) fn name(&mut self) -> String {
        let Some(name) = self.required_text(&NAME) else {
            return String::new();
        };
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_allowed) {
            self.refuse_form::<()>(&NAME);
        }
        name
    }

    pub(super) fn filter(&mut self) -> Filter {
        Filter {
            applications: self.texts(&APPLICATIONS),
            types: self.texts(&TYPES),
            statuses: self.texts(&STATUSES),
            classes: self.classes(),
            flags: self.flags(),
        }
    }

    fn classes(&mut self) -> Vec<Class> {
        let all = [Class::Open, Class::Retryable, Class::Final];
        self.choices(&CLASSES, &all.map(|class| (class.name(), class)))
    }

    fn flags(&mut self) -> Flags {
        let mut flags = Flags::empty();
        for name in self.texts(&FLAGS) {
            let mut all = (0..16).map(|bit| Flags::from_bits_truncate(1 << bit));
            match all.find(|flag| flag.names().next() == Some(&name)) {
                Some(flag) => flags |= flag,
                None => self.refuse(&FLAGS, format!("has the unknown flag `{name}`")),
            }
        }
        flags
    }

    pub(super) fn start(&mut self) -> Start {
        match self.raw(&START) {
            Some(Raw::Text(word)) if word == "now" => Start::Now,
            Some(Raw::Text(word)) if word == "beginning" => Start::Beginning,
            Some(Raw::Number(seq)) if seq.parse::<u64>().is_ok_and(|seq| seq > 0) => {
                Start::Seq(seq.parse().unwrap_or(1))
            }
            _ => self.refuse_form(&START).unwrap_or_default(),
        }
    }

    /// Returns what is passed on to a sink of this kind.
    pub(super) fn passing(&mut self, kind: KindName) -> Passing {
        if self.has(&ALERTS) {
            for spec in NOT_WITH_ALERTS.iter().filter(|spec| spec.is_of(kind)) {
                if self.has(spec) {
                    self.refuse(spec, "is of no use with `sink.alerts`: remove it");
                }
            }
            let conditions = self.choices(&ALERTS, Condition::ALL);
            if conditions.is_empty() {
                self.refuse_form::<()>(&ALERTS);
            }
            return Passing::Alerts(self.reports(), conditions);
        }
        match kind {
            KindName::Webhook => self.events(64),
            KindName::Component => self.events(4),
            KindName::Chat | KindName::Mail => Passing::Digests(self.reports()),
        }
    }

    fn reports(&mut self) -> ReportOptions {
        ReportOptions {
            every: self.time(&EVERY, EVERY_RANGE).unwrap_or_default(),
            page: self.text(&PAGE),
            language: self.choice(&LANGUAGE, Language::ALL).unwrap_or_default(),
        }
    }

    fn events(&mut self, parallel: usize) -> Passing {
        if self.has(&EVERY) {
            self.refuse(
                &EVERY,
                "is of no use for this kind without `sink.alerts`: remove it",
            );
        }
        Passing::Events(EventOptions {
            parallel: self.number(&PARALLEL, 1..=PARALLEL_MAX).unwrap_or(parallel),
            retries: self.retries(),
            after_dead: self
                .choice(
                    &AFTER_DEAD,
                    &[("skip", AfterDead::Skip), ("hold", AfterDead::Hold)],
                )
                .unwrap_or_default(),
        })
    }

    fn retries(&mut self) -> Vec<Duration> {
        let texts = self.texts(&RETRIES);
        let times: Option<Vec<Duration>> = texts.iter().map(|text| time(text)).collect();
        times
            .filter(|times| times.len() <= RETRIES_MAX)
            .or_else(|| self.refuse_form(&RETRIES))
            .unwrap_or_default()
    }

    pub(super) fn http(&mut self) -> HttpOptions {
        self.require(&URL);
        HttpOptions {
            url: self.secret(&URL).unwrap_or_default(),
            tls: self.tls(),
            timeout: self.timeout(),
            allow_link_local: self.switch(&ALLOW_LINK_LOCAL),
        }
    }

    pub(super) fn timeout(&mut self) -> Duration {
        Duration::from_secs(self.number(&TIMEOUT_SECONDS, 1..=60).unwrap_or(1))
    }

    pub(super) fn tls(&mut self) -> TlsOptions {
        TlsOptions {
            authorities: self.file(&CA),
            identity: self.identity(),
        }
    }

    fn identity(&mut self) -> Option<Identity> {
        self.needs(&CLIENT_CERT, &CLIENT_KEY);
        self.needs(&CLIENT_KEY, &CLIENT_CERT);
        let (chain, key) = (self.file(&CLIENT_CERT), self.file(&CLIENT_KEY));
        chain.zip(key).map(|(chain, key)| Identity { chain, key })
    }
}
