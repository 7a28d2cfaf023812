//! What `check` accepts starts, and what it refuses does not.

use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::{check, write};
use crate::support::program::Program;
use crate::support::scale;

/// Values of options, valid and invalid ones.
const VALUES: &[(&str, &[&str])] = &[
    (
        "admin",
        &[
            "'off'",
            "'127.0.0.1:0'",
            "':0'",
            "'nowhere'",
            "'unix:admin.sock'",
            "'192.0.2.1:0'",
        ],
    ),
    (
        "proxy_protocol",
        &["'off'", "'on'", "['127.0.0.1', '10.0.0.0/8']", "'x'"],
    ),
    (
        "trusted_proxies",
        &["'::1'", "['10.0.0.0/8']", "[]", "['a', 'b']"],
    ),
    ("takeover", &["false", "true", "'yes'"]),
    (
        "journal",
        &[
            "'sqlite:b.db'",
            "'sqlite://c.db'",
            "'sqlite:no/b.db'",
            "'sqlite:'",
            "'x'",
        ],
    ),
    ("keep_days", &["0", "2", "1", "-1"]),
    ("quarantine_mib", &["0", "1", "'x'", "4294967296"]),
    ("tls_cert", &["'cert.pem'", "'key.pem'", "'missing.pem'"]),
    ("tls_key", &["'key.pem'", "'cert.pem'"]),
    ("tls_client_ca", &["'ca.pem'", "'empty'"]),
    ("component", &["'empty'", "'missing.wasm'"]),
    ("instance_reuse", &["1", "1000", "0"]),
    (
        "log",
        &["'warn,batchtask=info'", "'info'", "'batchtask=maybe'"],
    ),
    ("log_format", &["'text'", "'json'", "'xml'"]),
    (
        "read_token",
        &[
            "'0123456789abcdef'",
            "['0123456789abcdef', 'fedcba9876543210']",
            "'short'",
        ],
    ),
    (
        "path_secret",
        &[
            "'0123456789abcdef'",
            "{ file = 'secret' }",
            "{ file = 'missing' }",
        ],
    ),
    ("token", &["'abc'", "['abc', 'def']", "'a-b'"]),
    ("signature", &["'off'", "'report'", "'enforce'", "1"]),
    ("max_body_bytes", &["1024", "16777216", "1023", "0x800"]),
    ("stale_after_s", &["60", "59"]),
    ("max_reads", &["1", "0"]),
    ("instance_memory_mib", &["1", "64", "1025"]),
    ("max_instances", &["0", "4", "4097"]),
    ("drain_seconds", &["0", "4294967295"]),
    ("nonsense", &["1"]),
];

/// A configuration of some options. Most of its values are the first ones,
/// which are valid.
fn configuration(random: &mut fastrand::Rng) -> String {
    let mut text = "listen = '127.0.0.1:0'\nadmin = 'off'\n".to_owned();
    for (name, values) in VALUES {
        let is_set = random.f32() < 0.25;
        if !is_set || *name == "nonsense" && random.f32() < 0.9 {
            continue;
        }
        let value = if random.f32() < 0.7 {
            values[0]
        } else {
            random.choice(*values).copied().unwrap_or_default()
        };
        if *name == "admin" {
            text = text.replace("admin = 'off'\n", "");
        }
        // A `String` takes everything.
        let _ = writeln!(text, "{name} = {value}");
    }
    text
}

/// Starts a host, and returns whether it listens.
fn starts(path: &Path, folder: &Path) -> bool {
    let program = Program::new(["serve", "--min-free-disk-mib", "0", "--cache-dir"])
        .argument(crate::support::host::CODE_CACHE)
        .argument("--config")
        .argument(path)
        .in_folder(folder);
    let mut child = program.spawn();
    let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let listens = lines
        .map_while(Result::ok)
        .any(|line| line.contains("listening on") && !line.contains("admin listening"));
    let _ = child.kill();
    let _ = child.wait();
    listens
}

#[test]
fn what_check_accepts_starts_and_what_it_refuses_does_not() {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut valid, mut invalid) = (0, 0);
    for number in 0..scale("BATCHTASK_TEST_CONFIGURATIONS", 60) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("empty"), "").unwrap();
        fs::write(folder.path().join("secret"), "0123456789abcdef").unwrap();
        let made = Program::new(["tls", "self-signed", "certs", "--host", "localhost"]);
        made.in_folder(folder.path()).run().expect(0);
        for name in ["ca.pem", "cert.pem", "key.pem"] {
            fs::rename(
                folder.path().join("certs").join(name),
                folder.path().join(name),
            )
            .unwrap();
        }
        let text = configuration(&mut random);
        let path = write(folder.path(), &text);
        let checked = check(&path).in_folder(folder.path()).run();
        let is_valid = checked.code == Some(0);
        assert!(is_valid || checked.code == Some(2), "{checked:?}");
        let starts = starts(&path, folder.path());
        assert_eq!(is_valid, starts, "{number}:\n{text}\n{}", checked.stderr);
        if is_valid {
            valid += 1;
        } else {
            invalid += 1;
        }
    }
    eprintln!("{valid} valid, {invalid} invalid");
    assert!(valid > 0 && invalid > 0);
}
