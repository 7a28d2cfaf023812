//! [`Browser`]: Chromium, driven over [WebDriver](https://www.w3.org/TR/webdriver2/).

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::client::Client;

const CHROMEDRIVER: &str = "/usr/bin/chromedriver";

/// The keys that these tests press, as WebDriver encodes them.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

/// Chromium without a window. Dropping it ends it.
pub(crate) struct Browser {
    driver: Driver,
    client: Client,
    session: String,
}

/// The process of the WebDriver.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether pages may run scripts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scripts {
    On,
    Off,
}

/// The colour scheme and the size of the screen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) scheme: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Browser {
    /// Starts a browser that prefers English. If there is none, prints a line and returns
    /// `None`.
    pub(crate) async fn start(scripts: Scripts) -> Option<Self> {
        Self::preferring("en-GB,en", scripts).await
    }

    /// Starts a browser that prefers these languages. It accepts the certificates of
    /// tests.
    pub(crate) async fn preferring(languages: &str, scripts: Scripts) -> Option<Self> {
        if !Path::new(CHROMEDRIVER).exists() {
            eprintln!("skipped: no `{CHROMEDRIVER}`; it is in Debian's chromium-driver");
            return None;
        }
        let mut driver = Command::new(CHROMEDRIVER);
        let driver = driver
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = Driver(driver.expect("it starts"));
        // Borrowed, so that the pipe stays open for further output.
        let stdout = driver.0.stdout.as_mut().expect("it is piped");
        let port = BufReader::new(stdout).lines().find_map(|line| {
            let line = line.ok()?;
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let address = ([127, 0, 0, 1], port.expect("a port")).into();
        let mut browser = Self {
            driver,
            client: Client::new(address).with_patience(PATIENCE),
            session: String::new(),
        };
        let javascript = if scripts == Scripts::On { 1 } else { 2 };
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "timeouts": {"script": 60_000},
            "goog:chromeOptions": {
                "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                    "--hide-scrollbars",
                    // With this, the browser ends when the driver does.
                    "--remote-debugging-pipe"],
                "prefs": {
                    "profile.managed_default_content_settings.javascript": javascript,
                    "intl.accept_languages": languages,
                },
            },
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.command("POST", "/session", &capabilities).await;
        let id = session["sessionId"].as_str().expect("an id");
        browser.session = format!("/session/{id}");
        Some(browser)
    }

    async fn command(&mut self, method: &str, target: &str, parameters: &Value) -> Value {
        let target = format!("{}{target}", self.session);
        let body = match method {
            "POST" => parameters.to_string(),
            _ => String::new(),
        };
        let json = [("content-type", "application/json")];
        let answer = self
            .client
            .exchange(method, &target, &json, body.as_bytes());
        let answer = answer.await.expect("an answer");
        let value = answer.json()["value"].take();
        assert_eq!(answer.status, 200, "{method} {target}: {value}");
        value
    }

    /// Ends the session, and with it the browser's processes.
    pub(crate) async fn end(mut self) {
        self.command("DELETE", "", &Value::Null).await;
        drop(self.driver);
    }

    pub(crate) async fn open(&mut self, url: &str) {
        self.command("POST", "/url", &json!({"url": url})).await;
    }

    /// Goes back to the previous page.
    pub(crate) async fn back(&mut self) {
        self.command("POST", "/back", &json!({})).await;
    }

    /// Returns the path and query of the current page.
    pub(crate) async fn target(&mut self) -> String {
        let url = self.command("GET", "/url", &Value::Null).await;
        let url = url.as_str().expect("a URL");
        let (_, rest) = url.split_once("://").unwrap_or(("", url));
        rest.find('/').map_or("", |at| &rest[at..]).to_owned()
    }

    /// Runs a function body in the page, and returns its result.
    pub(crate) async fn script(&mut self, body: &str) -> Value {
        let script = json!({"script": body, "args": []});
        self.command("POST", "/execute/sync", &script).await
    }

    /// Runs an asynchronous function body in the page, and returns its result.
    pub(crate) async fn promise(&mut self, body: &str) -> Value {
        let script =
            format!("const done = arguments[0]; (async () => {{ {body} }})().then(done, done)");
        let script = json!({"script": script, "args": []});
        self.command("POST", "/execute/async", &script).await
    }

    /// Waits until an expression is true in the page.
    pub(crate) async fn until(&mut self, expression: &str) {
        let start = Instant::now();
        let body = format!("return !!({expression})");
        while self.script(&body).await != true {
            if start.elapsed() > PATIENCE {
                let shown = self.script("return document.body.innerText").await;
                panic!("never true: {expression}\n{shown}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Presses keys, one after the other.
    pub(crate) async fn press(&mut self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|stroke| json!({"type": stroke, "value": key.to_string()}))
        });
        let actions = json!({"actions": [
            {"type": "key", "id": "keys", "actions": strokes.collect::<Vec<_>>()}
        ]});
        self.command("POST", "/actions", &actions).await;
    }

    /// Presses Tab until an expression about the focused element, `it`, is true.
    pub(crate) async fn tab_to(&mut self, expression: &str) {
        let body = format!("const it = document.activeElement; return !!({expression})");
        for _ in 0..100 {
            if self.script(&body).await == true {
                return;
            }
            self.press(TAB).await;
        }
        panic!("no focused element matches: {expression}");
    }

    /// Sends a command of the Chrome DevTools Protocol.
    async fn devtools(&mut self, command: &str, parameters: Value) -> Value {
        let command = json!({"cmd": command, "params": parameters});
        self.command("POST", "/goog/cdp/execute", &command).await
    }

    pub(crate) async fn look(&mut self, look: Look) {
        let feature = json!({"name": "prefers-color-scheme", "value": look.scheme});
        self.devtools("Emulation.setEmulatedMedia", json!({"features": [feature]}))
            .await;
        let screen = json!({"width": look.width, "height": look.height,
            "deviceScaleFactor": 1, "mobile": look.width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", screen)
            .await;
    }

    /// Returns a screenshot as a PNG.
    pub(crate) async fn screenshot(&mut self) -> Vec<u8> {
        let png = self.command("GET", "/screenshot", &Value::Null).await;
        let png = BASE64_STANDARD.decode(png.as_str().expect("base64"));
        png.expect("base64")
    }

    /// Returns what was written to the console since the last call, including
    /// violations of the content security policy.
    pub(crate) async fn console(&mut self) -> Vec<String> {
        let log = json!({"type": "browser"});
        let entries = self.command("POST", "/se/log", &log).await;
        let entries = entries.as_array().expect("a list").iter();
        entries
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}
