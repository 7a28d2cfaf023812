//! The program under test, as a process of its own.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::sync::watch;

use super::PATIENCE;
use super::client::Client;
use super::metrics::Metrics;
use super::program::remove_settings;

/// What readers show the host.
pub(crate) const READ_TOKEN: &str = "e2eReadToken0123456789abcdefghij";

/// No line for each request: for tests that make very many.
pub(crate) const QUIET: (&str, &str) = ("BATCHTASK_LOG", "info,batchtask_host::intake=warn");

/// Where the tests' hosts keep compiled code. It outlives a run of the tests,
/// because it is the same in the next one.
pub(crate) const CODE_CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/code");

/// How many of its last lines are kept, for when a test fails.
const LINES_KEPT: usize = 200;

/// How many lines a reader takes before it stalls, if it does.
const LINES_BETWEEN_STALLS: usize = 2000;

/// How a host is started.
#[derive(Clone)]
pub(crate) struct Setup {
    journal: PathBuf,
    wrapper: Vec<OsString>,
    arguments: Vec<OsString>,
    variables: Vec<(String, String)>,
    listen: &'static str,
    admin: &'static str,
    lines_kept: usize,
    log_stall: Duration,
    inherits: Option<Arc<TcpListener>>,
    has_read_token: bool,
    has_journal: bool,
    has_terminal: bool,
}

/// A host that listens. Dropping it kills it.
pub(crate) struct Host {
    setup: Setup,
    process: Process,
    address: SocketAddr,
    admin: Option<SocketAddr>,
}

struct Process {
    child: Child,
    lines: Arc<watch::Sender<VecDeque<String>>>,
    /// The address, once; closed when the process has ended.
    address: mpsc::Receiver<SocketAddr>,
}

impl Setup {
    /// A journal in this folder.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            journal: folder.join("batchtask.db"),
            wrapper: Vec::new(),
            arguments: Vec::new(),
            variables: Vec::new(),
            listen: "127.0.0.1:0",
            admin: "off",
            lines_kept: LINES_KEPT,
            log_stall: Duration::ZERO,
            inherits: None,
            has_read_token: true,
            has_journal: true,
            has_terminal: false,
        }
    }

    /// A journal in this file.
    pub(crate) fn on_journal(path: impl Into<PathBuf>) -> Self {
        Self {
            journal: path.into(),
            ..Self::in_folder(Path::new(""))
        }
    }

    /// The same with a journal in another file.
    pub(crate) fn with_journal(self, journal: PathBuf) -> Self {
        Self { journal, ..self }
    }

    pub(crate) fn variable(mut self, (name, value): (&str, &str)) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Without the variable of the read token.
    pub(crate) fn without_read_token(self) -> Self {
        let has_read_token = false;
        Self {
            has_read_token,
            ..self
        }
    }

    /// Without the flag of the journal.
    pub(crate) fn without_journal(self) -> Self {
        let has_journal = false;
        Self {
            has_journal,
            ..self
        }
    }

    /// Its stderr is a terminal.
    pub(crate) fn on_terminal(self) -> Self {
        let has_terminal = true;
        Self {
            has_terminal,
            ..self
        }
    }

    /// With the public listener on another address.
    pub(crate) fn listening_on(self, listen: &'static str) -> Self {
        Self { listen, ..self }
    }

    /// With an admin listener.
    pub(crate) fn with_admin(self) -> Self {
        let admin = "127.0.0.1:0";
        Self { admin, ..self }
    }

    /// With an admin listener on this address.
    pub(crate) fn with_admin_on(self, admin: &'static str) -> Self {
        Self { admin, ..self }
    }

    /// The reader of its log stops for this long now and then.
    pub(crate) fn with_stalling_log(self, log_stall: Duration) -> Self {
        Self { log_stall, ..self }
    }

    /// All lines are kept, for a test that looks at them.
    pub(crate) fn keeping_all_lines(self) -> Self {
        let lines_kept = usize::MAX;
        Self { lines_kept, ..self }
    }

    pub(crate) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Another program that ends in becoming the host: it takes these
    /// arguments, and after them the host's command line.
    pub(crate) fn under<S: Into<OsString>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    /// With a public socket that a service manager keeps open.
    pub(crate) fn inheriting(self, socket: &Arc<TcpListener>) -> Self {
        const PASS_STDIN: &str = "export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=http; \
            exec \"$@\" 3<&0 </dev/null";
        let inherits = Some(socket.clone());
        let setup = self.under(["sh", "-c", PASS_STDIN, "sh"]);
        Self { inherits, ..setup }
    }

    pub(crate) fn journal(&self) -> &Path {
        &self.journal
    }

    /// Starts a host and waits until it listens.
    pub(crate) fn start(&self) -> Host {
        let process = self.spawn();
        match process.address.recv_timeout(PATIENCE) {
            Ok(address) => Host {
                setup: self.clone(),
                admin: process.admin(),
                process,
                address,
            },
            Err(_) => panic!("the host does not listen:\n{}", process.said()),
        }
    }

    /// Starts a host and kills it, wherever it has come to.
    pub(crate) fn start_and_kill_at_once(&self) {
        drop(self.spawn());
    }

    /// Starts a host that must end by itself, and returns its exit code and
    /// what it said.
    pub(crate) fn fail(&self) -> (Option<i32>, String) {
        let mut process = self.spawn();
        let listening = process.address.recv_timeout(PATIENCE);
        assert_eq!(
            listening,
            Err(mpsc::RecvTimeoutError::Disconnected),
            "{}",
            process.said()
        );
        let status = process.child.wait().expect("it can be waited for");
        (status.code(), process.said())
    }

    fn stdin(&self) -> Stdio {
        match &self.inherits {
            Some(socket) => OwnedFd::from(socket.try_clone().expect("a descriptor")).into(),
            None => Stdio::null(),
        }
    }

    fn spawn(&self) -> Process {
        let binary = OsStr::new(env!("CARGO_BIN_EXE_batchtask"));
        let mut line = self.wrapper.iter().map(OsString::as_os_str).chain([binary]);
        let mut journal = OsString::from("sqlite:");
        journal.push(&self.journal);
        let mut command = Command::new(line.next().expect("the binary at least"));
        command
            .args(line)
            .args(["serve", "--listen", self.listen, "--admin", self.admin])
            // The disks of tests are small.
            .args(["--min-free-disk-mib", "0"])
            .args(["--cache-dir", CODE_CACHE])
            .args(&self.arguments);
        if self.has_journal {
            command.arg("--journal").arg(journal);
        }
        remove_settings(&mut command);
        if self.has_read_token {
            command.env("BATCHTASK_READ_TOKEN", READ_TOKEN);
        }
        command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(self.stdin())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let terminal = self.has_terminal.then(open_terminal);
        let terminal = terminal.map(|(ours, theirs)| {
            command.stderr(theirs);
            ours
        });
        let mut child = command.spawn().expect("the program can be started");
        // The end of the terminal that is the child's; the child has a copy.
        drop(command);
        let stderr: Box<dyn Read + Send> = match terminal {
            Some(terminal) => Box::new(terminal),
            None => Box::new(child.stderr.take().expect("it is piped")),
        };
        let lines = Arc::<watch::Sender<_>>::default();
        let (found, address) = mpsc::channel();
        let (sink, setup) = (lines.clone(), self.clone());
        std::thread::spawn(move || read_lines(stderr, &sink, &setup, &found));
        Process {
            child,
            lines,
            address,
        }
    }
}

/// Keeps the last lines and finds the address among them.
fn read_lines(
    stderr: impl Read,
    lines: &watch::Sender<VecDeque<String>>,
    setup: &Setup,
    found: &mpsc::Sender<SocketAddr>,
) {
    for (number, line) in BufReader::new(stderr).lines().enumerate() {
        let Ok(line) = line else { return };
        if number % LINES_BETWEEN_STALLS == LINES_BETWEEN_STALLS - 1 {
            std::thread::sleep(setup.log_stall);
        }
        let address = address_in(&line).filter(|_| !line.contains("admin"));
        lines.send_modify(|lines| {
            if lines.len() == setup.lines_kept {
                lines.pop_front();
            }
            lines.push_back(line);
        });
        if let Some(address) = address {
            // Nobody waits for it when the host was killed at once.
            let _ = found.send(address);
        }
    }
}

/// Whether a line of the text log is one of the program's own, and no warning.
pub(crate) fn is_info_of_ours(line: &str) -> bool {
    let targets = [" INFO batchtask::", " INFO batchtask_host::"];
    line.starts_with("20") && targets.iter().any(|target| line.contains(target))
}

/// A terminal: our side, and that of a program.
pub(crate) fn open_terminal() -> (fs::File, fs::File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let ours = openpt(flags).expect("a terminal");
    grantpt(&ours).expect("a terminal of ours");
    unlockpt(&ours).expect("a terminal of ours");
    let name = ptsname(&ours, Vec::new()).expect("a name");
    let mut options = fs::File::options();
    let theirs = options.read(true).write(true);
    let theirs = theirs.open(name.to_str().expect("UTF-8"));
    (ours.into(), theirs.expect("the other side"))
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on http")?;
    let (_, rest) = rest.split_once("://")?;
    let is_address = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']');
    let end = rest.find(|c| !is_address(c)).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

impl Process {
    /// The address of the admin listener, which is told before the public one.
    fn admin(&self) -> Option<SocketAddr> {
        let lines = self.lines.borrow();
        let line = lines.iter().find(|line| line.contains("admin listening"));
        line.and_then(|line| address_in(line))
    }

    fn said(&self) -> String {
        let lines = self.lines.borrow();
        lines.iter().map(|line| line.clone() + "\n").collect()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is a child of ours");
    }

    /// Waits until it has closed its stderr, which it does by ending.
    fn wait(&mut self) -> ExitStatus {
        loop {
            match self.address.recv_timeout(PATIENCE) {
                // A successor listens, or the host does again.
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(_) => panic!("the host does not end:\n{}", self.said()),
            }
        }
        self.child.wait().expect("it can be waited for")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the host said:\n{}", self.said());
        }
    }
}

impl Host {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.expect("an admin listener")
    }

    /// A connection to the admin listener.
    pub(crate) fn admin(&self) -> Client {
        Client::new(self.admin.expect("an address"))
    }

    /// What it has counted.
    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics::read(&mut self.admin()).await
    }

    /// Waits until it has counted such.
    pub(crate) async fn counts(&self, is_such: impl Fn(&Metrics) -> bool) {
        let counted = async { while !is_such(&self.metrics().await) {} };
        let counted = tokio::time::timeout(PATIENCE, counted).await;
        counted.expect("the host comes to count such");
    }

    /// Waits until one of its lines is such, and returns that line.
    pub(crate) async fn says(&self, is_such: impl Fn(&str) -> bool) -> String {
        let mut lines = self.process.lines.subscribe();
        let find = |lines: &VecDeque<String>| lines.iter().find(|line| is_such(line)).cloned();
        let said = lines.wait_for(|lines| find(lines).is_some());
        let said = tokio::time::timeout(PATIENCE, said).await;
        let said = said.unwrap_or_else(|_| panic!("it does not say that:\n{}", self.said()));
        find(&said.expect("it is alive")).expect("it was found")
    }

    /// What it said.
    pub(crate) fn said(&self) -> String {
        self.process.said()
    }

    /// Stops it, and returns everything that it said.
    pub(crate) fn last_words(mut self) -> String {
        self.process.signal(Signal::TERM);
        let status = self.process.wait();
        assert_eq!(status.code(), Some(0), "{}", self.process.said());
        self.process.said()
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// `kill -9`
    pub(crate) fn kill(mut self) {
        self.process.signal(Signal::KILL);
        let status = self.process.wait();
        assert_eq!(status.signal(), Some(9), "it was alive until then");
    }

    /// `kill -9`, and a new start on the same journal.
    pub(crate) fn kill_and_restart(self) -> Self {
        let setup = self.setup.clone();
        self.kill();
        setup.start()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until it has ended by itself, and returns its exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.process.wait().code()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.process.child)
    }

    /// SIGTERM, which it must obey with an exit code of 0.
    pub(crate) fn stop(self) {
        self.stop_by(Signal::TERM);
    }

    /// The same by any signal.
    pub(crate) fn stop_by(mut self, signal: Signal) {
        self.process.signal(signal);
        let status = self.process.wait();
        assert_eq!(status.code(), Some(0), "{}", self.process.said());
    }

    /// A graceful stop, and a new start on the same journal.
    pub(crate) fn stop_and_restart(self) -> Self {
        let setup = self.setup.clone();
        self.stop();
        setup.start()
    }

    /// SIGSTOP: it is there, and does nothing.
    pub(crate) fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// SIGCONT
    pub(crate) fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }

    /// The memory that it has in use, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most memory that it had in use, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// The most address space that it had reserved, in KiB.
    pub(crate) fn peak_address_space_kib(&self) -> u64 {
        self.status_kib("VmPeak:")
    }

    fn status_kib(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.child.id());
        let status = fs::read_to_string(path).expect("it is alive");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// A path as this process sees it, which may be on a disk of its own.
    pub(crate) fn path_inside(&self, path: &Path) -> PathBuf {
        let root = format!("/proc/{}/root", self.process.child.id());
        let inside = path.strip_prefix("/").expect("an absolute path");
        Path::new(&root).join(inside)
    }
}
