//! [`Refusal`]: an answer of the platform that is not a success.

use std::fmt;

use http::StatusCode;
use serde_json::Value;

use crate::secret::masked;

/// The longest message of the platform that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// Why the platform refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The key, the signature, the token or the password is wrong.
    WrongCredentials,
    /// The user may not do this.
    Permission,
    /// The service is not subscribed to in this region.
    NotSubscribed,
    /// The resource space does not exist, or belongs to another account.
    Application,
    /// The resource does not exist.
    NotFound,
    /// A quota is exhausted.
    Quota,
    /// Too many calls.
    RateLimit,
    /// The input is wrong.
    Input,
    /// The platform failed.
    Unavailable,
    /// Anything else.
    Other,
}

/// The codes whose cause does not follow from the status.
const CODES: &[(&str, Cause)] = &[
    // The call, not the resource, does not exist.
    ("APIGW.0101", Cause::Other),
    ("APIGW.0301", Cause::WrongCredentials),
    ("APIGW.0302", Cause::Permission),
    ("APIGW.0307", Cause::WrongCredentials),
    ("APIGW.0308", Cause::RateLimit),
    ("IOTDA.000004", Cause::WrongCredentials),
    ("IOTDA.000021", Cause::NotSubscribed),
    ("IOTDA.001000", Cause::Application),
    ("IOTDA.001007", Cause::Application),
    ("IOTDA.010003", Cause::Quota),
    ("IOTDA.021101", Cause::RateLimit),
    ("IOTDA.021102", Cause::RateLimit),
];

impl Cause {
    fn of(status: StatusCode, code: &str) -> Self {
        if let Some((_, cause)) = CODES.iter().find(|(known, _)| *known == code) {
            return *cause;
        }
        match status.as_u16() {
            401 => Self::WrongCredentials,
            403 => Self::Permission,
            404 => Self::NotFound,
            429 => Self::RateLimit,
            400 | 413 | 415 | 422 => Self::Input,
            500..=599 => Self::Unavailable,
            _ => Self::Other,
        }
    }

    /// Returns what to do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::WrongCredentials => {
                "check the access key and its secret, or the user and the password, and the \
                 edition, which decides the signature. A temporary key needs its security token, \
                 and expires"
            }
            Self::Permission => {
                "give the user the permission for IoTDA in this project, and check the project id"
            }
            Self::NotSubscribed => {
                "subscribe to IoTDA in this region, or check the region and the project id"
            }
            Self::Application => "check the id of the resource space",
            Self::NotFound => "check the id, the project id and the URL",
            Self::Quota => "delete what is not needed, or have the quota raised",
            Self::RateLimit => "lower the number of calls per second, or try again later",
            Self::Input => "check the value that the message names",
            Self::Unavailable => "try again later",
            Self::Other => "check the URL and the edition",
        }
    }
}

/// A call that the platform refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The attempted operation, as a verb phrase.
    pub operation: &'static str,
    /// The status of the answer.
    pub status: u16,
    /// The platform's error code, such as `IOTDA.000006`. It may be empty.
    pub code: String,
    /// The platform's message, shortened, without secrets and control characters.
    pub message: String,
    /// The platform's id of the request, which its support asks for.
    pub request_id: Option<String>,
    /// Why the platform refused.
    pub cause: Cause,
}

impl Refusal {
    /// Reads the refusal in an answer. `body` is `None` if it is not JSON.
    pub(crate) fn new<'a>(
        operation: &'static str,
        status: StatusCode,
        request_id: Option<String>,
        body: Option<&Value>,
        secrets: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let said = RefusalBody::of(body);
        let reason = || status.canonical_reason().unwrap_or("unknown status");
        let message = said.message.unwrap_or_else(|| reason().to_owned());
        Self {
            operation,
            status: status.as_u16(),
            cause: Cause::of(status, &said.code),
            // IAM repeats the status as the code.
            code: match said.code.parse::<u16>() {
                Ok(number) if status.as_u16() == number => String::new(),
                _ => printable(&said.code),
            },
            message: printable(&masked(&message, secrets)),
            request_id: request_id.or(said.request_id).map(|id| printable(&id)),
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self.cause, Cause::RateLimit | Cause::Unavailable)
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            operation,
            status,
            code,
            message,
            cause,
            ..
        } = self;
        let space = if code.is_empty() { "" } else { " " };
        let id = request_id_text(self.request_id.as_deref());
        let message = message.trim_end_matches('.');
        let advice = cause.advice();
        write!(
            f,
            "cannot {operation}: the platform answered {status}{space}{code}: {message}{id}. To solve this, {advice}"
        )
    }
}

/// Shows the id of a request after a message.
pub(crate) fn request_id_text(request_id: Option<&str>) -> String {
    request_id.map_or_else(String::new, |id| format!(" (request id `{id}`)"))
}

/// The content of a refusal. The gateway, the platform and IAM use
/// different names.
#[derive(Default)]
struct RefusalBody {
    code: String,
    message: Option<String>,
    request_id: Option<String>,
}

impl RefusalBody {
    fn of(body: Option<&Value>) -> Self {
        let Some(body) = body else {
            return Self::default();
        };
        let inner = body
            .get("error")
            .filter(|it| it.is_object())
            .unwrap_or(body);
        let text = |names: &[&str]| {
            let found = names.iter().find_map(|name| inner.get(*name));
            found.and_then(|value| match value {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
        };
        Self {
            code: text(&["error_code", "errorCode", "code"]).unwrap_or_default(),
            message: text(&["error_msg", "errorMsg", "message"]),
            request_id: text(&["request_id"]),
        }
    }
}

/// Shortens a foreign text, and removes control characters.
fn printable(text: &str) -> String {
    let is_kept = |c: &char| !c.is_control();
    text.chars()
        .filter(is_kept)
        .take(MESSAGE_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(status: u16, body: Value) -> Refusal {
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new("list rules", status, None, Some(&body), ["sEcReT"])
    }

    #[test]
    fn every_form_of_a_refusal_is_read() {
        for body in [
            json!({"error_code": "IOTDA.000006", "error_msg": "Invalid input data."}),
            json!({"errorCode": "IOTDA.000006", "errorMsg": "Invalid input data."}),
            json!({"code": "IOTDA.000006", "message": "Invalid input data."}),
            json!({"error": {"code": "IOTDA.000006", "message": "Invalid input data."}}),
        ] {
            let refusal = refusal(400, body);
            assert_eq!(refusal.cause, Cause::Input);
            assert_eq!(
                refusal.to_string(),
                "cannot list rules: the platform answered 400 IOTDA.000006: Invalid input data. \
                 To solve this, check the value that the message names"
            );
        }
        let bare = refusal(502, Value::Null).to_string();
        let expected = "cannot list rules: the platform answered 502: Bad Gateway. ";
        assert!(bare.starts_with(expected), "{bare}");
    }

    #[test]
    fn a_cause_follows_from_code_or_status() {
        for (status, code, cause, is_temporary) in [
            (401, "", Cause::WrongCredentials, false),
            (401, "APIGW.0301", Cause::WrongCredentials, false),
            (403, "IOTDA.000004", Cause::WrongCredentials, false),
            (403, "IOTDA.000021", Cause::NotSubscribed, false),
            (403, "IOTDA.021102", Cause::RateLimit, true),
            (403, "APIGW.0302", Cause::Permission, false),
            (403, "IOTDA.001000", Cause::Application, false),
            (404, "IOTDA.010002", Cause::NotFound, false),
            (404, "APIGW.0101", Cause::Other, false),
            (400, "IOTDA.010003", Cause::Quota, false),
            (429, "", Cause::RateLimit, true),
            (302, "", Cause::Other, false),
            (503, "", Cause::Unavailable, true),
        ] {
            let refusal = refusal(status, json!({ "error_code": code }));
            assert_eq!(refusal.cause, cause, "{status} {code}");
            assert_eq!(refusal.is_temporary(), is_temporary, "{status} {code}");
        }
    }

    #[test]
    fn a_message_is_short_and_without_secrets() {
        let long = format!("\u{1b}[2Jthe sEcReT {}", "x".repeat(500));
        let refusal = refusal(400, json!({"error_msg": long, "request_id": "trace\n1"}));
        assert!(refusal.message.starts_with("[2Jthe … xxx"));
        assert_eq!(refusal.message.chars().count(), MESSAGE_CHARS_MAX);
        assert!(refusal.to_string().contains("(request id `trace1`)"));
    }
}
