//! People see their tasks: the pages in a real browser.
//!
//! | room | what is in it |
//! |---|---|
//! | `driver` | Chromium, driven over WebDriver |
//! | `sights` | every page that there is, with something on it |
//! | `rules` | accessibility, the rules of HTML, and the console |
//!
//! Without Debian's `chromium-driver` these tests are skipped, and say so.
//! `BATCHTASK_SCREENSHOTS` names a folder that screenshots are written to.

mod driver;
mod rules;
mod sights;

use serde_json::json;

use crate::support::host::{Host, READ_TOKEN, Setup};
use driver::{Browser, ENTER, Scripts};
use sights::Life;

/// Opens the link that carries the token, which leads on to the tasks.
async fn enter(browser: &mut Browser, host: &Host) {
    let link = format!("http://{}/?token={READ_TOKEN}", host.address());
    browser.open(&link).await;
    browser.until("document.querySelector('table')").await;
    let target = browser.target().await;
    assert_eq!(target, "/", "no token is left in the address");
}

/// The texts of the elements that a selector finds, without excess spaces.
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

/// Looks at three tasks as a person does who has no mouse.
async fn look_around(browser: &mut Browser, host: &Host) {
    enter(browser, host).await;
    let counts = texts(browser, "main ul li").await;
    for (at, status) in ["Processing", "Fail", "Success"].iter().enumerate() {
        assert!(
            counts[at].contains(status) && counts[at].ends_with(" 1"),
            "{counts:?}"
        );
    }
    assert_eq!(texts(browser, "tbody tr").await.len(), 3);

    browser.tab_to("it.innerText === 'upgrade-north'").await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelector('h1').innerText === 'upgrade-north'")
        .await;
    let history = texts(browser, "li.e").await;
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

    browser.tab_to("it.getAttribute('href') === '/'").await;
    browser.press(ENTER).await;
    browser.until("document.querySelector('form')").await;
    browser.tab_to("it.innerText === 'Filter'").await;
    browser.press(ENTER).await;
    browser.tab_to("it.name === 'status'").await;
    browser.press("Success").await;
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
    assert_eq!(texts(browser, "li.e").await.len(), 2);
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
        "nothing was loaded anew"
    );
    let counts = texts(&mut browser, "main ul li").await;
    assert!(
        counts.iter().any(|count| count.ends_with("Success 2")),
        "{counts:?}"
    );
    assert_eq!(browser.console().await, [""; 0]);
    browser.end().await;
}

#[tokio::test]
async fn without_scripts_all_is_there_but_what_changes_by_itself() {
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
    let without_token = ["sh", "-c", "unset BATCHTASK_READ_TOKEN; exec \"$@\"", "sh"];
    let host = setup.under(without_token).start();
    let line = host.says(|line| line.contains("/?token=")).await;
    browser
        .open(&line[line.find("http").expect("a link")..])
        .await;
    browser
        .until("document.body.innerText.includes('No notification has arrived yet')")
        .await;
    assert_eq!(browser.target().await, "/");
    browser.end().await;
}

/// One who comes without the link is asked for the token.
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
