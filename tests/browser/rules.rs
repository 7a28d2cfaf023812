//! Rules for every page, in each colour scheme and size.

use std::fs;
use std::process::Command;

use super::driver::{Browser, Look, Scripts};
use super::enter;
use super::sights::{self, PAGES};
use crate::hosts::tools::{AXE, HTML_VALIDATE, tool};
use crate::support::host::{READ_TOKEN, Setup};

const LOOKS: [Look; 4] = [
    Look {
        scheme: "light",
        width: 1280,
        height: 800,
    },
    Look {
        scheme: "dark",
        width: 1280,
        height: 800,
    },
    Look {
        scheme: "light",
        width: 390,
        height: 844,
    },
    Look {
        scheme: "dark",
        width: 390,
        height: 844,
    },
];

/// Runs axe on the current page, which must also fit the width.
async fn expect_no_violation(browser: &mut Browser, axe: &str, place: &str) {
    let run = format!(
        "{axe}; const {{ violations }} = await axe.run();
         return violations.map(it => [it.id, it.help, it.nodes.map(node => node.html)])"
    );
    let violations = browser.promise(&run).await;
    assert_eq!(violations, serde_json::json!([]), "{place}");
    let width = "const { scrollWidth, clientWidth } = document.documentElement;
                 return scrollWidth - clientWidth";
    assert_eq!(browser.script(width).await, 0, "{place} is too wide");
}

#[tokio::test]
async fn axe_finds_nothing_on_any_page_in_any_look() {
    let (Some(axe), Some(mut browser)) = (tool(AXE), Browser::start(Scripts::On).await) else {
        return;
    };
    let axe = fs::read_to_string(axe).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let host = sights::host(folder.path()).await;
    let origin = format!("http://{}", host.address());
    for look in LOOKS {
        browser.look(look).await;
        browser.open(&origin).await;
        expect_no_violation(&mut browser, &axe, &format!("401 {look:?}")).await;
    }
    enter(&mut browser, &host).await;
    for look in LOOKS {
        browser.look(look).await;
        for (name, path) in PAGES {
            browser.open(&format!("{origin}{path}")).await;
            // Collapsed elements are checked too.
            browser
                .script("for (const it of document.querySelectorAll('details')) it.open = true")
                .await;
            expect_no_violation(&mut browser, &axe, &format!("{name} {look:?}")).await;
        }
    }
    browser.end().await;
}

#[tokio::test]
async fn every_page_is_valid_html() {
    let Some(validator) = tool(HTML_VALIDATE) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = sights::host(folder.path()).await;
    let empty = Setup::on_journal(folder.path().join("empty.db")).start();
    let link = format!("/?token={READ_TOKEN}");
    let mut pages = vec![
        ("empty", empty.client().get("/").await),
        ("entered", host.client().get(&link).await),
    ];
    let stranger = host.client().exchange("GET", "/", &[], b"").await;
    pages.push(("unauthorized", stranger.expect("an answer")));
    for (name, path) in PAGES {
        pages.push((name, host.client().get(path).await));
    }
    for (name, page) in &pages {
        assert!(
            page.header("content-type")
                .unwrap()
                .starts_with("text/html"),
            "{name}"
        );
        assert!(
            page.body.len() < 30_000,
            "{name}: {} bytes",
            page.body.len()
        );
        fs::write(folder.path().join(format!("{name}.html")), &page.body).unwrap();
    }
    let files = pages.iter().map(|(name, _)| format!("{name}.html"));
    let output = Command::new("node")
        .arg(validator)
        .args(["--preset", "standard", "--formatter", "text"])
        .args(files)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Makes the screenshots of the documentation. Checks nothing.
#[tokio::test]
async fn screenshots() {
    let Ok(output) = std::env::var("BATCHTASK_SCREENSHOTS") else {
        return;
    };
    let Some(mut browser) = Browser::start(Scripts::On).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = sights::host(folder.path()).await;
    enter(&mut browser, &host).await;
    for look in LOOKS {
        browser
            .look(Look {
                height: if look.width > 600 { 640 } else { 844 },
                ..look
            })
            .await;
        for (name, path) in [PAGES[0], PAGES[2]] {
            browser
                .open(&format!("http://{}{path}", host.address()))
                .await;
            let width = if look.width > 600 { "" } else { "-phone" };
            let file = format!("{output}/{name}{width}-{}.png", look.scheme);
            fs::write(&file, browser.screenshot().await).unwrap();
        }
    }
    browser.end().await;
}
