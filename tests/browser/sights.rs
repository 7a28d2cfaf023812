//! A host with content on every page.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use batchtask_notification::time;

use crate::support::host::{Host, Setup};
use crate::support::program::Program;

/// Pages by name, with their paths.
pub(crate) const PAGES: [(&str, &str); 6] = [
    ("tasks", "/"),
    ("none-match", "/?q=nobody"),
    ("task", "/page/tasks/factory-1/upgrade-north"),
    ("quarantine", "/page/quarantine"),
    ("not-found", "/page/tasks/factory-1/nobody"),
    ("bad-parameter", "/?limit=x"),
];

/// Sends notifications about a task, like the platform.
pub(crate) struct Life<'a> {
    host: &'a Host,
    task_id: &'a str,
}

impl<'a> Life<'a> {
    pub(crate) fn of(host: &'a Host, task_id: &'a str) -> Self {
        Self { host, task_id }
    }

    /// Sends a change with this time.
    fn changes(&self, at_ms: u64, status: &str, status_desc: &str) {
        let at = time::rfc3339(at_ms);
        let fields = [
            ("--app-id", "factory-1"),
            ("--task-id", self.task_id),
            ("--task-type", "firmwareUpgrade"),
            ("--status", status),
            ("--status-desc", status_desc),
            ("--event-time-ms", &*at),
        ];
        let fields = fields.iter().flat_map(|(name, value)| [*name, *value]);
        let send = Program::new(["send"].into_iter().chain(fields));
        send.at(self.host.address()).run().expect(0);
    }

    /// Sends changes up to now, about five minutes apart.
    fn passes(&self, statuses: &[(&str, &str)]) {
        const STEP_MS: u64 = 298_766;
        let mut at_ms = now_ms() - STEP_MS * statuses.len() as u64;
        for (status, status_desc) in statuses {
            self.changes(at_ms, status, status_desc);
            at_ms += STEP_MS;
        }
    }

    /// Sends a change with the current time.
    pub(crate) fn goes_on(&self, status: &str) {
        self.changes(now_ms(), status, "");
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_millis() as u64
}

/// Starts a host with three tasks (one failed, one succeeded, one is open) and two
/// rejects in its quarantine.
pub(crate) async fn host(folder: &Path) -> Host {
    let setup = Setup::in_folder(folder);
    let host = setup
        .variable(("BATCHTASK_UNPROCESSABLE", "accept"))
        .start();
    let begin = [("Waitting", ""), ("Processing", "0 of 4000 devices")];
    let ended = |status, text| [begin.as_slice(), &[(status, text)]].concat();
    let south = ended("Success", "4000 of 4000 devices");
    Life::of(&host, "upgrade-south").passes(&south);
    let north = ended("Fail", "3991 of 4000 devices; 9 did not answer");
    Life::of(&host, "upgrade-north").passes(&north);
    Life::of(&host, "upgrade-west").passes(&begin);
    let mut client = host.client();
    for body in [r#"{"resource":"device","event":"create"}"#, "no JSON"] {
        client.post(body).await.expect(200, "quarantined");
    }
    host
}
