//! nginx in front of a host, with the configuration in `deploy/nginx`.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::text;
use crate::support::EXAMPLE;
use crate::support::client::Client;
use crate::support::host::{Host, Setup};
use crate::support::tls::{Caller, self_signed};

/// An nginx that is stopped when it is dropped.
pub(crate) struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGKILL would leave its worker behind.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

/// The parts of the configuration that Debian's package provides, for an nginx in the
/// foreground whose files are all in the current folder.
const MAIN: &str = "daemon off; user root; pid pid; error_log stderr;
events {}
http {
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include batchtask.conf;
}
";

/// Starts nginx in front of `host`, below the path `/iot/`, with the certificate in the
/// folder. It inherits its socket, so that the port is free.
/// If it is not installed, prints a line and returns `None`.
pub(crate) fn start(folder: &Path, host: &Host) -> Option<(Nginx, SocketAddr)> {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let mut settings = text("nginx/batchtask.conf");
    for (documented, here) in [
        ("listen 443 ", &*format!("listen {address} ")),
        ("    listen [::]:443 ssl http2;\n", ""),
        ("127.0.0.1:8080;", &format!("{};", host.address())),
        ("/etc/nginx/certs/", &format!("{}/", folder.display())),
        ("/var/log/nginx/error.log", "stderr"),
    ] {
        assert!(settings.contains(documented), "{documented}");
        settings = settings.replace(documented, here);
    }
    fs::write(folder.join("batchtask.conf"), settings).unwrap();
    fs::write(folder.join("nginx.conf"), MAIN).unwrap();
    if Command::new("nginx").arg("-v").output().is_err() {
        eprintln!("skipped: nginx (Debian: nginx) is not installed");
        return None;
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec nginx -p \"$0\" -c nginx.conf 3<&0 </dev/null"]);
    shell.arg(folder).env("NGINX", "3;");
    shell.stdin(Stdio::from(OwnedFd::from(socket)));
    Some((Nginx(shell.spawn().unwrap()), address))
}

async fn post(client: &mut Client, body: &[u8]) -> u16 {
    let fields = [
        ("content-type", "application/json"),
        ("x-forwarded-for", "192.0.2.9"),
        ("forwarded", "for=192.0.2.10"),
    ];
    let posted = client.exchange("POST", "/iot/notifications", &fields, body);
    posted.await.unwrap().status
}

#[tokio::test]
async fn nginx_passes_on_pushes_and_addresses() {
    let folder = tempfile::tempdir().unwrap();
    self_signed(folder.path());
    let setup = Setup::in_folder(folder.path()).argument("--trusted-proxies");
    let host = setup.argument("127.0.0.1").start();
    let Some((_nginx, address)) = start(folder.path(), &host) else {
        return;
    };
    let caller = Caller::trusting(&folder.path().join("ca.pem"));
    let mut client = Client::over_tls(address, caller.config().into());
    assert_eq!(post(&mut client, EXAMPLE.as_bytes()).await, 200);
    // The port is 0, because the address comes from nginx's header field.
    host.says(|line| line.contains("peer=127.0.0.1:0 ")).await;
}
