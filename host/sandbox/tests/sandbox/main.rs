//! Components in a sandbox: one that works, and one that is hostile.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use batchtask_sandbox::{BuildError, Client, Failure, Message, Options, Origin, Sandbox};
use bytes::Bytes;
use http::{Request, Response};
use tokio::net::TcpListener;

/// Keeps the requests, and answers 200.
#[derive(Default)]
struct Answering(Mutex<Vec<Request<Bytes>>>);

impl Answering {
    fn sent(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[async_trait]
impl Client for Answering {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        if request.uri().path() == "/private" {
            return Err("the address is private".into());
        }
        self.0.lock().unwrap().push(request);
        Ok(Response::new(Bytes::from_static(b"ok")))
    }
}

fn root() -> &'static Path {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.ancestors().nth(2).expect("a workspace")
}

/// Builds a component of the workspace, once.
fn built(package: &'static str, path: &OnceLock<Vec<u8>>) -> Vec<u8> {
    let build = || {
        let folder = root().join("target/components");
        let path: Result<PathBuf, String> =
            batchtask_component_build::build(root(), package, "component", &folder);
        std::fs::read(path.expect("it can be built")).expect("a file")
    };
    path.get_or_init(build).clone()
}

fn hostile() -> Vec<u8> {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    built("batchtask-sandbox-hostile", &BUILT)
}

fn options(settings: &[(&str, &str)]) -> Options {
    let settings = settings.iter();
    Options {
        name: "test".into(),
        wasm: hostile(),
        settings: settings
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        origins: vec![Origin::parse("http://chat.example").unwrap()],
        memory_bytes: 16 << 20,
        timeout: Duration::from_secs(30),
        cache_dir: None,
    }
}

fn message() -> Message {
    Message {
        id: "5f2c".into(),
        kind: "batchtask.update".into(),
        is_replay: false,
        cloud_event: r#"{"data":{"task_id":"<north>","status":"Fail"}}"#.into(),
    }
}

async fn deliver(options: &Options, client: &Arc<Answering>) -> Result<(), Failure> {
    let sandbox = Sandbox::new(options, client.clone()).expect("a sandbox");
    sandbox.deliver(message()).await
}

async fn behave(settings: &[(&str, &str)]) -> (Result<(), Failure>, usize) {
    let client = Arc::<Answering>::default();
    let delivered = deliver(&options(settings), &client).await;
    (delivered, client.sent())
}

fn trap(delivered: Result<(), Failure>) -> String {
    match delivered {
        Err(Failure::Trap(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_is_passed_on() {
    let client = Arc::<Answering>::default();
    let settings = [
        ("BEHAVIOUR", "post"),
        ("URL", "http://chat.example/hook?a=b"),
    ];
    deliver(&options(&settings), &client)
        .await
        .expect("delivered");
    let requests = client.0.lock().unwrap();
    let [request] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(request.uri(), "http://chat.example/hook?a=b");
    assert_eq!(request.method(), "POST");
    assert_eq!(request.body(), message().cloud_event.as_bytes());
}

#[tokio::test]
async fn the_example_posts_to_a_chat() {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    let options = Options {
        wasm: built("batchtask-example-sink-slack", &BUILT),
        ..options(&[("URL", "http://chat.example/services/T0/B0")])
    };
    let client = Arc::<Answering>::default();
    deliver(&options, &client).await.expect("delivered");
    let requests = client.0.lock().unwrap();
    assert_eq!(requests[0].uri().path(), "/services/T0/B0");
    assert_eq!(requests[0].headers()["content-type"], "application/json");
    let expected = r#"{"text":"&lt;north&gt;: Fail"}"#;
    assert_eq!(requests[0].body(), expected.as_bytes());
}

#[tokio::test]
async fn an_endless_loop_ends_and_delays_nothing_else() {
    let loops = tokio::spawn(behave(&[("BEHAVIOUR", "loop")]));
    let mut slowest = Duration::ZERO;
    let mut last = Instant::now();
    while !loops.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        slowest = slowest.max(last.elapsed());
        last = Instant::now();
    }
    let text = trap(loops.await.unwrap().0);
    assert_eq!(text, "it computed for too long");
    // The thread of this test is not that of the component.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test]
async fn waiting_ends_after_the_time_limit() {
    let options = Options {
        timeout: Duration::from_millis(300),
        ..options(&[("BEHAVIOUR", "sleep")])
    };
    let delivered = deliver(&options, &Arc::default()).await;
    assert_eq!(delivered, Err(Failure::Late(options.timeout)));
}

#[tokio::test]
async fn memory_is_limited() {
    let text = trap(behave(&[("BEHAVIOUR", "memory")]).await.0);
    assert!(text.contains("memory allocation of"), "{text}");
}

#[tokio::test]
async fn requests_are_limited() {
    let settings = [("BEHAVIOUR", "many"), ("URL", "http://chat.example/")];
    let (delivered, sent) = behave(&settings).await;
    let reason = "16 answers; it sent more than 16 requests";
    assert_eq!(delivered, Err(Failure::Refused(reason.into())));
    assert_eq!(sent, 16);
}

#[tokio::test]
async fn long_requests_are_not_sent() {
    let settings = [("BEHAVIOUR", "long"), ("URL", "http://chat.example/")];
    let settings = Options {
        memory_bytes: 64 << 20,
        ..options(&settings)
    };
    let client = Arc::<Answering>::default();
    let delivered = deliver(&settings, &client).await;
    assert!(
        matches!(delivered, Err(Failure::Unavailable { .. })),
        "{delivered:?}"
    );
    assert_eq!(client.sent(), 0);
}

#[tokio::test]
async fn other_hosts_are_not_reached() {
    for url in [
        "http://other.example/secret",
        "http://chat.example:8080/secret",
        "http://chat.example.other/secret",
        "http://127.0.0.1/secret",
    ] {
        let (delivered, sent) = behave(&[("BEHAVIOUR", "post"), ("URL", url)]).await;
        let Err(Failure::Unavailable { reason, .. }) = delivered else {
            panic!("{delivered:?}");
        };
        assert!(reason.contains("which is not in `hosts`"), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
        assert_eq!(sent, 0);
    }
}

#[tokio::test]
async fn the_component_is_told_why_a_request_failed() {
    let settings = [
        ("BEHAVIOUR", "post"),
        ("URL", "http://chat.example/private"),
    ];
    let (delivered, _) = behave(&settings).await;
    let Err(Failure::Unavailable { reason, .. }) = delivered else {
        panic!("{delivered:?}");
    };
    assert!(reason.contains("the address is private"), "{reason}");
}

#[tokio::test]
async fn files_sockets_and_the_environment_are_out_of_reach() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (delivered, _) = behave(&[("BEHAVIOUR", "look"), ("ADDRESS", &address)]).await;
    assert_eq!(delivered, Err(Failure::Refused(String::new())));
}

#[tokio::test]
async fn each_message_has_a_fresh_instance() {
    let sandbox = Sandbox::new(
        &options(&[("BEHAVIOUR", "calls")]),
        Arc::<Answering>::default(),
    );
    let sandbox = sandbox.expect("a sandbox");
    for _ in 0..3 {
        let delivered = sandbox.deliver(message()).await;
        assert_eq!(delivered, Err(Failure::Refused("0".into())));
    }
}

#[tokio::test]
async fn what_a_component_reports_is_shown() {
    let text = trap(behave(&[("BEHAVIOUR", "panic")]).await.0);
    assert!(text.contains("it gave up on 5f2c"), "{text}");
    assert!(text.len() < 600 && !text.contains('\n'), "{text}");
    let (delivered, _) = behave(&[("BEHAVIOUR", "write")]).await;
    assert_eq!(delivered, Ok(()));
    let (delivered, _) = behave(&[("BEHAVIOUR", "later")]).await;
    let expected = Failure::Unavailable {
        reason: "later please".into(),
        retry_after: Some(Duration::from_secs(7)),
    };
    assert_eq!(delivered, Err(expected));
}

#[tokio::test]
async fn a_cache_that_cannot_be_used_is_no_obstacle() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = Options {
        cache_dir: Some(file.path().join("cache")),
        ..options(&[("BEHAVIOUR", "write")])
    };
    assert_eq!(deliver(&options, &Arc::default()).await, Ok(()));
}

#[tokio::test]
async fn other_files_are_refused() {
    let client = Arc::<Answering>::default();
    for wasm in [
        b"no component".to_vec(),
        b"\0asm\x01\0\0\0".to_vec(),
        b"\0asm\x0d\0\x01\0".to_vec(),
    ] {
        let options = Options {
            wasm,
            ..options(&[])
        };
        let refused = Sandbox::new(&options, client.clone());
        assert!(matches!(refused, Err(BuildError::Component(_))));
    }
}
