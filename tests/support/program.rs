//! [`Program`]: commands of the program under test other than `serve`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio::sync::watch;

use super::PATIENCE;
use super::host::{READ_TOKEN, open_terminal};

/// A command line. The settings in the environment of the tests are removed.
pub(crate) struct Program(Command);

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Removes every variable that the program reads.
pub(crate) fn remove_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BATCHTASK_") {
            command.env_remove(name);
        }
    }
}

impl Program {
    pub(crate) fn new<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_batchtask"));
        remove_settings(&mut command);
        command.args(arguments).stdin(Stdio::null());
        Self(command)
    }

    /// Sets the address of the receiver, and the read token.
    pub(crate) fn at(self, address: SocketAddr) -> Self {
        self.variable(("BATCHTASK_URL", &format!("http://{address}")))
            .variable(("BATCHTASK_READ_TOKEN", READ_TOKEN))
    }

    pub(crate) fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    pub(crate) fn argument_each(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    /// Gives it this standard input.
    pub(crate) fn with_stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.0.stdin(stdin);
        self
    }

    /// Runs it in this folder.
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    pub(crate) fn variable(mut self, (name, value): (&str, &str)) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn run(self) -> Ended {
        Ended::of(self.spawn())
    }

    /// Runs it with this input.
    pub(crate) fn run_with_input(mut self, input: &[u8]) -> Ended {
        self.0.stdin(Stdio::piped());
        let mut child = self.spawn();
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input).expect("it reads");
        drop(stdin);
        Ended::of(child)
    }

    /// Runs it with its standard output closed.
    pub(crate) fn run_into_nothing(self) -> Ended {
        let mut child = self.spawn();
        drop(child.stdout.take());
        Ended::of(child)
    }

    /// Runs it with this standard output, and this standard error or one that is read.
    pub(crate) fn run_into(mut self, stdout: File, stderr: Option<File>) -> Ended {
        self.0.stdout(stdout);
        self.0.stderr(stderr.map_or_else(Stdio::piped, Stdio::from));
        Ended::of(self.0.spawn().expect("the program can be started"))
    }

    pub(crate) fn spawn(mut self) -> Child {
        self.0.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.0.spawn().expect("the program can be started")
    }

    /// Starts it at a terminal of its own, with this number of columns. Returns our side of
    /// the terminal, too.
    pub(crate) fn spawn_at_terminal(self, columns: u16) -> (Child, File) {
        let (ours, theirs) = open_terminal();
        let side = || theirs.try_clone().expect("a descriptor");
        let mut size = Command::new("stty");
        size.args(["rows", "40", "cols", &columns.to_string()]);
        let status = size.stdin(side()).status().expect("stty");
        assert!(status.success());
        // In a session of its own, so that a Ctrl-C reaches it.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]);
        command.arg(self.0.get_program()).args(self.0.get_args());
        remove_settings(&mut command);
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(side()).stdout(side()).stderr(side());
        (command.spawn().expect("it can be started"), ours)
    }

    /// Starts it, and reads its lines in the background.
    pub(crate) fn follow(self) -> Follower {
        let mut child = self.spawn();
        let stdout = read_lines(child.stdout.take().expect("it is piped"));
        let stderr = read_lines(child.stderr.take().expect("it is piped"));
        Follower {
            child,
            stdout,
            stderr,
        }
    }
}

fn read_lines(from: impl std::io::Read + Send + 'static) -> watch::Receiver<Vec<String>> {
    let (lines, read) = watch::channel(Vec::new());
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            lines.send_modify(|lines| lines.push(line));
        }
    });
    read
}

impl Ended {
    fn of(child: Child) -> Self {
        let output = child.wait_with_output().expect("it can be waited for");
        let text = |bytes| String::from_utf8(bytes).expect("it writes UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Parses its output, which must be a single JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("{}", self.stdout))
    }

    /// Parses each line of its output as a JSON value.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// A running command. Dropping it kills it.
pub(crate) struct Follower {
    child: Child,
    stdout: watch::Receiver<Vec<String>>,
    stderr: watch::Receiver<Vec<String>>,
}

impl Follower {
    /// Waits until its output matches, and returns the lines.
    pub(crate) async fn writes(&mut self, matches: impl Fn(&[String]) -> bool) -> Vec<String> {
        let written = self.stdout.wait_for(|lines| matches(lines));
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(Ok(lines)) => lines.clone(),
            _ => panic!("the output never matches: {:?}", self.stderr.borrow()),
        }
    }

    /// Waits until a line on its standard error contains this text.
    pub(crate) async fn says(&mut self, text: &str) {
        let said = |lines: &Vec<String>| lines.iter().any(|line| line.contains(text));
        let found = tokio::time::timeout(PATIENCE, self.stderr.wait_for(said)).await;
        assert!(matches!(found, Ok(Ok(_))), "it does not say `{text}`");
    }

    /// Waits until it ends, and returns its exit code.
    pub(crate) fn code(mut self) -> Option<i32> {
        self.child.wait().expect("it can be waited for").code()
    }

    /// Returns how many lines it has written.
    pub(crate) fn count(&self) -> usize {
        self.stdout.borrow().len()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
