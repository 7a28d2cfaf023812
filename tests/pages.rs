//! The pages over HTTP: who may see them, what they contain, and where links lead.
//! `browser` tests them in a real browser.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::host::{READ_TOKEN, Setup};
use crate::support::notifications::{BASE_MS, Notification};
use crate::support::{EXAMPLE, EXAMPLE_TASK};

/// The maximum length of a page.
const PAGE_BYTES: usize = 30_000;

fn setup(folder: &Path) -> Setup {
    Setup::in_folder(folder)
}

/// Sends a request without the token that [`Client::get`] sends.
async fn bare(client: &mut Client, target: &str, headers: &[(&str, &str)]) -> Answer {
    client
        .exchange("GET", target, headers, b"")
        .await
        .expect("an answer")
}

fn is_page(answer: &Answer) -> bool {
    answer.header("content-type") == Some("text/html; charset=utf-8")
}

/// Returns the targets of the links on a page that begin with `begin`, in order.
fn links<'a>(page: &'a str, begin: &str) -> Vec<&'a str> {
    let targets = page.split("href='").skip(1);
    let targets = targets.filter_map(|rest| rest.split('\'').next());
    targets.filter(|target| target.starts_with(begin)).collect()
}

#[tokio::test]
async fn only_the_link_with_the_token_gives_access() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    let refused = bare(&mut client, "/", &[]).await;
    assert_eq!((refused.status, is_page(&refused)), (401, true));
    assert!(refused.text().contains("name='token'"), "it asks for it");
    for wrong in ["/?token=wrong", "/?token="] {
        let answer = bare(&mut client, wrong, &[]).await;
        assert_eq!(answer.status, 401, "{wrong}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    let entered = bare(&mut client, &format!("/?token={READ_TOKEN}"), &[]).await;
    assert_eq!(entered.status, 200);
    assert_eq!(entered.header("refresh"), Some("0;url=/"));
    assert!(
        !entered.text().contains(READ_TOKEN),
        "it is not on the page"
    );
    let cookie = entered.header("set-cookie").expect("a cookie");
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict");
    for target in ["/", "/page/quarantine", "/tasks", "/summary"] {
        let answer = bare(&mut client, target, &[("cookie", pair)]).await;
        assert_eq!(answer.status, 200, "{target}");
        let others = format!("theirs=1; {pair}; more=2");
        let answer = bare(&mut client, target, &[("cookie", &others)]).await;
        assert_eq!(answer.status, 200, "{target}");
        // As browsers send them over HTTP/2.
        let apart = [
            ("cookie", "theirs=1"),
            ("cookie", pair),
            ("cookie", "more=2"),
        ];
        let answer = bare(&mut client, target, &apart).await;
        assert_eq!(answer.status, 200, "{target}");
        let wrong = pair.replace("e2e", "e2f");
        let answer = bare(&mut client, target, &[("cookie", &wrong)]).await;
        assert_eq!(answer.status, 401, "{target}");
    }
    // With the cookie, an unknown parameter is still an error.
    let answer = bare(&mut client, "/tasks?token=x", &[("cookie", pair)]).await;
    answer.expect(400, "bad-parameter");
}

#[tokio::test]
async fn without_a_token_there_are_no_pages() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path())
        .variable(("BATCHTASK_READ_TOKEN", ""))
        .start();
    for target in ["/", "/?token=", "/page/quarantine", "/page/nothing"] {
        let answer = bare(&mut host.client(), target, &[]).await;
        answer.expect(404, "not-found");
    }
}

#[tokio::test]
async fn pages_are_for_reading_and_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    for (target, status) in [
        ("/page/tasks/a/b", 404),
        ("/page/nothing", 404),
        ("/page/events", 404),
        ("/page/notifications", 404),
        ("/?limit=0", 400),
        ("/?cursor=x", 400),
        ("/?colour=red", 400),
    ] {
        let answer = client.get(target).await;
        assert_eq!(
            (answer.status, is_page(&answer)),
            (status, true),
            "{target}"
        );
    }
    let answer = client.get("/?colour=red").await.text();
    assert!(answer.contains("`colour`"), "{answer}");
    let answer = client.request("POST", "/", &[], b"").await;
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    let policy = client.get("/").await;
    let policy = policy.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn an_empty_receiver_says_how_to_fill_it() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    let page = client.get("/").await.text();
    assert!(page.contains("batchtask send"), "{page}");
    assert!(page.contains("Last notification never"), "{page}");
    assert!(client.get("/?q=x").await.text().contains("No task matches"));
    let page = client.get("/page/quarantine").await.text();
    assert!(page.contains("The quarantine is empty"), "{page}");
}

#[tokio::test]
async fn the_list_links_to_a_task_with_its_history() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    client.post(EXAMPLE).await.expect(200, "recorded");
    client.post(EXAMPLE).await.expect(200, "duplicate");
    let page = client.get("/").await.text();
    let found = links(&page, "/page/tasks/");
    assert_eq!(found.len(), 1, "{page}");
    let task = client.get(found[0]).await.text();
    for text in [
        "<h1>1a7ffc5c-d89c-44dd-8265</h1>",
        "◔</span> Waitting</span>",
        "<dt>Application<dd>1a7ffc5c-d89c-44dd-8265-b1653d951ce0",
        "<dt>Duplicates<dd>1",
        "duplicates: 1",
        "<details id='b1'><summary>Body, ",
    ] {
        assert!(task.contains(text), "{text} is not on {task}");
    }
    assert!(task.len() < PAGE_BYTES);
}

#[tokio::test]
async fn links_lead_through_all_tasks_with_the_filter() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    for serial in 0..130 {
        let notification = Notification {
            app_id: format!("app/{}", serial % 2),
            task_id: format!("task {serial}&'\""),
            ..Notification::numbered(serial)
        };
        let answer = client.post(notification.body()).await;
        answer.expect(200, "recorded");
    }
    // As the form sends it: every field, most of them empty.
    let mut target =
        "/?q=&status=Processing&task_type=&app_id=app%2F1&since=2026-01-01T00%3A00&class=open"
            .to_owned();
    let (mut pages, mut tasks) = (0, BTreeSet::new());
    loop {
        let page = client.get(&target).await;
        assert_eq!(page.status, 200, "{target}");
        let page = page.text();
        assert!(page.len() < PAGE_BYTES, "{}", page.len());
        assert!(page.contains("value='app/1'"), "the form keeps the filter");
        for link in links(&page, "/page/tasks/") {
            assert_eq!(client.get(link).await.status, 200, "{link}");
            assert!(tasks.insert(link.to_owned()), "{link} twice");
        }
        pages += 1;
        match links(&page, "/?q=").as_slice() {
            [] => break,
            [next] => target = next.replace("&amp;", "&"),
            more => panic!("{more:?}"),
        }
    }
    assert_eq!((pages, tasks.len()), (2, 65));
}

#[tokio::test]
async fn stale_tasks_are_marked() {
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path());
    let host = setup.start();
    let mut client = host.client();
    client.post(EXAMPLE).await.expect(200, "recorded");
    for serial in 0..3 {
        let body = Notification::numbered(serial).body();
        client.post(body).await.expect(200, "recorded");
    }
    let over = Notification {
        task_id: "over".into(),
        status: "Success".into(),
        ..Notification::numbered(3)
    };
    client.post(over.body()).await.expect(200, "recorded");
    let summary = client.read("/summary").await;
    let expected = json!([
        {"status": "Waitting", "class": "open", "tasks": 1},
        {"status": "Processing", "class": "open", "tasks": 3},
        {"status": "Success", "class": "final", "tasks": 1},
    ]);
    assert_eq!(
        (&summary["statuses"], &summary["stale"]),
        (&expected, &json!(0))
    );
    assert!(summary["last_received_at"].is_string());
    assert_eq!(client.read("/tasks/app/task-1").await["stale"], false);
    assert!(!client.get("/").await.text().contains("stale"));
    // A day and an hour pass.
    host.stop();
    let journal = rusqlite::Connection::open(setup.journal()).unwrap();
    let sql = "UPDATE tasks SET last_received_at_ms = last_received_at_ms - 90000000 \
               WHERE task_id <> 'task-2'";
    assert_eq!(journal.execute(sql, []).unwrap(), 4);
    drop(journal);
    let host = setup.start();
    let mut client = host.client();
    assert_eq!(client.read("/summary").await["stale"], 3);
    for (task, stale) in [
        ("/tasks/app/task-1", true),
        ("/tasks/app/task-2", false),
        ("/tasks/app/over", false),
        (EXAMPLE_TASK, true),
    ] {
        assert_eq!(client.read(task).await["stale"], stale, "{task}");
        let page = client.get(&format!("/page{task}")).await.text();
        assert_eq!(page.contains("stale"), stale, "{task}");
    }
    let page = client.get("/").await.text();
    assert_eq!(
        page.matches("⚠ stale").count(),
        4,
        "in the counts, and three rows"
    );
}

#[tokio::test]
async fn an_unchanged_answer_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    client.post(EXAMPLE).await.expect(200, "recorded");
    for target in ["/tasks", EXAMPLE_TASK, "/quarantine", "/summary"] {
        let answer = client.get(target).await;
        let tag = answer.header("etag").expect("a tag").to_owned();
        let others = format!("\"other\", W/{tag}");
        for known in [&*tag, &others, "*"] {
            let again = client
                .request("GET", target, &[("if-none-match", known)], b"")
                .await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{target}");
            assert_eq!(again.header("etag"), Some(&*tag));
        }
        let known = [("if-none-match", "\"other\"")];
        let again = client.request("GET", target, &known, b"").await;
        assert_eq!((again.status, &again.body), (200, &answer.body));
    }
    let tag = client
        .get("/tasks")
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    let changed = Notification::numbered(BASE_MS).body();
    client.post(changed).await.expect(200, "recorded");
    let known = [("if-none-match", &*tag)];
    assert_eq!(
        client.request("GET", "/tasks", &known, b"").await.status,
        200
    );
    assert_eq!(client.get("/events").await.header("etag"), None);
}
