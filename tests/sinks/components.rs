//! Components of operators as sinks.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::operations::{check, post, sinks, until};
use super::receiver::{Reaction, Receiver};
use super::{setup, sink, write};
use crate::hosts::artifacts::root;
use crate::hosts::tools::{COMPONENTIZE, tool};

/// Builds a component of the workspace. Returns its path.
fn built(package: &str) -> String {
    let folder = root().join("target/components");
    let path = batchtask_component_build::build(root(), package, "component", &folder);
    path.expect("it can be built").display().to_string()
}

/// A sink that is a component, which is tried once more after a refusal.
fn component(name: &str, file: &str, more: &str) -> String {
    format!(
        "[[sink]]\nname = '{name}'\nkind = 'component'\ncomponent = '{file}'\n\
         start = 'beginning'\nretries = ['0s']\n{more}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_posts_each_change_to_a_chat() {
    posts_each_change(&built("batchtask-example-sink-slack")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_in_javascript_does_the_same() {
    let Some(componentize) = tool(COMPONENTIZE) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sink.wasm");
    let mut build = Command::new("node");
    build.current_dir(root()).arg(componentize);
    build.args(["-w", "wit", "-n", "sink", "-o"]).arg(&file);
    let built = build.arg("examples/sink-js/sink.js").output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
    posts_each_change(file.to_str().unwrap()).await;
}

async fn posts_each_change(file: &str) {
    let folder = tempfile::tempdir().unwrap();
    let chat = Receiver::start(|_| Reaction::Accept).await;
    let url = chat.url();
    fs::write(folder.path().join("url"), &url).unwrap();
    let origin = url.rsplit_once('/').unwrap().0;
    let more = format!(
        "hosts = '{origin}'\nallow_private = true\nsettings = {{ URL = {{ file = '{}' }} }}\n\
         headers = {{ Authorization = 'Bearer hush' }}",
        folder.path().join("url").display()
    );
    let text = component("slack", file, &more);
    write(folder.path(), &text);
    let host = setup(folder.path()).start();
    let tested = sinks(&host, &["test", "slack"]).expect(0).stdout;
    assert_eq!(tested, "the sink `slack` accepted the test\n");
    post(&host, 0, 20).await;
    chat.accepts(21).await;
    until(&host, "slack", |sink| sink["lag_events"] == 0).await;
    let received = chat.received();
    assert_eq!(received.len(), 21);
    for message in &received[1..] {
        let text = message.json()["text"].as_str().unwrap().to_owned();
        assert!(text.ends_with(": Processing"), "{text}");
        assert_eq!(message.field("authorization"), "Bearer hush");
    }
    host.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_component_harms_only_its_own_sink() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|_| Reaction::Accept).await;
    let private = Receiver::start(|_| Reaction::Accept).await;
    let hostile = built("batchtask-sandbox-hostile");
    let mut text = sink("webhook", &receiver.url());
    let url = private.url();
    let origin = url.rsplit_once('/').unwrap().0;
    let other = format!("localhost:{}", origin.rsplit_once(':').unwrap().1);
    for (name, behaviour, url) in [
        ("loop", "loop", ""),
        ("memory", "memory", ""),
        ("foreign", "post", "http://other.example/"),
        ("private", "post", &*url),
        ("name", "post", &*format!("http://{other}/")),
    ] {
        let more = format!(
            "hosts = ['{origin}', 'http://{other}']\nmemory_mib = 16\n\
             settings = {{ BEHAVIOUR = '{behaviour}', URL = '{url}' }}"
        );
        text += &component(name, &hostile, &more);
    }
    write(folder.path(), &text);
    let host = setup(folder.path()).start();
    let started = Instant::now();
    post(&host, 0, 10).await;
    let pushed = started.elapsed();
    receiver.accepts(10).await;
    for (name, error) in [
        ("loop", "it computed for too long"),
        ("memory", "memory allocation of"),
        ("foreign", "which is not in `hosts`"),
        ("private", "is not allowed: it is private"),
        ("name", "is not allowed: it is private"),
    ] {
        let failed = until(&host, name, |sink| sink["last_error"].is_string()).await;
        let text = failed["last_error"].to_string();
        assert!(text.contains(error), "{name}: {text}");
    }
    // A component that fails on an event gives it up.
    until(&host, "memory", |sink| sink["dead"] == 10).await;
    assert!(private.received().is_empty());
    assert!(pushed.as_secs() < 5, "{pushed:?}");
    host.stop();
}

#[test]
fn invalid_components_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.wasm");
    fs::write(&file, "no component").unwrap();
    let file = file.display().to_string();
    let missing = Path::new(&file).with_file_name("missing.wasm");
    let text = [
        component("text", &file, ""),
        component("missing", &missing.display().to_string(), ""),
        component("path", &file, "hosts = 'https://example.com/hook'"),
        component("mode", &file, "mode = 'binary'\nurl = 'http://x/'"),
        "[[sink]]\nname = 'none'\nkind = 'component'\n".into(),
    ];
    let refused = check(folder.path(), &text.concat()).expect(2).stderr;
    for expected in [
        "`sink.component` cannot be used: it is not a component with the world `sink`",
        "missing.wasm`: No such file or directory",
        "`https://example.com/hook` is not an origin such as `https://hooks.example.com`",
        "`sink.mode` is a key of the kind `webhook`, and this sink is a `component`",
        "`sink.url` is a key of the kind `webhook`, `chat`, and this sink is a `component`",
        "`sink.component` is missing",
    ] {
        assert!(refused.contains(expected), "{expected}\n{refused}");
    }
}
