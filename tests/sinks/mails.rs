//! Mail, with the SMTP server `aiosmtpd`: STARTTLS, TLS, logins, and refusals.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use super::operations::{post, sinks, until};
use super::{setup, write};
use crate::hosts::tools::{PYTHON, tool};
use crate::support::host::Host;
use crate::support::{PATIENCE, tls};

/// A server for STARTTLS, one for TLS and one without. Prints the ports, and then each mail
/// as JSON. Recipients may be refused for good or for now.
const SERVER: &str = r#"
import asyncio, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
from email import message_from_bytes, policy

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("unknown"):
            return "550 5.1.1 no such user"
        if address.startswith("busy"):
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        print(json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None,
            "user": (session.auth_data.login.decode() if session.auth_data else None),
            "headers": {name: value for name, value in message.items()},
            "raw": envelope.content.decode("ascii"),
            "body": message.get_content(),
        }), flush=True)
        return "250 OK"

def authenticate(server, session, envelope, mechanism, data):
    is_right = (data.login, data.password) == (b"batchtask", b"right")
    return AuthResult(success=is_right, handled=False, auth_data=data)

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    loop = asyncio.get_running_loop()
    def starttls():
        return SMTP(Handler(), tls_context=context, require_starttls=True, auth_required=True,
                    authenticator=authenticate)
    def tls():
        return SMTP(Handler(), authenticator=authenticate, auth_require_tls=False)
    def plain():
        return SMTP(Handler())
    servers = [
        await loop.create_server(starttls, "127.0.0.1", 0),
        await loop.create_server(tls, "127.0.0.1", 0, ssl=context),
        await loop.create_server(plain, "127.0.0.1", 0),
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))

asyncio.run(main())
"#;

/// A mail server that runs until it is dropped.
struct Server {
    child: Child,
    starttls: u64,
    tls: u64,
    plain: u64,
    mails: Receiver<Value>,
}

impl Server {
    /// Starts a server with the certificate in a folder, which is made. Returns `None`
    /// without the tools.
    fn start(folder: &Path) -> Option<Self> {
        let python = tool(PYTHON)?;
        tls::self_signed(folder);
        let mut child = Command::new(python)
            .args(["-c", SERVER])
            .args([folder.join("cert.pem"), folder.join("key.pem")])
            .stdout(Stdio::piped())
            // It shows each client that does not trust it.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = move || lines.next()?.ok();
        let ports = line().expect("the mail server starts");
        let ports: [u64; 3] = serde_json::from_str(&ports).unwrap();
        let (sender, mails) = channel();
        std::thread::spawn(move || {
            while let Some(line) = line() {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        let [starttls, tls, plain] = ports;
        Some(Self {
            child,
            starttls,
            tls,
            plain,
            mails,
        })
    }

    fn mail(&self) -> Value {
        let mail = self.mails.recv_timeout(PATIENCE);
        mail.expect("a mail")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A sink of the mail server at this port.
fn sink(name: &str, port: u64, more: &str) -> String {
    format!(
        "[[sink]]\nname = '{name}'\nkind = 'mail'\nhost = '127.0.0.1'\nport = {port}\n\
         from = 'Receiver <batchtask@example.com>'\nstart = 'beginning'\nevery = '10s'\n{more}\n"
    )
}

fn test(host: &Host, name: &str, code: i32) -> String {
    let ended = sinks(host, &["test", name]).expect(code);
    ended.stdout + &ended.stderr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_arrives_over_tls_with_a_login() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = folder.path().join("certs");
    let Some(server) = Server::start(&certificates) else {
        return;
    };
    std::fs::write(folder.path().join("password"), "right\n").unwrap();
    let ca = certificates.join("ca.pem");
    let login = format!(
        "ca = '{}'\nuser = 'batchtask'\npassword = {{ file = '{}' }}\n\
         page = 'https://receiver.example.com'\nlanguage = 'zh'\n",
        ca.display(),
        folder.path().join("password").display()
    );
    let to = "to = ['Ö. Ops <ops@example.com>', 'second@example.com']\n";
    let text = [
        sink("starttls", server.starttls, &(login.clone() + to)),
        sink("tls", server.tls, &format!("{login}{to}security = 'tls'\n")),
    ];
    write(folder.path(), &text.concat());
    let host = setup(folder.path()).start();
    post(&host, 0, 5).await;
    let mails = [server.mail(), server.mail()];
    for mail in &mails {
        assert_eq!(mail["from"], "batchtask@example.com");
        assert_eq!(
            mail["to"],
            serde_json::json!(["ops@example.com", "second@example.com"])
        );
        assert_eq!(
            (&mail["tls"], &mail["user"]),
            (&true.into(), &"batchtask".into())
        );
        let headers = &mail["headers"];
        assert_eq!(headers["Auto-Submitted"], "auto-generated");
        assert_eq!(headers["Subject"], "批量任务有 5 次状态变化");
        let body = mail["body"].as_str().unwrap();
        assert!(
            body.contains("https://receiver.example.com/page/tasks/"),
            "{body}"
        );
        assert!(mail["raw"].as_str().unwrap().is_ascii());
    }
    let id = |mail: &Value| mail["headers"]["Message-ID"].clone();
    assert_ne!(id(&mails[0]), id(&mails[1]), "each sink has ids of its own");
    for name in ["starttls", "tls"] {
        until(&host, name, |sink| sink["lag_events"] == 0).await;
    }
    host.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_may_refuse_for_now_or_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = folder.path().join("certs");
    let Some(server) = Server::start(&certificates) else {
        return;
    };
    let ca = format!("ca = '{}'\n", certificates.join("ca.pem").display());
    let wrong = "user = 'batchtask'\npassword = 'hush'\nto = 'a@example.com'\n";
    let plain = |to: &str| format!("security = 'none'\nto = '{to}'\n");
    let text = [
        sink("login", server.starttls, &format!("{ca}{wrong}")),
        sink("unknown-ca", server.starttls, "to = 'a@example.com'\n"),
        sink(
            "no-tls",
            server.plain,
            &format!("{ca}to = 'a@example.com'\n"),
        ),
        sink("works", server.plain, &plain("a@example.com")),
        sink("unknown", server.plain, &plain("unknown@example.com")),
        sink("busy", server.plain, &plain("busy@example.com")),
    ];
    write(folder.path(), &text.concat());
    let host = setup(folder.path()).start();
    for (name, expected) in [
        ("login", "check `user` and `password`"),
        ("unknown-ca", "TLS failed"),
        ("no-tls", "does not offer STARTTLS: nothing was sent"),
        ("unknown", "550"),
        ("busy", "451"),
    ] {
        let said = test(&host, name, 1);
        assert!(said.contains(expected), "{name}: {said}");
        assert!(!said.contains("hush"), "{said}");
    }
    let said = test(&host, "works", 0);
    assert_eq!(said, "the sink `works` accepted the test\n");
    assert_eq!(server.mail()["tls"], false);
    post(&host, 0, 1).await;
    // 5xx is a refusal, 4xx a failure of the sink. Both keep the events.
    until(&host, "unknown", |sink| {
        sink["refused"] != 0 && sink["lag_events"] == 1
    })
    .await;
    until(&host, "busy", |sink| {
        sink["failed"] != 0 && sink["lag_events"] == 1
    })
    .await;
    until(&host, "works", |sink| sink["lag_events"] == 0).await;
    host.stop();
}
