//! The API is exactly as `guest/openapi.json` describes it.
//!
//! | module | content |
//! |---|---|
//! | `description` | reads the description, and checks answers against it |
//! | `answers` | causes every described status |
//! | `clients` | generates clients from the description, and lints it |
//! | `schemathesis` | generates requests from the description |

mod answers;
mod clients;
pub(crate) mod description;
mod schemathesis;

use std::collections::BTreeSet;

use batchtask_guest::outcomes::Refusal;
use batchtask_guest::routes::{Route, TaskName, View};
use batchtask_notification::{Class, Flags, Step};
use serde_json::{Value, json};

use crate::support::EXAMPLE;
use crate::support::host::Setup;
use description::{Description, json_of};

const SECRET: &str = "a-secret-path-segment";

/// Returns a described path with the ids of the example and the secret.
fn target(path: &str) -> String {
    path.replace("{app_id}", "1a7ffc5c-d89c-44dd-8265-b1653d951ce0")
        .replace("{task_id}", "1a7ffc5c-d89c-44dd-8265")
        .replace("{seq}", "1")
        .replace("{secret}", SECRET)
}

/// Returns the described paths of a route, as JSON and as a page. What only browsers use
/// is not described. A new route without an entry here does not compile.
fn paths_of(route: &Route) -> (&'static str, Option<&'static str>) {
    match route {
        Route::Login
        | Route::Logout
        | Route::Language
        | Route::Style
        | Route::Script
        | Route::TaskPage
        | Route::Sinks
        | Route::Body => panic!("{route:?} is for browsers only"),
        Route::Notifications(None) => ("/notifications", None),
        Route::Notifications(Some(_)) => ("/notifications/{secret}", None),
        Route::Tasks => ("/tasks", Some("/")),
        Route::Task(_) => (
            "/tasks/{app_id}/{task_id}",
            Some("/page/tasks/{app_id}/{task_id}"),
        ),
        Route::History(_) => ("/tasks/{app_id}/{task_id}/events", None),
        Route::Feed => ("/events", None),
        Route::Quarantine => ("/quarantine", Some("/page/quarantine")),
        Route::Reject(_) => ("/quarantine/{seq}", None),
        Route::Activity => ("/activity", None),
        Route::Summary => ("/summary", None),
        Route::Description => ("/openapi.json", None),
        Route::Health => ("/health", None),
    }
}

#[test]
fn every_route_is_described_with_its_methods() {
    let task = || TaskName {
        app_id: "{app_id}".into(),
        task_id: "{task_id}".into(),
    };
    let routes = [
        Route::Notifications(None),
        Route::Notifications(Some("{secret}".into())),
        Route::Tasks,
        Route::Task(task()),
        Route::History(task()),
        Route::Feed,
        Route::Quarantine,
        Route::Reject(1),
        Route::Activity,
        Route::Summary,
        Route::Description,
        Route::Health,
    ];
    let mut expected = BTreeSet::new();
    for route in &routes {
        let (json, page) = paths_of(route);
        assert_eq!(route.has(View::Page), page.is_some(), "{route:?}");
        for (path, view) in [(Some(json), View::Json), (page, View::Page)] {
            let Some(path) = path else { continue };
            let filled = path.replace("{seq}", "1");
            let (found, rest) = View::of(&filled);
            assert_eq!((found, Route::of(rest).as_ref()), (view, Some(route)));
            let method = route.methods().split(',').next().expect("a method");
            expected.insert((path.to_owned(), method.to_owned()));
        }
    }
    let description = Description::read();
    let described = description
        .operations()
        .map(|operation| (operation.path.to_owned(), operation.method));
    assert_eq!(described.collect::<BTreeSet<_>>(), expected);
}

/// Returns values of a parameter that are just valid, and values that are just
/// invalid.
fn edges(description: &Description, parameter: &Value) -> (Vec<String>, Vec<String>) {
    let schema = description.resolve(&parameter["schema"]);
    let schema = match schema["type"].as_str() {
        Some("array") => description.resolve(&schema["items"]),
        _ => schema,
    };
    if schema["type"] == "boolean" {
        return (vec!["true".into(), "false".into()], vec!["1".into()]);
    }
    if let Some(cases) = schema["enum"].as_array() {
        let cases = cases.iter().map(|case| case.as_str().unwrap().to_owned());
        return (cases.collect(), vec!["x".into()]);
    }
    match schema["minimum"].as_u64() {
        Some(least) => {
            let most = schema["maximum"].as_u64();
            let beyond = [
                Some(i128::from(least) - 1),
                most.map(|most| i128::from(most) + 1),
            ];
            let within = [Some(least), most].into_iter().flatten();
            let beyond = beyond.into_iter().flatten().map(|edge| edge.to_string());
            let within = within.map(|edge| edge.to_string()).collect();
            (within, beyond.chain(["x".into(), "1.0".into()]).collect())
        }
        None if schema["pattern"].is_string() => {
            let within = schema["examples"].as_array().expect("examples").iter();
            let within = within.map(|example| example.as_str().unwrap().to_owned());
            let beyond = ["2026-01", "2026-02-30", "2026-01-31T12:00:00+25:00"];
            (within.collect(), beyond.map(String::from).to_vec())
        }
        None => match parameter["name"].as_str() {
            // An arbitrary text is not a cursor.
            Some("cursor") => (vec![], vec!["x".into()]),
            _ => (vec!["%F0%9F%98%80%27%22".into()], vec![]),
        },
    }
}

#[tokio::test]
async fn the_bounds_of_parameters_are_as_described() {
    let description = Description::read();
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path());
    let setup = setup.variable(("BATCHTASK_UNPROCESSABLE", "accept"));
    let host = setup.start();
    let mut client = host.client();
    client.post(EXAMPLE).await;
    client.post("{}").await;
    let mut count = 0;
    for operation in description.operations() {
        for parameter in operation.query() {
            let name = parameter["name"].as_str().expect("a name");
            let (within, beyond) = edges(&description, parameter);
            for (values, status) in [(within, 200), (beyond, 400)] {
                for value in values {
                    let target = format!("{}?{name}={value}", target(operation.path));
                    let answer = client.get(&target).await;
                    assert_eq!(answer.status, status, "{target}: {}", answer.text());
                    operation.expect(&answer);
                    count += 1;
                }
            }
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn a_member_that_is_not_described_is_invalid() {
    let description = Description::read();
    for (schema, mut value) in [
        (
            "Summary",
            json!({"statuses": [], "stale": 0, "last_received_at": null, "notices": [], "sinks": null}),
        ),
        (
            "Receipt",
            json!({"outcome": "recorded", "app_id": "a", "task_id": "t"}),
        ),
        (
            "Problem",
            json!({"type": "urn:batchtask:problem:failed", "title": "t", "status": 500}),
        ),
        (
            "Tasks",
            json!({"tasks": [], "previous": null, "next": null, "count": null}),
        ),
    ] {
        let reference = json!({"$ref": format!("#/components/schemas/{schema}")});
        let validator = description.validator(&reference);
        assert!(validator.is_valid(&value), "{schema}");
        value["added"] = json!(1);
        assert!(!validator.is_valid(&value), "{schema}");
    }
}

#[test]
fn the_lists_of_words_are_those_of_the_code() {
    let description = Description::read();
    let words = |pointer: &str| -> Vec<String> {
        let list = &description.document().pointer(pointer).expect(pointer)["enum"];
        let words = list.as_array().expect("a list").iter();
        words.map(|word| word.as_str().unwrap().into()).collect()
    };
    let mut refusals: Vec<_> = Refusal::ALL.iter().map(|row| row.type_uri()).collect();
    refusals.sort();
    let types = "/components/schemas/Problem/properties/type";
    assert_eq!(words(types), refusals);
    let flags: Vec<_> = Flags::from_bits_truncate(u16::MAX).names().collect();
    assert_eq!(words("/components/schemas/Flag"), flags);
    let steps = [Step::Gap, Step::Reopened, Step::Unexpected].map(|step| step.name().unwrap());
    let flags = [flags.as_slice(), &steps].concat();
    assert_eq!(words("/components/schemas/TaskFlag"), flags);
    let of_events = [&["late"], flags.as_slice()].concat();
    assert_eq!(words("/components/schemas/EventFlag"), of_events);
    let classes = [Class::Open, Class::Retryable, Class::Final].map(Class::name);
    assert_eq!(words("/components/schemas/Class"), classes);
    let version = &description.document()["info"]["version"];
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn examples_are_as_their_schemas_say() {
    fn check(description: &Description, value: &Value, count: &mut usize) {
        let examples = value["examples"].as_object().into_iter().flatten();
        let examples = examples.map(|(_, example)| &example["value"]);
        for example in examples.chain(value.get("example")) {
            let validator = description.validator(&value["schema"]);
            assert!(validator.is_valid(example), "{example:#}");
            *count += 1;
        }
        let members = value
            .as_object()
            .into_iter()
            .flat_map(|members| members.values());
        let items = value.as_array().into_iter().flatten();
        for inner in members.chain(items) {
            check(description, inner, count);
        }
    }
    let description = Description::read();
    let mut count = 0;
    check(&description, description.document(), &mut count);
    assert!(count >= 4, "{count}");
}

#[tokio::test]
async fn the_description_is_served_as_it_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let host = Setup::in_folder(folder.path()).start();
    let answer = host.client().get("/openapi.json").await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let served = json_of(&answer);
    let file: Value = serde_json::from_str(Description::TEXT).unwrap();
    assert_eq!(served, file);
}
