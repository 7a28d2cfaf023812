//! [`Operations`]: what a host offers its operators besides the receiver.

use async_trait::async_trait;
use batchtask_guest::routes::split;

use crate::component::{Request, Response};

/// What a host offers its operators besides the receiver.
#[async_trait]
pub trait Operations: Send + Sync {
    /// Answers a request for which [`is_operation`] is true. Returns `None` if the
    /// receiver must answer it: if there is nothing to operate, or a browser is not
    /// logged in.
    async fn answer(&self, request: &Request) -> Option<Response>;
}

/// Whether a request is one for operators: for the sinks or their page, or a change of the
/// quarantine.
pub fn is_operation(method: &str, target: &str) -> bool {
    let (path, _) = split(target);
    let is_at = |place: &str| {
        let rest = path.strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_read = matches!(method, "GET" | "HEAD" | "OPTIONS");
    let changes = |reject: &str| reject.contains('/') || !is_read;
    is_at("/sinks")
        || is_at("/page/sinks")
        || path.strip_prefix("/quarantine/").is_some_and(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_and_changes_of_the_quarantine_are_operations() {
        for (method, target, expected) in [
            ("GET", "/sinks", true),
            ("POST", "/sinks/ops/pause", true),
            ("GET", "/sinks?x=1", true),
            ("GET", "/page/sinks", true),
            ("POST", "/page/sinks/ops/dead/drop?seq=7", true),
            ("GET", "/sinksx", false),
            ("GET", "/page/sinksx", false),
            ("POST", "/quarantine/7/replay", true),
            ("GET", "/quarantine/7/replay", true),
            ("DELETE", "/quarantine/7", true),
            ("GET", "/quarantine/7", false),
            ("GET", "/quarantine", false),
            ("POST", "/notifications/sinks", false),
        ] {
            assert_eq!(is_operation(method, target), expected, "{method} {target}");
        }
    }
}
