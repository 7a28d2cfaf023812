//! [`Rabbit`]: RabbitMQ with its plugin for AMQP 1.0, from Debian.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;

use super::authority::Authority;
use super::certificates::Certificates;
use super::{eventually, free_port, installed};

/// Its durable queues.
const QUEUES: [&str; 2] = ["DefaultQueue", "other-queue"];

/// The address of its first queue. A bare name would declare another, which is not durable.
pub(crate) const QUEUE: &str = "/amq/queue/DefaultQueue";

/// The address of its second queue.
pub(crate) const OTHER_QUEUE: &str = "/amq/queue/other-queue";

/// Where Debian has its programs. Those in `/usr/sbin` change the user.
const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";

/// A broker with a folder of its own. Dropping it ends it.
pub(crate) struct Rabbit {
    pub(crate) certificates: Certificates,
    pub(crate) authority: Authority,
    pub(crate) port: u16,
    folder: PathBuf,
    distribution_port: u16,
    epmd_port: u16,
    process: Option<Child>,
}

impl Rabbit {
    /// Starts it in a folder. Returns `None` if it is not installed.
    pub(crate) async fn start(folder: &Path) -> Option<Self> {
        let program = Path::new(PROGRAMS).join("rabbitmq-server");
        installed(program, "`rabbitmq-server` from Debian")?;
        let mut rabbit = Self {
            certificates: Certificates::make(folder),
            authority: Authority::start(),
            port: free_port(),
            folder: folder.into(),
            distribution_port: free_port(),
            epmd_port: free_port(),
            process: None,
        };
        rabbit.configure();
        rabbit.restart().await;
        Some(rabbit)
    }

    pub(crate) fn url(&self) -> String {
        format!("amqps://127.0.0.1:{}", self.port)
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A script, and below it the Erlang machine.
            let _ = kill_process_group(Pid::from_child(&process), Signal::KILL);
            let _ = process.wait();
        }
    }

    /// Starts it, and waits until it listens.
    pub(crate) async fn restart(&mut self) {
        let log = fs::File::create(self.folder.join("output.log")).expect("a file");
        let process = self
            .program("rabbitmq-server")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .process_group(0)
            .spawn();
        self.process = Some(process.expect("it can be started"));
        let port = self.port;
        eventually("RabbitMQ listens", async || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        })
        .await;
    }

    /// Returns how many messages its queues have.
    pub(crate) fn depth(&self) -> usize {
        let output = self
            .program("rabbitmqctl")
            .args(["--quiet", "--no-table-headers", "list_queues", "messages"])
            .output()
            .expect("it can be started");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        text.lines()
            .filter_map(|line| line.trim().parse::<usize>().ok())
            .sum()
    }

    fn configure(&self) {
        let folder = self.folder.display();
        let certificates = &self.certificates;
        let auth = format!("http://127.0.0.1:{}/auth", self.authority.port);
        let definitions = json!({
            "vhosts": [{ "name": "/" }],
            "queues": QUEUES.map(|name| json!({
                "name": name, "vhost": "/", "durable": true, "auto_delete": false, "arguments": {},
            })),
        });
        let config = format!(
            "listeners.tcp = none\n\
             listeners.ssl.default = 127.0.0.1:{port}\n\
             ssl_options.cacertfile = {ca}\n\
             ssl_options.certfile = {cert}\n\
             ssl_options.keyfile = {key}\n\
             ssl_options.verify = verify_none\n\
             auth_mechanisms.1 = PLAIN\n\
             auth_backends.1 = http\n\
             auth_http.http_method = post\n\
             auth_http.user_path = {auth}/user\n\
             auth_http.vhost_path = {auth}/vhost\n\
             auth_http.resource_path = {auth}/resource\n\
             auth_http.topic_path = {auth}/topic\n\
             load_definitions = {folder}/definitions.json\n",
            port = self.port,
            ca = certificates.ca.display(),
            cert = certificates.cert.display(),
            key = certificates.key.display(),
        );
        fs::write(self.folder.join("rabbitmq.conf"), config).expect("a file");
        fs::write(
            self.folder.join("definitions.json"),
            definitions.to_string(),
        )
        .expect("a file");
        let plugins = "[rabbitmq_amqp1_0,rabbitmq_auth_backend_http].\n";
        fs::write(self.folder.join("enabled_plugins"), plugins).expect("a file");
        fs::create_dir_all(self.folder.join("home")).expect("a folder");
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(Path::new(PROGRAMS).join(name));
        command
            .env("HOME", self.folder.join("home"))
            .env("RABBITMQ_NODENAME", format!("trial{}@localhost", self.port))
            .env("RABBITMQ_MNESIA_BASE", self.folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", self.folder.join("log"))
            .env("RABBITMQ_CONFIG_FILE", self.folder.join("rabbitmq.conf"))
            .env(
                "RABBITMQ_ENABLED_PLUGINS_FILE",
                self.folder.join("enabled_plugins"),
            )
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
            );
        command
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        self.kill();
        // The name server of Erlang, which it started, would stay.
        let mut epmd = Command::new("epmd");
        let epmd = epmd.args(["-port", &self.epmd_port.to_string(), "-kill"]);
        let _ = epmd.stdout(Stdio::null()).stderr(Stdio::null()).status();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.join("output.log")).unwrap_or_default();
            eprintln!("RabbitMQ said:\n{log}");
        }
    }
}
