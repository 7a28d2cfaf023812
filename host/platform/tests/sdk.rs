//! The vendor's own Python SDK drives the platform in memory, which proves that it
//! answers as the SDK expects, and checks signatures as the SDK makes them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use batchtask_platform::api::rules::RuleFilter;
use batchtask_platform::api::tasks::TaskFilter;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::fake::{self, APP, Fake};
use crate::support::client;

const PACKAGES: [&str; 2] = [
    "huaweicloudsdkcore==3.1.219",
    "huaweicloudsdkiotda==3.1.219",
];

/// The time limit for each program.
const LIMIT: Duration = Duration::from_secs(300);

/// Returns a Python that has the SDK, installed once below the target folder.
async fn python() -> Option<&'static PathBuf> {
    static PYTHON: OnceCell<Option<PathBuf>> = OnceCell::const_new();
    PYTHON.get_or_init(install).await.as_ref()
}

async fn install() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("huaweicloudsdk-3.1.219");
    let python = folder.join("bin/python");
    if imports(&python).await {
        return Some(python);
    }
    let venv = run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await;
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--timeout",
        "15",
        "--retries",
        "1",
    ]);
    let installed = venv.is_some() && run(pip.args(PACKAGES)).await.is_some();
    (installed && imports(&python).await).then_some(python)
}

async fn imports(python: &Path) -> bool {
    let mut command = Command::new(python);
    run(command.args(["-c", "import huaweicloudsdkiotda.v5"]))
        .await
        .is_some()
}

/// Runs a program to its end. Returns what it printed, if it succeeded.
async fn run(command: &mut Command) -> Option<String> {
    let command = command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output())
        .await
        .ok()?
        .ok()?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    String::from_utf8(output.stdout).ok()
}

#[tokio::test]
async fn the_vendors_sdk_finds_what_it_expects() {
    let Some(python) = python().await else {
        eprintln!("skipped: {} cannot be installed", PACKAGES.join(" and "));
        return;
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, "sdk CA");
    let ca = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk-ca.pem");
    std::fs::write(&ca, parameters.self_signed(&key).unwrap().pem()).unwrap();
    for edition in ["basic", "derived"] {
        let fake = Fake::start_edition(edition == "derived").await;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/drive.py");
        let mut drive = Command::new(python);
        drive.arg(script).arg(fake.url());
        drive.args([
            fake::KEY_ID,
            fake::SECRET_KEY,
            fake::PROJECT,
            fake::REGION,
            edition,
            APP,
        ]);
        let printed = run(drive.arg(&ca)).await.expect("the script failed");
        let result: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(result, expected(), "{edition}");
        // What the SDK created is what this crate's client reads.
        let client = client(&fake);
        assert_eq!(client.list(&RuleFilter::default()).await.unwrap().len(), 12);
        assert_eq!(
            client.list(&TaskFilter::default()).await.unwrap()[0].task_name,
            "升级"
        );
    }
}

fn expected() -> Value {
    json!({
        "pages": [5, 12, 5, "批 6"],
        "active": true,
        "token": "abc123XYZ",
        "certificate": ["sdk CA", false, 1],
        "queues": [true, 1],
        "access_key": 8,
        "flow": 5,
        "task": ["升级", 1, 1, "d2", 1, "success", "d3"],
        "rule_in_use": [400, "IOTDA.000006"],
        "no_such_rule": [404, "IOTDA.010002"],
        "long_page": [400, "IOTDA.000017"],
        "wrong_key": [401, "APIGW.0301"],
    })
}

#[tokio::test]
async fn an_old_signature_of_the_sdk_is_refused() {
    let Some(python) = python().await else {
        eprintln!("skipped: {} cannot be installed", PACKAGES.join(" and "));
        return;
    };
    let fake = Fake::start().await;
    fake.state().clock_offset_ms = 16 * 60 * 1000;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/drive.py");
    let mut drive = Command::new(python);
    drive.arg(script).arg(fake.url());
    drive.args([
        fake::KEY_ID,
        fake::SECRET_KEY,
        fake::PROJECT,
        fake::REGION,
        "basic",
        APP,
        "-",
    ]);
    let output = drive.kill_on_drop(true).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("x-sdk-date is expired"),
        "{text}"
    );
}
