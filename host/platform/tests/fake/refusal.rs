//! The refusals, with the platform's codes.

use serde_json::{Value, json};

/// A refusal.
pub(super) struct Refusal {
    pub(super) status: u16,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            status,
            code,
            message,
        }
    }

    pub(super) fn input(what: &str) -> Self {
        Self::new(400, "IOTDA.000006", format!("Invalid input data. {what}"))
    }

    pub(super) fn unauthenticated(what: &str) -> Self {
        let message = format!("Incorrect IAM authentication information: {what}");
        Self::new(401, "APIGW.0301", message)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(404, "IOTDA.010002", format!("The {what} does not exist."))
    }

    /// The body. The gateway adds a request id, IAM has a form of its own.
    pub(super) fn body(&self) -> Value {
        let (code, message) = (self.code, &self.message);
        match code {
            "IAM" => {
                json!({"error": {"code": self.status, "message": message, "title": "Unauthorized"}})
            }
            _ if code.starts_with("APIGW") => {
                json!({"error_code": code, "error_msg": message, "request_id": "gateway-trace"})
            }
            _ => json!({"error_code": code, "error_msg": message}),
        }
    }
}
