//! The pages, in both languages and with unusual content.
//!
//! If `BATCHTASK_PAGES` names a folder, the pages are written to it, to look at them in a
//! browser.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use batchtask_guest::bindings::exports::batchtask::receiver::intake::Response;
use batchtask_guest::journal::{FailedDevice, Policy, Progress, TaskOrder, TaskPage, TaskSort};
use batchtask_guest::page::{self, Language, TaskList};
use batchtask_guest::receiver::Receiver;
use batchtask_guest::settings::Settings;
use batchtask_journal::{Details, Journal, MemoryJournal};
use batchtask_notification::time::rfc3339;
use serde_json::json;

use crate::support::{request, settings};

const TOKEN: &str = "tokentokentokentoken";
const OPERATOR: &str = "operatoroperatoroperator";
const NOW_MS: u64 = 1_795_780_800_000;
const MINUTE_MS: u64 = 60_000;

/// A receiver with content.
struct Host {
    journal: MemoryJournal,
    settings: Settings,
}

impl Host {
    fn empty() -> Self {
        Self {
            journal: MemoryJournal::default(),
            settings: settings(&[
                ("BATCHTASK_READ_TOKEN", TOKEN),
                ("BATCHTASK_OPERATE_TOKEN", OPERATOR),
                ("BATCHTASK_UNPROCESSABLE", "accept"),
            ]),
        }
    }

    fn exchange(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        self.exchange_at(NOW_MS, method, target, headers, body)
    }

    fn exchange_at(
        &self,
        now_ms: u64,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let receiver = Receiver {
            journal: &self.journal,
            settings: &self.settings,
            now_ms,
        };
        receiver.exchange(request(method, target, headers, body))
    }

    fn post(&self, body: &str, now_ms: u64) {
        let response = self.exchange_at(now_ms, "POST", "/notifications", &[], body);
        assert_eq!(response.status, 200, "{:?}", response.report);
    }

    /// Sends a change that happened this many minutes ago.
    fn change(&self, [app_id, task_id, task_type]: [&str; 3], ago: u64, status: &str, text: &str) {
        let at_ms = NOW_MS - ago * MINUTE_MS;
        let body = json!({
            "resource": "batchtask", "event": "update", "event_time_ms": rfc3339(at_ms),
            "event_time": compact(at_ms),
            "request_id": format!("{:08x}-1c2d-4e3f", at_ms % 0xffff_ffff),
            "notify_data": {"body": {
                "app_id": app_id, "task_id": task_id, "task_type": task_type,
                "status": status, "status_desc": text,
            }},
        });
        self.post(&body.to_string(), at_ms + 1500);
    }

    fn get(&self, target: &str, language: &str) -> Response {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("authorization", &*bearer), ("accept-language", language)];
        self.exchange("GET", target, &headers, "")
    }

    /// Returns a page that exists.
    #[track_caller]
    fn page(&self, target: &str, language: &str) -> String {
        let response = self.get(target, language);
        assert_eq!(response.status, 200, "{target}: {:?}", response.report);
        String::from_utf8(response.body).expect("UTF-8")
    }

    fn describe(&self, task_id: &str, name: &str, [success, fail, processing, waiting]: [u32; 4]) {
        let failed = (1..=fail.min(3)).map(|at| FailedDevice {
            device: format!("sensor-{at:04}"),
            error_code: Some("IOTDA.014222".into()),
            error_msg: Some("The device did not report the new version in time.".into()),
        });
        let details = Details {
            app_id: "factory-1".into(),
            task_id: task_id.into(),
            at_ms: NOW_MS,
            name: Some(name.into()),
            policy: Some(Policy {
                schedule_time: None,
                retry_count: Some(2),
                retry_interval: Some(5),
            }),
            progress: Some(Progress {
                total: success + fail + processing + waiting,
                processing,
                success,
                fail,
                waiting,
                fail_wait_retry: 0,
                stopped: 0,
                removed: 0,
                at_ms: NOW_MS,
            }),
            failed_devices: Some(failed.collect()),
        };
        let described = pin!(Journal::describe(&self.journal, vec![details]));
        // The journal in memory does not wait.
        let described = described.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(described, Poll::Ready(Ok(()))));
    }
}

/// Returns an instant as the platform writes it in `event_time`.
fn compact(at_ms: u64) -> String {
    let exact = rfc3339(at_ms);
    let (whole, _) = exact.split_once('.').unwrap();
    format!("{}Z", whole.replace(['-', ':'], ""))
}

/// A morning in a factory: tasks in every state, and ids that are unusual.
fn morning() -> Host {
    const FIRMWARE: &str = "firmwareUpgrade";
    let host = Host::empty();
    let life = |task: [&str; 3], steps: &[(u64, &str, &str)]| {
        for (ago, status, text) in steps {
            host.change(task, *ago, status, text);
        }
    };
    let factory = |id| ["factory-1", id, FIRMWARE];
    let begin = |ago| {
        [
            (ago, "Waitting", ""),
            (ago - 2, "Processing", "0 of 4000 devices"),
        ]
    };
    life(factory("5f3a9c1e-north"), &begin(64));
    life(
        factory("5f3a9c1e-north"),
        &[(9, "Fail", "3991 of 4000 devices; 9 did not answer")],
    );
    life(factory("77b0d2aa-south"), &begin(71));
    life(factory("77b0d2aa-south"), &[(22, "Success", "")]);
    life(factory("0c4e8812-west"), &begin(35));
    life(factory("9ad1f00b-east"), &[(12, "Waitting", "")]);
    life(factory("e21c77d0-line4"), &begin(58));
    life(
        factory("e21c77d0-line4"),
        &[
            (40, "PartialSuccess", "7 of 10 devices"),
            (31, "Processing", ""),
            (14, "Success", ""),
        ],
    );
    life(factory("3b66aa19-line5"), &begin(50));
    life(
        factory("3b66aa19-line5"),
        &[(45, "Stopped", "by an operator")],
    );
    life(
        ["warehouse-2", "c0ffee00-doors", "softwareUpgrade"],
        &[(44, "Processing", ""), (38, "Fail", "no device answered")],
    );
    life(
        ["warehouse-2", "8d2f41c3-shadow", "updateDeviceShadows"],
        &[(20, "Success", "")],
    );
    life(["仓库-三号", "升级任务-0042", FIRMWARE], &begin(26));
    life(["مصنع", "ترقية-٧", FIRMWARE], &begin(19));
    life([".", "..", FIRMWARE], &begin(17));
    host.describe(
        "5f3a9c1e-north",
        "Firmware 2.4.1, north wing",
        [3991, 9, 0, 0],
    );
    host.describe(
        "0c4e8812-west",
        "Firmware 2.4.1, west wing",
        [1830, 12, 400, 1758],
    );
    host.describe(
        "77b0d2aa-south",
        "Firmware 2.4.1, south wing",
        [4000, 0, 0, 0],
    );
    host.post(
        r#"{"resource":"device","event":"create","notify_data":{"body":{"app_id":"a"}}}"#,
        NOW_MS - 90 * MINUTE_MS,
    );
    host.post("no JSON <script>alert(1)</script>", NOW_MS - 30 * MINUTE_MS);
    host
}

const NORTH: &str = "/page/task?app_id=factory-1&task_id=5f3a9c1e-north";

/// Pages by name, with their paths.
const PAGES: [(&str, &str); 5] = [
    ("tasks", "/"),
    ("filtered", "/?status=Fail&q=a"),
    ("none-match", "/?q=nobody"),
    ("task", NORTH),
    ("quarantine", "/page/quarantine"),
];

#[test]
fn every_page_is_complete_in_both_languages() {
    let host = morning();
    for (name, target) in PAGES {
        let english = host.page(target, "en");
        let chinese = host.page(target, "zh-CN");
        assert!(english.contains("<html lang='en'>") && english.contains("Log out"));
        assert!(chinese.contains("<html lang='zh-CN'>") && chinese.contains("退出"));
        assert!(!chinese.contains("Log out"), "{name}");
        for page in [&english, &chinese] {
            let (head, _) = page.split_once("<main").unwrap();
            assert!(!head.contains(['{', '}', '$', '~']), "{name}: {head}");
            assert!(!page.contains(" style="), "{name}: the policy forbids it");
            assert!(!page.contains("='/"), "{name}: links are relative");
        }
    }
}

#[test]
fn ids_of_any_kind_lead_to_their_task() {
    let host = morning();
    let page = host.page("/?limit=100", "en");
    let links = page.split("href='./page/task?").skip(1);
    let links: Vec<_> = links.filter_map(|rest| rest.split('\'').next()).collect();
    assert_eq!(links.len(), 11);
    for link in links {
        let target = format!("/page/task?{}", link.replace("&amp;", "&"));
        host.page(&target, "en");
    }
    assert!(page.contains("app_id=.&amp;task_id=..'"), "{page}");
}

#[test]
fn a_page_does_not_change_by_itself() {
    let host = morning();
    for (name, target) in PAGES {
        assert_eq!(host.page(target, "en"), host.page(target, "en"), "{name}");
        let tag = |now_ms| {
            let bearer = format!("Bearer {TOKEN}");
            let headers = [("authorization", &*bearer)];
            let response = host.exchange_at(now_ms, "GET", target, &headers, "");
            let found = response
                .headers
                .into_iter()
                .find(|(name, _)| name == "etag");
            found.expect("a tag")
        };
        assert_eq!(tag(NOW_MS), tag(NOW_MS + 30_000), "{name}");
    }
}

#[test]
fn filters_are_chips_that_remove_themselves() {
    let host = morning();
    let page = host.page(
        "/?status=Fail&status=Stopped&q=a&flag=&sort=task_id&order=desc",
        "en",
    );
    for chip in [
        "href='./?status=Stopped&amp;q=a&amp;sort=task_id&amp;order=desc'><span>Remove </span>status: <bdi>Fail</bdi>",
        "href='./?status=Fail&amp;status=Stopped&amp;sort=task_id&amp;order=desc'><span>Remove </span>q: <bdi>a</bdi>",
    ] {
        assert!(page.contains(chip), "{page}");
    }
    assert_eq!(page.matches("class='tag' href='./?s").count(), 3);
    assert!(page.contains("<b>3</b> tasks"), "{page}");
    assert!(page.contains("<th aria-sort='descending'><a href='./?status=Fail&amp;status=Stopped&amp;q=a&amp;sort=task_id&amp;order=asc'>Task"), "{page}");
}

#[test]
fn lists_lead_back_and_forward() {
    let host = morning();
    let address = |page: &str, rel: &str| {
        let rest = page
            .split(&format!("rel='{rel}'"))
            .next()
            .unwrap()
            .to_owned();
        let target = rest
            .rsplit("href='.")
            .next()
            .unwrap()
            .split('\'')
            .next()
            .unwrap();
        target.replace("&amp;", "&")
    };
    let first = host.page("/?limit=4", "en");
    assert!(!first.contains("rel='prev'"));
    let second = host.page(&address(&first, "next"), "en");
    let again = host.page(&address(&second, "prev"), "en");
    let rows = |page: &str| {
        page.split("<tbody>")
            .nth(1)
            .unwrap()
            .split("</tbody>")
            .next()
            .unwrap()
            .to_owned()
    };
    assert_ne!(rows(&first), rows(&second));
    assert_eq!(rows(&first), rows(&again));
}

#[test]
fn a_search_that_has_not_looked_at_all_tasks_says_so_and_goes_on() {
    let page = |next: Option<&str>| {
        let list = TaskList {
            context: page::Context {
                target: "/?q=x",
                language: Language::English,
                right: None,
                now_ms: NOW_MS,
                stale_before_ms: 0,
            },
            summary: None,
            activity: None,
            quarantine: None,
            tasks: TaskPage {
                tasks: Vec::new(),
                previous: None,
                next: next.map(String::from),
                count: None,
            },
            sort: TaskSort::Changed,
            order: TaskOrder::Descending,
            has_path_secret: false,
        };
        String::from_utf8(list.page().body).unwrap()
    };
    let unfinished = page(Some("more"));
    assert!(unfinished.contains("No task matches yet"));
    assert!(unfinished.contains("cursor=more"));
    assert!(!unfinished.contains("No task matches."));
    assert!(page(None).contains("No task matches."));
}

#[test]
fn the_title_has_the_number_of_failed_tasks() {
    let page = morning().page("/", "en");
    assert!(page.contains("<title>✖ 2 · Batch tasks</title>"), "{page}");
}

#[test]
fn only_operators_see_what_they_can_do() {
    let host = morning();
    for (token, forms) in [(TOKEN, 0), (OPERATOR, 2)] {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer)];
        let page = host.exchange("GET", "/page/quarantine?result=dropped", &headers, "");
        let page = String::from_utf8(page.body).unwrap();
        assert_eq!(page.matches("/replay'").count(), forms, "{page}");
        assert_eq!(page.matches("/drop'").count(), forms, "{page}");
        assert!(page.contains("The body was removed."), "{page}");
    }
}

#[test]
fn markup_in_a_body_is_text() {
    let page = morning().page("/page/quarantine", "en");
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert_eq!(page.matches("<script").count(), 1);
}

#[test]
fn a_body_is_downloaded_as_a_file() {
    let host = morning();
    let page = host.page(NORTH, "en");
    let link = page.split("href='../page/body?").nth(1).unwrap();
    let target = format!("/page/body?{}", link.split('\'').next().unwrap());
    let response = host.get(&target, "en");
    let header = |name: &str| {
        let found = response.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(response.status, 200);
    assert_eq!(header("content-type"), Some("application/octet-stream"));
    assert_eq!(
        header("content-disposition"),
        Some("attachment; filename=event-1.json")
    );
    assert!(response.body.starts_with(b"{\"event\":\"update\""));
    for target in ["/page/body", "/page/body?event=999"] {
        assert_eq!(host.get(target, "en").status, 404, "{target}");
    }
}

/// Writes the pages for a browser. Checks nothing.
#[test]
fn pages_to_look_at() {
    let Some(folder) = std::env::var_os("BATCHTASK_PAGES") else {
        return;
    };
    let folder = Path::new(&folder);
    let host = morning();
    fs::create_dir_all(folder.join("page")).unwrap();
    for file in ["style.css", "script.js"] {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/page/");
        fs::copy(format!("{source}{file}"), folder.join("page").join(file)).unwrap();
    }
    let write = |name: &str, target: &str, page: Vec<u8>| {
        let below = if target.starts_with("/page/") {
            "page/"
        } else {
            ""
        };
        fs::write(folder.join(format!("{below}{name}.html")), page).unwrap();
    };
    for (name, target) in PAGES {
        for language in ["en", "zh"] {
            let page = host.get(target, language).body;
            write(&format!("{name}-{language}"), target, page);
        }
    }
    write(
        "login-en",
        "/login",
        host.exchange("GET", "/login", &[], "").body,
    );
    write("empty-en", "/", Host::empty().get("/", "en").body);
    write("not-found-zh", "/page/x", host.get("/page/x", "zh").body);
}
