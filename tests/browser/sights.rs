//! A host with content on every page.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use batchtask_journal::{Details, FailedDevice, Journal, Progress};
use batchtask_notification::time;
use batchtask_sqlite::SqliteJournal;

use serde_json::{Value, json};

use crate::sinks::receiver::{Reaction, Received, Receiver};
use crate::sinks::{OPERATE_TOKEN, sink, write};
use crate::support::client::Client;
use crate::support::host::{Host, Setup};
use crate::support::notifications::Notification;
use crate::support::program::Program;

/// Pages by name, with their paths. [`unusual`] adds what is on the unusual ones.
pub(crate) const PAGES: [(&str, &str); 11] = [
    ("tasks", "/"),
    ("none-match", "/?q=nobody"),
    (
        "filtered",
        "/?status=Fail&status=Success&app_id=factory-1&sort=task_id&order=asc&since=2026-01-31",
    ),
    ("task", "/page/task?app_id=factory-1&task_id=upgrade-north"),
    ("unusual", "/page/task?app_id=..&task_id=."),
    ("quarantine", "/page/quarantine"),
    ("operation", "/page/quarantine?result=refused"),
    ("sinks", "/page/sinks"),
    ("sinks-operation", "/page/sinks?result=failed"),
    ("not-found", "/page/task?app_id=factory-1&task_id=nobody"),
    ("bad-parameter", "/?limit=x"),
];

/// The pages of the screenshots.
pub(crate) const SHOWN: [(&str, &str); 4] = [PAGES[0], PAGES[3], PAGES[5], PAGES[7]];

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

/// Sinks: one works, one has dead letters, one cannot be reached, one is paused.
async fn sinks(folder: &Path) -> Vec<Receiver> {
    let works = Receiver::start(|_| Reaction::Accept).await;
    let refuses = |received: &Received| match received.json()["data"]["status"] == "Fail" {
        true => Reaction::Answer(422, vec![]),
        false => Reaction::Accept,
    };
    let refuses = Receiver::start(refuses).await;
    let sinks = sink("erp", &works.url())
        + &sink("ticket-system", &refuses.url())
        + &sink("field-service", "http://127.0.0.1:1/")
        + &sink("archive", &works.url());
    write(folder, &sinks);
    vec![works, refuses]
}

/// Starts a host with three tasks (one failed, one succeeded, one is open), two
/// rejects in its quarantine, and sinks.
pub(crate) async fn host(folder: &Path) -> Host {
    // They answer as long as the test runs.
    std::mem::forget(sinks(folder).await);
    let setup = Setup::in_folder(folder)
        .with_admin()
        .argument("--config")
        .argument(folder.join("batchtask.toml"));
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
    let mut admin = host.admin();
    operate(&mut admin, "POST", "/sinks/archive/pause").await;
    let is_seen = |sinks: &Value| {
        let with = |member: &str, value: Value| {
            let sinks = sinks["sinks"].as_array().unwrap();
            sinks.iter().any(|sink| sink[member] == value)
        };
        with("dead", json!(1)) && with("state", json!("failing"))
    };
    while !is_seen(&operate(&mut admin, "GET", "/sinks").await) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    host
}

async fn operate(admin: &mut Client, method: &str, path: &str) -> Value {
    let authorization = format!("Bearer {OPERATE_TOKEN}");
    let headers = [("authorization", authorization.as_str())];
    let answer = admin.exchange(method, path, &headers, b"").await;
    answer.expect("an answer").json()
}

/// Adds tasks with long, right-to-left and Chinese texts, a gap and a late event.
pub(crate) async fn unusual(host: &Host) {
    let long = "long-".repeat(300);
    let texts = [
        "مصنع-٣",
        "仓库-三号升级任务",
        "<b>&'\"</b>",
        &long,
        "\u{202e}reversed",
    ];
    let mut client = host.client();
    let tasks = texts.iter().map(|text| (*text, *text)).chain([("..", ".")]);
    for (serial, (app_id, task_id)) in tasks.enumerate() {
        for (step, status) in ["Success", "Waitting", "一种新状态", "Fail"]
            .into_iter()
            .enumerate()
        {
            let notification = Notification {
                app_id: app_id.into(),
                task_id: task_id.into(),
                status: status.into(),
                status_desc: app_id.into(),
                at_ms: now_ms() - 60_000 * (step as u64 + 1),
                ..Notification::numbered(serial as u64)
            };
            client
                .post(notification.body())
                .await
                .expect(200, "recorded");
        }
    }
    client
        .post(format!("{long}{long}"))
        .await
        .expect(200, "quarantined");
}

/// Starts a host with a morning's tasks, whose names and progress are known.
pub(crate) async fn morning(folder: &Path) -> Host {
    let host = host(folder).await;
    let minutes_ago = |minutes: u64| now_ms() - minutes * 60_000;
    for (task, changes) in [
        (
            "upgrade-line-4",
            &[
                (68, "Waitting"),
                (66, "Processing"),
                (41, "PartialSuccess"),
                (30, "Processing"),
                (16, "Success"),
            ][..],
        ),
        (
            "upgrade-line-5",
            &[(61, "Waitting"), (58, "Processing"), (52, "Stopped")],
        ),
        (
            "upgrade-doors",
            &[(49, "Waitting"), (44, "Processing"), (35, "Success")],
        ),
        ("upgrade-gates", &[(33, "Waitting"), (29, "Processing")]),
        (
            "upgrade-lamps",
            &[
                (57, "Waitting"),
                (55, "Processing"),
                (25, "Fail"),
                (21, "Processing"),
            ],
        ),
        ("upgrade-meters", &[(7, "Waitting")]),
    ] {
        for (minutes, status) in changes {
            Life::of(&host, task).changes(minutes_ago(*minutes), status, "");
        }
    }
    let setup = host.setup().clone();
    host.stop();
    let journal = SqliteJournal::open(setup.journal(), Default::default()).unwrap();
    let details = [
        (
            "upgrade-north",
            "Firmware 2.4.1, north wing",
            [3991, 9, 0, 0],
        ),
        (
            "upgrade-south",
            "Firmware 2.4.1, south wing",
            [4000, 0, 0, 0],
        ),
        (
            "upgrade-west",
            "Firmware 2.4.1, west wing",
            [1830, 12, 400, 1758],
        ),
        ("upgrade-line-4", "Firmware 1.9, line 4", [1197, 3, 0, 0]),
        ("upgrade-gates", "Firmware 3.0, gates", [11, 0, 8, 21]),
        (
            "upgrade-lamps",
            "Firmware 0.9.2, lamps",
            [2210, 37, 150, 203],
        ),
    ];
    let details = details.map(|(task_id, name, devices)| details_of(task_id, name, devices));
    journal.describe(details.into()).await.unwrap();
    journal.close().await;
    setup.start()
}

/// What the platform tells about a task: how many devices succeeded, failed, are in
/// progress and wait.
pub(crate) fn details_of(task_id: &str, name: &str, devices: [u32; 4]) -> Details {
    let [success, fail, processing, waiting] = devices;
    let failed = (1..=fail.min(3)).map(|serial| FailedDevice {
        device: format!("sensor-{serial:04}"),
        error_code: Some("IOTDA.014222".into()),
        error_msg: Some("The device did not report the new version in time.".into()),
    });
    Details {
        app_id: "factory-1".into(),
        task_id: task_id.into(),
        at_ms: now_ms(),
        name: Some(name.into()),
        progress: Some(Progress {
            total: devices.iter().sum(),
            success,
            fail,
            processing,
            waiting,
            fail_wait_retry: 0,
            stopped: 0,
            removed: 0,
            at_ms: now_ms(),
        }),
        failed_devices: Some(failed.collect()),
        ..Details::default()
    }
}
