//! Pebble, the test server of Let's Encrypt, and its name server.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use batchtask_platform::{HttpClient, TransportOptions};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// How long a program may take to start.
const START_TIME: Duration = Duration::from_secs(60);

/// The id and the key of an account that [`Needs::external_account`] needs.
pub(crate) const EXTERNAL_ID: &str = "kid-1";
pub(crate) const EXTERNAL_KEY: &str =
    "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// A CA. Dropping it ends it.
pub(crate) struct Pebble {
    folder: PathBuf,
    ca: Child,
    names: Child,
    address: SocketAddr,
    management: SocketAddr,
    names_management: SocketAddr,
}

/// What is different from other CAs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    /// It issues only for accounts of customers.
    pub(crate) external_account: bool,
}

impl Pebble {
    /// Starts a CA that connects to this port for TLS-ALPN-01, with its files in `folder`. If
    /// it is not installed, prints a line and returns `None`.
    pub(crate) fn start(folder: &Path, tls_port: u16) -> Option<Self> {
        Self::start_with(folder, tls_port, Needs::default())
    }

    pub(crate) fn start_with(folder: &Path, tls_port: u16, needs: Needs) -> Option<Self> {
        for program in ["pebble", "pebble-challtestsrv"] {
            let found = Command::new(program)
                .arg("-h")
                .stderr(Stdio::null())
                .status();
            if found.is_err() {
                eprintln!("skipped: `{program}` is not installed");
                return None;
            }
        }
        let folder = folder.join("pebble");
        fs::create_dir_all(&folder).unwrap();
        make_certificates(&folder);
        let [address, management, dns, names_management] = free_addresses();
        let names = start_names(dns, names_management);
        let config = serde_json::json!({ "pebble": {
            "listenAddress": address.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": folder.join("cert.pem"),
            "privateKey": folder.join("key.pem"),
            "httpPort": 1,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": needs.external_account,
            "externalAccountMACKeys": { EXTERNAL_ID: EXTERNAL_KEY },
        }});
        let path = folder.join("config.json");
        fs::write(&path, config.to_string()).unwrap();
        let pebble = Self {
            ca: start_ca(&path, dns),
            folder,
            names,
            address,
            management,
            names_management,
        };
        for address in [address, management, names_management] {
            wait_for(address);
        }
        Some(pebble)
    }

    /// The URL of the directory.
    pub(crate) fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file of the authority of the CA's own server.
    pub(crate) fn authority_path(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    pub(crate) fn authority(&self) -> Vec<u8> {
        fs::read(self.authority_path()).unwrap()
    }

    /// The certificate and the key of the CA's own server, as PEM.
    pub(crate) fn server(&self) -> [Vec<u8>; 2] {
        ["cert.pem", "key.pem"].map(|name| fs::read(self.folder.join(name)).unwrap())
    }

    /// The root of the certificates that it issues, as PEM.
    pub(crate) async fn root(&self) -> String {
        let url = format!("https://{}/roots/0", self.management);
        let root = Request::get(url).body(Full::default()).unwrap();
        let root = request(&self.authority(), root).await;
        String::from_utf8(root.to_vec()).unwrap()
    }

    /// The address to which DNS records are posted, at `/set-txt` and `/clear-txt`.
    pub(crate) fn names_management(&self) -> SocketAddr {
        self.names_management
    }

    /// Ends it and starts it again at the same addresses. It has forgotten everything.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.ca = {
            let dns = fs::read_to_string(self.folder.join("dns")).unwrap();
            start_ca(&self.folder.join("config.json"), dns.parse().unwrap())
        };
        wait_for(self.address);
    }

    /// Ends the CA.
    pub(crate) fn stop(&mut self) {
        self.ca.kill().unwrap();
        self.ca.wait().unwrap();
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in [&mut self.ca, &mut self.names] {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start_names(dns: SocketAddr, management: SocketAddr) -> Child {
    let off = [
        "-http01",
        "",
        "-https01",
        "",
        "-tlsalpn01",
        "",
        "-defaultIPv6",
        "",
    ];
    Command::new("pebble-challtestsrv")
        .args(off)
        .args(["-defaultIPv4", "127.0.0.1"])
        .args(["-dns01", &dns.to_string()])
        .args(["-management", &management.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn start_ca(config: &Path, dns: SocketAddr) -> Child {
    fs::write(config.with_file_name("dns"), dns.to_string()).unwrap();
    Command::new("pebble")
        .arg("-config")
        .arg(config)
        .args(["-dnsserver", &dns.to_string()])
        // Every order is validated, and a part of the nonces is refused.
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_AUTHZREUSE", "0")
        .env("PEBBLE_WFE_NONCEREJECT", "3")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Addresses that were free a moment ago.
fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

fn wait_for(address: SocketAddr) {
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(started.elapsed() < START_TIME, "{address} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Makes an authority, and a certificate of the CA's server.
fn make_certificates(folder: &Path) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("cert.pem", server.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}

/// Sends a request to a server with this authority, and returns the body of the answer.
pub(crate) async fn request(authority: &[u8], request: Request<Full<Bytes>>) -> Bytes {
    let options = TransportOptions {
        authorities: Some(authority.to_vec()),
        ..TransportOptions::default()
    };
    let client = HttpClient::new(&options, true).unwrap();
    let answer = client.request(request).await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.into_body().collect().await.unwrap().to_bytes()
}
