//! Broken configurations: each fault is named with its line, what was expected
//! and what was found, and no secret is shown.

use std::fs;

use super::{check, write};
use crate::support::program::Program;

/// Part of every secret in these files.
const HUSH: &str = "hush";

/// A broken file, and what must be said about it: the line of each fault, and
/// parts of its text.
type Broken = (&'static str, &'static [(usize, &'static [&'static str])]);

/// A table `[platform]` that is complete, and one line more.
macro_rules! platform {
    ($line:literal) => {
        concat!(
            "[platform]\nregion = 'cn-north-4'\nproject_id = 'p1'\naccess_key = 'AK1'\n\
             secret_key = 'hush1'\n",
            $line
        )
    };
}

/// A table `[acme]` that is complete, and one line more.
macro_rules! acme {
    ($line:literal) => {
        concat!(
            "[acme]\ndomains = ['a.example', 'b.example']\naccept_terms = true\n\
             cache = '.'\nca = 'authority'\n",
            $line
        )
    };
}

const BROKEN: &[Broken] = &[
    (
        acme!("directory = 'http://ca/dir'"),
        &[(6, &["`acme.directory` cannot be used", "`https`"])],
    ),
    (
        acme!("contacts = 'ops'"),
        &[(6, &["`acme.contacts`", "`ops` is not a mail address"])],
    ),
    (
        acme!("dns_hook = '/missing/hook'"),
        &[(6, &["`acme.dns_hook`", "`/missing/hook`", "No such file"])],
    ),
    (
        acme!("eab_key_id = 'id'\neab_key = 'hush !'"),
        &[(7, &["`acme.eab_key` cannot be used", "not base64"])],
    ),
    (
        acme!("share_secret = 'hush'"),
        &[(6, &["`acme.share_secret`", "not shown"])],
    ),
    (
        "tls_key = 'key.pem'\n[acme]\ndomains = 'a.example'\naccept_terms = true\ncache = '.'\n\
         ca = 'authority'",
        &[(1, &["`tls_key` is set beside `acme.domains`", "only one"])],
    ),
    (
        "[acme]\ndomains = '*.example'\naccept_terms = true\ncache = 'notes'\nca = 'authority'",
        &[(2, &["`*.example` needs DNS-01", "`dns_hook`"])],
    ),
    (
        "[acme]\ndomains = 'a.example'\naccept_terms = true\ncache = 'notes/acme'\n\
         ca = 'authority'",
        &[(4, &["`acme.cache` cannot be used", "`notes"])],
    ),
    (
        platform!("edition = 'gold'"),
        &[(6, &["`platform.edition`", "`standard`", "found `gold`"])],
    ),
    (
        platform!("url = 'ftp://x'"),
        &[(6, &["`platform.url` cannot be used", "`https://`"])],
    ),
    (
        platform!("calls_per_second = 0"),
        &[(6, &["`platform.calls_per_second`", "found `0`"])],
    ),
    (
        platform!("ca = 'missing.pem'"),
        &[(6, &["`platform.ca`", "`missing.pem`", "No such file"])],
    ),
    (
        platform!("ca = 'notes'"),
        &[(6, &["`platform.ca`", "contains no certificate"])],
    ),
    (
        platform!("proxy = 'https://user:hush@proxy'"),
        &[(6, &["`platform.proxy`", "not shown", "`http://`"])],
    ),
    (
        platform!("password = 'hush'"),
        &[(6, &["`platform.password` is set beside an access key"])],
    ),
    (
        platform!("security_token = ['hush', 'hush']"),
        &[(6, &["`platform.security_token`", "found a TOML array"])],
    ),
    (
        platform!("queue = 'short'"),
        &[(6, &["`platform.queue`", "8 to 128", "found `short`"])],
    ),
    (
        platform!("regio = 'x'"),
        &[(6, &["`platform.regio`", "did you mean `platform.region`?"])],
    ),
    (
        platform!("max_reads = 1"),
        &[(6, &["`platform.max_reads`", "`max_reads` must be above"])],
    ),
    (
        "platform_region = 'x'",
        &[(1, &["`platform_region`", "`[platform]`, as `region`"])],
    ),
    ("platform = true", &[(1, &["`platform` must be a table"])]),
    (
        "max_reads = 0",
        &[(
            1,
            &["`max_reads`", "whole number from 1 to 1000000", "found `0`"],
        )],
    ),
    ("max_reads = -1", &[(1, &["`max_reads`", "found `-1`"])]),
    (
        "\nmax_reads = 1.5",
        &[(2, &["`max_reads`", "whole number", "found `1.5`"])],
    ),
    (
        "max_reads = 'many'",
        &[(1, &["`max_reads`", "found `many`"])],
    ),
    (
        "max_reads = [1, 2]",
        &[(1, &["`max_reads`", "found a TOML array"])],
    ),
    (
        "max_reads = 99999999999999999999999",
        &[(1, &["`max_reads`", "found `9999"])],
    ),
    (
        "max_read = 5",
        &[(
            1,
            &["`max_read` is not an option", "did you mean `max_reads`?"],
        )],
    ),
    (
        "MAX_READS = 5",
        &[(
            1,
            &["`MAX_READS` is not an option", "did you mean `max_reads`?"],
        )],
    ),
    ("[limits]\nmax_reads = 5", &[(1, &["`limits` is a table"])]),
    (
        "frobnicate = true",
        &[(1, &["`frobnicate` is not an option"])],
    ),
    (
        "listen = '8080'",
        &[(
            1,
            &[
                "`listen`",
                "`ADDRESS:PORT`",
                "found `8080`",
                "write `:8080`",
            ],
        )],
    ),
    ("listen = '::1:8080'", &[(1, &["`listen`", "brackets"])]),
    ("listen = 'of'", &[(1, &["`listen`", "found `of`"])]),
    ("listen = '127.0.0.1:70000'", &[(1, &["`listen`", "65535"])]),
    (
        "listen = '192.0.2.1:8080'",
        &[(1, &["`listen`", "cannot listen on `192.0.2.1:8080`"])],
    ),
    ("admin = 'unix:'", &[(1, &["`admin`", "the path is empty"])]),
    (
        "admin = 'unix:/nowhere/admin.sock'",
        &[(1, &["`admin`", "/nowhere/admin.sock"])],
    ),
    (
        "journal = 'mysql:x'",
        &[(1, &["`journal`", "`sqlite:PATH`", "found `mysql:x`"])],
    ),
    (
        "journal = 'sqlite::memory:'",
        &[(1, &["`journal`", "needs a file"])],
    ),
    (
        "journal = 'sqlite:/nowhere/b.db'",
        &[(1, &["`journal`", "`/nowhere`"])],
    ),
    (
        "journal = 'sqlite:notes'",
        &[(1, &["`journal`", "notes", "not a database"])],
    ),
    (
        "keep_days = 1",
        &[(1, &["`keep_days`", "from 2 on", "found `1`"])],
    ),
    (
        "takeover = 'perhaps'",
        &[(1, &["`takeover`", "`true` or `false`", "found `perhaps`"])],
    ),
    (
        "trusted_proxies = ['10.0.0.0/8', 'nobody']",
        &[(1, &["`trusted_proxies`", "`nobody`"])],
    ),
    (
        "proxy_protocol = '10.0.0.0/40'",
        &[(1, &["`proxy_protocol`", "`10.0.0.0/40`"])],
    ),
    (
        "tls_cert = 'missing.pem'",
        &[(1, &["`tls_cert` needs `tls_key`"])],
    ),
    (
        "tls_key = 'missing.pem'",
        &[(1, &["`tls_key` needs `tls_cert`"])],
    ),
    (
        "tls_client_ca = 'missing.pem'",
        &[(1, &["`tls_client_ca` needs `tls_cert`"])],
    ),
    (
        "tls_cert = 'missing.pem'\ntls_key = 'missing.pem'",
        &[(1, &["`tls_cert`", "`missing.pem`", "No such file"])],
    ),
    (
        "component = 'missing.wasm'",
        &[(1, &["`component`", "`missing.wasm`"])],
    ),
    (
        "instance_reuse = 0",
        &[(1, &["`instance_reuse`", "from 1", "found `0`"])],
    ),
    (
        "log = 'info,=,'",
        &[(1, &["`log`", "`=` is neither a level"])],
    ),
    (
        "log_format = 'xml'",
        &[(1, &["`log_format`", "`text` or `json`", "found `xml`"])],
    ),
    (
        "signature = 'on'",
        &[(
            1,
            &["`signature`", "`off`, `report` or `enforce`", "found `on`"],
        )],
    ),
    (
        "signature = 'enforce'",
        &[(1, &["`signature`", "needs a token", "BATCHTASK_TOKEN"])],
    ),
    (
        "unprocessable = true",
        &[(1, &["`unprocessable`", "found `true`"])],
    ),
    (
        "token = 'hush hush'",
        &[(1, &["`token`", "3 to 32 letters and digits", "not shown"])],
    ),
    (
        "token = ['hush1', 'hush2', 'hush3']",
        &[(1, &["`token`", "two such tokens", "not shown"])],
    ),
    ("token = ['hush1,hush2']", &[(1, &["`token`", "comma"])]),
    (
        "read_token = 'hush'",
        &[(1, &["`read_token`", "16 to 256", "not shown"])],
    ),
    (
        "path_secret = 'hush/hush/hush/hush'",
        &[(1, &["`path_secret`", "16 to 128", "not shown"])],
    ),
    (
        "path_secret = { file = 'missing' }",
        &[(1, &["`path_secret`", "`missing`", "No such file"])],
    ),
    (
        "path_secret = { path = 'hush' }",
        &[(1, &["`path_secret`", "{ file = \"PATH\" }"])],
    ),
    (
        "path_secret = { file = 'empty' }",
        &[(1, &["`path_secret`", "`empty`", "is empty"])],
    ),
    ("read_token = 'hush-hush-hush-hush", &[(1, &["not TOML"])]),
    ("read_token = hush-hush-hush-hush", &[(1, &["not TOML"])]),
    (
        "max_reads = 1\nmax_reads = 2",
        &[(2, &["not TOML", "duplicate key"])],
    ),
    ("max_reads", &[(1, &["not TOML"])]),
    (
        "max_reads = 0\n\n# A comment.\nkeep_days = 'x'\nsignature = 'enforce'\nlistn = ':1'\n\
         token = 'hush_hush'\nread_token = \"hush\"",
        &[
            (1, &["`max_reads`", "found `0`"]),
            (4, &["`keep_days`", "found `x`"]),
            (6, &["`listn`", "did you mean `listen`?"]),
            (7, &["`token`"]),
            (8, &["`read_token`"]),
        ],
    ),
];

#[test]
fn every_fault_is_named_with_its_line_and_no_secret_is_shown() {
    assert!(BROKEN.len() >= 30);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty"), "\n").unwrap();
    fs::write(
        folder.path().join("notes"),
        "what is not a database\n".repeat(99),
    )
    .unwrap();
    let authority = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
    fs::write(folder.path().join("authority"), authority.cert.pem()).unwrap();
    for (text, faults) in BROKEN {
        let path = write(folder.path(), text);
        let checked = check(&path).in_folder(folder.path()).run().expect(2);
        let said = &checked.stderr;
        assert!(!said.contains(HUSH), "{text}: {said}");
        for (line, parts) in *faults {
            let place = format!("{}:{line}: ", path.display());
            let found = said
                .lines()
                .find(|said| said.contains(&place) && parts.iter().all(|part| said.contains(part)));
            assert!(found.is_some(), "{text}\n{line}: {parts:?}\n{said}");
        }
        let count = said.lines().skip(1).count();
        assert_eq!(count, faults.len(), "{text}\n{said}");
    }
}

#[test]
fn a_certificate_from_a_ca_needs_a_folder_and_accepted_terms() {
    let by_flag = Program::new(["check", "--acme", "a.example,*.a.example,A.example"]);
    let said = by_flag.run().expect(2).stderr;
    assert!(
        said.contains("`--acme` must be") && said.contains("`A.example` is there twice"),
        "{said}"
    );
    let by_flag = Program::new(["check", "--acme", "a.example"]);
    let said = by_flag
        .variable(("BATCHTASK_ACME_EAB_KEY", "hush"))
        .run()
        .expect(2)
        .stderr;
    for part in [
        "`acme.accept_terms` is missing",
        "terms of service",
        "`acme.cache` is missing",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        said.contains("`acme.eab_key_id` is missing") && !said.contains(HUSH),
        "{said}"
    );
}

#[test]
fn a_fault_in_a_flag_or_a_variable_is_named_in_its_spelling() {
    let by_flag = Program::new(["check", "--max-reads", "0", "--keep-days", "1"]);
    let said = by_flag.run().expect(2).stderr;
    assert!(said.contains("`--max-reads` must be"), "{said}");
    assert!(said.contains("`--keep-days` must be"), "{said}");
    let by_variable = Program::new(["check"]).variable(("BATCHTASK_MAX_READS", "0"));
    let said = by_variable.run().expect(2).stderr;
    assert!(said.contains("`BATCHTASK_MAX_READS` must be"), "{said}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let said = check(&missing).run().expect(2).stderr;
    assert!(said.contains("`--config` cannot be read"), "{said}");
    assert!(said.contains("missing.toml"), "{said}");
    let path = folder.path().join("latin1.toml");
    fs::write(&path, b"log = '\xe9'").unwrap();
    let said = check(&path).run().expect(2).stderr;
    assert!(said.contains("not UTF-8"), "{said}");
}
