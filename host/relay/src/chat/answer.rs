//! What an answer of a service means. Most services report errors with the status 200.

use std::time::Duration;

use serde_json::Value;

use super::service::Service;
use crate::egress::Answer;
use crate::scheduler::Outcome;

/// How long to wait after an answer that means "too many messages".
const SLOW_DOWN: Duration = Duration::from_secs(60);
/// The same for DingTalk, which then accepts nothing for ten minutes.
const SLOW_DOWN_DINGTALK: Duration = Duration::from_secs(600);

/// What an error code means.
enum Meaning {
    /// Too many messages.
    Slow,
    /// The service does not work now.
    Busy,
    /// The message is refused. What to do.
    Refused(&'static str),
}

/// The error codes whose meaning is known, by service.
const CODES: &[(&[Service], i64, Meaning)] = &[
    (
        FEISHU,
        9499,
        Meaning::Refused("the URL or the message is wrong"),
    ),
    (FEISHU, 11232, Meaning::Slow),
    (FEISHU, 11233, Meaning::Slow),
    (
        FEISHU,
        19001,
        Meaning::Refused("set `url` to the URL of the bot"),
    ),
    (
        FEISHU,
        19021,
        Meaning::Refused("set `secret` to that of the bot, and check this host's clock"),
    ),
    (
        FEISHU,
        19022,
        Meaning::Refused("allow this host's address in the settings of the bot"),
    ),
    (
        FEISHU,
        19024,
        Meaning::Refused("make `batchtask` the keyword of the bot"),
    ),
    (DINGTALK, -1, Meaning::Busy),
    (DINGTALK, 90030, Meaning::Slow),
    (DINGTALK, 130_101, Meaning::Slow),
    (DINGTALK, 410_100, Meaning::Slow),
    (
        DINGTALK,
        300_001,
        Meaning::Refused("set `url` to the URL of the robot"),
    ),
    (
        DINGTALK,
        310_000,
        Meaning::Refused(
            "set `secret` to that of the robot, make `batchtask` its keyword, allow this host's \
         address, and check this host's clock",
        ),
    ),
    (
        DINGTALK,
        400_101,
        Meaning::Refused("set `url` to the URL of the robot"),
    ),
    (DINGTALK, 400_102, Meaning::Refused("enable the robot")),
    (WECOM, -1, Meaning::Busy),
    (WECOM, 45009, Meaning::Slow),
    (WECOM, 45033, Meaning::Slow),
    (
        WECOM,
        93000,
        Meaning::Refused("set `url` to the URL of the robot"),
    ),
];

const FEISHU: &[Service] = &[Service::Feishu, Service::Lark];
const DINGTALK: &[Service] = &[Service::DingTalk];
const WECOM: &[Service] = &[Service::WeCom];

impl Service {
    /// Returns the result of a message. `shows_secret` returns whether a text must not be
    /// shown.
    pub(super) fn outcome(self, answer: &Answer, shows_secret: impl Fn(&str) -> bool) -> Outcome {
        if !answer.status.is_success() {
            return answer.outcome(shows_secret);
        }
        let json = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let accepted = match self {
            Self::Feishu | Self::Lark => zero(&json, &["code", "StatusCode"]),
            Self::DingTalk | Self::WeCom => zero(&json, &["errcode"]),
            Self::Slack => slack(&answer.body, &json),
            Self::Teams => teams(&answer.body),
        };
        let code = match accepted {
            Ok(()) => return Outcome::Delivered,
            Err(code) => code,
        };
        let mut error = match code {
            Some(code) => format!("{self} answered the code {code}"),
            None => format!("{self} did not accept the message"),
        };
        answer.explain(&mut error, shows_secret);
        self.failure(code, error, answer.retry_after())
    }

    /// Returns the outcome of an answer with this code.
    fn failure(self, code: Option<i64>, error: String, retry_after: Option<Duration>) -> Outcome {
        let mut codes = CODES.iter();
        let known =
            codes.find(|(services, known, _)| Some(*known) == code && services.contains(&self));
        let pause = match self {
            Self::DingTalk => SLOW_DOWN_DINGTALK,
            _ => SLOW_DOWN,
        };
        match known.map(|(_, _, meaning)| meaning) {
            Some(Meaning::Slow) => Outcome::SinkFailed {
                error,
                retry_after: retry_after.or(Some(pause)),
            },
            Some(Meaning::Busy) => Outcome::SinkFailed { error, retry_after },
            Some(Meaning::Refused(hint)) => Outcome::Refused(format!("{error}: {hint}")),
            None if code.is_some() => Outcome::Refused(error),
            // Not an answer of the service, such as a page of a proxy.
            None => Outcome::SinkFailed { error, retry_after },
        }
    }
}

/// Returns `Ok` if the first of these members that exists is 0, or its value.
fn zero(json: &Value, names: &[&str]) -> Result<(), Option<i64>> {
    let mut codes = names.iter().filter_map(|name| json.get(name)?.as_i64());
    match codes.next() {
        Some(0) => Ok(()),
        code => Err(code),
    }
}

/// The body is `ok`, or an object of the newer API.
fn slack(body: &[u8], json: &Value) -> Result<(), Option<i64>> {
    let is_ok = body.trim_ascii() == b"ok" || json.get("ok") == Some(&Value::Bool(true));
    if is_ok { Ok(()) } else { Err(None) }
}

/// A workflow answers before it posts. Former connectors say here what failed.
fn teams(body: &[u8]) -> Result<(), Option<i64>> {
    let text = String::from_utf8_lossy(body);
    if text.contains("delivery failed") {
        Err(None)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn outcome(service: Service, status: u16, body: &str) -> Outcome {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.into(),
        };
        service.outcome(&answer, |text| text.contains("hush"))
    }

    #[test]
    fn success_is_in_the_body() {
        for (service, body) in [
            (Service::Feishu, r#"{"code":0,"msg":"success","data":{}}"#),
            (
                Service::Lark,
                r#"{"StatusCode":0,"StatusMessage":"success"}"#,
            ),
            (Service::DingTalk, r#"{"errcode":0,"errmsg":"ok"}"#),
            (Service::WeCom, r#"{"errcode":0,"errmsg":"ok"}"#),
            (Service::Slack, "ok"),
            (Service::Slack, r#"{"ok":true}"#),
            (Service::Teams, ""),
            (Service::Teams, "1"),
        ] {
            assert_eq!(outcome(service, 200, body), Outcome::Delivered, "{body}");
        }
        assert_eq!(outcome(Service::Teams, 202, ""), Outcome::Delivered);
    }

    #[test]
    fn a_failure_is_in_the_body_too() {
        for (service, body, hint) in [
            (
                Service::Feishu,
                r#"{"code":19021,"msg":"sign match fail"}"#,
                "secret",
            ),
            (
                Service::Lark,
                r#"{"code":19024,"msg":"Key Words Not Found"}"#,
                "keyword",
            ),
            (
                Service::DingTalk,
                r#"{"errcode":310000,"errmsg":"sign not match"}"#,
                "secret",
            ),
            (
                Service::WeCom,
                r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#,
                "url",
            ),
            (
                Service::WeCom,
                r#"{"errcode":40058,"errmsg":"too long"}"#,
                "too long",
            ),
        ] {
            let Outcome::Refused(error) = outcome(service, 200, body) else {
                panic!("{body}");
            };
            assert!(error.contains(hint), "{error}");
        }
        for service in Service::ALL.iter().map(|(_, service)| *service) {
            if service != Service::Teams {
                let outcome = outcome(service, 200, "<html>log in hush</html>");
                assert!(
                    matches!(&outcome, Outcome::SinkFailed { error, .. } if !error.contains("hush")),
                    "{outcome:?}"
                );
            }
            assert!(matches!(
                outcome(service, 404, "no_service"),
                Outcome::Refused(_)
            ));
            assert!(matches!(
                outcome(service, 500, ""),
                Outcome::SinkFailed { .. }
            ));
        }
        let connector = "Webhook message delivery failed with error: HTTP error 429";
        assert!(matches!(
            outcome(Service::Teams, 200, connector),
            Outcome::SinkFailed { .. }
        ));
    }

    #[test]
    fn some_answers_mean_slow_down() {
        for (service, body, seconds) in [
            (
                Service::Feishu,
                r#"{"code":11232,"msg":"frequency limited"}"#,
                60,
            ),
            (
                Service::DingTalk,
                r#"{"errcode":130101,"errmsg":"send too fast"}"#,
                600,
            ),
            (
                Service::WeCom,
                r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
                60,
            ),
        ] {
            let Outcome::SinkFailed { retry_after, .. } = outcome(service, 200, body) else {
                panic!("{body}");
            };
            assert_eq!(retry_after, Some(Duration::from_secs(seconds)));
        }
    }
}
