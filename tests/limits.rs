//! Beyond a limit, a clear answer comes at once.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::EXAMPLE;
use crate::support::client::{Answer, Client};
use crate::support::host::{Host, READ_TOKEN, Setup};
use crate::support::notifications::Notification;

/// The maximum time of an answer that waits for nothing, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Starts a host with these options.
fn host(limits: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup::in_folder(folder.path()).with_admin();
    let setup = limits.iter().fold(setup, |setup, (option, value)| {
        setup.argument(*option).argument(*value)
    });
    let host = setup.start();
    (folder, host)
}

/// Reads to the end of a connection. Returns the bytes, and how long it took.
async fn end_of(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let started = Instant::now();
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let read = tokio::time::timeout(Duration::from_secs(30), read).await;
    // The connection may end with an error.
    let _ = read.expect("the host ends the connection");
    (bytes, started.elapsed())
}

#[tokio::test]
async fn one_connection_too_many_gets_a_503_and_later_there_is_room_again() {
    let (_folder, host) = host(&[("--max-connections", "2")]);
    let (mut first, mut second) = (host.client(), host.client());
    first.get("/tasks").await.expect(200, "read");
    second.get("/tasks").await.expect(200, "read");
    for _ in 0..3 {
        let mut third = TcpStream::connect(host.address()).await.unwrap();
        let (answer, after) = end_of(&mut third).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("\r\nretry-after: "), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert!(after < AT_ONCE, "{after:?}");
    }
    let answer = host.client().post(EXAMPLE).await;
    assert_eq!(answer.status, 503);
    first.get("/tasks").await.expect(200, "read");
    drop(second);
    while host.metrics().await.value("batchtask_connections") > 1.0 {}
    host.client().post(EXAMPLE).await.expect(200, "recorded");
}

#[tokio::test]
async fn incomplete_requests_do_not_delay_complete_ones() {
    let (_folder, host) = host(&[("--max-in-flight", "1")]);
    let (mut first, mut second) = (host.client(), host.client());
    first.begin("/notifications", EXAMPLE.len()).await;
    second.begin("/notifications", EXAMPLE.len()).await;
    let mut other = host.client();
    other.get("/tasks").await.expect(200, "read");
    let answer = second.exchange_bytes(EXAMPLE.as_bytes(), false).await;
    answer.expect("an answer").expect(200, "recorded");
    other.post(EXAMPLE).await.expect(200, "duplicate");
    let answer = first.exchange_bytes(EXAMPLE.as_bytes(), false).await;
    answer.expect("an answer").expect(200, "duplicate");
}

#[tokio::test]
async fn beyond_the_limit_the_oldest_incomplete_request_is_evicted() {
    let (_folder, host) = host(&[("--max-unfinished", "2")]);
    let mut clients: Vec<_> = (0..4).map(|_| host.client()).collect();
    for client in &mut clients {
        client.begin("/notifications", EXAMPLE.len()).await;
    }
    for client in &mut clients[..2] {
        let answer = client.exchange_bytes(b"", false).await.expect("an answer");
        answer.expect(408, "body-timeout");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let evictions = "batchtask_evictions_total{of=\"request\"}";
    assert_eq!(host.metrics().await.value(evictions), 2.0);
    for (client, outcome) in clients[2..].iter_mut().zip(["recorded", "duplicate"]) {
        let answer = client.exchange_bytes(EXAMPLE.as_bytes(), false).await;
        answer.expect("an answer").expect(200, outcome);
    }
}

#[tokio::test]
async fn a_header_beyond_its_bounds_is_a_431() {
    let (_folder, host) = host(&[("--header-bytes", "8192")]);
    let long = format!("x: {}\r\n", "x".repeat(9000));
    let many: String = (0..100).map(|number| format!("x{number}: y\r\n")).collect();
    let endless = "x".repeat(100_000);
    for fields in [long, many, endless] {
        let request = format!("GET /tasks HTTP/1.1\r\nhost: h\r\n{fields}\r\n");
        let mut client = host.client();
        let answer = client.exchange_bytes(request.as_bytes(), false).await;
        let answer: Answer = answer.expect("an answer");
        assert_eq!(answer.status, 431);
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let long = format!("/tasks?q={}", "x".repeat(9000));
    let answer = host.client().get(&long).await;
    assert!(matches!(answer.status, 414 | 431), "{}", answer.status);
    host.client().post(EXAMPLE).await.expect(200, "recorded");
}

/// Usual numbers and sizes of fields, of a cookie, and of fields from proxies.
#[tokio::test]
async fn a_header_of_usual_size_is_accepted_by_default() {
    let (_folder, host) = host(&[]);
    let fields = |count| {
        let fields = (0..count).map(|number| format!("x-proxy-{number}: {}\r\n", "y".repeat(60)));
        fields.collect::<String>()
    };
    let cookie = format!("cookie: session={}\r\n", "c".repeat(7000));
    let certificate = format!("x-forwarded-client-cert: {}\r\n", "c".repeat(4000));
    let length = EXAMPLE.len();
    for fields in [
        fields(60) + &cookie,
        fields(60) + &certificate,
        // A hundred, together with `Host` and the length.
        fields(98),
    ] {
        let request = format!(
            "POST /notifications HTTP/1.1\r\nhost: h\r\n{fields}content-length: {length}\r\n\r\n{EXAMPLE}"
        );
        let answer = host
            .client()
            .exchange_bytes(request.as_bytes(), false)
            .await;
        assert_eq!(answer.expect("an answer").status, 200, "{fields}");
    }
}

#[tokio::test]
async fn the_number_of_fields_is_an_option() {
    for (limit, count, status) in [("32", 31, 404), ("32", 32, 431), ("500", 499, 404)] {
        let (_folder, host) = host(&[("--header-fields", limit)]);
        let fields: String = (0..count)
            .map(|number| format!("x{number}: y\r\n"))
            .collect();
        let request = format!("GET /nowhere HTTP/1.1\r\nhost: h\r\n{fields}\r\n");
        let answer = host
            .client()
            .exchange_bytes(request.as_bytes(), false)
            .await;
        assert_eq!(
            answer.expect("an answer").status,
            status,
            "{count} of {limit}"
        );
    }
}

/// After a quick request as well as after a commit, a connection may be silent for the
/// configured time, and no longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_may_be_silent_between_requests_for_a_while() {
    let (_folder, host) = host(&[("--header-seconds", "1"), ("--idle-seconds", "3")]);
    let post = format!(
        "POST /notifications HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{EXAMPLE}",
        EXAMPLE.len()
    );
    let get = "GET /nowhere HTTP/1.1\r\nhost: h\r\n\r\n".to_owned();
    let mut connections = tokio::task::JoinSet::new();
    for requests in [
        vec![get.clone()],
        vec![post.clone()],
        vec![post, get.clone(), get],
    ] {
        let mut stream = TcpStream::connect(host.address()).await.unwrap();
        connections.spawn(async move {
            for request in &requests {
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = [0; 4096];
                assert!(stream.read(&mut answer).await.unwrap() > 0);
            }
            let (rest, after) = end_of(&mut stream).await;
            assert_eq!(rest, b"");
            eprintln!("{} requests, then silent for {after:?}", requests.len());
            after
        });
    }
    for after in connections.join_all().await {
        assert!(after > Duration::from_millis(2900), "{after:?}");
        assert!(after < Duration::from_secs(3) + AT_ONCE, "{after:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_that_does_not_come_ends_the_connection() {
    let (_folder, host) = host(&[("--header-seconds", "1"), ("--idle-seconds", "60")]);
    let first = "GET /nowhere HTTP/1.1\r\nhost: h\r\n\r\n";
    let mut connections = tokio::task::JoinSet::new();
    for (whole, part) in [
        ("", ""),
        ("", "G"),
        (first, "G"),
        (first, "GET / HTTP/1.1\r\nx: "),
    ] {
        let mut stream = TcpStream::connect(host.address()).await.unwrap();
        connections.spawn(async move {
            if !whole.is_empty() {
                stream.write_all(whole.as_bytes()).await.unwrap();
                let mut answer = [0; 4096];
                assert!(stream.read(&mut answer).await.unwrap() > 0);
            }
            stream.write_all(part.as_bytes()).await.unwrap();
            end_of(&mut stream).await.1
        });
    }
    for after in connections.join_all().await {
        assert!(after > Duration::from_millis(900), "{after:?}");
        assert!(after < Duration::from_secs(1) + AT_ONCE, "{after:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_does_not_come_is_a_408() {
    let (_folder, host) = host(&[("--body-seconds", "1")]);
    let started = Instant::now();
    let mut client: Client = host.client();
    let head = "POST /notifications HTTP/1.1\r\nhost: h\r\ncontent-length: 99\r\n\r\n{";
    let answer = client.exchange_bytes(head.as_bytes(), false).await.unwrap();
    answer.expect(408, "body-timeout");
    assert_eq!(answer.header("connection"), Some("close"));
    let after = started.elapsed();
    assert!(after > Duration::from_millis(900), "{after:?}");
    assert!(after < Duration::from_secs(1) + AT_ONCE, "{after:?}");
    let metrics = host.metrics().await;
    assert_eq!(metrics.requests("body-timeout"), 1.0);
    assert_eq!(metrics.value("batchtask_in_flight_requests"), 0.0);
}

/// A reader requests megabytes and does not read them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_read_ends_the_connection() {
    let (_folder, host) = host(&[("--write-seconds", "1"), ("--header-seconds", "60")]);
    let mut client = host.client();
    for serial in 0..100 {
        let mut notification = Notification::numbered(serial);
        notification.status_desc += &"x".repeat(8000);
        let answer = client.post(notification.body()).await;
        answer.expect(200, "recorded");
    }
    drop(client);
    let request = format!(
        "GET /events?limit=100 HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {READ_TOKEN}\r\n\r\n"
    );
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(host.address()).await.unwrap();
    let started = Instant::now();
    let requests = request.repeat(16);
    stream.write_all(requests.as_bytes()).await.unwrap();
    while host.metrics().await.requests("read") < 1.0 {}
    while host.metrics().await.value("batchtask_connections") > 0.0 {
        assert!(started.elapsed() < Duration::from_secs(1) + 2 * AT_ONCE);
    }
    assert!(started.elapsed() > Duration::from_millis(900));
    let (rest, _) = end_of(&mut stream).await;
    let whole = 16 * 100 * 8000;
    assert!(rest.len() < whole, "{} bytes came", rest.len());
    host.client().post(EXAMPLE).await.expect(200, "recorded");
}

/// A client that has closed its sending side may still wait for the answer.
#[tokio::test]
async fn a_caller_that_closes_its_sending_side_is_answered() {
    let (_folder, host) = host(&[]);
    let get = format!(
        "GET /events?wait=1 HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {READ_TOKEN}\r\n\r\n"
    );
    let answer = host.client().break_off(get.as_bytes()).await;
    answer.expect("an answer").expect(200, "read");
    let length = EXAMPLE.len();
    let post = format!(
        "POST /notifications HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{EXAMPLE}"
    );
    let answer = host.client().break_off(post.as_bytes()).await;
    answer.expect("an answer").expect(200, "recorded");
    while host.metrics().await.value("batchtask_connections") > 0.0 {}
}
