//! What operators ask for on the page of the quarantine: a form names a reject and what
//! to do with it. The answer leads back to the page, which shows the result.

use batchtask_guest::headers::is_cross_site;
use batchtask_guest::outcomes::{Refusal, Success, redirect};
use batchtask_guest::session::Right;
use http::Method;

use super::Server;
use crate::component::{Request, Response};
use crate::intake::{QuarantineError, refusal};

/// The form of an operation, such as `POST /page/quarantine/7/replay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    seq: u64,
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Replay,
    Drop,
}

impl Operation {
    /// Returns the operation that a request asks for.
    pub(super) fn of(method: &Method, path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/page/quarantine/")?;
        let (seq, action) = rest.split_once('/')?;
        let action = match action {
            "replay" => Action::Replay,
            "drop" => Action::Drop,
            _ => return None,
        };
        let seq = seq.parse().ok().filter(|_| method == Method::POST)?;
        Some(Self { seq, action })
    }
}

impl Server {
    /// Carries out an operation, if the request is that of an operator.
    pub(super) async fn operate(&self, operation: Operation, request: &Request) -> Response {
        if is_cross_site(&request.headers) {
            return refusal(Refusal::CrossSite, None);
        }
        let result = match self.intake.right(&request.headers) {
            Some(Right::Operate) => self.carry_out(operation).await,
            _ => "forbidden",
        };
        let location = format!("../../quarantine?result={result}");
        redirect(Success::Redirected, location)
    }

    /// Returns the result, as the page names it.
    async fn carry_out(&self, Operation { seq, action }: Operation) -> &'static str {
        let done = match action {
            Action::Replay => self.intake.replay_reject(seq).await.map(|_| "replayed"),
            Action::Drop => self.intake.drop_reject(seq).await.map(|()| "dropped"),
        };
        done.unwrap_or_else(|error| {
            tracing::warn!(%error, seq, "an operation on the quarantine failed");
            match error {
                QuarantineError::Unknown(_) => "unknown",
                QuarantineError::StillRefused(_) => "refused",
                QuarantineError::NotStored(_) | QuarantineError::Journal(_) => "failed",
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_a_post_with_a_number() {
        let found = |method, path| Operation::of(&method, path);
        let replay = Operation {
            seq: 7,
            action: Action::Replay,
        };
        assert_eq!(
            found(Method::POST, "/page/quarantine/7/replay"),
            Some(replay)
        );
        assert!(found(Method::POST, "/page/quarantine/7/drop").is_some());
        for (method, path) in [
            (Method::GET, "/page/quarantine/7/replay"),
            (Method::POST, "/page/quarantine/x/replay"),
            (Method::POST, "/page/quarantine/7/replay/"),
            (Method::POST, "/page/quarantine/7/else"),
            (Method::POST, "/page/quarantine"),
            (Method::POST, "/quarantine/7/replay"),
        ] {
            assert_eq!(found(method, path), None, "{path}");
        }
    }
}
