//! What an operator does in an hour: below a path of nginx, which ends TLS, in both
//! languages, with and without the script.

use std::net::SocketAddr;
use std::path::Path;

use batchtask_journal::Journal;
use batchtask_sqlite::SqliteJournal;

use super::driver::{Browser, ENTER, Scripts};
use super::sights::{self, Life};
use super::texts;
use crate::deploy::nginx::{self, Nginx};
use crate::support::host::{Host, READ_TOKEN};
use crate::support::notifications::Notification;
use crate::support::tls::self_signed;

/// Stores what the platform tells about the failed task.
async fn describe(journal: &Path) {
    let journal = SqliteJournal::open(journal, Default::default()).unwrap();
    let details = sights::details_of("upgrade-north", "Firmware 2.4.1", [3991, 9, 0, 0]);
    journal.describe(vec![details]).await.unwrap();
    journal.close().await;
}

/// Starts a host with content, behind nginx. Without nginx returns `None`.
async fn behind_nginx(folder: &Path) -> Option<(Host, Nginx, SocketAddr)> {
    let host = sights::host(folder).await;
    let setup = host.setup().clone();
    host.stop();
    describe(setup.journal()).await;
    let host = setup.start();
    self_signed(folder);
    let (nginx, address) = nginx::start(folder, &host)?;
    Some((host, nginx, address))
}

/// The words on the pages.
struct Words {
    failed_devices: &'static str,
    filter: &'static str,
    log_out: &'static str,
    wrong: &'static str,
}

const ENGLISH: Words = Words {
    failed_devices: "Failed devices",
    filter: "Filter",
    log_out: "Log out",
    wrong: "The token is wrong.",
};

const CHINESE: Words = Words {
    failed_devices: "失败的设备",
    filter: "筛选",
    log_out: "退出",
    wrong: "令牌不正确。",
};

async fn type_token(browser: &mut Browser, token: &str) {
    browser.tab_to("it.name === 'token'").await;
    browser.press(token).await;
    browser.press(ENTER).await;
}

/// Opens a link from a colleague, logs in, and finds out which devices failed and why.
async fn find_failures(browser: &mut Browser, origin: &str, words: &Words) {
    browser
        .open(&format!("{origin}/iot/?class=retryable"))
        .await;
    type_token(browser, "not the token").await;
    browser
        .until(&format!(
            "document.body.innerText.includes('{}')",
            words.wrong
        ))
        .await;
    type_token(browser, READ_TOKEN).await;
    browser.until("document.querySelector('table')").await;
    assert_eq!(browser.target().await, "/iot/?class=retryable");
    let rows = texts(browser, "tbody tr").await;
    assert!(
        rows.len() == 1 && rows[0].contains("Firmware 2.4.1"),
        "{rows:?}"
    );
    browser.tab_to("it.innerText === 'Firmware 2.4.1'").await;
    browser.press(ENTER).await;
    browser.until("document.querySelector('.history')").await;
    let target = browser.target().await;
    assert_eq!(
        target,
        "/iot/page/task?app_id=factory-1&task_id=upgrade-north"
    );
    let shown = texts(browser, "main").await.remove(0);
    for text in [
        words.failed_devices,
        "sensor-0001",
        "IOTDA.014222",
        "in time",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
}

/// Filters the list, goes back, sees the quarantine, and logs out.
async fn go_around(browser: &mut Browser, origin: &str, words: &Words) {
    browser
        .tab_to("it.closest('nav') && it.matches(':first-child')")
        .await;
    browser.press(ENTER).await;
    browser.until("document.querySelector('.filter')").await;
    browser.tab_to("it.name === 'q'").await;
    browser.press("south").await;
    browser
        .tab_to(&format!("it.innerText === '{}'", words.filter))
        .await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelectorAll('tbody tr').length === 1")
        .await;
    assert!(browser.target().await.starts_with("/iot/?q=south"));
    browser.back().await;
    browser
        .until("document.querySelectorAll('tbody tr').length === 3")
        .await;
    browser
        .tab_to("it.closest('nav') && it.matches(':last-child')")
        .await;
    browser.press(ENTER).await;
    browser.until("document.querySelector('.rejects')").await;
    browser
        .tab_to(&format!("it.innerText === '{}'", words.log_out))
        .await;
    browser.press(ENTER).await;
    browser
        .until("document.querySelector('[name=token]')")
        .await;
    // Not a step back: a browser may show that from its memory.
    browser.open(&format!("{origin}/iot/")).await;
    browser
        .until("document.querySelector('[name=token]')")
        .await;
}

/// Selects an id while a hundred tasks change, pauses, and goes on.
async fn copy_an_id(browser: &mut Browser, host: &Host, origin: &str) {
    browser.open(&format!("{origin}/iot/")).await;
    browser.until("document.querySelector('tbody tr')").await;
    let select = "getSelection().selectAllChildren(document.querySelector('tbody a'));
        return String(getSelection())";
    let selected = browser.script(select).await;
    let mut client = host.client();
    for serial in 0..100 {
        let body = Notification::numbered(serial).body();
        client.post(body).await.expect(200, "recorded");
    }
    browser
        .until("document.querySelector('#state').textContent === document.querySelector('#state').dataset.held")
        .await;
    let kept = browser.script("return String(getSelection())").await;
    assert_eq!(kept, selected, "the selection stays");
    assert_eq!(texts(browser, "tbody tr").await.len(), 3);
    browser
        .script("document.querySelector('#pause').click()")
        .await;
    browser.script("getSelection().removeAllRanges()").await;
    Life::of(host, "upgrade-west").goes_on("Fail");
    browser
        .until("document.querySelector('#state').textContent === document.querySelector('#state').dataset.paused")
        .await;
    assert_eq!(texts(browser, "tbody tr").await.len(), 3, "paused");
    browser
        .script("document.querySelector('#pause').click()")
        .await;
    browser
        .until("document.querySelectorAll('tbody tr').length === 50 && document.title.startsWith('✖ 2')")
        .await;
}

/// Finds failures, copies an id, goes around and logs out.
async fn hour(languages: &str, scripts: Scripts, words: &Words) {
    let Some(mut browser) = Browser::preferring(languages, scripts).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let Some((host, _nginx, address)) = behind_nginx(folder.path()).await else {
        return;
    };
    let origin = format!("https://{address}");
    find_failures(&mut browser, &origin, words).await;
    go_around(&mut browser, &origin, words).await;
    if scripts == Scripts::On {
        browser.open(&format!("{origin}/iot/login")).await;
        type_token(&mut browser, READ_TOKEN).await;
        browser.until("document.querySelector('table')").await;
        copy_an_id(&mut browser, &host, &origin).await;
        // A browser reports the refusals before the login, too.
        let mut said = browser.console().await;
        said.retain(|line| !line.contains("the server responded with a status of 401"));
        assert_eq!(said, [""; 0]);
    }
    browser.end().await;
}

#[tokio::test]
async fn an_operators_hour_in_english() {
    hour("en-GB,en", Scripts::On, &ENGLISH).await;
}

#[tokio::test]
async fn an_operators_hour_in_chinese() {
    hour("zh-CN,zh", Scripts::On, &CHINESE).await;
}

#[tokio::test]
async fn an_operators_hour_without_scripts() {
    hour("zh-CN,zh", Scripts::Off, &CHINESE).await;
}
