//! `batchtask platform`: the real program against the platform in memory of
//! `host/platform`, and a real receiver that this platform pushes to.

#[path = "../host/platform/tests/fake/mod.rs"]
mod fake;

mod differences;
mod failures;
mod queue;
mod reconcile;
mod setup;
mod tasks;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use self::fake::{Fake, PROJECT, REGION, SECRET_KEY};
use crate::support::host::{Host, READ_TOKEN, Setup};
use crate::support::program::{Ended, Program};
use crate::support::tls;

const TOKEN: &str = "pUsHtOkEn";
const PATH_SECRET: &str = "pAtHsEcReT000000";

/// A platform, and a configuration file for it and for a receiver.
struct World {
    fake: Fake,
    folder: TempDir,
    /// `https`, or `http` for a receiver without a certificate.
    scheme: &'static str,
}

impl World {
    async fn new() -> Self {
        Self::with_scheme("https").await
    }

    async fn with_scheme(scheme: &'static str) -> Self {
        let world = Self {
            fake: Fake::start().await,
            folder: tempfile::tempdir().unwrap(),
            scheme,
        };
        fs::write(world.path("secret_key"), SECRET_KEY).unwrap();
        tls::self_signed(world.folder.path());
        world.write(&format!("{scheme}://receiver.example.com"));
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration for a receiver at this URL.
    fn write(&self, url: &str) {
        let folder = self.folder.path().display();
        let certificate = match self.scheme {
            "https" => format!(
                "ca = '{folder}/ca.pem'\n\
                 tls_cert = '{folder}/cert.pem'\ntls_key = '{folder}/key.pem'\n"
            ),
            _ => String::new(),
        };
        let text = format!(
            "url = '{url}'\nread_token = '{READ_TOKEN}'\n{certificate}\
             path_secret = '{PATH_SECRET}'\ntoken = '{TOKEN}'\nsignature = 'enforce'\n\
             [platform]\nregion = '{REGION}'\nurl = '{}'\nproject_id = '{PROJECT}'\n\
             access_key = '{}'\nsecret_key = {{ file = '{folder}/secret_key' }}\n\
             calls_per_second = 1000\nreconcile = 'off'\n",
            self.fake.url(),
            fake::KEY_ID,
        );
        fs::write(self.path("batchtask.toml"), text).unwrap();
    }

    /// Starts a receiver with this configuration, and writes its URL there.
    fn receiver(&self) -> Host {
        self.receiver_with("enforce")
    }

    /// The same with another check of signatures.
    fn receiver_with(&self, signature: &str) -> Host {
        self.start(self.setup().variable(("BATCHTASK_SIGNATURE", signature)))
    }

    /// A receiver with this configuration.
    fn setup(&self) -> Setup {
        Setup::in_folder(self.folder.path())
            .without_read_token()
            .argument("--config")
            .argument(self.path("batchtask.toml"))
    }

    /// Starts a receiver, and writes its URL to the configuration.
    fn start(&self, setup: Setup) -> Host {
        let host = setup.start();
        self.write(&format!("{}://{}", self.scheme, host.address()));
        host
    }

    /// A command below `batchtask platform`, split at spaces.
    fn command(&self, line: &str) -> Program {
        let path = self.path("batchtask.toml");
        Program::new(["platform"].into_iter().chain(line.split(' ')))
            .variable(("BATCHTASK_CONFIG", path.to_str().unwrap()))
    }

    /// Runs a command, whose output must not contain a secret.
    #[track_caller]
    fn run(&self, line: &str) -> Ended {
        without_secrets(self.command(line).run())
    }

    /// Returns the calls that changed something since this was called last.
    fn changes(&self) -> Vec<String> {
        let seen = self.fake.take_seen().into_iter();
        let changes = seen.filter(|seen| seen.method != "GET");
        changes.map(|seen| seen.method).collect()
    }
}

#[track_caller]
fn without_secrets(ended: Ended) -> Ended {
    for secret in [SECRET_KEY, TOKEN, PATH_SECRET, READ_TOKEN, fake::PASSWORD] {
        for text in [&ended.stdout, &ended.stderr] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    ended
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}
