//! The addresses on which a host listens, its proxies, and its service manager.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::support::EXAMPLE;
use crate::support::host::{CODE_CACHE, Host, Setup};
use crate::support::program::{Follower, Program};

fn request() -> Vec<u8> {
    let length = EXAMPLE.len();
    let head = format!(
        "POST /notifications HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), EXAMPLE.as_bytes()].concat()
}

/// Sends these bytes, and reads to the end of the connection.
async fn answer(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, bytes: &[u8]) -> String {
    // The host may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn serve(folder: &Path, listen: &str) -> Follower {
    let journal = format!("sqlite:{}", folder.join("batchtask.db").display());
    let serve = [
        "serve",
        "--listen",
        listen,
        "--admin",
        "off",
        "--journal",
        &journal,
    ];
    Program::new(serve.into_iter().chain(["--cache-dir", CODE_CACHE])).follow()
}

#[tokio::test]
async fn a_host_listens_at_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let listen = format!("unix:{}", path.display());
    // The second time, the socket of the killed host still exists.
    for _ in 0..2 {
        let mut host = serve(folder.path(), &listen);
        host.says(&format!("listening on {listen}")).await;
        let stream = UnixStream::connect(&path).await.unwrap();
        let answer = answer(stream, &request()).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_host_listens_on_all_interfaces() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = serve(folder.path(), ":0");
    host.says("listening on http://[::]:").await;
}

/// Starts a host whose public port is behind proxies.
fn behind(folder: &Path, proxies: &str) -> Host {
    let setup = Setup::in_folder(folder).with_admin();
    setup.argument("--proxy-protocol").argument(proxies).start()
}

async fn post_after(host: &Host, header: &[u8]) -> String {
    let stream = TcpStream::connect(host.address()).await.unwrap();
    answer(stream, &[header, &request()].concat()).await
}

const VERSION_1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const VERSION_2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\xc6\x33\x64\x01\xdc\x04\x01\xbb";
const HEALTH_CHECK: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

#[tokio::test]
async fn a_proxy_reports_the_address_of_the_client() {
    for proxies in ["on", "192.0.2.0/24,127.0.0.1"] {
        let folder = tempfile::tempdir().unwrap();
        let host = behind(folder.path(), proxies);
        for header in [VERSION_1, VERSION_2, HEALTH_CHECK] {
            let answer = post_after(&host, header).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        }
        for peer in ["192.0.2.7:56324", "192.0.2.8:56324", "127.0.0.1:"] {
            host.says(|line| line.contains(&format!("peer={peer}")))
                .await;
        }
    }
}

#[tokio::test]
async fn only_proxies_get_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let host = behind(folder.path(), "on");
    assert_eq!(post_after(&host, b"").await, "");
    assert_eq!(post_after(&host, b"PROXY TCP4 a b c d\r\n").await, "");
    let refused = "batchtask_connection_failures_total{reason=\"not_proxied\"}";
    host.counts(|metrics| metrics.value(refused) == 2.0).await;
    let folder = tempfile::tempdir().unwrap();
    let host = behind(folder.path(), "192.0.2.0/24");
    assert_eq!(post_after(&host, VERSION_1).await, "");
}

#[tokio::test]
async fn a_trusted_proxy_reports_the_client_in_a_header_field() {
    for (proxies, peer) in [("127.0.0.1", "192.0.2.9:0"), ("192.0.2.0/24", "127.0.0.1:")] {
        let folder = tempfile::tempdir().unwrap();
        let setup = Setup::in_folder(folder.path()).argument("--trusted-proxies");
        let host = setup.argument(proxies).start();
        let fields = [
            ("content-type", "application/json"),
            ("x-forwarded-for", "1.2.3.4, 192.0.2.9"),
        ];
        let mut client = host.client();
        let posted = client.exchange("POST", "/notifications", &fields, EXAMPLE.as_bytes());
        posted.await.unwrap().expect(200, "recorded");
        host.says(|line| line.contains(&format!("peer={peer}")))
            .await;
    }
}

#[test]
fn invalid_networks_of_proxies_stop_the_start() {
    let line = ["serve", "--proxy-protocol", "proxy.example.com"];
    let ended = Program::new(line).run().expect(2);
    assert!(
        ended.stderr.contains("neither an IP address"),
        "{}",
        ended.stderr
    );
}

/// Returns the next message to the service manager.
async fn next_message(socket: &UnixDatagram) -> String {
    let socket = socket.try_clone().unwrap();
    socket
        .set_read_timeout(Some(crate::support::PATIENCE))
        .unwrap();
    let receive = move || {
        let mut message = [0; 1024];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    tokio::task::spawn_blocking(receive).await.unwrap()
}

#[tokio::test]
async fn the_state_is_reported_to_a_service_manager() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    let setup = Setup::in_folder(folder.path()).argument("--takeover");
    let setup = setup.variable(("NOTIFY_SOCKET", path.to_str().unwrap()));
    let host = setup.start();
    let ready = next_message(&manager).await;
    assert!(
        ready.starts_with("READY=1\nSTATUS=listening on http://"),
        "{ready}"
    );
    host.signal(Signal::HUP);
    let reloading = next_message(&manager).await;
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert!(next_message(&manager).await.starts_with("READY=1\n"));
    let successor = setup.start();
    assert!(next_message(&manager).await.starts_with("READY=1\n"));
    let main_pid = format!("MAINPID={}\n", successor.pid().as_raw_nonzero());
    assert_eq!(next_message(&manager).await, main_pid);
    assert_eq!(host.wait(), Some(0));
    successor.stop();
    assert!(next_message(&manager).await.starts_with("STOPPING=1\n"));
}
