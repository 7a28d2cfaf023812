//! How the commands that read a receiver reach it: proxies, names, colours.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::host::{Host, QUIET, READ_TOKEN, Setup};
use crate::support::program::{Ended, Program};

/// A proxy that opens a tunnel to the host, whatever name it is asked for.
struct Proxy {
    address: SocketAddr,
    /// The places that it was asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, target, seen.clone()));
            }
        });
        Self { address, asked }
    }
}

async fn tunnel(stream: TcpStream, target: SocketAddr, seen: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let place = line.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.lock().unwrap().push(place);
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
    }
    let mut stream = stream.into_inner();
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let mut host = TcpStream::connect(target).await.unwrap();
    let _ = copy_bidirectional(&mut stream, &mut host).await;
}

async fn tasks(url: &str, variables: &[(&str, &str)]) -> Ended {
    let mut program = Program::new(["tasks", "--url", url]);
    for variable in variables {
        program = program.variable(*variable);
    }
    let program = program.variable(("BATCHTASK_READ_TOKEN", READ_TOKEN));
    tokio::task::spawn_blocking(|| program.run()).await.unwrap()
}

fn host(folder: &std::path::Path) -> Host {
    Setup::in_folder(folder).variable(QUIET).start()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_of_the_environment_is_used_as_by_curl() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path());
    let proxy = Proxy::to(host.address()).await;
    let url = format!("http://{}/", proxy.address);
    for (variables, asked) in [
        (&[("http_proxy", &*url)][..], Some("receiver.example:80")),
        (&[("ALL_PROXY", &*url)], Some("receiver.example:80")),
        (&[("http_proxy", &*url), ("NO_PROXY", ".example")], None),
        (&[("HTTPS_PROXY", &*url)], None),
    ] {
        proxy.asked.lock().unwrap().clear();
        let ended = tasks("http://receiver.example", variables).await;
        let found = proxy.asked.lock().unwrap().first().cloned();
        assert_eq!(found.as_deref(), asked, "{variables:?} {}", ended.stderr);
        assert_eq!(ended.code, Some(if asked.is_some() { 0 } else { 3 }));
    }
    // A receiver on this machine needs none.
    let url = format!("http://{}", host.address());
    let direct = tasks(&url, &[("http_proxy", "http://127.0.0.1:1")]);
    direct.await.expect(0);
    let wrong = tasks("http://receiver.example", &[("http_proxy", "socks5://h")]).await;
    assert!(wrong.stderr.contains("http_proxy"), "{}", wrong.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_in_any_script_is_asked_for_by_its_ascii_name() {
    let folder = tempfile::tempdir().unwrap();
    let host = host(folder.path());
    let proxy = Proxy::to(host.address()).await;
    let url = format!("http://{}", proxy.address);
    tasks("http://bücher.example:8080", &[("http_proxy", &url)])
        .await
        .expect(0);
    let asked = proxy.asked.lock().unwrap().clone();
    assert_eq!(asked, ["xn--bcher-kva.example:8080"]);
}
