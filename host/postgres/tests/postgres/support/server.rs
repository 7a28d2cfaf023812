//! [`Server`]: a PostgreSQL server in a temporary folder.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The user that runs servers if the tests run as root, which PostgreSQL refuses:
/// `nobody`.
const NOBODY: u32 = 65534;
/// How long a server may take to start.
const START: Duration = Duration::from_secs(60);
/// The password of the user `batchtask`.
pub(crate) const PASSWORD: &str = "very-secret-1";

/// Stops the servers in a folder, unmounts their disks and removes the folder, when the
/// standard input ends: also if the tests are killed.
const GUARD: &str = r#"cat >/dev/null
for file in "$1"/*/postmaster.pid; do
    [ -f "$file" ] && kill -QUIT "$(head -n 1 "$file")"
done
sleep 0.3
umount "$1"/data 2>/dev/null
rm -rf "$1""#;

/// A server, which is stopped and removed when this is dropped.
pub(crate) struct Server {
    folder: PathBuf,
    /// The folder of the data, within `folder`.
    data: PathBuf,
    port: u16,
    settings: Vec<(String, String)>,
    process: Mutex<Option<Child>>,
    guard: Child,
}

impl Server {
    /// Starts a new server with these settings. Returns `None` and says so if
    /// PostgreSQL is not installed.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Option<Self> {
        Self::start_with(settings, &["--encoding=UTF8"])
    }

    /// Like [`start`](Self::start), with options of `initdb`.
    pub(crate) fn start_with(settings: &[(&str, &str)], initdb: &[&str]) -> Option<Self> {
        Self::create(settings).map(|server| server.initialize(initdb))
    }

    /// Starts a new server whose data is on a disk of this size, such as `64m`. Returns
    /// `None` and says so if this is not possible.
    pub(crate) fn on_small_disk(size: &str) -> Option<Self> {
        let settings = [("max_wal_size", "4MB"), ("min_wal_size", "2MB")];
        let server = Self::create(&settings)?;
        fs::create_dir(&server.data).expect("created");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]);
        mount.arg(&server.data).stderr(Stdio::null());
        if !mount.status().is_ok_and(|status| status.success()) {
            eprintln!("skipped: nothing can be mounted here");
            return None;
        }
        server.own(&server.data);
        Some(server.initialize(&["--encoding=UTF8", "--wal-segsize=1"]))
    }

    /// Creates the database and starts the server.
    fn initialize(self, initdb: &[&str]) -> Self {
        let server = self;
        fs::write(server.folder.join("password"), PASSWORD).expect("written");
        server.own(&server.folder.join("password"));
        let mut command = server.program("initdb");
        command
            .args(["-U", "batchtask", "-N", "--locale=C", "--auth-local=trust"])
            .args(["--auth-host=scram-sha-256", "-D"])
            .arg(&server.data)
            .arg(format!(
                "--pwfile={}",
                server.folder.join("password").display()
            ))
            .args(initdb);
        succeed(command);
        server.run();
        server
    }

    /// Starts a primary with a synchronous standby.
    pub(crate) fn cluster() -> Option<(Self, Self)> {
        let primary = Self::start(&[])?;
        let standby = primary.standby(&[]);
        primary.set("synchronous_standby_names", "'*'");
        let until = Instant::now() + START;
        let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        while primary.sql(synchronous) != "1" {
            assert!(Instant::now() < until, "the standby is not synchronous");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some((primary, standby))
    }

    /// Creates a folder and its guard.
    fn create(settings: &[(&str, &str)]) -> Option<Self> {
        if binaries().is_none() {
            eprintln!("skipped: PostgreSQL is not installed");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("pg").tempdir();
        let folder = folder.expect("a folder").keep();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("permitted");
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let server = Self {
            data: folder.join("data"),
            port: free_port(),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            process: Mutex::new(None),
            guard: guard.expect("a shell"),
            folder,
        };
        server.own(&server.folder);
        Some(server)
    }

    /// Starts a standby of this server.
    pub(crate) fn standby(&self, settings: &[(&str, &str)]) -> Self {
        let standby = Self::create(settings).expect("it is installed");
        let mut command = standby.program("pg_basebackup");
        command
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                "batchtask",
                "-D",
            ])
            .arg(&standby.data)
            .args([
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
                "-d",
                "application_name=standby",
            ])
            .env("PGPASSWORD", PASSWORD);
        succeed(command);
        // The password is in the file that `-R` wrote.
        standby.run();
        standby
    }

    /// Starts the server and waits until it accepts connections.
    pub(crate) fn run(&self) {
        let mut command = self.program("postgres");
        command.arg("-D").arg(&self.data).args(["-h", "127.0.0.1"]);
        command
            .args(["-p", &self.port.to_string(), "-k"])
            .arg(&self.folder);
        let defaults = [("max_connections", "200"), ("shared_buffers", "32MB")];
        for (name, value) in defaults {
            command.args(["-c", &format!("{name}={value}")]);
        }
        for (name, value) in &self.settings {
            command.args(["-c", &format!("{name}={value}")]);
        }
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log());
        command.stderr(log.expect("a log")).stdout(Stdio::null());
        let child = command.process_group(0).spawn().expect("a server");
        *self.process.lock().unwrap() = Some(child);
        self.wait_until_ready();
    }

    /// Starts the server again if it has ended by itself.
    pub(crate) fn run_if_ended(&self) {
        let mut process = self.process.lock().unwrap();
        let ended = process
            .as_mut()
            .map(|child| child.try_wait().expect("a child"));
        drop(process);
        if ended.flatten().is_some() {
            self.run();
        }
    }

    fn wait_until_ready(&self) {
        let until = Instant::now() + START;
        let file = self.data.join("postmaster.pid");
        let is_ready = || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            // The last line is the state.
            text.lines()
                .nth(7)
                .is_some_and(|state| matches!(state.trim(), "ready" | "standby"))
        };
        while !is_ready() {
            assert!(
                Instant::now() < until,
                "the server did not start: {}",
                self.read_log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server with a signal: `INT` at once but in order, `QUIT` without
    /// order, `KILL` like a loss of power of its processes.
    pub(crate) fn stop(&self, signal: &str) {
        let children = self.children();
        let mut child = self.process.lock().unwrap().take().expect("it runs");
        kill(signal, child.id());
        child.wait().expect("it ended");
        if signal != "KILL" {
            return;
        }
        for pid in &children {
            kill(signal, *pid);
        }
        let is_running = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
        while children.iter().any(is_running) {
            std::thread::sleep(Duration::from_millis(5));
        }
        fs::remove_file(self.data.join("postmaster.pid")).expect("removed");
    }

    /// Returns the ids of the processes of the server, without the first.
    fn children(&self) -> Vec<u32> {
        let parent = self.process.lock().unwrap().as_ref().map(Child::id);
        let parent = parent.expect("it runs");
        let text = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let text = text.unwrap_or_default();
        text.split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    }

    /// Runs statements as the superuser, and returns the rows as lines.
    pub(crate) fn sql(&self, sql: &str) -> String {
        self.sql_in("postgres", sql)
    }

    /// Like [`sql`](Self::sql), in another database.
    pub(crate) fn sql_in(&self, database: &str, sql: &str) -> String {
        let mut command = self.psql(database);
        command.args(["-c", sql]).stdout(Stdio::piped());
        let output = command.output().expect("psql");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {errors}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Returns the command of a session of the superuser.
    pub(crate) fn psql(&self, database: &str) -> Command {
        let mut command = self.program("psql");
        command
            .args([
                "-X",
                "-A",
                "-t",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "batchtask",
                "-h",
            ])
            .arg(&self.folder)
            .args(["-p", &self.port.to_string(), "-d", database]);
        command
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        self.sql("SELECT pg_promote(true, 30)");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of the data.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Returns a URL of the server, with the password.
    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://batchtask:{PASSWORD}@127.0.0.1:{}/postgres",
            self.port
        )
    }

    /// Writes a file that only the server may read.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.join(name);
        let mut file = fs::File::create(&path).expect("created");
        file.write_all(content.as_bytes()).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permitted");
        self.own(&path);
        path
    }

    /// Changes a setting at run time.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.sql(&format!("ALTER SYSTEM SET {name} = {value}"));
        self.sql("SELECT pg_reload_conf()");
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn read_log(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn program(&self, name: &str) -> Command {
        self.command(&binaries().expect("installed").join(name))
    }

    /// Returns the command of a program, run by an ordinary user.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").env("HOME", &self.folder);
        command.stdout(Stdio::null()).stdin(Stdio::null());
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Gives a file to the user that runs the server.
    fn own(&self, path: &Path) {
        if rustix::process::geteuid().is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let _ = child.wait();
        }
    }
}

fn kill(signal: &str, pid: u32) {
    let mut command = Command::new("kill");
    command.args(["-s", signal, &pid.to_string()]);
    // The process may have ended already.
    command.stderr(Stdio::null()).status().expect("kill");
}

fn succeed(mut command: Command) {
    let output = command.output().expect("started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}

/// Returns the folder of PostgreSQL's programs: that of the environment variable, the
/// newest of Debian's, or one of `PATH`.
fn binaries() -> Option<PathBuf> {
    let has_server = |folder: &PathBuf| folder.join("postgres").exists();
    if let Some(folder) = std::env::var_os("BATCHTASK_TEST_POSTGRES") {
        return Some(PathBuf::from(folder)).filter(has_server);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<_> = versions
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(has_server)
        .collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders
        .pop()
        .or_else(|| std::env::split_paths(&path).find(has_server))
}

/// Returns a port of this machine that nothing uses now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
