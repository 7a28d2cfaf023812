//! The AMQP channel: the real program against the brokers of the tests of `host/amqp`.

#[allow(dead_code, reason = "the tests of `host/amqp` use the rest")]
#[path = "../host/amqp/tests/brokers/mod.rs"]
mod brokers;

mod channels;
mod kills;
mod load;
mod operation;

use std::path::Path;

use serde_json::Value;

use self::brokers::rhea::Rhea;
use self::brokers::{ACCESS_CODE, ACCESS_KEY};
use crate::support::client::Client;
use crate::support::host::{QUIET, Setup};
use crate::support::ledger::all_events;
use crate::support::notifications::Notification;

/// A setup that receives from a broker.
fn receiving(setup: Setup, url: &str, ca: &Path) -> Setup {
    setup
        .variable(QUIET)
        .variable(("BATCHTASK_AMQP_URL", url))
        .variable(("BATCHTASK_AMQP_CA", ca.to_str().expect("UTF-8")))
        .variable(("BATCHTASK_AMQP_ACCESS_KEY", ACCESS_KEY))
        .variable(("BATCHTASK_AMQP_ACCESS_CODE", ACCESS_CODE))
}

/// A setup that receives from this broker only. It serves the page and the API, and the
/// admin listener.
fn receiving_only(folder: &Path, broker: &Rhea) -> Setup {
    let setup = Setup::in_folder(folder)
        .listening_on("off")
        .with_admin()
        .argument("--read-listen")
        .argument("127.0.0.1:0");
    receiving(setup, &broker.url(), &broker.certificates.ca)
}

/// The bodies of these notifications.
fn bodies(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers
        .map(|number| Notification::numbered(number).body())
        .collect()
}

/// Checks that the journal has the notifications up to this number, each once, and that
/// they came over AMQP.
async fn check_events(client: &mut Client, count: u64) {
    let events = all_events(client).await;
    let mut found: Vec<&str> = events
        .iter()
        .filter_map(|event| event["status_desc"].as_str())
        .collect();
    found.sort_unstable();
    let mut expected: Vec<String> = (0..count)
        .map(|number| Notification::numbered(number).status_desc)
        .collect();
    expected.sort_unstable();
    assert_eq!(found.len(), expected.len());
    assert!(found == expected, "each is there once");
    assert!(events.iter().all(|event| event["source"] == "amqp"));
}

/// The text of the notice about AMQP, if there is one.
async fn notice(client: &mut Client) -> Option<String> {
    let summary = client.read("/summary").await;
    let notices = summary["notices"].as_array().expect("a list");
    let is_ours = |notice: &&Value| notice["name"] == "amqp";
    let notice = notices.iter().find(is_ours)?;
    notice["text"].as_str().map(str::to_owned)
}
