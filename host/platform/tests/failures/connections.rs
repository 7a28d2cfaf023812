//! Names, connections, TLS and proxies.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use batchtask_platform::api::rules::RuleFilter;
use batchtask_platform::{Client, Edition, Endpoint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::failure;
use crate::fake::{self, Fake};
use crate::support::{chain, options};

#[tokio::test]
async fn an_unknown_region_is_reported() {
    let fake = Fake::start().await;
    let mut options = options(&fake);
    // Longer than a resolver tries.
    options.transport.timeout = Duration::from_secs(60);
    let url = "http://iotda.mars-north-1.invalid";
    options.endpoint = Endpoint::new(Edition::Basic, "mars-north-1", Some(url)).unwrap();
    let expected = "cannot list the rules: the host `iotda.mars-north-1.invalid` is unknown. Check \
        the region, the URL and the DNS of this machine: ";
    failure(options, expected).await;
}

#[tokio::test]
async fn an_unreachable_platform_is_reported() {
    let fake = Fake::start().await;
    let mut options = options(&fake);
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    options.endpoint = Endpoint::new(
        Edition::Basic,
        fake::REGION,
        Some(&format!("http://{closed}")),
    )
    .unwrap();
    let error = failure(
        options,
        "cannot list the rules: no connection to `127.0.0.1:",
    );
    assert!(error.await.is_temporary());
}

/// Ends TLS in front of a platform. Returns its address and its certificate.
async fn tls_front(fake: &Fake) -> (SocketAddr, String) {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, behind) = (listener.local_addr().unwrap(), fake.address);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(stream).await?;
                let mut server = TcpStream::connect(behind).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    (address, own.cert.pem())
}

#[tokio::test]
async fn tls_is_checked() {
    let fake = Fake::start().await;
    let (address, authority) = tls_front(&fake).await;
    let mut options = options(&fake);
    let url = format!("https://localhost:{}", address.port());
    options.endpoint = Endpoint::new(Edition::Basic, fake::REGION, Some(&url)).unwrap();
    options.transport.authorities = Some(authority.into_bytes());
    let client = Client::new(options.clone()).unwrap();
    client.list(&RuleFilter::default()).await.unwrap();

    let (_, another) = tls_front(&fake).await;
    options.transport.authorities = Some(another.into_bytes());
    let expected = "cannot list the rules: TLS with `localhost:";
    let error = failure(options.clone(), expected).await;
    assert!(
        chain(&error).contains("invalid peer certificate"),
        "{}",
        chain(&error)
    );
    // A port that does not speak TLS.
    let url = format!("https://{}", fake.address);
    options.endpoint = Endpoint::new(Edition::Basic, fake::REGION, Some(&url)).unwrap();
    failure(
        options.clone(),
        "cannot list the rules: TLS with `127.0.0.1:",
    )
    .await;
    options.transport.authorities = Some(b"no PEM".to_vec());
    let error = Client::new(options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`authorities`: it contains no certificate"
    );
}

/// A proxy that opens tunnels, if the password is right. Returns its address.
async fn proxy() -> SocketAddr {
    async fn serve(mut client: TcpStream) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        // "user:word"
        if !head
            .to_lowercase()
            .contains("proxy-authorization: basic dxnlcjp3b3jk")
        {
            return client.write_all(b"HTTP/1.1 407 Authenticate\r\n\r\n").await;
        }
        let target = head
            .strip_prefix("CONNECT ")
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        let Ok(mut server) = TcpStream::connect(target).await else {
            return client.write_all(b"HTTP/1.1 502 No\r\n\r\n").await;
        };
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
        tokio::io::copy_bidirectional(&mut client, &mut server)
            .await
            .map(drop)
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client));
        }
    });
    address
}

#[tokio::test]
async fn calls_go_through_a_proxy() {
    let fake = Fake::start().await;
    let proxy = proxy().await;
    let mut options = options(&fake);
    options.transport.proxy = Some(format!("http://user:word@{proxy}").parse().unwrap());
    Client::new(options.clone())
        .unwrap()
        .list(&RuleFilter::default())
        .await
        .unwrap();
    options.transport.proxy = Some(format!("http://user:wrong@{proxy}").parse().unwrap());
    let expected = format!(
        "cannot list the rules: the proxy `{proxy}` opened no tunnel to `{}`. Check the \
         proxy's address, its user and password, and which hosts it allows: ",
        fake.address
    );
    let error = failure(options.clone(), &expected).await;
    assert!(
        chain(&error).ends_with("proxy authorization required"),
        "{}",
        chain(&error)
    );
    assert!(!format!("{:?} {error:?}", options.transport).contains("wrong"));
}
