//! [Schemathesis](https://schemathesis.io) generates valid and invalid requests from
//! the description, and checks every answer.

use std::path::Path;
use std::process::Command;

use crate::hosts::tools::{OPENAPI_VALIDATOR, SCHEMATHESIS, tool};
use crate::support::host::{QUIET, READ_TOKEN, Setup};
use crate::support::notifications::Notification;
use crate::support::{EXAMPLE, scale};

pub(super) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/openapi");
pub(super) const DESCRIPTION: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest/openapi.json");

#[tokio::test]
async fn schemathesis_finds_nothing() {
    let Some(program) = tool(SCHEMATHESIS) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).variable(QUIET).start();
    let mut client = host.client();
    client.post(EXAMPLE).await.expect(200, "recorded");
    for serial in 0..3 {
        let body = Notification::numbered(serial).body();
        client.post(body).await.expect(200, "recorded");
    }
    let examples = scale("BATCHTASK_TEST_REQUESTS", 15).to_string();
    let output = Command::new(program)
        .current_dir(folder.path())
        .env("PYTHONPATH", FOLDER)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .args(["run", DESCRIPTION, "--url"])
        .arg(format!("http://{}", host.address()))
        .args(["--header", &format!("Authorization: Bearer {READ_TOKEN}")])
        .args(["--phases", "examples,coverage,fuzzing", "--mode", "all"])
        .args(["--checks", "all", "--continue-on-failure"])
        .args(["--max-examples", &examples, "--seed", "1", "--no-color"])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    eprintln!("{said}");
}

#[test]
fn the_description_is_valid_openapi() {
    let Some(program) = tool(OPENAPI_VALIDATOR) else {
        return;
    };
    let output = Command::new(program).arg(Path::new(DESCRIPTION)).output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}
