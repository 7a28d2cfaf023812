//! TLS to the server, with certificates of an own authority.

use std::fs;
use std::path::PathBuf;

use batchtask_journal::Journal;
use batchtask_postgres::{OpenError, Options, PostgresJournal};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::entries::entry;
use crate::support::{PASSWORD, Server, config, open};

/// Returns an authority with this name.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("valid");
    // Otherwise both authorities have the same name.
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

/// Writes a certificate of the server for `localhost`, and that of its authority,
/// and turns TLS on. Returns the path of the latter and of that of another
/// authority.
fn turn_on(server: &Server) -> (PathBuf, PathBuf) {
    let (authority, other) = (authority("one"), authority("other"));
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".into()]).expect("valid");
    let certificate = params.signed_by(&key, &authority).expect("signed");
    let cert = server.write("server.pem", &certificate.pem());
    let key = server.write("server.key", &key.serialize_pem());
    server.set("ssl_cert_file", &format!("'{}'", cert.display()));
    server.set("ssl_key_file", &format!("'{}'", key.display()));
    server.set("ssl", "on");
    let (good, wrong) = (
        server.folder().join("ca.pem"),
        server.folder().join("other.pem"),
    );
    fs::write(&good, authority.pem()).expect("written");
    fs::write(&wrong, other.pem()).expect("written");
    (good, wrong)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_and_the_name_are_verified() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    if server.sql("SHOW ssl_library").is_empty() {
        eprintln!("skipped: this PostgreSQL has no TLS");
        return;
    }
    let at = |host: &str, rest: String| {
        let port = server.port();
        config(&format!(
            "postgres://batchtask:{PASSWORD}@{host}:{port}/postgres{rest}"
        ))
    };
    // The server does not offer TLS yet.
    let unprotected = at("localhost", "?sslmode=require".into());
    let opened = PostgresJournal::open(&unprotected, Options::default()).await;
    let error = opened.unwrap_err();
    assert!(matches!(error, OpenError::Tls(_)), "{error:?}");
    assert!(
        error.to_string().contains("does not support TLS"),
        "{error}"
    );

    let (good, wrong) = turn_on(&server);
    let root = |path: &PathBuf| format!("?sslrootcert={}", path.display());
    let journal = open(&at("localhost", root(&good))).await;
    journal.commit(vec![entry(0)]).await.expect("committed");
    let encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                     WHERE ssl AND application_name = 'batchtask'";
    assert!(server.sql(encrypted).parse::<u32>().expect("a number") >= 1);

    for (config, expected) in [
        (at("localhost", root(&wrong)), "UnknownIssuer"),
        (at("127.0.0.1", root(&good)), "not valid for name"),
        // The authorities of the system do not know it.
        (
            at("localhost", "?sslmode=verify-full".into()),
            "UnknownIssuer",
        ),
    ] {
        for opened in [
            PostgresJournal::open(&config, Options::default())
                .await
                .map(drop),
            PostgresJournal::check(&config, Options::default())
                .await
                .map(drop),
        ] {
            let error = opened.unwrap_err();
            assert!(matches!(error, OpenError::Tls(_)), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(expected), "{text}");
            assert!(text.contains("sslrootcert"), "{text}");
            assert!(!text.contains(PASSWORD), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "").expect("written");
    for (rest, expected) in [
        ("?sslrootcert=/none.pem".to_owned(), "`/none.pem`"),
        (
            format!("?sslrootcert={}", empty.display()),
            "no certificate",
        ),
        (
            format!("?sslmode=require&sslcert={0}&sslkey={0}", empty.display()),
            "no certificate",
        ),
    ] {
        let config = config(&format!("postgres://user@localhost/db{rest}"));
        let error = PostgresJournal::open(&config, Options::default())
            .await
            .unwrap_err();
        assert!(matches!(error, OpenError::TlsFile { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
