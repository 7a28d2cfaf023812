//! Rules for every page, in each colour scheme and size.

use std::fs;
use std::process::Command;

use super::driver::{Browser, Look, Scripts};
use super::enter;
use super::sights::{self, PAGES};
use crate::hosts::tools::{AXE, HTML_VALIDATE, tool};
use crate::sinks::OPERATE_TOKEN;
use crate::support::host::Setup;

const fn look(scheme: &'static str, width: u32, height: u32) -> Look {
    Look {
        scheme,
        width,
        height,
    }
}

/// A screen, a phone, a screen at 200 % zoom, and a wall.
const LOOKS: [Look; 8] = [
    look("light", 1280, 800),
    look("dark", 1280, 800),
    look("light", 390, 844),
    look("dark", 390, 844),
    look("light", 640, 400),
    look("dark", 640, 400),
    look("light", 2560, 1440),
    look("dark", 2560, 1440),
];

/// The names of the pages in Chinese.
const CHINESE: [&str; PAGES.len()] = [
    "tasks-zh",
    "none-match-zh",
    "filtered-zh",
    "task-zh",
    "unusual-zh",
    "quarantine-zh",
    "operation-zh",
    "sinks-zh",
    "sinks-operation-zh",
    "not-found-zh",
    "bad-parameter-zh",
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

/// Runs axe on every page, in a browser that prefers these languages.
async fn axe_finds_nothing(languages: &str) {
    let browser = Browser::preferring(languages, Scripts::On).await;
    let (Some(axe), Some(mut browser)) = (tool(AXE), browser) else {
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
    sights::unusual(&host).await;
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
async fn axe_finds_nothing_on_any_page_in_any_look() {
    axe_finds_nothing("en-GB,en").await;
}

#[tokio::test]
async fn axe_finds_nothing_in_chinese() {
    axe_finds_nothing("zh-CN,zh").await;
}

#[tokio::test]
async fn every_page_is_valid_html() {
    let Some(validator) = tool(HTML_VALIDATE) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = sights::host(folder.path()).await;
    let empty = Setup::on_journal(folder.path().join("empty.db")).start();
    let mut pages = vec![
        ("empty", empty.client().get("/").await),
        ("login", host.client().get("/login").await),
    ];
    sights::unusual(&host).await;
    let stranger = host.client().exchange("GET", "/", &[], b"").await;
    pages.push(("unauthorized", stranger.expect("an answer")));
    let chinese = [("accept-language", "zh-CN")];
    for (name, path) in PAGES {
        pages.push((name, host.client().get(path).await));
    }
    let operator = format!("Bearer {OPERATE_TOKEN}");
    for (name, path) in [
        ("quarantine-operator", "/page/quarantine"),
        ("sinks-operator", "/page/sinks"),
    ] {
        let headers = [("authorization", operator.as_str())];
        let page = host.client().exchange("GET", path, &headers, b"").await;
        pages.push((name, page.expect("an answer")));
    }
    for (name, (_, path)) in CHINESE.into_iter().zip(PAGES) {
        let page = host.client().request("GET", path, &chinese, b"").await;
        pages.push((name, page));
    }
    for (name, page) in &pages {
        assert!(
            page.header("content-type")
                .unwrap()
                .starts_with("text/html"),
            "{name}"
        );
        assert!(
            page.body.len() < 80_000,
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

/// Makes the screenshots of the documentation, and others to look at. Checks nothing.
#[tokio::test]
async fn screenshots() {
    let Ok(output) = std::env::var("BATCHTASK_SCREENSHOTS") else {
        return;
    };
    for (languages, suffix) in [("en-GB,en", ""), ("zh-CN,zh", "-zh")] {
        let Some(mut browser) = Browser::preferring(languages, Scripts::On).await else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let host = sights::morning(folder.path()).await;
        let origin = format!("http://{}", host.address());
        for look in LOOKS {
            browser.look(look).await;
            let width = match look.width {
                390 => "-phone",
                640 => continue,
                2560 => "-wall",
                _ => "",
            };
            let name = |page| format!("{output}/{page}{width}-{}{suffix}.png", look.scheme);
            browser.open(&format!("{origin}/login")).await;
            if width.is_empty() {
                fs::write(name("login"), browser.screenshot().await).unwrap();
            }
            super::enter(&mut browser, &host).await;
            for (page, path) in sights::SHOWN {
                browser.open(&format!("{origin}{path}")).await;
                fs::write(name(page), browser.screenshot().await).unwrap();
            }
        }
        browser.end().await;
    }
}
