use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use tempfile::TempDir;

use super::*;

fn parse(url: &str) -> Result<Config, ConfigError> {
    Config::parse(url, |_| None)
}

#[test]
fn every_part_of_a_url_is_used() {
    let url = "postgresql://us%40er:p%3Ass@one:1,[::1]:2,two/data%20base\
               ?application_name=mine&sslmode=verify-full&schema=other&connect_timeout=7";
    let config = parse(url).unwrap();
    let postgres = &config.postgres;
    assert_eq!(postgres.get_user(), Some("us@er"));
    assert_eq!(postgres.get_password(), Some(&b"p:ss"[..]));
    assert_eq!(postgres.get_ports(), [1, 2, 5432]);
    assert_eq!(postgres.get_hosts().len(), 3);
    assert_eq!(postgres.get_dbname(), Some("data base"));
    assert_eq!(postgres.get_application_name(), Some("mine"));
    assert_eq!(
        postgres.get_connect_timeout(),
        Some(&Duration::from_secs(7))
    );
    assert_eq!(config.schema, "other");
    assert!(config.tls.is_some());
    assert!(config.has_password_in_url());
}

#[test]
fn a_password_is_never_shown() {
    let config = parse("postgres://user:geheim@host/db?password=geheim").unwrap();
    let shown = format!("{config} {config:?}");
    assert!(!shown.contains("geheim"), "{shown}");
    assert_eq!(config.to_string(), "postgres://user@host:5432/db");
    for url in [
        "postgres://user:geheim@host:x/db",
        "postgres://user:geheim@host/db?sslmode=prefer",
        "postgres://user:geheim%ff@host/db",
        "postgres://user:geheim%00@host/db",
        "postgres://user:geheim@host/db?no",
        "postgres://user:geheim@[host/db",
        "postgres://user:1/geheim@host/db",
        "postgres://user:1?geheim@host/db",
        "postgres://user:1@2/geheim@host/db",
        "postgres://user:1@2?geheim@host/db",
        "mysql://user:geheim@host/db",
    ] {
        let error = parse(url).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("geheim"), "{shown}");
    }
}

#[test]
fn the_environment_provides_what_the_url_lacks() {
    let variable = |name: &str| {
        let value = match name {
            "PGHOST" => "a,b",
            "PGPORT" => "1,2",
            "PGUSER" => "user",
            "PGPASSWORD" => "secret",
            "PGSSLMODE" => "disable",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let config = Config::parse("postgres://", variable).unwrap();
    assert_eq!(config.to_string(), "postgres://user@a:1,b:2/user");
    assert_eq!(config.postgres.get_password(), Some(&b"secret"[..]));
    assert!(!config.has_password_in_url());
    let config = Config::parse("postgres://other@c:3/db?sslmode=require", variable).unwrap();
    assert_eq!(config.to_string(), "postgres://other@c:3/db");
    assert!(config.tls.is_some());
}

#[test]
fn tls_is_the_default_except_to_this_machine() {
    for (url, tls) in [
        ("postgres://host/db", true),
        ("postgres://localhost/db", false),
        ("postgres:///db", false),
        ("postgres://127.0.0.1/db", false),
        ("postgres://[::1]/db", false),
        ("postgres://%2Frun%2Fpostgresql/db", false),
        ("postgres://localhost,host/db", true),
        ("postgres://localhost/db?sslrootcert=ca.pem", true),
        ("postgres://localhost/db?sslmode=require", true),
        ("postgres://host/db?sslmode=disable", false),
    ] {
        assert_eq!(parse(url).unwrap().tls.is_some(), tls, "{url}");
    }
}

#[test]
fn faults_name_the_parameter() {
    for (url, expected) in [
        ("sqlite:file", "the URL: it must begin with `postgres://`"),
        ("postgres://h/d?ssl=1", "`ssl`: unknown parameter"),
        (
            "postgres://h/d?sslmode=prefer",
            "`sslmode`: `prefer` does not protect",
        ),
        ("postgres://h/d?sslmode=x", "`sslmode`: `x` is unknown"),
        ("postgres://h:x/d", "`port`: `x` is not a port"),
        (
            "postgres://a,b/d?port=1,2,3",
            "`port`: there are 3 ports for 2 hosts",
        ),
        (
            "postgres://h/d?hostaddr=h",
            "`hostaddr`: `h` is not an IP address",
        ),
        (
            "postgres://h/d?target_session_attrs=standby",
            "a journal needs `read-write`",
        ),
        (
            "postgres://h/d?connect_timeout=x",
            "`connect_timeout`: `x` is not a number",
        ),
        ("postgres://h/d?sslcert=c", "belong together"),
        ("postgres://h/d?schema=A-b", "`schema`: must be up to 40"),
        (
            "postgres://%2Frun/d?sslmode=require",
            "not possible over a Unix socket",
        ),
        (
            "postgres://h/d?channel_binding=x",
            "`channel_binding`: must be",
        ),
    ] {
        let error = parse(url).unwrap_err().to_string();
        assert!(error.contains(expected), "{url}: {error}");
    }
    let port = |name: &str| (name == "PGPORT").then(|| "x".to_owned());
    let error = Config::parse("postgres://h/d", port).unwrap_err();
    assert_eq!(error.to_string(), "`PGPORT`: `x` is not a port");
}

#[test]
fn a_password_file_provides_the_password() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pgpass");
    let lines = "# comment\nhost:1:db:user:wrong\n*:*:db\\:x:user:se:cr\\:et\nother:*:*:*:o\n";
    fs::write(&path, lines).unwrap();
    let url = |hosts: &str| {
        let path = path.display();
        format!("postgres://user@{hosts}/db%3Ax?sslmode=disable&passfile={path}")
    };
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let error = parse(&url("host")).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
    // As systemd's credentials are: root's, with an access list.
    let is_of_root = fs::metadata(&path).unwrap().uid() == 0;
    mode(0o440);
    assert_eq!(parse(&url("host")).is_ok(), is_of_root);
    mode(0o600);
    let config = parse(&url("host")).unwrap();
    assert_eq!(config.postgres.get_password(), Some(&b"se:cr:et"[..]));
    assert_eq!(
        parse(&url("host,third")).unwrap().postgres.get_password(),
        Some(&b"se:cr:et"[..])
    );
    let missing = parse("postgres://h/d?passfile=/none")
        .unwrap_err()
        .to_string();
    assert!(missing.contains("`/none` cannot be read"), "{missing}");
}
