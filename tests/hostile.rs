//! Text that could do harm where it is shown, searched or logged: it is passed on
//! verbatim, and does no harm.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::support::host::{Host, Setup, is_info_of_ours};
use crate::support::notifications::Notification;

/// Returns texts that an attacker might send, and other unusual texts.
fn strings() -> Vec<String> {
    let strings = [
        "<script>alert(1)</script>",
        "</title></style></script><img src=x onerror=alert(1)>",
        "<!--",
        "]]>",
        "' onmouseover='alert(1)",
        "\" autofocus onfocus=\"alert(1)",
        "`${alert(1)}`",
        "{{7*7}}",
        "<%= 7*7 %>",
        "javascript:alert(1)",
        "&lt;b&gt;&amp;&#39;",
        "&#x3c;script&#x3e;",
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(1+1)",
        "\t=1+1",
        "\r=1+1",
        "a,b;c\"d\"\r\ne",
        "$",
        "$$ $1 $& $0",
        "%",
        "%00%0a%2e%2e%2f%zz",
        "%s%n{}",
        "..",
        "../../etc/passwd",
        "..%2f..%2f",
        "\\..\\..",
        "/",
        "//evil.example/x",
        "a?b#c&d=e",
        "a+b c",
        ".",
        "'; DROP TABLE events; --",
        "%' OR 1=1 --",
        "a_b%c\\d",
        "a\0b",
        "\u{1}\u{7}\u{8}\u{b}\u{1b}[31mred\u{1b}]0;title\u{7}\u{7f}",
        "\u{80}\u{85}\u{9b}31m\u{9f}",
        "line\nbreak\r\nINFO forged: outcome=\"recorded\"",
        "\u{2028}\u{2029}",
        "\u{202e}gnp.exe\u{202c}\u{2066}x\u{2069}\u{200f}",
        "\u{200b}\u{200d}\u{feff}",
        "\u{301}\u{301}lone",
        "e\u{301}\u{e9}",
        "Z\u{351}\u{327}\u{346}a\u{322}\u{328}lgo",
        "\u{1f469}\u{200d}\u{1f4bb}\u{1f1ea}\u{1f1fa}",
        "\u{fffd}\u{fffe}\u{ffff}\u{10ffff}",
        "\u{fdfd}\u{12031}",
        "Ⅷ\u{ff1c}script\u{ff1e}",
        "null",
        "true",
        "-1e999",
        "{\"a\":[",
        "\\u0000\\\"\\",
        " ",
        " leading and trailing ",
        "batchtask_read_token=x; Path=/",
        "Bearer x\r\nSet-Cookie: a=b",
    ];
    let long = ["long".repeat(1000), "é<\u{1f600}".repeat(150)];
    strings.map(String::from).into_iter().chain(long).collect()
}

/// Returns a notification with the string in every text member.
fn notification(string: &str, serial: u64) -> Notification {
    Notification {
        app_id: string.into(),
        task_id: string.into(),
        task_type: string.into(),
        status: string.into(),
        status_desc: string.into(),
        request_id: Some(string.into()),
        ..Notification::numbered(serial)
    }
}

async fn post_all(host: &Host) {
    for (serial, string) in strings().iter().enumerate() {
        let body = notification(string, serial as u64).body();
        let answer = host.client().post(body).await;
        answer.expect(200, "recorded");
        assert_eq!(answer.json()["task_id"], **string);
    }
}

fn encoded(string: &str) -> String {
    utf8_percent_encode(string, NON_ALPHANUMERIC).to_string()
}

/// The greatest length of a listed request id.
const LISTED_REQUEST_ID_BYTES: usize = 1024;

const MEMBERS: [&str; 5] = ["app_id", "task_id", "task_type", "status", "status_desc"];

#[track_caller]
fn expect_word_for_word(value: &Value, string: &str) {
    for member in MEMBERS {
        assert_eq!(value[member], *string, "{member}");
    }
    // Longer ids are in their notification only.
    let is_listed = string.len() <= LISTED_REQUEST_ID_BYTES;
    let listed = is_listed.then_some(string).into_iter();
    assert_eq!(value["request_ids"], listed.collect::<Value>());
}

#[tokio::test]
async fn programs_read_it_word_for_word() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    post_all(&host).await;
    let mut client = host.client();
    for (serial, string) in strings().iter().enumerate() {
        let id = encoded(string);
        let path = format!("/tasks/{id}/{id}");
        expect_word_for_word(&client.read(&path).await, string);
        let history = client.read(&format!("{path}/events")).await;
        let event = &history["events"][0];
        expect_word_for_word(event, string);
        let body = notification(string, serial as u64).body();
        assert_eq!(event["body"], *body);
        let feed = client
            .read(&format!("/events?after={serial}&limit=1"))
            .await;
        assert_eq!(feed["events"][0]["body"], *body);
        for filter in ["status", "task_type", "app_id"] {
            let found = client.read(&format!("/tasks?{filter}={id}")).await;
            let found = found["tasks"].as_array().unwrap();
            assert_eq!(found.len(), 1, "{filter}: {string:?}");
            expect_word_for_word(&found[0], string);
        }
        let found = client.read(&format!("/tasks?q={id}&limit=500")).await;
        let found = found["tasks"].as_array().unwrap();
        let is_found = found.iter().any(|task| task["task_id"] == **string);
        assert!(is_found, "q: {string:?}");
    }
    let counts = client.read("/summary").await;
    // Each string is a status: some are listed, the others are counted together.
    let counts = counts["statuses"].as_array().unwrap();
    let listed = counts.iter().map(|count| count["status"].as_str().unwrap());
    assert!(listed.clone().count() > 16);
    assert!(
        listed
            .filter(|status| !status.is_empty())
            .all(|status| strings().iter().any(|string| string == status))
    );
    let tasks = counts.iter().map(|count| count["tasks"].as_u64().unwrap());
    assert_eq!(tasks.sum::<u64>(), strings().len() as u64);
}

/// Returns the names of the elements and attributes of a page.
fn markup(html: &str) -> BTreeSet<String> {
    let tags = html.split('<').skip(1);
    tags.filter_map(|tag| tag.split_once('>'))
        .flat_map(|(tag, _)| {
            let mut outside = tag.split('\'').step_by(2);
            let name = outside.clone().next().unwrap_or_default();
            let name = name
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned();
            let attributes = outside.by_ref().flat_map(str::split_whitespace);
            let attributes: Vec<_> = attributes.map(str::to_owned).collect();
            attributes.into_iter().chain([name])
        })
        .collect()
}

#[tokio::test]
async fn people_see_it_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let mut client = host.client();
    client.post(Notification::numbered(999).body()).await;
    let plain = [
        "/",
        "/?q=task&limit=1",
        "/?app_id=app&status=",
        "/?status=Processing",
        "/page/tasks/app/task%2D49",
    ];
    let mut known = BTreeSet::new();
    for path in plain {
        known.extend(markup(&client.get(path).await.text()));
    }
    for (serial, string) in strings().iter().enumerate() {
        let body = notification(string, serial as u64).body();
        client.post(body).await.expect(200, "recorded");
        let id = encoded(string);
        let page = format!("/page/tasks/{id}/{id}");
        // The list shows a link, which leads to the task.
        let list = client.get(&format!("/?app_id={id}&status=")).await;
        let answer = client.get(&page).await;
        assert_eq!(answer.status, 200, "{string:?}");
        for (place, html) in [("list", list.text()), ("task", answer.text())] {
            let unknown: Vec<_> = markup(&html).difference(&known).cloned().collect();
            assert_eq!(unknown, [""; 0], "{place}: {string:?}");
            let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
            assert!(html.chars().all(is_plain), "{place}: {string:?}");
        }
    }
    let whole = client.get("/?limit=500").await.text();
    const IN_LINKS: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    for string in strings() {
        let id = utf8_percent_encode(&string, &IN_LINKS);
        assert!(
            whole.contains(&format!("href='./page/task?app_id={id}&amp;task_id={id}'")),
            "{string:?}"
        );
    }
}

#[tokio::test]
async fn logs_have_a_line_each_and_no_control_character() {
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path()).keeping_all_lines();
        let host = setup.variable(("BATCHTASK_LOG_FORMAT", format)).start();
        post_all(&host).await;
        let said = host.last_words();
        let mut ids = Vec::new();
        for line in said.lines() {
            let is_hidden = |c: char| {
                c.is_control()
                    || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            assert!(!line.contains(is_hidden), "{format}: {line:?}");
            if format == "json" {
                let json: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"));
                ids.extend(json["task_id"].as_str().map(str::to_owned));
            } else {
                assert!(is_info_of_ours(line), "{line:?}");
            }
        }
        // At least once for each, because a string may contain the word too.
        let recorded = said
            .lines()
            .filter(|line| line.contains("recorded"))
            .count();
        assert_eq!(recorded, strings().len(), "{format}");
        if format == "json" {
            let texts = strings();
            assert_eq!(ids.len(), texts.len());
            for (id, text) in ids.iter().zip(&texts) {
                // Long ids are cut.
                let is_cut = |kept: &str| text.len() > 512 && text.starts_with(kept);
                let kept = id.split_once("… (").map(|(kept, _)| kept);
                assert!(id == text || kept.is_some_and(is_cut), "{id}");
            }
        }
    }
}
