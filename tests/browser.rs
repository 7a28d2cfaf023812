//! The pages in a real browser.
//!
//! | module | content |
//! |---|---|
//! | `driver` | Chromium, driven over WebDriver |
//! | `hour` | what an operator does in an hour, behind nginx |
//! | `sights` | a host with content on every page |
//! | `rules` | accessibility, the rules of HTML, and screenshots |
//!
//! Without Debian's `chromium-driver` these tests are skipped with a message. If
//! `BATCHTASK_SCREENSHOTS` names a folder, screenshots are written to it.

mod driver;
mod hour;
mod rules;
mod sights;

use serde_json::json;

use crate::sinks::OPERATE_TOKEN;
use crate::support::host::{Host, READ_TOKEN, Setup};
use driver::{Browser, ENTER, Scripts};
use sights::Life;

/// Logs in with the form.
async fn enter(browser: &mut Browser, host: &Host) {
    browser
        .open(&format!("http://{}/login", host.address()))
        .await;
    browser.tab_to("it.name === 'token'").await;
    browser.press(OPERATE_TOKEN).await;
    browser.press(ENTER).await;
    browser.until("document.querySelector('table')").await;
    let target = browser.target().await;
    assert_eq!(target, "/", "no token is left in the address");
}

/// Returns the texts of the elements that match a selector, without excess spaces.
async fn texts(browser: &mut Browser, selector: &str) -> Vec<String> {
    let body = format!(
        "return Array.from(document.querySelectorAll({}), it => it.innerText.replace(/\\s+/g, ' ').trim())",
        json!(selector)
    );
    let texts = browser.script(&body).await;
    let texts = texts.as_array().expect("a list").iter();
    texts
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// Visits the pages of three tasks with the keyboard only.
async fn look_around(browser: &mut Browser, host: &Host) {
    enter(browser, host).await;
    let counts = texts(browser, ".counts li").await;
    for (at, status) in ["Processing", "Fail", "Success"].iter().enumerate() {
        assert!(
            counts[at].contains(status) && counts[at].starts_with("1 "),
            "{counts:?}"
        );
    }
    assert_eq!(texts(browser, "tbody tr").await.len(), 3);

    browser.tab_to("it.innerText === 'upgrade-north'").await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelector('h1').innerText === 'upgrade-north'")
        .await;
    let history = texts(browser, ".history li").await;
    let statuses = ["Waitting", "Processing", "Fail"];
    assert_eq!(history.len(), statuses.len());
    for (event, status) in history.iter().zip(statuses) {
        assert!(
            event.contains(status) && event.contains("arrived"),
            "{event}"
        );
    }
    browser.tab_to("it.localName === 'summary'").await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelector('details[open] pre')")
        .await;
    let body = texts(browser, "details[open] pre").await;
    assert!(body[0].contains("upgrade-north"), "{body:?}");

    browser.tab_to("it.innerText === 'Tasks'").await;
    browser.press(ENTER).await;
    browser.until("document.querySelector('.filter')").await;
    browser.tab_to("it.name === 'status'").await;
    browser.press("Success").await;
    browser.tab_to("it.innerText === 'Filter'").await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelectorAll('tbody tr').length === 1")
        .await;
    assert!(browser.target().await.contains("status=Success"));
    let rows = texts(browser, "tbody tr").await;
    assert!(rows[0].contains("upgrade-south"), "{rows:?}");
    let filled = browser.script("return document.querySelector('[name=status]').value");
    assert_eq!(filled.await, "Success");

    browser.tab_to("it.innerText === 'Quarantine'").await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelector('h1').innerText === 'Quarantine'")
        .await;
    assert_eq!(texts(browser, ".rejects > li").await.len(), 2);
}

#[tokio::test]
async fn three_tasks_are_seen_by_keyboard_and_a_change_appears_by_itself() {
    let Some(mut browser) = Browser::start(Scripts::On).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = sights::host(folder.path()).await;
    look_around(&mut browser, &host).await;

    enter(&mut browser, &host).await;
    browser.tab_to("it.innerText === 'upgrade-west'").await;
    browser.script("window.mark = 1").await;
    Life::of(&host, "upgrade-west").goes_on("Success");
    browser
        .until("document.querySelector('tbody tr').innerText.includes('Success')")
        .await;
    let kept = "return window.mark === 1 && document.activeElement.innerText";
    assert_eq!(
        browser.script(kept).await,
        "upgrade-west",
        "the page was not loaded again"
    );
    let counts = texts(&mut browser, ".counts li").await;
    assert!(
        counts
            .iter()
            .any(|count| count.starts_with("2 ") && count.ends_with("Success")),
        "{counts:?}"
    );
    assert_eq!(browser.console().await, [""; 0]);
    browser.end().await;
}

#[tokio::test]
async fn without_scripts_everything_works_except_automatic_updates() {
    let Some(mut browser) = Browser::start(Scripts::Off).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = sights::host(folder.path()).await;
    browser
        .open("data:text/html,<p>none</p><script>document.body.innerText='ran'</script>")
        .await;
    assert_eq!(texts(&mut browser, "p").await, ["none"], "scripts are off");
    look_around(&mut browser, &host).await;

    enter(&mut browser, &host).await;
    Life::of(&host, "upgrade-west").goes_on("Success");
    browser.open(&format!("http://{}/", host.address())).await;
    let rows = texts(&mut browser, "tbody tr").await;
    assert!(
        rows[0].contains("upgrade-west") && rows[0].contains("Success"),
        "{rows:?}"
    );
    browser.end().await;
}

#[tokio::test]
async fn the_printed_link_leads_to_the_tasks() {
    let Some(mut browser) = Browser::start(Scripts::On).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let host = setup.without_read_token().on_terminal().start();
    let line = host.says(|line| line.contains("/login#")).await;
    browser
        .open(&line[line.find("http").expect("a link")..])
        .await;
    browser
        .until("document.body.innerText.includes('No notification has arrived yet')")
        .await;
    assert_eq!(browser.target().await, "/");
    browser.end().await;
}

/// Without the link, the page asks for the token.
#[tokio::test]
async fn the_token_can_be_typed() {
    let Some(mut browser) = Browser::start(Scripts::On).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    browser.open(&format!("http://{}/", host.address())).await;
    browser.tab_to("it.name === 'token'").await;
    browser.press(READ_TOKEN).await;
    browser.press(ENTER).await;
    browser
        .until("document.body.innerText.includes('No notification has arrived yet')")
        .await;
    assert_eq!(browser.target().await, "/");
    browser.end().await;
}
