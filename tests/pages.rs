//! The pages over HTTP: who may see them, what they contain, and where links lead.
//! `browser` tests them in a real browser.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::host::{READ_TOKEN, Setup};
use crate::support::notifications::{BASE_MS, Notification};
use crate::support::tls::{Caller, self_signed};
use crate::support::{EXAMPLE, EXAMPLE_TASK};

/// The maximum length of a page.
const PAGE_BYTES: usize = 80_000;

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

/// Posts the form of the login.
async fn log_in(client: &mut Client, to: &str, token: &str, headers: &[(&str, &str)]) -> Answer {
    let target = format!("/login?to={to}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let headers = [&form, headers].concat();
    let body = format!("token={token}");
    client
        .exchange("POST", &target, &headers, body.as_bytes())
        .await
        .expect("an answer")
}

/// Returns the name and value of the cookie that an answer sets, and its attributes.
fn cookie(answer: &Answer) -> (String, String) {
    let cookie = answer.header("set-cookie").expect("a cookie");
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    (pair.to_owned(), attributes.to_owned())
}

#[tokio::test]
async fn a_login_leads_back_to_the_page_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    for (target, action, location) in [
        ("/", "./login?to=", "./"),
        (
            "/?class=open",
            "./login?to=%3Fclass%3Dopen",
            "./?class=open",
        ),
        (
            "/page/task?app_id=a&task_id=..",
            "../login?to=page%2Ftask%3Fapp_id%3Da%26task_id%3D..",
            "./page/task?app_id=a&task_id=..",
        ),
        (
            "/page/tasks/a/b",
            "../../../login?to=page%2Ftasks%2Fa%2Fb",
            "./page/tasks/a/b",
        ),
    ] {
        let refused = bare(&mut client, target, &[]).await;
        assert_eq!((refused.status, is_page(&refused)), (401, true));
        let form = format!("method='post' action='{action}'");
        assert!(
            refused.text().contains(&form),
            "{target}: {}",
            refused.text()
        );
        let to = action.rsplit_once("to=").unwrap().1;
        let entered = log_in(&mut client, to, READ_TOKEN, &[]).await;
        assert_eq!(
            (
                entered.status,
                entered.header("location").unwrap_or_default()
            ),
            (303, location)
        );
        let (pair, attributes) = cookie(&entered);
        assert_eq!(attributes, "Max-Age=2592000; HttpOnly; SameSite=Lax");
        assert!(!pair.contains(READ_TOKEN), "{pair}");
        let there = format!("/{}", &location[2..]);
        let page = bare(&mut client, &there, &[("cookie", &pair)]).await;
        assert_ne!(page.status, 401, "{there}");
    }
}

#[tokio::test]
async fn a_session_reads_until_the_logout() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    let (pair, _) = cookie(&log_in(&mut client, "", READ_TOKEN, &[]).await);
    for target in ["/", "/page/quarantine", "/tasks", "/summary"] {
        let answer = bare(&mut client, target, &[("cookie", &pair)]).await;
        assert_eq!(answer.status, 200, "{target}");
        let others = format!("theirs=1; {pair}; more=2");
        let answer = bare(&mut client, target, &[("cookie", &others)]).await;
        assert_eq!(answer.status, 200, "{target}");
        // As browsers send them over HTTP/2.
        let apart = [
            ("cookie", "theirs=1"),
            ("cookie", &*pair),
            ("cookie", "more=2"),
        ];
        let answer = bare(&mut client, target, &apart).await;
        assert_eq!(answer.status, 200, "{target}");
        let wrong = pair.replace('.', "1.");
        let answer = bare(&mut client, target, &[("cookie", &wrong)]).await;
        assert_eq!(answer.status, 401, "{target}");
    }
    let headers = [("cookie", &*pair)];
    let out = client.exchange("POST", "/logout", &headers, b"").await;
    let out = out.expect("an answer");
    assert_eq!(
        (out.status, out.header("location").unwrap_or_default()),
        (303, "./login")
    );
    let (removed, attributes) = cookie(&out);
    let (name, _) = pair.split_once('=').unwrap();
    assert_eq!(removed, format!("{name}="));
    assert!(attributes.starts_with("Max-Age=0"), "{attributes}");
}

#[tokio::test]
async fn two_receivers_on_one_host_name_have_cookies_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let one = setup(folder.path()).start();
    let other = Setup::on_journal(folder.path().join("other.db"))
        .variable(("BATCHTASK_READ_TOKEN", "anotherReadToken0123456789"))
        .start();
    let (first, _) = cookie(&log_in(&mut one.client(), "", READ_TOKEN, &[]).await);
    let token = "anotherReadToken0123456789";
    let (second, _) = cookie(&log_in(&mut other.client(), "", token, &[]).await);
    let name = |pair: &str| pair.split_once('=').unwrap().0.to_owned();
    assert_ne!(name(&first), name(&second));
    let both = format!("{first}; {second}");
    for host in [&one, &other] {
        let page = bare(&mut host.client(), "/", &[("cookie", &both)]).await;
        assert_eq!(page.status, 200);
    }
    let page = bare(&mut other.client(), "/", &[("cookie", &first)]).await;
    assert_eq!(page.status, 401);
}

#[tokio::test]
async fn a_wrong_token_says_so_and_is_slowed_down() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    for serial in 0..10 {
        let answer = log_in(&mut client, "%3Fq%3Da", &format!("wrong{serial}"), &[]).await;
        assert_eq!((answer.status, is_page(&answer)), (401, true));
        assert_eq!(answer.header("set-cookie"), None);
        let page = answer.text();
        assert!(page.contains("The token is wrong."), "{page}");
        assert!(page.contains("action='./login?to=%3Fq%3Da'"), "{page}");
    }
    let answer = log_in(&mut client, "", READ_TOKEN, &[]).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("60"));
    // Programs are not affected.
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn pages_of_other_sites_cannot_log_in_or_out() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    let origin = format!("http://{}", host.address());
    for (headers, status) in [
        (vec![("sec-fetch-site", "cross-site")], 403),
        (vec![("sec-fetch-site", "same-site")], 403),
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (
            vec![("sec-fetch-site", "same-origin"), ("origin", &*origin)],
            303,
        ),
        (vec![("origin", &*origin)], 303),
        // A proxy replaced `Host`.
        (
            vec![
                ("origin", "https://receiver.example"),
                ("x-forwarded-host", "receiver.example"),
            ],
            303,
        ),
        (vec![], 303),
    ] {
        let answer = log_in(&mut client, "", READ_TOKEN, &headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        let answer = client.exchange("POST", "/logout", &headers, b"").await;
        assert_eq!(answer.unwrap().status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn the_cookie_is_secure_if_the_browser_uses_https() {
    let folder = tempfile::tempdir().unwrap();
    let trusting = setup(folder.path()).argument("--trusted-proxies");
    let trusting = trusting.argument("127.0.0.1").start();
    let strict = Setup::on_journal(folder.path().join("other.db")).start();
    for (host, headers, is_secure) in [
        (&strict, vec![], false),
        (&strict, vec![("x-forwarded-proto", "https")], false),
        (&trusting, vec![("x-forwarded-proto", "https")], true),
        (&trusting, vec![("x-forwarded-proto", "http")], false),
        (
            &trusting,
            vec![("forwarded", "for=192.0.2.1;proto=https")],
            true,
        ),
        // TLS ends at a proxy that says nothing: the browser does.
        (
            &strict,
            vec![
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://receiver.example"),
            ],
            true,
        ),
    ] {
        let answer = log_in(&mut host.client(), "", READ_TOKEN, &headers).await;
        let (_, attributes) = cookie(&answer);
        assert_eq!(attributes.ends_with("; Secure"), is_secure, "{headers:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let file = |name: &str| folder.path().join(name);
    let tls = Setup::on_journal(file("tls.db"))
        .argument("--tls-cert")
        .argument(file("cert.pem"))
        .argument("--tls-key")
        .argument(file("key.pem"))
        .start();
    let caller = Caller::trusting(&file("ca.pem"));
    let mut client = Client::over_tls(tls.address(), caller.config().into());
    let (_, attributes) = cookie(&log_in(&mut client, "", READ_TOKEN, &[]).await);
    assert!(attributes.ends_with("; Secure"), "{attributes}");
}

/// Asks for an operation on a reject, and returns the result in the address that follows.
async fn operate(client: &mut Client, path: &str, headers: &[(&str, &str)]) -> String {
    let target = format!("/page/quarantine/{path}");
    let answer = client.exchange("POST", &target, headers, b"").await;
    let answer = answer.expect("an answer");
    let location = answer.header("location").unwrap_or_default();
    let result = location.strip_prefix("../../quarantine?result=");
    result.map_or_else(|| answer.status.to_string(), String::from)
}

#[tokio::test]
async fn operators_replay_and_drop_what_is_in_the_quarantine() {
    const OPERATE_TOKEN: &str = "operateToken0123456789abcdefghij";
    let folder = tempfile::tempdir().unwrap();
    let setup = setup(folder.path())
        .variable(("BATCHTASK_UNPROCESSABLE", "accept"))
        .variable(("BATCHTASK_OPERATE_TOKEN", OPERATE_TOKEN));
    let host = setup.start();
    for body in ["no JSON", "still no JSON"] {
        host.client().post(body).await.expect(200, "quarantined");
    }
    host.stop();
    // As if another version had refused it.
    let journal = rusqlite::Connection::open(setup.journal()).unwrap();
    let sql = "UPDATE quarantine SET body = ?1 WHERE seq = 1";
    assert_eq!(journal.execute(sql, [EXAMPLE.as_bytes()]).unwrap(), 1);
    drop(journal);
    let host = setup.start();
    let mut client = host.client();
    let (reader, _) = cookie(&log_in(&mut client, "", READ_TOKEN, &[]).await);
    let (operator, _) = cookie(&log_in(&mut client, "", OPERATE_TOKEN, &[]).await);
    let page = bare(&mut client, "/page/quarantine", &[("cookie", &operator)]).await;
    assert!(
        page.text()
            .contains("formaction='../page/quarantine/1/replay'")
    );
    let cross_site = [("cookie", &*operator), ("sec-fetch-site", "cross-site")];
    for (path, headers, result) in [
        ("1/replay", &[][..], "forbidden"),
        ("1/replay", &[("cookie", &*reader)], "forbidden"),
        ("1/drop", &[("cookie", &*reader)], "forbidden"),
        ("1/replay", &cross_site, "403"),
        ("1/else", &[("cookie", &*operator)], "404"),
        ("1/replay", &[("cookie", &*operator)], "replayed"),
        ("1/replay", &[("cookie", &*operator)], "unknown"),
        ("2/replay", &[("cookie", &*operator)], "refused"),
        ("2/drop", &[("cookie", &*operator)], "dropped"),
        ("2/drop", &[("cookie", &*operator)], "unknown"),
    ] {
        assert_eq!(operate(&mut client, path, headers).await, result, "{path}");
    }
    assert_eq!(client.read(EXAMPLE_TASK).await["status"], "Waitting");
    assert_eq!(client.read("/quarantine").await["rejects"], json!([]));
}

#[tokio::test]
async fn the_token_is_not_read_from_an_address() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    for target in ["/", "/login", "/tasks"] {
        let target = format!("{target}?token={READ_TOKEN}");
        let answer = bare(&mut client, &target, &[]).await;
        assert_eq!(answer.header("set-cookie"), None, "{target}");
        assert!(!answer.text().contains(READ_TOKEN), "{target}");
    }
    let answer = bare(&mut client, &format!("/?token={READ_TOKEN}"), &[]).await;
    assert_eq!(answer.status, 401);
    let answer = log_in(&mut client, "", READ_TOKEN, &[]).await;
    let (pair, _) = cookie(&answer);
    // An unknown parameter is an error.
    let answer = bare(&mut client, "/tasks?token=x", &[("cookie", &pair)]).await;
    answer.expect(400, "bad-parameter");
}

#[tokio::test]
async fn the_language_is_that_of_the_browser_or_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path()).start();
    let mut client = host.client();
    let chinese = [("accept-language", "zh-CN,zh;q=0.9")];
    let page = bare(&mut client, "/page/quarantine", &chinese).await.text();
    assert!(
        page.contains("<html lang='zh-CN'>") && page.contains("登录"),
        "{page}"
    );
    let choice = "/language?language=en&to=page%2Fquarantine";
    assert!(
        page.contains(&format!("..{}", choice.replace('&', "&amp;"))),
        "{page}"
    );
    let chosen = bare(&mut client, choice, &chinese).await;
    assert_eq!(
        (chosen.status, chosen.header("location").unwrap_or_default()),
        (303, "./page/quarantine")
    );
    let (pair, _) = cookie(&chosen);
    let headers = [chinese[0], ("cookie", &*pair)];
    let page = bare(&mut client, "/", &headers).await.text();
    assert!(page.contains("<html lang='en'>"), "{page}");
}

#[tokio::test]
async fn without_a_token_there_are_no_pages() {
    let folder = tempfile::tempdir().unwrap();
    let host = setup(folder.path())
        .variable(("BATCHTASK_READ_TOKEN", ""))
        .start();
    for target in [
        "/",
        "/login",
        "/language",
        "/page/quarantine",
        "/page/style.css",
        "/page/nothing",
    ] {
        let answer = bare(&mut host.client(), target, &[]).await;
        answer.expect(404, "not-found");
    }
    let answer = log_in(&mut host.client(), "", "", &[]).await;
    answer.expect(404, "not-found");
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
    let answer = client.get("/logout").await;
    assert_eq!(answer.header("allow"), Some("POST, OPTIONS"));
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
    assert!(page.contains("Last notification <b>never</b>"), "{page}");
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
    let found = links(&page, "./page/task?");
    assert_eq!(found.len(), 1, "{page}");
    let target = found[0].trim_start_matches('.').replace("&amp;", "&");
    let task = client.get(&target).await.text();
    for text in [
        "<h1><bdi>1a7ffc5c-d89c-44dd-8265</bdi></h1>",
        "○</span> <bdi>Waitting</bdi></span>",
        "<dt>Application<dd><bdi>1a7ffc5c-d89c-44dd-8265-b1653d951ce0",
        "<dt>Duplicates<dd><bdi>1",
        "duplicates: <bdi>1",
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
        for link in links(&page, "./page/task?") {
            let target = link.trim_start_matches('.').replace("&amp;", "&");
            assert_eq!(client.get(&target).await.status, 200, "{link}");
            assert!(tasks.insert(link.to_owned()), "{link} twice");
        }
        pages += 1;
        let next = page.split_once("' rel='next'");
        match next.and_then(|(before, _)| before.rsplit_once("href='.")) {
            Some((_, next)) => target = next.replace("&amp;", "&"),
            None => break,
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
